"""Every gunicorn number, computed from what nginx waits for.

This is a gunicorn configuration file and, as an exception to the rule, it computes when it is imported: gunicorn reads
the module's names and nothing else. Ways to use it:

* ``gunicorn -c python:gunicorn_conf app.main:app`` with the distribution ``no502`` installed;
  ``python:no502.gunicorn`` is the same under a name that no local ``gunicorn_conf.py`` can shadow;
* ``gunicorn -c gunicorn_conf.py app.main:app`` with this file, ``gunicorn_handover.py`` and ``gunicorn_arbiter.py``
  copied next to an application;
* ``from gunicorn_conf import *`` at the top of a configuration file of your own; what follows it wins;
* ``from gunicorn_conf import settings`` in code: the request deadline and the statement timeout are rungs too;
* ``from gunicorn_conf import compute``: the ladder of any environment, without a look at this process's own.

Inputs come from the environment and from ``.env`` in the working directory, under the names that nginx's envsubst reads
as well, so one number moves both sides. Times are whole seconds. Each rung is declared once, in ``RUNGS``. A bad value,
a misspelt variable or a value that breaks the ladder stops gunicorn with one line per problem and exit code 1. Other
people's ``PROXY_*`` and ``GUNICORN_*`` variables are left alone. (What gunicorn itself rejects before it reads this
file, such as ``WEB_CONCURRENCY=two``, ends in gunicorn's own words.)
"""

from __future__ import annotations

import difflib
import importlib.util
import ipaddress
import os
import re
import shlex
import socket
import sys
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dotenv import dotenv_values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from types import CodeType

    from gunicorn.arbiter import Arbiter

__all__ = [  # for `from gunicorn_conf import *`: what gunicorn reads, and `settings`
    "accesslog",
    "backlog",
    "bind",
    "control_socket_disable",
    "errorlog",
    "forwarded_allow_ips",
    "graceful_timeout",
    "keepalive",
    "loglevel",
    "max_requests",
    "max_requests_jitter",
    "on_reload",
    "on_starting",
    "proc_name",
    "settings",
    "timeout",
    "worker_class",
    "worker_tmp_dir",
    "workers",
]

_HANDOVER = "gunicorn_handover.HandoverWorker"
_NGINX = "https://nginx.org/en/docs/http"
_GUNICORN = "https://gunicorn.org/reference/settings"
_DAY = 86400
_MIB = 2**20
_MAX_PORT = 65535
_CLOSE = 0.9  # how similar a misspelt name is to the one that was meant
_HERE = str(Path(__file__).resolve().parent)

if (Path(_HERE) / "gunicorn_handover.py").is_file() and _HERE not in sys.path:
    sys.path.append(_HERE)  # `gunicorn -c deploy/gunicorn_conf.py`: gunicorn adds only the working directory


# --------------------------------------------------------------------------------------------------- kinds of values
def _whole(text: str) -> int:
    """Accept digits only: ``180.0`` or ``3m`` would mean one thing here and another, or nothing, in nginx."""
    if not re.fullmatch(r"[0-9]{1,15}", text):
        raise ValueError(text)
    return int(text)


def _bytes(text: str) -> int:
    """Accept bytes, or a number with K, M, G or T."""
    found = re.fullmatch(r"([0-9]{1,15})([KMGT]?)", text.upper())
    if not found:
        raise ValueError(text)
    return int(found[1]) << {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}[found[2]]


def _addresses(text: str) -> list[str]:
    """Split gunicorn's comma list and check each address."""
    items = [item.strip() for item in text.split(",")]
    for item in items:
        tcp = re.fullmatch(r"(?:\[[0-9a-fA-F:.]+\]|[^\s:\[\]/]+):([0-9]{1,5})", item)
        if not (tcp and int(tcp[1]) <= _MAX_PORT) and not re.fullmatch(r"unix:\S+|fd://[0-9]+", item):
            raise ValueError(item)
    return items


def _trusted(text: str) -> str:
    for item in text.split(","):
        if item.strip() != "*":
            ipaddress.ip_network(item.strip())
    return text


def _level(text: str) -> str:
    if text.lower() not in {"debug", "info", "warning", "error", "critical"}:
        raise ValueError(text)
    return text.lower()


def _name(text: str) -> str:
    if not 1 <= len(text) <= 64:
        raise ValueError(text)
    return text


# ------------------------------------------------------------------------------------------------- the declarations
@dataclass(frozen=True, kw_only=True)
class Setting:
    """One variable that is read."""

    name: str
    """The attribute of ``ServerSettings``."""
    variable: str
    default: Any = None
    parse: Callable[[str], Any] = _whole
    low: int = 0
    high: int = 0
    """The greatest number allowed; 0 for what is no number."""
    allowed: str = ""
    """What a message says is allowed, where a range of numbers does not say it."""
    flag: str = ""
    """gunicorn's option that wins over the variable."""

    @property
    def field(self) -> str:
        """The argument of ``ServerSettings``: a computed value and its override have different names."""
        return self.name

    def read(self, text: str) -> Any:
        """Return the value.

        Raises:
            ValueError: it is not one that is allowed.
        """
        value = self.parse(text)
        if self.high and not self.low <= value <= self.high:
            raise ValueError(text)
        return value

    @property
    def range(self) -> str:
        """What is allowed, in words."""
        return self.allowed or f"a whole number from {self.low} to {self.high}"


@dataclass(frozen=True, kw_only=True)
class Rung(Setting):
    """One number of the ladder: where it comes from, who enforces it, and why."""

    symbol: str
    """Its name in formulas."""
    formula: str | None = None
    """A Python expression over the symbols; None for an input."""
    group: str
    """A key of ``GROUPS``."""
    enforced_by: str
    why: str
    source: str
    unit: str = "s"
    """``s`` for seconds, ``bytes``, empty for a count."""
    overridden_by: str = ""
    """The argument of ``ServerSettings`` where it is neither ``name`` nor ``name_override``."""
    code: CodeType | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "code", compile(self.formula, self.name, "eval") if self.formula else None)

    @property
    def field(self) -> str:
        """The argument of ``ServerSettings``: a computed value and its override have different names."""
        return self.overridden_by or (self.name if self.formula is None else f"{self.name}_override")

    def compute(self, symbols: Mapping[str, Any]) -> Any:
        """Return what the formula gives for these values of the symbols that it names."""
        return eval(self.code, _FUNCTIONS, symbols) if self.code else self.default  # noqa: S307  the text above

    def show(self, value: int | None) -> str:
        """Return a value with its unit."""
        if value is None:
            return "unset"
        if self.unit == "bytes":
            return f"{value // _MIB} MiB" if value else "off"
        return f"{value} {self.unit}".rstrip()


GROUPS: Mapping[str, str] = {
    "request": "while a request runs",
    "idle": "between two requests on one connection",
    "leaving": "while a worker or the instance drains",
    "recycling": "how many workers, and when one is replaced",
}
"""The parts of the ladder in reading order: key and title."""

RUNGS: tuple[Rung, ...] = (
    Rung(
        name="statement_timeout",
        symbol="S",
        variable="GUNICORN_STATEMENT_TIMEOUT",
        formula="D * 9 // 10",
        low=1,
        high=_DAY,
        group="request",
        enforced_by="PostgreSQL, per connection",
        why="The database names the slow statement before the request's deadline hides which one it was.",
        source="https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-STATEMENT-TIMEOUT",
    ),
    Rung(
        name="request_deadline",
        symbol="D",
        variable="GUNICORN_REQUEST_DEADLINE",
        formula="T * 5 // 6 if hands_over else min(T * 5 // 6, (T - 5) // 2)",
        low=1,
        high=_DAY,
        group="request",
        enforced_by="the application's middleware",
        why="No response has started: the application answers 504 itself and cancels work whose client has gone. "
        "A worker class without a heartbeat while it drains needs T >= 2 D + 5.",
        source="https://github.com/Kludex/uvicorn-worker/blob/main/uvicorn_worker/_workers.py",
    ),
    Rung(
        name="timeout",
        symbol="T",
        variable="GUNICORN_TIMEOUT",
        formula="P * 2 // 3",
        low=1,
        high=_DAY,
        flag="--timeout",
        group="request",
        enforced_by="gunicorn's arbiter",
        why="A worker whose event loop is blocked is killed before nginx gives up. This does not bound a request.",
        source=f"{_GUNICORN}/#timeout",
    ),
    Rung(
        name="proxy_read_timeout",
        symbol="P",
        variable="PROXY_READ_TIMEOUT",
        default=180,
        low=10,
        high=_DAY,
        group="request",
        enforced_by="nginx",
        why="The longest gap between two reads, not a total; the first gap lasts until the response starts.",
        source=f"{_NGINX}/ngx_http_proxy_module.html#proxy_read_timeout",
    ),
    Rung(
        name="proxy_connect_timeout",
        symbol="C",
        variable="PROXY_CONNECT_TIMEOUT",
        default=2,
        low=1,
        high=75,  # nginx's documentation names it as the usual ceiling
        group="request",
        enforced_by="nginx",
        why="A host on the same network connects at once or not at all; a dead one must not cost a minute.",
        source=f"{_NGINX}/ngx_http_proxy_module.html#proxy_connect_timeout",
    ),
    Rung(
        name="front_read_timeout",
        symbol="L",
        variable="FRONT_READ_TIMEOUT",
        low=1,
        high=2 * _DAY,
        group="request",
        enforced_by="the load balancer or CDN in front of nginx",
        why="Longer than 2 C + P (nginx may connect twice), else nginx's answer is lost. Unset: nginx is the edge.",
        source=f"{_NGINX}/ngx_http_proxy_module.html#proxy_next_upstream",
    ),
    Rung(
        name="proxy_keepalive_timeout",
        symbol="U",
        variable="PROXY_KEEPALIVE_TIMEOUT",
        default=15,
        low=1,
        high=600,
        group="idle",
        enforced_by="nginx",
        why="How long nginx keeps an idle connection to a worker. nginx is the one that closes it.",
        source=f"{_NGINX}/ngx_http_upstream_module.html#keepalive_timeout",
    ),
    Rung(
        name="keepalive",
        symbol="B",
        variable="GUNICORN_KEEPALIVE",
        formula="U + 15",
        low=1,
        high=7200,
        flag="--keep-alive",
        group="idle",
        enforced_by="the worker",
        why="A worker that closes first resets the next POST: that is the 502. Longer than nginx, but not by hours: "
        "a connection that was reset keeps its objects in memory for that long.",
        source=f"{_GUNICORN}/#keepalive",
    ),
    Rung(
        name="stop_delay",
        symbol="stop_delay",
        variable="GUNICORN_STOP_DELAY",
        default=0,
        high=3600,
        group="leaving",
        enforced_by="the worker",
        why="After SIGTERM the instance keeps accepting and says 503 at /health/ready until discovery has noticed.",
        source="https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination",
    ),
    Rung(
        name="drain_timeout",
        symbol="drain",
        variable="GUNICORN_DRAIN_TIMEOUT",
        formula="max(1, G - min(9, max(1, G // 20)))",
        low=1,
        high=2 * _DAY,
        group="leaving",
        enforced_by="the worker",
        why="What still runs is cancelled while there is time left for the lifespan shutdown. The reserve stops "
        "growing at 9 s, so that a drain outlasts nginx's idle connections (U) whatever U is.",
        source="https://uvicorn.dev/server-behavior/",
    ),
    Rung(
        name="graceful_timeout",
        symbol="G",
        variable="GUNICORN_GRACEFUL_TIMEOUT",
        formula="max(T, U + 10)",
        low=1,
        high=2 * _DAY,
        flag="--graceful-timeout",
        group="leaving",
        enforced_by="gunicorn's arbiter",
        why="From SIGTERM until SIGKILL. Long enough for the longest request and for nginx's idle connections.",
        source=f"{_GUNICORN}/#graceful_timeout",
    ),
    Rung(
        name="stop_grace",
        symbol="stop_grace",
        variable="GUNICORN_STOP_GRACE",
        formula="stop_delay + G + 10",
        low=1,
        high=2 * _DAY,
        group="leaving",
        enforced_by="Compose, systemd or Kubernetes",
        why="Docker's default is 10 s: it would kill the instance in the middle of its drain.",
        source="https://docs.docker.com/reference/compose-file/services/#stop_grace_period",
    ),
    Rung(
        name="workers",
        symbol="workers",
        variable="WEB_CONCURRENCY",
        formula="min(512, cpus)",
        low=1,
        high=512,
        unit="",
        overridden_by="web_concurrency",
        flag="--workers",
        group="recycling",
        enforced_by="gunicorn's arbiter",
        why="One per CPU that the process may use (cgroup quota, affinity), rounded up; not the machine's CPU count.",
        source="https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu-interface-files",
    ),
    Rung(
        name="max_requests",
        symbol="max_requests",
        variable="GUNICORN_MAX_REQUESTS",
        default=1000,
        high=10**9,
        unit="",
        flag="--max-requests",
        group="recycling",
        enforced_by="the worker",
        why="Limits what a leak can grow to where no memory limit is known. 0 is never.",
        source=f"{_GUNICORN}/#max_requests",
    ),
    Rung(
        name="max_requests_jitter",
        symbol="jitter",
        variable="GUNICORN_MAX_REQUESTS_JITTER",
        formula="max_requests * min(50, 5 * workers) // 100",
        high=10**9,
        unit="",
        flag="--max-requests-jitter",
        group="recycling",
        enforced_by="the worker",
        why="The more workers share the load, the wider their replacements are spread.",
        source=f"{_GUNICORN}/#max_requests_jitter",
    ),
    Rung(
        name="max_memory",
        symbol="max_memory",
        variable="GUNICORN_MAX_MEMORY",
        formula="max(0, M - max(64 * 2**20, M // 10)) // (workers + 1)",
        parse=_bytes,
        high=2**50,
        allowed="bytes, or a number with K, M, G or T, at most 1024T; 0 is off",
        unit="bytes",
        group="recycling",
        enforced_by="the worker",
        why="A worker that has grown to its share of the cgroup's memory limit M is replaced before the kernel's OOM "
        "killer acts: one of workers + 1 shares, because its replacement runs beside it, less a reserve for the "
        "master. What each worker would load again is no reason. Off without a limit.",
        source="https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files",
    ),
    Rung(
        name="max_lifetime",
        symbol="max_lifetime",
        variable="GUNICORN_MAX_LIFETIME",
        default=0,
        high=365 * _DAY,
        group="recycling",
        enforced_by="the worker",
        why="Replaces a worker after a time, whatever it has served. 0 is never.",
        source="https://docs.python.org/3/library/time.html#time.monotonic",
    ),
    Rung(
        name="max_lifetime_jitter",
        symbol="lifetime_jitter",
        variable="GUNICORN_MAX_LIFETIME_JITTER",
        formula="max_lifetime * min(50, 5 * workers) // 100",
        high=365 * _DAY,
        group="recycling",
        enforced_by="the worker",
        why="Workers that were started together are not replaced together.",
        source="https://docs.python.org/3/library/random.html#random.randint",
    ),
    Rung(
        name="reload_surge",
        symbol="surge",
        variable="GUNICORN_RELOAD_SURGE",
        formula="max(1, min(workers, max(0, M - max(64 * 2**20, M // 10)) // max_memory - workers)) "
        "if M and max_memory else workers",
        low=1,
        high=512,
        unit="",
        group="recycling",
        enforced_by="gunicorn's arbiter",
        why="How many workers more than configured a reload runs at a time: a whole second generation, or as many as "
        "fit into the cgroup's memory limit M.",
        source="https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files",
    ),
)
"""Every rung, grouped, from the innermost wait to the outermost."""

SETTINGS: tuple[Setting, ...] = (
    *RUNGS,
    Setting(name="port", variable="PORT", low=1, high=_MAX_PORT),
    Setting(
        name="log_level",
        variable="LOG_LEVEL",
        default="info",
        parse=_level,
        allowed="one of debug, info, warning, error, critical",
    ),
    Setting(
        name="forwarded_allow_ips_override",
        variable="FORWARDED_ALLOW_IPS",
        parse=_trusted,
        allowed="* or a comma list of addresses and networks (10.0.0.0/8, without host bits)",
    ),
    Setting(
        name="bind_override",
        variable="GUNICORN_BIND",
        parse=_addresses,
        allowed="a comma list of host:port, [ipv6]:port, unix:/path or fd://N",
    ),
    Setting(
        name="worker_class_override", variable="GUNICORN_WORKER_CLASS", parse=_name, allowed="a class, module.Class"
    ),
    Setting(name="backlog", variable="GUNICORN_BACKLOG", default=2048, low=64, high=65535),
    Setting(
        name="proc_name", variable="GUNICORN_PROC_NAME", default="no502", parse=_name, allowed="1 to 64 characters"
    ),
)
"""Every variable that is read."""


class Rule(NamedTuple):
    holds: str
    only_if: str = "True"
    note: str = ""


RULES = (
    Rule("S >= 1", note=" (a larger PROXY_READ_TIMEOUT makes room)"),
    Rule("S < D"),
    Rule("D < T"),
    Rule("T < P"),
    Rule("D < drain"),
    Rule("drain < G"),
    Rule("stop_delay + G < stop_grace"),
    Rule("U < B"),
    Rule("U < drain"),
    Rule("2 * C + P < L", only_if="L is not None"),  # nginx may connect twice
    Rule("2 * D + 5 <= T", only_if="not hands_over"),
)
_BY_SYMBOL = {rung.symbol: rung for rung in RUNGS}
_BY_FIELD = {setting.field: setting for setting in SETTINGS}
_BY_VARIABLE = {setting.variable: setting for setting in SETTINGS}
_FUNCTIONS = {"__builtins__": {}, "min": min, "max": max}
_OTHER_NAMES = {  # what people write for a variable of another name
    "GUNICORN_WORKERS": "WEB_CONCURRENCY",
    "GUNICORN_WEB_CONCURRENCY": "WEB_CONCURRENCY",
    "GUNICORN_LOGLEVEL": "LOG_LEVEL",
    "GUNICORN_LOG_LEVEL": "LOG_LEVEL",
    "GUNICORN_FORWARDED_ALLOW_IPS": "FORWARDED_ALLOW_IPS",
}
_GUNICORNS_OWN = {"GUNICORN_CMD_ARGS", "GUNICORN_PID", "GUNICORN_FD", "GUNICORN_DIRTY_SOCKET"}


# ------------------------------------------------------------------------------------------------------- the settings
class LadderError(ValueError):
    """Settings that cannot be used; ``problems`` has one line for each."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class _Given(NamedTuple):
    value: Any
    source: str
    """environment, .env, command line, or empty for code."""
    written: str
    """The name and value as the user wrote them."""


class _Values(dict[str, Any]):
    """The ladder's symbols, each computed when it is first asked for."""

    def __init__(self, given: Mapping[str, _Given], **known: Any) -> None:
        super().__init__(known)
        self._given = given

    def __missing__(self, symbol: str) -> Any:
        rung = _BY_SYMBOL[symbol]
        value = self._given[rung.field].value if rung.field in self._given else rung.compute(self)
        self[symbol] = value
        return value

    def holds(self, rule: Rule) -> bool:
        try:
            return bool(eval(f"({rule.holds}) if ({rule.only_if}) else True", _FUNCTIONS, self))  # noqa: S307
        except TypeError:
            return False


class ServerSettings:
    """The inputs, and the ladder that follows from them: one attribute for each of ``SETTINGS``.

    Args:
        _env_file: A file of variables, below the environment in rank; None: no file.
        _facts: ``cpus`` and ``M``, the memory limit in bytes (0: none), instead of this machine's.
        given: Values by ``Setting.field``, above the environment: ``proxy_read_timeout=60``, ``timeout_override=30``.

    Raises:
        LadderError: a value is out of range, or breaks a rung of the ladder.
    """

    if TYPE_CHECKING:
        bind_override: list[str] | None
        front_read_timeout: int | None
        proc_name: str
        log_level: str
        worker_class_override: str | None
        forwarded_allow_ips_override: str | None

        def __getattr__(self, name: str) -> int: ...

    def __init__(
        self,
        *,
        _env_file: str | Path | None = ".env",
        _facts: Mapping[str, int] | None = None,
        **given: Any,
    ) -> None:
        problems: list[str] = []
        found = _collect(os.environ, read_dotenv(_env_file), problems)
        for name, value in given.items():
            setting = _BY_FIELD[name]
            if isinstance(value, int) and not setting.low <= value <= setting.high:
                problems.append(f"{setting.variable}={value}: must be {setting.range}")
            elif value is not None:
                found[name] = _Given(value, "", f"{setting.variable}={value}")
        self._set(found, problems, _facts)

    def _set(self, given: dict[str, _Given], problems: list[str], facts: Mapping[str, int] | None) -> None:
        self._given, self._facts = given, facts or {"cpus": usable_cpus(), "M": memory_limit() or 0}
        self._values = self._evaluate(given)
        if not problems:
            problems += self._broken()
        if problems:
            raise LadderError(problems)

    def _evaluate(self, given: Mapping[str, _Given]) -> _Values:
        chosen = given.get("worker_class_override")
        return _Values(given, hands_over=chosen is None or chosen.value == _HANDOVER, **self._facts)

    def is_set(self, setting: Setting) -> bool:
        """Return whether the user's own value replaces the default or the formula."""
        return setting.field in self._given

    def symbols(self) -> dict[str, Any]:
        """Return what the formulas speak of: every symbol's value, ``cpus``, ``M`` and ``hands_over``."""
        return {
            **self._facts,
            "hands_over": self.hands_over,
            **{rung.symbol: self._values[rung.symbol] for rung in RUNGS},
        }

    def replaced(self, changed: Mapping[str, tuple[object, str, str]]) -> ServerSettings:
        """Return these settings with other values: by field, the value, where it was set and how it was written.

        Raises:
            LadderError: they break the ladder.
        """
        other = object.__new__(ServerSettings)
        new = {name: _Given(value, source, written) for name, (value, source, written) in changed.items()}
        other._set({**self._given, **new}, [], self._facts)
        return other

    @property
    def worker_class(self) -> str:
        """``GUNICORN_WORKER_CLASS``, else ``gunicorn_handover.HandoverWorker``."""
        return self.worker_class_override or _HANDOVER

    @property
    def hands_over(self) -> bool:
        """Whether the worker class keeps its heartbeat while it drains."""
        return self.worker_class == _HANDOVER

    @property
    def bind(self) -> list[str]:
        """``GUNICORN_BIND``, else every address on ``PORT`` (as gunicorn does), else 127.0.0.1:8000."""
        return self.bind_override or [f"0.0.0.0:{self.port}" if self.port else "127.0.0.1:8000"]

    @property
    def forwarded_allow_ips(self) -> str:
        """Peers whose X-Forwarded-* headers are trusted, for the addresses in ``bind``."""
        return self.forwarded_allow_ips_override or trusted_peers(self.bind)

    # ------------------------------------------------------------------------------------------------- what is wrong
    def _broken(self) -> list[str]:
        """One line for each value that breaks the ladder: what the user wrote, and what fits with all else."""
        broken = [rule for rule in RULES if not self._values.holds(rule)]
        lines: list[str] = []
        explained: set[Rule] = set()
        for setting in (each for each in RUNGS if each.field in self._given):
            without = self._evaluate({name: value for name, value in self._given.items() if name != setting.field})
            rules = [rule for rule in broken if rule not in explained and without.holds(rule)]
            if rules:
                explained |= {*rules}
                lines.append(self._line(setting, rules, [rule for rule in broken if rule not in rules]))
        for rule in (each for each in broken if each not in explained):
            culprits = [self._given[rung.field].written for rung in RUNGS if rung.field in self._given]
            culprits += [self._given["worker_class_override"].written] if "worker_class_override" in self._given else []
            said = " and ".join(culprits) or "the defaults"
            lines.append(f"{said}: {_words(rule.holds)} does not hold{rule.note}")
        return lines

    def _line(self, rung: Rung, rules: list[Rule], others: list[Rule]) -> str:
        """Say what is wrong with one value, and the ways out: another value, another input, or none."""
        given, fits = self._given[rung.field], self._nearest(rung, others)
        where = f" ({given.source})" if given.source else ""
        beside = [self._given[each.field].written for each in self._involved(rules) if each is not rung]
        ways = []
        if fits is not None:
            less = fits < given.value
            ways.append(
                f"must be at {'most' if less else 'least'} {fits}{' with ' if beside else ''}{', '.join(beside)}"
            )
            ways += self._larger_input(rung, given.value, others) if less and rung.formula else []
        if rung.symbol == "L" and (shorter := given.value - 2 * self._values["C"] - 1) >= _BY_SYMBOL["P"].low:
            ways.append(f"lower PROXY_READ_TIMEOUT to {shorter}")
        if rung.formula is not None or rung.default is None:
            ways.append(f"drop {re.split('[ =]', given.written)[0]}")
        reason = " and ".join(_words(rule.holds) for rule in rules)
        return f"{given.written}{where}: {', or '.join(ways)}; {reason} {'does' if len(rules) == 1 else 'do'} not hold"

    def _involved(self, rules: list[Rule]) -> list[Rung]:
        """Return the rungs that the user has set and on which the rules depend, directly or through a formula."""
        waiting, seen = re.findall(r"\w+", " ".join(rule.holds for rule in rules)), set()
        while waiting:
            symbol = waiting.pop()
            if symbol in _BY_SYMBOL and symbol not in seen:
                seen.add(symbol)
                rung = _BY_SYMBOL[symbol]
                waiting += re.findall(r"\w+", rung.formula or "") if rung.field not in self._given else []
        return [rung for rung in RUNGS if rung.symbol in seen and rung.field in self._given]

    def _nearest(self, rung: Rung, others: list[Rule]) -> int | None:
        """Return the value nearest to a wrong one that fits all else as it is; None: there is none.

        Args:
            rung: whose value is wrong.
            others: rules that do not hold for other reasons.
        """

        def fits(value: int) -> bool:
            values = self._evaluate({**self._given, rung.field: _Given(value, "", "")})
            return all(values.holds(rule) or rule in others for rule in RULES)

        computed = self._evaluate({name: each for name, each in self._given.items() if name != rung.field})[rung.symbol]
        right = next((v for v in (computed, rung.high, rung.low) if v is not None and rung.low <= v and fits(v)), None)
        if right is None:
            return None
        wrong = self._given[rung.field].value
        while abs(right - wrong) > 1:
            middle = (right + wrong) // 2
            right, wrong = (middle, wrong) if fits(middle) else (right, middle)
        return int(right)

    def _larger_input(self, rung: Rung, wanted: int, broken: list[Rule]) -> list[str]:
        """Return how to raise an input so far that the formula itself gives the wanted value.

        Args:
            rung: whose value is too large for the present inputs.
            wanted: that value.
            broken: rules that do not hold for other reasons.
        """
        for name in ("proxy_read_timeout", "proxy_keepalive_timeout"):
            source = _BY_FIELD[name]
            low, high = self._values[source.symbol], source.high  # type: ignore[attr-defined]
            if rung.name == name or self._computed(rung, source, high) < wanted:
                continue
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (low, middle) if self._computed(rung, source, middle) >= wanted else (middle, high)
            values = self._with(rung, source, high)
            if all(values.holds(rule) or rule in broken for rule in RULES):
                return [f"raise {source.variable} to {high}"]
        return []

    def _with(self, rung: Rung, source: Setting, value: int) -> _Values:
        others = {name: each for name, each in self._given.items() if name != rung.field}
        return self._evaluate({**others, source.field: _Given(value, "", "")})

    def _computed(self, rung: Rung, source: Setting, value: int) -> int:
        return int(self._with(rung, source, value)[rung.symbol])


def _attribute(setting: Setting) -> property:
    if isinstance(setting, Rung):
        return property(lambda self: self._values[setting.symbol], doc=setting.why)
    return property(lambda self: self._given[setting.field].value if self.is_set(setting) else setting.default)


def _override(setting: Setting) -> property:
    return property(lambda self: self._given[setting.field].value if self.is_set(setting) else None)


for _setting in SETTINGS:
    setattr(ServerSettings, _setting.field, _override(_setting))
    setattr(ServerSettings, _setting.name, _attribute(_setting))


def compute(
    environ: Mapping[str, str],
    dotenv: Mapping[str, str | None] | None = None,
    facts: Mapping[str, int] | None = None,
) -> ServerSettings:
    """Return the settings that these variables give, and nothing else: no look at this process's environment.

    Args:
        environ: Variables; an empty one counts as unset.
        dotenv: The content of a ``.env`` file, below ``environ`` in rank.
        facts: ``cpus`` and ``M``, the memory limit in bytes (0: none), instead of this machine's.

    Raises:
        LadderError: all that is wrong with them.
    """
    problems = _misspelt(environ, "environment") + _misspelt(dotenv or {}, ".env")
    found = _collect(environ, dotenv or {}, problems)
    settings = object.__new__(ServerSettings)
    settings._set(found, problems, facts)
    return settings


def _collect(environ: Mapping[str, str], dotenv: Mapping[str, str | None], problems: list[str]) -> dict[str, _Given]:
    """Return what is given by field; add a line to ``problems`` for each value that is not allowed."""
    found: dict[str, _Given] = {}
    for setting in SETTINGS:
        sources = ((environ.get(setting.variable), "environment"), (dotenv.get(setting.variable), ".env"))
        text, source = next(((text, source) for text, source in sources if text), ("", ""))
        if text:
            try:
                found[setting.field] = _Given(setting.read(text), source, f"{setting.variable}={text}")
            except ValueError:
                problems.append(f"{setting.variable}={text} ({source}): must be {setting.range}")
    return found


def read_dotenv(path: str | Path | None) -> dict[str, str | None]:
    """Return the variables of a file, none if there is no such file.

    Raises:
        LadderError: it is not text.
    """
    if path is None or not Path(path).is_file():
        return {}
    try:
        return dotenv_values(path, encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LadderError([f"{path}: cannot be read as UTF-8 text: {error}"]) from None


def _misspelt(names: Iterable[str], source: str) -> list[str]:
    """One line for each name that is nearly one of ours. Any other ``PROXY_*`` or ``GUNICORN_*`` belongs to others."""
    known = sorted({*_BY_VARIABLE, *_GUNICORNS_OWN})
    lines = []
    for name in sorted(set(names) - set(known)):
        if name in _OTHER_NAMES:
            lines.append(f"{name} ({source}): unknown variable; use {_OTHER_NAMES[name]}")
        elif name.startswith(("PROXY_", "GUNICORN_")):
            near = difflib.get_close_matches(name, known, n=1, cutoff=_CLOSE)
            lines += [f"{name} ({source}): unknown variable; did you mean {near[0]}?"] if near else []
    return lines


def _words(expression: str) -> str:
    """Return an expression over symbols with the names of the variables."""
    return re.sub(r"[A-Za-z_]\w*", lambda found: _BY_SYMBOL[found[0]].variable, expression)


def trusted_peers(addresses: Iterable[str]) -> str:
    """Return whose X-Forwarded-* headers count for these addresses: everyone on unix sockets, else this machine.

    A unix socket's peer has no address, so uvicorn trusts it only by ``*``; who may connect is the socket's mode.
    https://uvicorn.dev/settings/#http
    """
    return "*" if all(address.startswith("unix:") for address in addresses) else "127.0.0.1,::1"


# ------------------------------------------------------------------------------------------- CPUs and memory: cgroups
def usable_cpus(sys_fs: Path = Path("/sys/fs/cgroup"), proc: Path = Path("/proc/self/cgroup")) -> int:
    """Return the whole CPUs that this process may use: the tightest cgroup quota, capped by affinity, rounded up.

    ``os.cpu_count()`` is the machine, ``os.process_cpu_count()`` knows affinity only; neither knows a quota.
    https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu-interface-files
    """
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, ceil(min([*_quotas(sys_fs, proc), cpus])))


def memory_limit(sys_fs: Path = Path("/sys/fs/cgroup"), proc: Path = Path("/proc/self/cgroup")) -> int | None:
    """Return the tightest memory limit of the own cgroup and of every ancestor, in bytes; None: no limit.

    https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files
    """
    limits = []
    for group, v1 in _groups("memory", sys_fs, proc):
        text = _read(group / ("memory.limit_in_bytes" if v1 else "memory.max"))
        if re.fullmatch(r"[0-9]+", text) and int(text) < 2**60:  # "max" (v2) and nearly 2**63 (v1) are no limit
            limits.append(int(text))
    return min(limits, default=None)


def _quotas(sys_fs: Path, proc: Path) -> Iterator[float]:
    """Yield the CPU quota of the own cgroup and of every ancestor, cgroup v2 or v1."""
    for group, v1 in _groups("cpu", sys_fs, proc):
        old = f"{_read(group / 'cpu.cfs_quota_us')} {_read(group / 'cpu.cfs_period_us')}"
        limit = re.fullmatch(r"([0-9]+) ([1-9][0-9]*)", old if v1 else _read(group / "cpu.max"))
        if limit:  # "max 100000" (v2) and "-1 100000" (v1) are no limit
            yield int(limit[1]) / int(limit[2])


def _groups(controller: str, sys_fs: Path, proc: Path) -> Iterator[tuple[Path, bool]]:
    """Yield the directories of the own cgroup and its ancestors, and whether each is of cgroup v1."""
    for line in _read(proc).splitlines():
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if controllers and controller not in controllers.split(","):
            continue
        group = sys_fs / controllers
        if controllers and not group.is_dir():
            group = sys_fs / controller
        parts = [part for part in path.split("/") if part not in ("", "..")]
        for depth in range(len(parts), -1, -1):
            yield group.joinpath(*parts[:depth]), bool(controllers)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


# ------------------------------------------------------------------------- what gunicorn reads: its own setting names
def _load() -> ServerSettings:
    """Compute from this process's environment and ``.env``.

    Raises:
        LadderError: also when the worker class is the handover's and a file of it is missing.
    """
    loaded = compute(os.environ, read_dotenv(".env"))
    missing = [name for name in ("gunicorn_handover", "gunicorn_arbiter") if importlib.util.find_spec(name) is None]
    if loaded.hands_over and missing:
        line = f"{missing[0]}.py is missing: copy it beside gunicorn_conf.py, or install no502"
        raise LadderError([f"{line} (or choose another class with GUNICORN_WORKER_CLASS)"])
    return loaded


def _refusal(error: LadderError) -> SystemExit:
    return SystemExit("\n".join(f"gunicorn_conf: {problem}" for problem in error.problems))


def load() -> ServerSettings:
    """Compute from the environment and ``.env`` as they are now; ``settings`` are as of the import.

    Raises:
        SystemExit: they cannot be used; its text has one line per problem.
    """
    try:
        return _load()
    except LadderError as error:
        raise _refusal(error) from None


_refused: LadderError | None = None
try:
    settings = _load()
except LadderError as _error:
    if "gunicorn.app.base" in sys.modules:  # gunicorn reads this file
        raise _refusal(_error) from None
    _refused = _error  # an importer of `compute` is not stopped by its own environment; one of `settings` is, below
else:
    bind = settings.bind
    backlog = settings.backlog
    workers = settings.workers
    worker_class = settings.worker_class
    # Heartbeats must not wait for a disk.
    worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108
    timeout = settings.timeout
    graceful_timeout = settings.graceful_timeout
    keepalive = settings.keepalive
    max_requests = settings.max_requests
    max_requests_jitter = settings.max_requests_jitter
    forwarded_allow_ips = settings.forwarded_allow_ips
    proc_name = settings.proc_name
    loglevel = settings.log_level
    accesslog = "-"
    errorlog = "-"
    control_socket_disable = True  # it would be created below $HOME; gunicorn before 25.1 has none, ignores the name


def __getattr__(name: str) -> Any:
    if _refused is not None and not name.startswith("_"):
        raise _refusal(_refused)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def on_starting(server: Arbiter) -> None:
    """Check what the command line changed, log the ladder, and let workers hand over where their class can."""
    _take_charge(server)


def on_reload(server: Arbiter) -> None:
    """Do the same after SIGHUP: this file and ``.env`` may have changed."""
    _take_charge(server)


def _take_charge(server: Arbiter) -> None:
    effective = _effective(server)
    server.log.info(
        "ladder: statement %d < deadline %d < timeout %d < proxy_read %d; idle: proxy %d < worker %d; "
        "draining: drain %d < graceful %d < stop grace %d (%s)",
        *(effective.statement_timeout, effective.request_deadline, effective.timeout, effective.proxy_read_timeout),
        *(effective.proxy_keepalive_timeout, effective.keepalive),
        *(effective.drain_timeout, effective.graceful_timeout, effective.stop_grace, effective.worker_class),
    )
    _trust(server)
    if effective.hands_over:
        from gunicorn_handover import install

        names = ("stop_delay", "drain_timeout", "max_memory", "max_lifetime", "max_lifetime_jitter")
        surge = effective.reload_surge if effective.reload_surge < effective.workers else None
        install(server, reload_surge=surge, **{name: getattr(effective, name) for name in names})
    else:
        server.log.warning(
            "%s loses requests when a worker leaves: %s does not; the request deadline is shortened to %d s for it",
            *(effective.worker_class, _HANDOVER, effective.request_deadline),
        )


def _effective(server: Arbiter) -> ServerSettings:
    """Hold what gunicorn really uses (flags and GUNICORN_CMD_ARGS win over this file) against the ladder."""
    changed: dict[str, tuple[object, str, str]] = {}
    for rung in RUNGS:
        if rung.flag and (used := getattr(server.cfg, rung.name)) != getattr(settings, rung.name):
            changed[rung.field] = (used, *_written(server, rung.name, rung.flag, used))
    if server.cfg.worker_class_str != settings.worker_class:
        name = server.cfg.worker_class_str
        changed["worker_class_override"] = (name, *_written(server, "worker_class", "--worker-class", name))
    try:
        return settings.replaced(changed)
    except LadderError as error:
        for line in error.problems:
            server.log.error("gunicorn_conf: %s", line)  # noqa: TRY400
        raise SystemExit(1) from None


def _written(server: Arbiter, name: str, flag: str, used: object) -> tuple[str, str]:
    """Return where a setting of gunicorn was set, and how: the command line wins over its variable, both over files."""
    flags = server.cfg.settings[name].cli or ()

    def has(words: Iterable[str]) -> bool:
        return any(word.partition("=")[0] in flags or (word[1:2] != "-" and word[:2] in flags) for word in words)

    if has(sys.argv[1:]):
        return "command line", f"{flag} {used}"
    if has(shlex.split(os.environ.get("GUNICORN_CMD_ARGS", ""))):
        return "GUNICORN_CMD_ARGS", f"{flag} {used}"
    return f"{server.cfg.config or 'code'}", f"{name} = {used!r}"


def _trust(server: Arbiter) -> None:
    """Decide by the addresses that are really listened on whose X-Forwarded-* headers count."""
    addresses = _listening(server)
    peers = server.cfg.forwarded_allow_ips
    current = peers if isinstance(peers, str) else ",".join(peers)
    if current == settings.forwarded_allow_ips and settings.forwarded_allow_ips_override is None:
        current = trusted_peers(addresses)
        server.cfg.set("forwarded_allow_ips", current)
    exposed = [item for item in addresses if not re.match(r"unix:|127\.|localhost:|\[::1\]", item)]
    if exposed and "*" in current:
        server.log.warning(
            "FORWARDED_ALLOW_IPS=* on %s: any client that reaches it can forge client addresses", exposed[0]
        )


def _listening(server: Arbiter) -> list[str]:
    """Return the addresses of the sockets that were passed on to gunicorn, else those that it will bind to."""
    passed: list[int] = []
    if os.environ.get("LISTEN_PID") == str(os.getpid()):
        passed = [3 + number for number in range(int(os.environ.get("LISTEN_FDS", "0")))]
    elif os.environ.get("GUNICORN_FD"):
        passed = [int(number) for number in os.environ["GUNICORN_FD"].split(",")]
    if server.LISTENERS:
        return [_address(listener.fileno()) for listener in server.LISTENERS]
    if passed:
        return [_address(number) for number in passed]
    bound = [item if item.startswith(("unix:", "fd://")) or ":" in item else f"{item}:8000" for item in server.cfg.bind]
    return [_address(int(item[5:])) if item.startswith("fd://") else item for item in bound]


def _address(descriptor: int) -> str:
    """Return the address of a listening socket, as gunicorn's ``bind`` has it."""
    try:
        with socket.socket(fileno=os.dup(descriptor)) as listener:
            if listener.family == socket.AF_UNIX:
                return "unix:"
            host, port = listener.getsockname()[:2]
            return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    except OSError:
        return f"fd://{descriptor}"
