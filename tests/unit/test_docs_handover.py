"""docs/handover.md against the code that it describes."""

import ast
import re
from pathlib import Path

import gunicorn_arbiter
import gunicorn_handover

_ROOT = Path(__file__).parents[2]
_PAGE = (_ROOT / "docs" / "handover.md").read_text()
_BLOCKS = re.findall(r"^```python\n(.*?)^```", _PAGE, flags=re.MULTILINE | re.DOTALL)


def test_the_example_on_the_page_is_the_file_that_the_tests_run() -> None:
    """The stream on the page is docs/examples/stream.py, to the letter."""
    assert (_ROOT / "docs" / "examples" / "stream.py").read_text() in _BLOCKS


def test_every_public_part_of_handover_is_on_the_page() -> None:
    """Each attribute of Handover has its row, and every reason is named."""
    public = {name for name in vars(gunicorn_handover.Handover) if not name.startswith("_")}
    reasons = {reason.name for reason in gunicorn_handover.Reason}

    assert public == {
        *("draining", "failed_boots", "killed", "reason", "reasons", "request_replacement", "stopping", "wait"),
    }
    for name in public:
        assert f".{name}" in _PAGE
    for reason in reasons:
        assert f"`{reason}`" in _PAGE


def test_every_log_line_on_the_page_is_one_that_the_code_can_write() -> None:
    """The words around the numbers are those of the format strings."""
    trees = [ast.parse(Path(str(module.__file__)).read_text()) for module in (gunicorn_handover, gunicorn_arbiter)]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    formats = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    kinds = {"%s": ".+", "%d": "[0-9]+", "%.1f": "[0-9.]+", "%.0f": "[0-9]+"}
    patterns = [
        "".join(kinds.get(part, re.escape(part)) for part in re.split(r"(%(?:s|d|\.1f|\.0f))", text))
        for text in formats
        if text.startswith("handover: ")
    ]
    lines = re.findall(r"handover: worker [^`\n]+", _PAGE)

    assert len(lines) == 7
    for line in lines:
        assert any(re.fullmatch(pattern, line) for pattern in patterns), line
