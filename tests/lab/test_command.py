"""``no502 lab`` as a user runs it, with the scenarios that are no race."""

from __future__ import annotations

import json
from pathlib import Path

from no502.lab.scenarios import SCENARIOS
from tests.support.browser import title_after
from tests.support.commands import clean_environment, no502, processes_in

_CERTAIN = ("big-header", "websocket", "forged-address")


def test_lab_shows_the_failure_and_its_end(tmp_path: Path) -> None:
    """Real nginx and gunicorn fail as they do in the wild, and not with no502; the page and the data tell the same."""
    page = tmp_path / "report.html"
    done = no502("lab", *_CERTAIN, "--json", "--html", page, cwd=tmp_path, env=clean_environment(tmp_path), seconds=300)
    assert done.returncode == 0, done.stderr
    results = {result["scenario"]: result for result in json.loads(done.stdout)["results"]}
    assert list(results) == list(_CERTAIN)
    assert results["big-header"]["wild"]["outcomes"] == {"200": 2, "502": 2}
    assert "upstream sent too big header" in results["big-header"]["wild"]["log"][0]
    assert results["big-header"]["no502"]["outcomes"] == {"200": 4}
    assert results["websocket"]["wild"]["outcomes"] == {"404 instead of 101": 3}
    assert results["websocket"]["no502"]["outcomes"] == {"echo": 3}
    assert results["forged-address"]["no502"]["failures"] == 0
    _look_at(page)
    assert not processes_in(tmp_path)


def test_lab_ignores_settings_made_for_other_servers(tmp_path: Path) -> None:
    """Variables and a .env of the user's own service change nothing in the lab."""
    (tmp_path / ".env").write_text("PROXY_READ_TIMEOUT=77\n")
    environment = clean_environment(tmp_path, GUNICORN_TIMEOUT="1", WEB_CONCURRENCY="3")
    done = no502("lab", "websocket", cwd=tmp_path, env=environment, seconds=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 scenario: 1 failure seen in the wild, 1 gone with no502 (gunicorn " in done.stdout


def test_list_names_every_scenario(tmp_path: Path) -> None:
    """``--list`` starts nothing and prints one line for each scenario."""
    done = no502("lab", "--list", cwd=tmp_path, env=clean_environment(tmp_path))
    assert [line.split()[0] for line in done.stdout.splitlines()] == [scenario.name for scenario in SCENARIOS]


def test_mistakes_on_the_command_line(tmp_path: Path) -> None:
    """An unknown scenario or a page in a directory that is not there is refused before anything starts."""
    environment = clean_environment(tmp_path)
    unknown = no502("lab", "nothing", cwd=tmp_path, env=environment)
    assert unknown.returncode == 2
    assert "no such scenario: nothing" in unknown.stderr
    nowhere = no502("lab", "--html", "none/report.html", cwd=tmp_path, env=environment)
    assert nowhere.returncode == 2
    assert "no directory" in nowhere.stderr


def _look_at(page: Path) -> None:
    """Open the page in a real browser at phone width: nothing sticks out, every chart has a size."""
    script = (
        "const wide = document.documentElement.scrollWidth <= window.innerWidth;"
        "const charts = [...document.querySelectorAll('svg')].every(svg => svg.getBoundingClientRect().height > 20);"
        "document.title = `fits ${wide} charts ${charts}`"
    )
    assert title_after(page, script, profile=page.parent / "chromium") == "fits true charts true"
