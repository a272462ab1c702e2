"""The units of this deployment: their time limit is the ladder's, their socket is the one that nginx connects to."""

import re
from pathlib import Path

import pytest
from dotenv import dotenv_values

from gunicorn_conf import ServerSettings

_UNITS = Path(__file__).resolve().parent.parent / "deploy" / "systemd"
_NAME = "{{ cookiecutter.__project_slug }}"


def _values(unit: str, setting: str) -> list[str]:
    """Return what a unit says to one setting."""
    return re.findall(rf"^{setting}=(.*)$", (_UNITS / f"{_NAME}.{unit}").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.fixture(scope="module")
def ladder() -> ServerSettings:
    """Return the numbers that the environment of the units gives."""
    return ServerSettings(_env_file=_UNITS / "environment.example")


def test_systemd_waits_as_long_as_the_ladder_says(ladder: ServerSettings) -> None:
    """Systemd must not kill what is still draining: TimeoutStopSec is the ladder's stop grace."""
    assert _values("service", "TimeoutStopSec") == [str(ladder.stop_grace)], (
        f"deploy/systemd/{_NAME}.service: set TimeoutStopSec to {ladder.stop_grace}, "
        "or PROXY_READ_TIMEOUT in environment.example back"
    )


def test_nginx_may_finish_its_requests(ladder: ServerSettings) -> None:
    """The unit of nginx waits longer than nginx waits for a response."""
    text = (_UNITS / "nginx.service.d" / "timeouts.conf").read_text(encoding="utf-8")
    assert f"\nTimeoutStopSec={ladder.proxy_read_timeout + 10}\n" in text, (
        f"deploy/systemd/nginx.service.d/timeouts.conf: set TimeoutStopSec to {ladder.proxy_read_timeout + 10}"
    )


def test_the_longest_wait_counts(ladder: ServerSettings) -> None:
    """Of the drop-ins of several services systemd takes the last one: their names begin with the seconds."""
    name = f"/etc/systemd/system/nginx.service.d/{ladder.proxy_read_timeout + 10:05}-{_NAME}.conf"
    for file in (_UNITS / "nginx.service.d" / "timeouts.conf", _UNITS.parent.parent / "README.md"):
        assert name in file.read_text(encoding="utf-8"), f"{file.name}: the drop-in is {name}"


def test_requests_of_a_restart_fit_into_the_queue(ladder: ServerSettings) -> None:
    """As many requests may wait in nginx as the queue of the socket holds."""
    assert dotenv_values(_UNITS / "environment.example")["NGINX_REQUESTS_IN_FLIGHT"] == str(ladder.backlog)


def test_the_socket_waits_as_gunicorns_would(ladder: ServerSettings) -> None:
    """The queue that systemd holds while gunicorn is away is as long as gunicorn's own."""
    assert _values("socket", "Backlog") == [str(ladder.backlog)]


def test_all_parts_name_the_same_socket() -> None:
    """What systemd listens on, what gunicorn_conf.py is told and what nginx connects to is one path."""
    [path] = _values("socket", "ListenStream")
    [environment] = _values("service", "Environment")
    assert f"GUNICORN_BIND=unix:{path}" in environment.split()
    assert dotenv_values(_UNITS / "environment.example")["NGINX_UPSTREAM"] == f"unix:{path}"
