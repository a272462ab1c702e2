"""``no502 explain``."""

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from gunicorn_conf import compute
from no502.ladder.picture import draw
from no502.ladder.proxies import Proxy
from no502.ladder.rungs import RUNGS
from tests.support.commands import ROOT, no502

OVERRIDES = {
    "PROXY_READ_TIMEOUT": "60",
    "PROXY_KEEPALIVE_TIMEOUT": "20",
    "FRONT_READ_TIMEOUT": "90",
    "GUNICORN_KEEPALIVE": "33",
    "GUNICORN_STOP_DELAY": "5",
    "GUNICORN_WORKER_CLASS": "uvicorn_worker.UvicornWorker",
    "WEB_CONCURRENCY": "3",
}


def ladder(cwd: Path, environment: dict[str, str]) -> dict[str, object]:
    """Return what ``no502 explain --format json`` prints."""
    done = no502("explain", "--format", "json", cwd=cwd, env=environment)
    assert done.returncode == 0, done.stderr
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def test_text_has_every_rung_with_value_and_reason(tmp_path: Path, environment: dict[str, str]) -> None:
    """The text names each rung, its value, its formula, who enforces it and a link."""
    done = no502("explain", cwd=tmp_path, env={**environment, "WEB_CONCURRENCY": "1"})
    assert done.returncode == 0
    assert done.stderr == ""
    assert (
        "timeout T                            120 s   = P * 2 // 3\n    enforced by gunicorn's arbiter\n" in done.stdout
    )
    assert "front_read_timeout L                 unset   input FRONT_READ_TIMEOUT\n" in done.stdout
    assert "workers                                  1   set by WEB_CONCURRENCY, not min(512, cpus)\n" in done.stdout
    assert [rung.name for rung in RUNGS if rung.source not in done.stdout or f"{rung.name} " not in done.stdout] == []


def test_columns_are_as_wide_as_what_is_in_them(tmp_path: Path, environment: dict[str, str]) -> None:
    """Every value ends in the same column, with the longest name and a large value too."""
    done = no502("explain", cwd=tmp_path, env={**environment, "GUNICORN_MAX_LIFETIME": "86400"})
    heads = [line for line in done.stdout.splitlines() if re.match(r"[a-z_]+ .*   (?:=|input|set by) ", line)]
    assert len(heads) == len(RUNGS)
    assert len({re.search(r"   (?:=|input|set by) ", line).start() for line in heads}) == 1  # type: ignore[union-attr]


def test_text_says_what_is_overridden(tmp_path: Path, environment: dict[str, str]) -> None:
    """An overridden rung shows the variable that set it and the formula that no longer counts."""
    done = no502("explain", cwd=tmp_path, env={**environment, "GUNICORN_KEEPALIVE": "33"})
    assert "keepalive B                           33 s   set by GUNICORN_KEEPALIVE, not U + 15\n" in done.stdout


def test_json_has_every_rung(tmp_path: Path, environment: dict[str, str]) -> None:
    """The JSON form lists all rungs in order with the values in force."""
    answer = ladder(tmp_path, {**environment, **OVERRIDES})
    rungs = answer["rungs"]
    assert isinstance(rungs, list)
    assert [rung["name"] for rung in rungs] == [rung.name for rung in RUNGS]
    values = {rung["name"]: (rung["value"], rung["overridden"]) for rung in rungs}
    assert values["proxy_read_timeout"] == (60, False)
    assert values["keepalive"] == (33, True)
    assert values["request_deadline"] == (17, False)


@pytest.mark.parametrize("settings", [{}, OVERRIDES], ids=["defaults", "overrides"])
def test_env_read_back_gives_the_same_ladder(
    tmp_path: Path, environment: dict[str, str], settings: dict[str, str]
) -> None:
    """The printed .env lines, put into a .env file, are valid and give the ladder that they came from."""
    printed = no502("explain", "--format", "env", cwd=tmp_path, env={**environment, **settings})
    assert printed.returncode == 0, printed.stderr
    other = tmp_path / "other"
    other.mkdir()
    (other / ".env").write_text(printed.stdout, encoding="utf-8")
    assert ladder(other, environment) == ladder(tmp_path, {**environment, **settings})


def test_env_comments_can_be_uncommented(tmp_path: Path, environment: dict[str, str]) -> None:
    """Every computed value that the .env form shows as a comment is accepted when the comment sign is removed."""
    printed = no502("explain", "--format", "env", cwd=tmp_path, env=environment).stdout
    (tmp_path / ".env").write_text(printed.replace("# GUNICORN_", "GUNICORN_"), encoding="utf-8")
    values = {rung["name"]: rung["value"] for rung in ladder(tmp_path, environment)["rungs"]}  # type: ignore[attr-defined]
    assert values["timeout"] == 120
    assert "GUNICORN_TIMEOUT=120\n" in (tmp_path / ".env").read_text(encoding="utf-8")


def test_uvicorn_flags_start_uvicorn(tmp_path: Path, environment: dict[str, str]) -> None:
    """uvicorn itself accepts the printed flags: it fails on the missing application, not on its command line."""
    printed = no502("explain", "--server", "uvicorn", cwd=tmp_path, env=environment)
    assert printed.returncode == 0, printed.stderr
    command, _, notes = printed.stdout.partition("\n# ")
    words = command.replace("\\\n", " ").split()
    assert words[:2] == ["uvicorn", "app.main:app"]
    assert words[words.index("--timeout-keep-alive") + 1] == "30"
    assert words[words.index("--timeout-graceful-shutdown") + 1] == "114"
    assert "stop grace 130 s" in notes
    words[words.index("--workers") + 1] = "1"  # several workers would restart the failing one for ever
    started = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert re.search("Could not import module \"app.main\"|No module named 'app'", started.stderr), started.stderr


def test_uvicorn_without_recycling_has_no_limit(tmp_path: Path, environment: dict[str, str]) -> None:
    """max_requests 0 leaves uvicorn's limit out instead of passing 0."""
    printed = no502(
        "explain",
        "--server",
        "uvicorn",
        "--format",
        "json",
        cwd=tmp_path,
        env={**environment, "GUNICORN_MAX_REQUESTS": "0"},
    )
    flags = json.loads(printed.stdout)
    assert "--workers" in flags
    assert [flag for flag in flags if "limit" in flag] == []


def test_uvicorn_gets_no_limit_that_loses_requests(tmp_path: Path, environment: dict[str, str]) -> None:
    """The default of max_requests is made for a worker that hands over: uvicorn's limit flags are left out."""
    printed = no502("explain", "--server", "uvicorn", cwd=tmp_path, env=environment).stdout
    assert "--limit" not in printed.partition("\n# ")[0]
    assert "145 of 24,000" in printed


def test_uvicorns_limit_that_was_asked_for_says_what_it_costs(tmp_path: Path, environment: dict[str, str]) -> None:
    """With GUNICORN_MAX_REQUESTS set explicitly both flags are printed, with the measured loss."""
    asked = {**environment, "GUNICORN_MAX_REQUESTS": "1000"}
    printed = no502("explain", "--server", "uvicorn", cwd=tmp_path, env=asked).stdout
    command, _, notes = printed.partition("\n# ")
    assert "--limit-max-requests 1000 " in command
    assert "--limit-max-requests-jitter" in command
    assert "145 of 24,000 POSTs lost" in notes


def test_uvicorn_has_no_picture(tmp_path: Path, environment: dict[str, str]) -> None:
    """A format that uvicorn's flags do not have is refused as a wrong command line."""
    done = no502("explain", "--server", "uvicorn", "--format", "svg", cwd=tmp_path, env=environment)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "no502: --server uvicorn prints text or json, not svg\n"


def test_bad_settings_are_named_without_a_traceback(tmp_path: Path, environment: dict[str, str]) -> None:
    """Bad settings end in one line for each problem and exit code 1."""
    bad = {"PROXY_READ_TIMEOUT": "abc", "GUNICORN_TIMEOT": "5"}
    done = no502("explain", cwd=tmp_path, env={**environment, **bad})
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        "gunicorn_conf: GUNICORN_TIMEOT (environment): unknown variable; did you mean GUNICORN_TIMEOUT?\n"
        "gunicorn_conf: PROXY_READ_TIMEOUT=abc (environment): must be a whole number from 10 to 86400\n"
    )


def test_picture_is_the_one_checked_in(tmp_path: Path, environment: dict[str, str]) -> None:
    """docs/ladder.svg is what the command draws for the default settings (make docs redraws it)."""
    done = no502("explain", "--format", "svg", cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (ROOT / "docs" / "ladder.svg").read_text(encoding="utf-8")


def test_portrait_picture_is_what_the_code_draws() -> None:
    """docs/ladder-portrait.svg is up to date, and its texts stay inside its 390 pixels."""
    portrait = (ROOT / "docs" / "ladder-portrait.svg").read_text(encoding="utf-8")
    assert portrait == draw(compute({}), portrait=True)
    assert 'viewBox="0 0 390 ' in portrait
    formulas = re.findall(r'class="formula"[^>]*>([^<]*)<', portrait)
    assert formulas
    assert max(map(len, formulas)) * 7 < 390


def test_picture_is_self_contained(tmp_path: Path, environment: dict[str, str]) -> None:
    """The picture is well-formed, refers to nothing outside, and shows the front proxy only when there is one."""
    plain = no502("explain", "--format", "svg", cwd=tmp_path, env=environment).stdout
    front = no502("explain", "--format", "svg", cwd=tmp_path, env={**environment, "FRONT_READ_TIMEOUT": "200"}).stdout
    root = ET.fromstring(plain)  # noqa: S314  our own text
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert [word for word in ("href", "url(", "@import", "<script") if word in plain] == []
    assert "front_read_timeout" not in plain
    assert "front_read_timeout" in front


@pytest.mark.parametrize("proxy", list(Proxy))
def test_proxy_lines_have_the_numbers_in_force(tmp_path: Path, environment: dict[str, str], proxy: str) -> None:
    """--proxy prints that proxy's lines with PROXY_READ_TIMEOUT in them and no placeholder left."""
    own = {**environment, "PROXY_READ_TIMEOUT": "77", "PROXY_KEEPALIVE_TIMEOUT": "11"}
    done = no502("explain", "--proxy", proxy, cwd=tmp_path, env=own)
    assert done.returncode == 0
    assert "77" in done.stdout.split("\n", 1)[1]
    assert "${" not in done.stdout
    assert "$read" not in done.stdout


def test_proxy_lines_have_no_other_format(tmp_path: Path, environment: dict[str, str]) -> None:
    """--proxy with --format is a wrong command line."""
    done = no502("explain", "--proxy", "caddy", "--format", "json", cwd=tmp_path, env=environment)
    assert done.returncode == 2
    assert done.stderr == "no502: --proxy caddy prints the lines of one proxy; leave out --format and --server\n"


@pytest.mark.parametrize("name", ["gunicorn_conf.py", "gunicorn.conf.py"])
def test_a_foreign_configuration_is_named(name: str, tmp_path: Path, environment: dict[str, str]) -> None:
    """A configuration file that does not import the ladder is named on standard error; the ladder follows."""
    (tmp_path / name).write_text("timeout = 30\n", encoding="utf-8")
    done = no502("explain", "--format", "json", cwd=tmp_path, env=environment)
    assert done.stderr.startswith(f"no502: {name} here is not no502's and does not import it: ")
    assert json.loads(done.stdout)["rungs"]


@pytest.mark.parametrize(
    "text",
    [
        (ROOT / "gunicorn_conf.py").read_text(encoding="utf-8"),
        "from no502.gunicorn import *\n",
        "from no502 import gunicorn\n",
        "import gunicorn_conf\n",
        "import importlib\n\nconf = importlib.import_module('no502.gunicorn')\n",
    ],
)
def test_the_ladders_own_file_is_not_foreign(text: str, tmp_path: Path, environment: dict[str, str]) -> None:
    """A copy, and a file that brings the ladder in, are not remarked on."""
    (tmp_path / "gunicorn.conf.py").write_text(text, encoding="utf-8")
    assert no502("explain", cwd=tmp_path, env=environment).stderr == ""


def test_a_broken_configuration_is_foreign(tmp_path: Path, environment: dict[str, str]) -> None:
    """A file that Python cannot parse brings nothing in; no traceback."""
    (tmp_path / "gunicorn_conf.py").write_text("def (:\n", encoding="utf-8")
    done = no502("explain", cwd=tmp_path, env=environment)
    assert done.returncode == 0
    assert done.stderr.startswith("no502: gunicorn_conf.py here is not no502's")
