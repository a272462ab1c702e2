"""The ladder: its formulas, its invariants, and what breaks it."""

import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gunicorn_conf import ServerSettings

_HANDOVER = "gunicorn_handover.HandoverWorker"
_UVICORN = "uvicorn_worker.UvicornWorker"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    for name in [*os.environ]:
        if name.startswith(("PROXY_", "GUNICORN_", "FRONT_")) or name in {"PORT", "WEB_CONCURRENCY", "LOG_LEVEL"}:
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path_factory.mktemp("no_dotenv"))


def _settings(**inputs: object) -> ServerSettings:
    inputs = {"web_concurrency": 1, "worker_class_override": _HANDOVER} | inputs
    return ServerSettings(**inputs)  # type: ignore[arg-type]


def test_the_incidents_own_numbers_come_out_at_the_defaults() -> None:
    """At 180 s and one worker the ladder is the table of the design, 120/1000/50 included."""
    s = _settings()

    assert s.statement_timeout == 90
    assert s.request_deadline == 100
    assert s.timeout == 120
    assert s.proxy_read_timeout == 180
    assert s.drain_timeout == 114
    assert s.graceful_timeout == 120
    assert s.stop_grace == 130
    assert s.keepalive == 30
    assert s.max_requests == 1000
    assert s.max_requests_jitter == 50


@given(st.integers(10, 86400), st.integers(1, 600), st.integers(1, 512), st.integers(0, 3600))
def test_every_accepted_input_gives_a_ladder_whose_invariants_hold(p: int, u: int, workers: int, delay: int) -> None:
    """S < D < T < P, D < drain < G < stop grace, U < B, U < drain, all positive, for the whole range of inputs."""
    s = _settings(proxy_read_timeout=p, proxy_keepalive_timeout=u, web_concurrency=workers, stop_delay=delay)

    assert 0 < s.statement_timeout < s.request_deadline < s.timeout < p
    assert s.request_deadline < s.drain_timeout < s.graceful_timeout
    assert delay + s.graceful_timeout < s.stop_grace
    assert u < s.keepalive
    assert u < s.drain_timeout
    assert 0 <= s.max_requests_jitter <= s.max_requests // 2


@given(st.integers(14, 86400), st.integers(1, 600))
def test_a_class_that_is_silent_while_it_drains_gets_a_deadline_that_its_heartbeat_outlives(p: int, u: int) -> None:
    """With uvicorn-worker's class T >= 2 D + 5 holds, at the price of a shorter deadline."""
    s = _settings(proxy_read_timeout=p, proxy_keepalive_timeout=u, worker_class_override=_UVICORN)

    assert s.timeout >= 2 * s.request_deadline + 5
    assert s.request_deadline <= _settings(proxy_read_timeout=p, proxy_keepalive_timeout=u).request_deadline
    assert 0 < s.statement_timeout < s.request_deadline < s.drain_timeout


def test_a_proxy_timeout_too_small_for_the_silent_class_is_refused() -> None:
    """13 s leave no room for a deadline and a statement timeout under uvicorn-worker; 13 s are fine with handover."""
    assert _settings(proxy_read_timeout=13).request_deadline == 6
    with pytest.raises(ValidationError, match="a larger PROXY_READ_TIMEOUT makes room"):
        _settings(proxy_read_timeout=13, worker_class_override=_UVICORN)


@pytest.mark.parametrize(
    ("inputs", "rule"),
    [
        ({"timeout_override": 180}, "GUNICORN_TIMEOUT < PROXY_READ_TIMEOUT does not hold: 180 < 180"),
        ({"request_deadline_override": 120}, "GUNICORN_REQUEST_DEADLINE < GUNICORN_TIMEOUT does not hold: 120 < 120"),
        ({"statement_timeout_override": 100}, "GUNICORN_STATEMENT_TIMEOUT < GUNICORN_REQUEST_DEADLINE"),
        ({"drain_timeout_override": 100}, "GUNICORN_REQUEST_DEADLINE < GUNICORN_DRAIN_TIMEOUT does not hold"),
        ({"drain_timeout_override": 120}, "GUNICORN_DRAIN_TIMEOUT < GUNICORN_GRACEFUL_TIMEOUT does not hold"),
        ({"stop_grace_override": 120}, "GUNICORN_STOP_DELAY + GUNICORN_GRACEFUL_TIMEOUT < GUNICORN_STOP_GRACE"),
        ({"stop_grace_override": 125, "stop_delay": 5}, "does not hold: 5 + 120 < 125"),
        ({"keepalive_override": 15}, "PROXY_KEEPALIVE_TIMEOUT < GUNICORN_KEEPALIVE does not hold: 15 < 15"),
        ({"proxy_keepalive_timeout": 300, "graceful_timeout_override": 200}, "PROXY_KEEPALIVE_TIMEOUT < GUNICORN_DR"),
        ({"front_read_timeout": 184}, "2 * PROXY_CONNECT_TIMEOUT + PROXY_READ_TIMEOUT < FRONT_READ_TIMEOUT does not"),
        ({"worker_class_override": _UVICORN, "request_deadline_override": 58}, "2 * GUNICORN_REQUEST_DEADLINE + 5"),
    ],
)
def test_an_override_that_breaks_a_rung_is_refused_with_the_rules_name(inputs: dict[str, object], rule: str) -> None:
    """Each invariant fires on the first value that breaks it."""
    with pytest.raises(ValidationError, match=re.escape(rule)):
        _settings(**inputs)


@pytest.mark.parametrize(
    "inputs",
    [
        {"timeout_override": 179},
        {"request_deadline_override": 113},
        {"statement_timeout_override": 99},
        {"drain_timeout_override": 101},
        {"drain_timeout_override": 119},
        {"stop_grace_override": 121},
        {"stop_grace_override": 126, "stop_delay": 5},
        {"keepalive_override": 16},
        {"proxy_keepalive_timeout": 113},
        {"front_read_timeout": 185},
        {"worker_class_override": _UVICORN, "request_deadline_override": 57},
    ],
)
def test_an_override_on_the_last_allowed_value_is_accepted(inputs: dict[str, object]) -> None:
    """No invariant fires one second too early."""
    _settings(**inputs)


def test_every_computed_rung_can_be_overridden_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each GUNICORN_* variable replaces exactly the rung that it names."""
    wanted = {
        "timeout": 130,
        "request_deadline": 90,
        "statement_timeout": 70,
        "graceful_timeout": 140,
        "drain_timeout": 131,
        "stop_grace": 170,
        "keepalive": 40,
        "max_requests": 500,
        "max_requests_jitter": 7,
        "stop_delay": 5,
        "backlog": 128,
    }
    for name, value in wanted.items():
        monkeypatch.setenv(f"GUNICORN_{name.upper()}", str(value))

    s = ServerSettings()

    assert {name: getattr(s, name) for name in wanted} == wanted


def test_an_environment_variable_with_a_fields_bare_name_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """TIMEOUT, BACKLOG or PROC_NAME belong to somebody else."""
    monkeypatch.setenv("BACKLOG", "77")
    monkeypatch.setenv("TIMEOUT", "33")
    monkeypatch.setenv("proc_name", "other")

    s = ServerSettings()

    assert s.backlog == 2048
    assert s.timeout == 120
    assert s.proc_name == "no502"


@pytest.mark.parametrize(
    ("workers", "jitter"),
    [(1, 50), (2, 100), (4, 200), (10, 500), (11, 500), (512, 500)],
    ids=str,
)
def test_jitter_grows_with_the_workers_up_to_half(workers: int, jitter: int) -> None:
    """Five percent a worker, fifty at most."""
    assert _settings(web_concurrency=workers).max_requests_jitter == jitter


@pytest.mark.parametrize(
    ("environment", "bind", "trusted"),
    [
        ({}, ["127.0.0.1:8000"], "127.0.0.1,::1"),
        ({"PORT": "9000"}, ["0.0.0.0:9000"], "127.0.0.1,::1"),
        ({"PORT": "9000", "GUNICORN_BIND": "[::1]:80"}, ["[::1]:80"], "127.0.0.1,::1"),
        ({"GUNICORN_BIND": "unix:/run/app.sock"}, ["unix:/run/app.sock"], "*"),
        ({"GUNICORN_BIND": "unix:/run/app.sock, 0.0.0.0:80"}, ["unix:/run/app.sock", "0.0.0.0:80"], "127.0.0.1,::1"),
        ({"FORWARDED_ALLOW_IPS": "10.0.0.0/8,::1"}, ["127.0.0.1:8000"], "10.0.0.0/8,::1"),
    ],
)
def test_trust_follows_the_kind_of_socket(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], bind: list[str], trusted: str
) -> None:
    """A unix socket needs `*`; TCP trusts loopback unless told otherwise, never `*` by itself."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    s = ServerSettings()

    assert s.bind == bind
    assert s.forwarded_allow_ips == trusted
