"""The calculator's page computes what ``gunicorn_conf`` computes, in a real browser."""

import html
import json
import random
from pathlib import Path

import pytest

from gunicorn_conf import RUNGS, LadderError, compute
from no502.ladder.calculator import javascript, tree
from tests.support.browser import title_after
from tests.support.commands import ROOT

_INPUTS = {
    "proxy_read_timeout": (10, 2000),
    "proxy_connect_timeout": (1, 75),
    "proxy_keepalive_timeout": (1, 600),
    "stop_delay": (0, 60),
    "workers": (1, 64),
    "timeout": (1, 1500),
    "max_requests": (0, 5000),
}
_CASES = 500


def _cases() -> list[dict[str, dict[str, int]]]:
    chance = random.Random(502)
    cases = []
    for _ in range(_CASES):
        given = {name: chance.randint(*limits) for name, limits in _INPUTS.items() if chance.random() < 0.6}
        facts = {"cpus": chance.randint(1, 64), "M": chance.choice([0, 256, 1024, 16384]) * 2**20}
        cases.append({"given": given, "facts": facts})
    return cases


def _python(case: dict[str, dict[str, int]]) -> dict[str, int | None] | None:
    """Return the value of every rung, or None where the rules refuse the inputs."""
    variables = {rung.name: rung.variable for rung in RUNGS}
    environ = {variables[name]: str(value) for name, value in case["given"].items()}
    try:
        settings = compute(environ, facts=case["facts"])
    except LadderError:
        return None
    return {rung.name: getattr(settings, rung.name) for rung in RUNGS}


def test_data_is_what_the_ladder_declares() -> None:
    """The page's data has been written since the last change of a formula."""
    written = (ROOT / "docs" / "javascripts" / "ladder-data.js").read_text(encoding="utf-8")
    assert written == javascript()


@pytest.mark.parametrize("formula", ["P / 2", "open('x')", "P if P else [1]", "P << 1"])
def test_formula_that_the_page_cannot_evaluate_is_refused(formula: str) -> None:
    """A new kind of expression in a formula fails here, not silently in the page."""
    with pytest.raises(ValueError, match="cannot evaluate"):
        tree(formula)


def test_the_browser_computes_what_python_computes(tmp_path: Path) -> None:
    """For 500 random inputs the page's values are those of Python, and it refuses what Python refuses."""
    cases = _cases()
    page = tmp_path / "page.html"
    scripts = [ROOT / "docs" / "javascripts" / name for name in ("ladder-data.js", "calculator.js")]
    loaded = "".join(f"<script>{script.read_text(encoding='utf-8')}</script>" for script in scripts)
    page.write_text(f"<html><head><title></title></head><body>{loaded}</body></html>", encoding="utf-8")
    script = f"""
        const results = {json.dumps(cases)}.map(({{given, facts}}) => {{
            const {{values, broken}} = no502Calculator.compute(given, {{...facts, hands_over: true}});
            return broken.length ? null : values;
        }});
        document.title = JSON.stringify(results);
    """
    results = json.loads(html.unescape(title_after(page, script, profile=tmp_path / "profile")))
    expected = [_python(case) for case in cases]
    assert sum(value is not None for value in expected) > 50
    assert sum(value is None for value in expected) > 50
    assert results == expected


def test_the_page_shows_lines_to_copy(tmp_path: Path) -> None:
    """With the choices of a shared link the page shows that proxy's lines and that deployment's, with the numbers."""
    text = (ROOT / "docs" / "calculator.md").read_text(encoding="utf-8")
    form = text[text.index("<form") : text.index("<noscript>")]
    scripts = [ROOT / "docs" / "javascripts" / name for name in ("ladder-data.js", "calculator.js")]
    loaded = "".join(f"<script>{script.read_text(encoding='utf-8')}</script>" for script in scripts)
    choose = "location.hash = '#proxy=caddy&server=uvicorn&deployment=compose.yaml&proxy_read_timeout=60'"
    page = tmp_path / "page.html"
    whole = f"<html><head><title></title></head><body><script>{choose}</script>{form}{loaded}</body></html>"
    page.write_text(whole, encoding="utf-8")
    script = "document.title = document.getElementById('calculator-output').textContent"
    shown = html.unescape(title_after(page, script, profile=tmp_path / "profile"))
    assert "response_header_timeout 60s" in shown
    assert "stop_grace_period: 50s" in shown
    assert "--timeout-keep-alive 30" in shown
