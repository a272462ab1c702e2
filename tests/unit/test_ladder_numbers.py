"""The ladder: its formulas, its invariants, and what breaks it."""

import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gunicorn_conf import LadderError, ServerSettings, compute
from gunicorn_handover import Options
from no502.ladder.settings import is_ours

_HANDOVER = "gunicorn_handover.HandoverWorker"
_UVICORN = "uvicorn_worker.UvicornWorker"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    for name in [*os.environ]:
        if is_ours(name):
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


@given(st.integers(10, 86400), st.integers(1, 600))
def test_a_worker_without_gunicorn_conf_drains_for_as_long_as_the_ladder_says(p: int, u: int) -> None:
    """gunicorn_handover.py computes drain_timeout for a configuration of your own: the formula is the ladder's."""
    s = _settings(proxy_read_timeout=p, proxy_keepalive_timeout=u)

    assert Options().drain_within(s.graceful_timeout) == s.drain_timeout


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
    with pytest.raises(
        LadderError, match="PROXY_READ_TIMEOUT=13: must be at least 14; GUNICORN_STATEMENT_TIMEOUT >= 1"
    ):
        _settings(proxy_read_timeout=13, worker_class_override=_UVICORN)


@pytest.mark.parametrize(
    ("inputs", "rule"),
    [
        (
            {"timeout_override": 180},
            (
                "GUNICORN_TIMEOUT=180: must be at most 179, or raise PROXY_READ_TIMEOUT to 270, "
                "or drop GUNICORN_TIMEOUT; GUNICORN_TIMEOUT < PROXY_READ_TIMEOUT does not hold"
            ),
        ),
        ({"request_deadline_override": 120}, "must be at most 113, or raise PROXY_READ_TIMEOUT to 216"),
        ({"statement_timeout_override": 100}, "must be at most 99, or raise PROXY_READ_TIMEOUT to 203"),
        ({"drain_timeout_override": 100}, "GUNICORN_DRAIN_TIMEOUT=100: must be at least 101, or drop GUNICORN_DRAIN"),
        ({"drain_timeout_override": 120}, "GUNICORN_DRAIN_TIMEOUT < GUNICORN_GRACEFUL_TIMEOUT does not hold"),
        ({"stop_grace_override": 120}, "GUNICORN_STOP_DELAY + GUNICORN_GRACEFUL_TIMEOUT < GUNICORN_STOP_GRACE"),
        ({"stop_grace_override": 125, "stop_delay": 5}, "must be at most 4 with GUNICORN_STOP_GRACE=125"),
        ({"keepalive_override": 15}, "GUNICORN_KEEPALIVE=15: must be at least 16, or drop GUNICORN_KEEPALIVE"),
        (
            {"proxy_keepalive_timeout": 300, "graceful_timeout_override": 200},
            "PROXY_KEEPALIVE_TIMEOUT=300: must be at most 190 with GUNICORN_GRACEFUL_TIMEOUT=200",
        ),
        ({"front_read_timeout": 184}, "must be at least 185, or lower PROXY_READ_TIMEOUT to 179, or drop FRONT_READ"),
        ({"worker_class_override": _UVICORN, "request_deadline_override": 58}, "2 * GUNICORN_REQUEST_DEADLINE + 5"),
        ({"graceful_timeout_override": 5}, "GUNICORN_GRACEFUL_TIMEOUT=5: must be at least 106"),
        ({"timeout_override": 200000}, "GUNICORN_TIMEOUT=200000: must be a whole number from 1 to 86400"),
    ],
)
def test_an_override_that_breaks_a_rung_is_refused_with_the_rules_name(inputs: dict[str, object], rule: str) -> None:
    """Each invariant fires on the first value that breaks it."""
    with pytest.raises(LadderError, match=re.escape(rule)):
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
        "max_memory": 2**30,
        "max_lifetime": 3600,
        "max_lifetime_jitter": 60,
        "reload_surge": 2,
    }
    for name, value in wanted.items():
        monkeypatch.setenv(f"GUNICORN_{name.upper()}", str(value))

    s = ServerSettings()

    assert {name: getattr(s, name) for name in wanted} == wanted


def test_an_environment_variable_with_a_fields_bare_name_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """TIMEOUT, BACKLOG or PROC_NAME belong to other programs."""
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


@pytest.mark.parametrize(
    ("limit", "workers", "memory", "surge"),
    [
        (0, 2, 0, 2),
        (512 * 2**20, 1, 224 * 2**20, 1),
        (4 * 2**30, 3, (4 * 2**30 - 4 * 2**30 // 10) // 4, 1),
        (32 * 2**20, 1, 0, 1),
    ],
)
def test_memory_is_shared_among_the_workers_and_one_replacement(
    limit: int, workers: int, memory: int, surge: int
) -> None:
    """max_memory is the limit less a reserve of a tenth, at least 64 MiB, over workers + 1; a reload keeps to it."""
    s = compute({"WEB_CONCURRENCY": str(workers)}, facts={"cpus": 1, "M": limit})
    assert s.max_memory == memory
    assert s.reload_surge == surge


def test_less_memory_for_a_worker_leaves_room_for_a_larger_surge() -> None:
    """With 100 MiB for each of two workers, 1 GiB has room for a whole second generation."""
    s = compute({"WEB_CONCURRENCY": "2", "GUNICORN_MAX_MEMORY": "100M"}, facts={"cpus": 1, "M": 2**30})
    assert s.reload_surge == 2


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0), ("1000000", 10**6), ("512K", 2**19), ("512m", 2**29), ("2G", 2**31), ("1T", 2**40), ("1024t", 2**50)],
)
def test_memory_in_units(text: str, value: int) -> None:
    """Bytes, or K, M, G and T in powers of 1024."""
    assert compute({"GUNICORN_MAX_MEMORY": text}).max_memory == value


@pytest.mark.parametrize("text", ["1.5G", "1025T", "-1", "M", "1P", "2000000G"])
def test_memory_that_is_none(text: str) -> None:
    """Anything else is refused, with what is allowed."""
    with pytest.raises(LadderError, match=r"GUNICORN_MAX_MEMORY=.* \(environment\): must be bytes, or a number with K"):
        compute({"GUNICORN_MAX_MEMORY": text})


def test_compute_does_not_look_at_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """compute() takes everything from its arguments; an empty variable counts as unset."""
    monkeypatch.setenv("PROXY_READ_TIMEOUT", "60")
    assert compute({}).proxy_read_timeout == 180
    assert compute({"PROXY_READ_TIMEOUT": "90"}, {"PROXY_READ_TIMEOUT": "30"}).proxy_read_timeout == 90
    assert compute({"PROXY_READ_TIMEOUT": ""}, {"PROXY_READ_TIMEOUT": "30"}).proxy_read_timeout == 30


_SOMEBODY_ELSES = [
    *("PROXY_URL", "PROXY_PORT", "PROXY_TIMEOUT", "PROXY_SEND_TIMEOUT", "PROXY_PORT_8080_TCP_ADDR"),
    *("GUNICORN_SERVICE_HOST", "GUNICORN_SERVICE_PORT", "GUNICORN_PORT", "GUNICORN_PORT_8000_TCP", "GUNICORN_THREADS"),
]


@pytest.mark.parametrize("name", _SOMEBODY_ELSES)
def test_variables_of_others_are_left_alone(name: str) -> None:
    """An application's own variables and Kubernetes' service links are no mistakes."""
    compute({name: "tcp://10.0.0.1:8000"})


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("GUNICORN_TIMEOT", "did you mean GUNICORN_TIMEOUT?"),
        ("GUNICORN_KEEP_ALIVE", "did you mean GUNICORN_KEEPALIVE?"),
        ("PROXY_READTIMEOUT", "did you mean PROXY_READ_TIMEOUT?"),
        ("GUNICORN_WORKERS", "use WEB_CONCURRENCY"),
        ("GUNICORN_LOG_LEVEL", "use LOG_LEVEL"),
    ],
)
def test_near_misses_are_refused(name: str, hint: str) -> None:
    """A misspelt name, and a name that people expect, is refused with the right one and where it was set."""
    with pytest.raises(LadderError, match=re.escape(f"{name} (.env): unknown variable; {hint}")):
        compute({}, {name: "4"})


@given(st.integers(1, 86400), st.integers(1, 86400), st.integers(10, 86400))
def test_the_value_that_a_message_offers_fits(timeout: int, deadline: int, proxy: int) -> None:
    """What a message says must be the least or greatest value is accepted, and the next one beyond it is not."""
    given_ = {"GUNICORN_TIMEOUT": timeout, "GUNICORN_REQUEST_DEADLINE": deadline, "PROXY_READ_TIMEOUT": proxy}
    problems = _problems(given_)
    offered = re.match(r"(\w+)=\d+ \(environment\): must be at (most|least) (\d+)", problems[0]) if problems else None
    if offered and len(problems) == 1:
        name, way, value = offered[1], offered[2], int(offered[3])
        assert _problems({**given_, name: value}) == []
        assert _problems({**given_, name: value + (1 if way == "most" else -1)}) != []


def _problems(variables: dict[str, int]) -> list[str]:
    try:
        compute({name: str(value) for name, value in variables.items()})
    except LadderError as error:
        return list(error.problems)
    return []
