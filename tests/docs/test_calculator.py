"""The calculator's page computes what ``gunicorn_conf`` computes, in a real browser."""

import html
import json
import random
import re
from pathlib import Path
from typing import Any

import pytest

from gunicorn_conf import RUNGS, LadderError, compute
from no502.ladder.calculator import SERVERS, javascript, tree
from no502.ladder.fronts import FRONTS
from no502.ladder.uvicorn_flags import FLAGS
from tests.support.browser import title_after
from tests.support.commands import ROOT

_INPUTS = {
    "proxy_read_timeout": (10, 2000),
    "proxy_connect_timeout": (1, 75),
    "proxy_keepalive_timeout": (1, 600),
    "front_read_timeout": (10, 4000),
    "stop_delay": (0, 60),
    "workers": (1, 64),
    "timeout": (1, 1500),
    "max_requests": (0, 5000),
}
_CASES = 500
_CLASSES = {"gunicorn": "uvicorn.workers.UvicornWorker"}
"""Server of the page -> the worker class that gunicorn has there; the others have none of their own."""


def _cases() -> list[dict[str, Any]]:
    chance = random.Random(502)
    cases = []
    for number in range(_CASES):
        given = {name: chance.randint(*limits) for name, limits in _INPUTS.items() if chance.random() < 0.6}
        facts = {"cpus": chance.randint(1, 64), "M": chance.choice([0, 256, 1024, 16384]) * 2**20}
        cases.append({"given": given, "facts": facts, "server": list(SERVERS)[number % len(SERVERS)]})
    return cases


def _python(case: dict[str, Any]) -> dict[str, int | None] | list[str]:
    """Return the value of every rung, or the problems where the rules refuse the inputs."""
    variables = {rung.name: rung.variable for rung in RUNGS}
    environ = {variables[name]: str(value) for name, value in case["given"].items()}
    if case["server"] in _CLASSES:
        environ["GUNICORN_WORKER_CLASS"] = _CLASSES[case["server"]]
    try:
        settings = compute(environ, facts=case["facts"])
    except LadderError as wrong:
        return [re.sub(r" \(environment\)| and GUNICORN_WORKER_CLASS=[\w.]+", "", line) for line in wrong.problems]
    return {rung.name: getattr(settings, rung.name) for rung in RUNGS}


def _scripts() -> str:
    scripts = [ROOT / "docs" / "javascripts" / name for name in ("ladder-data.js", "calculator.js")]
    return "".join(f"<script>{script.read_text(encoding='utf-8')}</script>" for script in scripts)


def _shown(folder: Path, choices: str, script: str) -> Any:
    """Return what a script returns on the page, opened by a link with these choices."""
    text = (ROOT / "docs" / "calculator.md").read_text(encoding="utf-8")
    form = text[text.index("<form") : text.index("<noscript>")]
    page = folder / "page.html"
    opened = f"<script>location.hash = '#{choices}'</script>{form}{_scripts()}"
    page.write_text(f"<html><head><title></title></head><body>{opened}</body></html>", encoding="utf-8")
    title = title_after(page, f"document.title = JSON.stringify({script})", profile=folder / "profile")
    return json.loads(html.unescape(title))


_TEXT = "document.getElementById('calculator-output').textContent"


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
    """For 500 random inputs on three servers the page has the values of Python, and its words where it refuses."""
    cases = _cases()
    page = tmp_path / "page.html"
    page.write_text(f"<html><head><title></title></head><body>{_scripts()}</body></html>", encoding="utf-8")
    script = f"""
        const results = {json.dumps(cases)}.map((one) => {{
            const facts = {{...one.facts, hands_over: no502Ladder.servers[one.server].hands_over}};
            const problems = no502Calculator.problemsOf(one.given, facts);
            return problems.length ? problems : no502Calculator.compute(one.given, facts).values;
        }});
        document.title = JSON.stringify(results);
    """
    results = json.loads(html.unescape(title_after(page, script, profile=tmp_path / "profile")))
    expected = [_python(case) for case in cases]
    assert sum(isinstance(value, dict) for value in expected) > 50
    assert sum(isinstance(value, list) for value in expected) > 50
    assert results == expected


def test_page_shows_lines_to_copy(tmp_path: Path) -> None:
    """With the choices of a shared link the page shows that proxy's lines and that deployment's, with the numbers."""
    shown = _shown(tmp_path, "proxy=caddy&server=uvicorn&deployment=compose.yaml&proxy_read_timeout=60", _TEXT)
    assert "response_header_timeout 60s" in shown
    assert "stop_grace_period: 50s" in shown
    assert "--timeout-keep-alive 30" in shown


def test_uvicorn_has_the_deadline_that_explain_prints(tmp_path: Path) -> None:
    """At the defaults the table has 100 and 90 s for uvicorn, as ``no502 explain --server uvicorn``."""
    current = compute({}, facts={"cpus": 1, "M": 0})
    shown = _shown(tmp_path, "server=uvicorn", _TEXT)
    assert f"request_deadline D{current.request_deadline} s" in shown
    assert f"statement_timeout S{current.statement_timeout} s" in shown
    assert [flag for flag, name in FLAGS.items() if hasattr(current, name) and flag not in shown] == ["--backlog"]


@pytest.mark.parametrize("name", sorted(FRONTS))
def test_front_proxy_by_name_sets_both_sides(tmp_path: Path, name: str) -> None:
    """A load balancer's name gives its read timeout, and an nginx that closes idle connections after it."""
    front = FRONTS[name]
    shown = _shown(tmp_path, f"front={name}&proxy_read_timeout=10&server=no502", _TEXT)
    assert (f"FRONT_READ_TIMEOUT={front.read}" in shown) is (front.read is not None)
    kept = [int(seconds) for seconds in re.findall(r"\n    keepalive_timeout (\d+)s;", shown)]
    assert max(kept) > (front.idle or 0)


def test_own_number_goes_before_a_front_proxys_name(tmp_path: Path) -> None:
    """FRONT_READ_TIMEOUT from the form is used, whatever the name's default is."""
    shown = _shown(tmp_path, "front=alb&front_read_timeout=400", _TEXT)
    assert "FRONT_READ_TIMEOUT=400" in shown


def test_broken_rule_leaves_nothing_to_copy(tmp_path: Path) -> None:
    """An ALB's 60 s and the default of 180 s do not fit: the page says what would, and has no button."""
    text, buttons = _shown(tmp_path, "front=alb", f"[{_TEXT}, document.querySelectorAll('button').length]")
    assert "FRONT_READ_TIMEOUT=60: must be at least 185, or lower PROXY_READ_TIMEOUT to 55" in text
    assert buttons == 0


@pytest.mark.parametrize(
    ("deployment", "lines"),
    [
        (
            "compose.yaml",
            [
                'GUNICORN_STOP_DELAY: "7"',
                'WEB_CONCURRENCY: "3"',
                "stop_grace_period: 137s",
                "http://127.0.0.1:8000/health/ready",
            ],
        ),
        (
            "kubernetes.yaml",
            ['{name: GUNICORN_STOP_DELAY, value: "7"}', '{name: WEB_CONCURRENCY, value: "3"}', "readinessProbe:"],
        ),
        (
            "systemd.service",
            ["Environment=GUNICORN_STOP_DELAY=7", "Environment=WEB_CONCURRENCY=3", "Type=notify", "-HUP $MAINPID"],
        ),
    ],
)
def test_deployment_has_stop_delay_workers_and_probe(tmp_path: Path, deployment: str, lines: list[str]) -> None:
    """The lines state each variable that was chosen, the stop grace, and where they have probes, one."""
    shown = _shown(tmp_path, f"deployment={deployment}&stop_delay=7&workers=3", _TEXT)
    assert [line for line in lines if line not in shown] == []
    assert "$name" not in shown


def test_systemd_does_not_wait_for_uvicorn_to_notify(tmp_path: Path) -> None:
    """uvicorn does not tell systemd that it is ready, and reads none of gunicorn's variables."""
    shown = _shown(tmp_path, "deployment=systemd.service&server=uvicorn", _TEXT)
    unit = shown[shown.index("[Service]") :]
    assert "Type=exec\nEnvironment=WEB_CONCURRENCY=1\nKillMode=mixed" in unit
