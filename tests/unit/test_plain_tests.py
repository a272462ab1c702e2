"""The tests themselves: what they assert can be read from a failure, and they share helpers, not each other."""

import ast
from collections.abc import Iterator

import pytest

from tests.support.commands import ROOT

_DATA = {"corpus", "samples"}
_MODULES = {
    path.relative_to(ROOT).as_posix(): path
    for path in sorted((ROOT / "tests").rglob("*.py"))
    if not _DATA & set(path.relative_to(ROOT).parts)
}


def _hides_the_value(node: ast.AST) -> bool:
    """Whether an assert compares several values at once: its failure does not say whose value was wrong."""
    if not (isinstance(node, ast.Assert) and isinstance(node.test, ast.Compare)):
        return False
    left = node.test.left
    if not (isinstance(left, ast.Tuple | ast.List) and isinstance(node.test.ops[0], ast.Eq | ast.Is)):
        return False
    return sum(not isinstance(element, ast.Constant | ast.Starred) for element in left.elts) > 1


def _imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.ImportFrom) and node.module:
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)


def problems(source: str) -> list[str]:
    """Return what is wrong with a module of tests, by lines."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if _hides_the_value(node):
            found.append(f"line {node.lineno}: one fact per assert")  # type: ignore[attr-defined]
        for name in _imported(node):
            parts = name.split(".")
            if parts[0] == "tests" and any(part.startswith("test_") for part in parts[1:]):
                found.append(f"line {node.lineno}: {name} is a test module")  # type: ignore[attr-defined]
    return found


@pytest.mark.parametrize("name", _MODULES)
def test_module_is_plain(name: str) -> None:
    """One fact per assert, and no import from a test module: what two of them need is in a module of its own."""
    assert problems(_MODULES[name].read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "assert (code, text in shown) == (0, True)",
        "assert [lines[0], lines[-1]] == ['started', 'stopped']",
        "from tests.nginx.test_limits import one_worker",
        "from tests.nginx import test_limits",
        "import tests.nginx.test_limits",
    ],
)
def test_guard_fires(source: str) -> None:
    """Each of these is named."""
    assert len(problems(source)) > 0


@pytest.mark.parametrize(
    "source",
    [
        "assert found == [first, second]",
        "assert [one.id for one in found] == ['L911', 'L951']",
        "assert (*before, 'last') == found",
        "from tests.nginx.proxy import Proxy",
    ],
)
def test_guard_stays_silent(source: str) -> None:
    """One value that has several parts is one fact."""
    assert problems(source) == []
