"""``no502 explain --platform``: what to set on a hosting platform."""

import json
import os
import re
import tomllib
from pathlib import Path

import pytest
import yaml

from gunicorn_conf import compute
from no502.ladder.platforms import PLATFORMS, Platform
from tests.support.commands import no502

_GUNICORN = [platform for platform in Platform if PLATFORMS[platform].gunicorn]
_WITH_A_SETTING = [platform for platform in _GUNICORN if PLATFORMS[platform].grace_setting]


def _printed(cwd: Path, environment: dict[str, str], platform: Platform) -> str:
    done = no502("explain", "--platform", platform, cwd=cwd, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("platform", Platform)
def test_what_was_not_run_is_said_first(tmp_path: Path, environment: dict[str, str], platform: Platform) -> None:
    """The first line says so, and where the figures come from; it is not part of the file."""
    done = no502("explain", "--platform", platform, cwd=tmp_path, env=environment)
    assert done.stderr.startswith(f"Not run on {PLATFORMS[platform].title}: ")
    assert PLATFORMS[platform].source in done.stderr.splitlines()[0]
    assert "Not run" not in done.stdout


@pytest.mark.parametrize("platform", _GUNICORN)
def test_the_drain_fits_into_the_time_to_stop(platform: Platform) -> None:
    """The variables of a platform give a stop grace that its longest time to stop allows."""
    limit = PLATFORMS[platform].grace_limit
    assert limit is None or compute(PLATFORMS[platform].variables).stop_grace <= limit


@pytest.mark.parametrize("platform", _WITH_A_SETTING)
def test_the_time_to_stop_is_the_ladders(tmp_path: Path, environment: dict[str, str], platform: Platform) -> None:
    """Where the platform has a setting for it, the file sets it to the ladder's stop grace."""
    hosting = PLATFORMS[platform]
    found = re.findall(rf"{hosting.grace_setting}\"?\s*[:=]\s*(\d+)", _printed(tmp_path, environment, platform))
    assert found == [str(compute(hosting.variables).stop_grace)]


@pytest.mark.parametrize("platform", _GUNICORN)
def test_the_file_sets_what_was_computed_from(tmp_path: Path, environment: dict[str, str], platform: Platform) -> None:
    """gunicorn on the platform computes from the same variables as this command."""
    text = _printed(tmp_path, environment, platform)
    for name, value in PLATFORMS[platform].variables.items():
        assert re.search(rf"{name}\W{{1,4}}(value\W{{1,4}})?{value}\b", text), name


@pytest.mark.parametrize(
    ("platform", "read"),
    [
        (Platform.ECS, json.loads),
        (Platform.FLY, tomllib.loads),
        (Platform.RENDER, yaml.safe_load),
        (Platform.AZURE_CONTAINER_APPS, yaml.safe_load),
    ],
)
def test_the_file_can_be_read(tmp_path: Path, environment: dict[str, str], platform: Platform, read: object) -> None:
    """Standard output alone is the file."""
    assert callable(read)
    assert read(_printed(tmp_path, environment, platform))


def test_what_is_set_here_wins(tmp_path: Path, environment: dict[str, str]) -> None:
    """.env goes before the platform's numbers, the environment before both."""
    (tmp_path / ".env").write_text("PROXY_READ_TIMEOUT=90\nPROXY_KEEPALIVE_TIMEOUT=70\n", encoding="utf-8")
    text = _printed(tmp_path, {**environment, "PROXY_KEEPALIVE_TIMEOUT": "65"}, Platform.FLY)
    assert 'PROXY_READ_TIMEOUT = "90"' in text
    assert 'PROXY_KEEPALIVE_TIMEOUT = "65"' in text


def test_a_drain_that_is_too_long_is_refused(tmp_path: Path, environment: dict[str, str]) -> None:
    """The message has the limit, the drain, and the largest PROXY_READ_TIMEOUT that fits."""
    done = no502("explain", "--platform", "fly", cwd=tmp_path, env={**environment, "PROXY_READ_TIMEOUT": "600"})
    assert done.returncode == 1
    assert done.stdout == ""
    assert "300 s after the stop signal at the latest, and a drain may take 410 s" in done.stderr
    [largest] = re.findall(r"lower PROXY_READ_TIMEOUT from 600 to (\d+)", done.stderr)
    keepalive = PLATFORMS[Platform.FLY].variables["PROXY_KEEPALIVE_TIMEOUT"]
    graces = [
        compute({"PROXY_READ_TIMEOUT": str(seconds), "PROXY_KEEPALIVE_TIMEOUT": keepalive}).stop_grace
        for seconds in (int(largest), int(largest) + 1)
    ]
    assert graces[0] <= 300
    assert graces[1] > 300


def test_one_timeout_is_both_numbers(tmp_path: Path, environment: dict[str, str]) -> None:
    """An ALB has one idle timeout: the idle time follows the read timeout where it is not set."""
    text = _printed(tmp_path, {**environment, "PROXY_READ_TIMEOUT": "90"}, Platform.ECS)
    assert '"PROXY_KEEPALIVE_TIMEOUT", "value": "90"' in text


def test_the_largest_of_one_timeout_is_advised(tmp_path: Path, environment: dict[str, str]) -> None:
    """A drain outlasts the idle connections, so 100 s is what Fargate's 120 s allow."""
    done = no502("explain", "--platform", "ecs", cwd=tmp_path, env={**environment, "PROXY_READ_TIMEOUT": "180"})
    assert done.returncode == 1
    assert "lower PROXY_READ_TIMEOUT from 180 to 100" in done.stderr


@pytest.mark.parametrize("platform", [Platform.ECS, Platform.RAILWAY])
def test_the_idle_race_is_refused(tmp_path: Path, environment: dict[str, str], platform: Platform) -> None:
    """A keep-alive below the time for which the platform uses idle connections is not printed."""
    variables = {**environment, "PROXY_KEEPALIVE_TIMEOUT": "15"}
    done = no502("explain", "--platform", platform, cwd=tmp_path, env=variables)
    assert done.returncode == 1
    assert "PROXY_KEEPALIVE_TIMEOUT=15" in done.stderr
    assert "gunicorn closes them after 30 s" in done.stderr


@pytest.mark.parametrize(
    ("platform", "longest"), [(Platform.CLOUD_RUN, 3600), (Platform.RAILWAY, 900), (Platform.HEROKU, 30)]
)
def test_more_than_the_platform_waits_is_refused(
    tmp_path: Path, environment: dict[str, str], platform: Platform, longest: int
) -> None:
    """A read timeout above the platform's own names the platform's."""
    variables = {**environment, "PROXY_READ_TIMEOUT": str(longest + 1)}
    done = no502("explain", "--platform", platform, cwd=tmp_path, env=variables)
    assert done.returncode == 1
    assert f"PROXY_READ_TIMEOUT={longest + 1}: {PLATFORMS[platform].title} waits {longest} s at most" in done.stderr


@pytest.mark.parametrize("platform", Platform)
def test_no_platforms_own_numbers_are_refused(tmp_path: Path, environment: dict[str, str], platform: Platform) -> None:
    """With nothing set here each platform's numbers fit it."""
    assert _printed(tmp_path, environment, platform)


def test_all_problems_are_told_at_once(tmp_path: Path, environment: dict[str, str]) -> None:
    """Too long a wait and too long a drain are two lines."""
    done = no502("explain", "--platform", "heroku", cwd=tmp_path, env={**environment, "PROXY_READ_TIMEOUT": "100"})
    assert len(done.stderr.splitlines()) == 2


def test_names_in_capitals_are_understood(tmp_path: Path, environment: dict[str, str]) -> None:
    """ECS is ecs."""
    assert no502("explain", "--platform", "ECS", cwd=tmp_path, env=environment).returncode == 0


def test_bad_settings_are_named(tmp_path: Path, environment: dict[str, str]) -> None:
    """A value that is not allowed is one line with its variable."""
    done = no502("explain", "--platform", "fly", cwd=tmp_path, env={**environment, "PROXY_READ_TIMEOUT": "soon"})
    assert done.returncode == 1
    assert "PROXY_READ_TIMEOUT=soon" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_dotenv_that_is_no_text_is_named(tmp_path: Path, environment: dict[str, str]) -> None:
    """A .env with other bytes than UTF-8 is one line, as for every command that reads it."""
    (tmp_path / ".env").write_bytes(b"\xff\xfe")
    done = no502("explain", "--platform", "fly", cwd=tmp_path, env=environment)
    assert done.returncode == 1
    assert done.stderr.startswith("no502: .env: cannot be read as UTF-8 text")
    assert "Traceback" not in done.stderr


def test_the_advice_for_the_longest_timeout_that_is_allowed(tmp_path: Path, environment: dict[str, str]) -> None:
    """The largest timeout that fits is found among tens of thousands without trying each."""
    variables = {**environment, "PROXY_READ_TIMEOUT": "86400"}
    began = sum(os.times()[2:4])  # of processes that have ended
    done = no502("explain", "--platform", "fly", cwd=tmp_path, env=variables)
    assert "lower PROXY_READ_TIMEOUT from 86400 to 436" in done.stderr
    assert sum(os.times()[2:4]) - began < 10


def test_one_thing_at_a_time(tmp_path: Path, environment: dict[str, str]) -> None:
    """A proxy and a platform together are a wrong command line."""
    done = no502("explain", "--platform", "fly", "--proxy", "caddy", cwd=tmp_path, env=environment)
    assert done.returncode == 2
