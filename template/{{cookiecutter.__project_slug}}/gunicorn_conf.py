"""Every gunicorn number, computed from what nginx waits for.

This is a gunicorn configuration file and, as an exception to the rule, it computes when it is imported: gunicorn reads
the module's names and nothing else. Three ways to use it:

* ``gunicorn -c python:gunicorn_conf app.main:app`` with the distribution ``no502`` installed;
* ``gunicorn -c gunicorn_conf.py app.main:app`` with this file, ``gunicorn_handover.py`` and ``gunicorn_arbiter.py``
  copied next to an application;
* ``from gunicorn_conf import ServerSettings`` in code: the request deadline and the statement timeout are rungs too.

All times are whole seconds. Inputs come from the environment and from ``.env`` in the working directory, under the
names that nginx's envsubst reads as well, so one number moves both sides. A bad value, an unknown ``PROXY_*`` or
``GUNICORN_*`` variable, or an override that breaks the ladder stops gunicorn with one line per problem and exit code 1.
(What gunicorn itself rejects before it reads this file, such as ``WEB_CONCURRENCY=two``, ends in gunicorn's own words.)
"""

from __future__ import annotations

import difflib
import importlib.util
import ipaddress
import os
import re
import sys
from functools import cached_property
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from dotenv import dotenv_values
from pydantic import BeforeValidator, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gunicorn.arbiter import Arbiter

__all__ = ["ServerSettings", "settings"]

_HANDOVER = "gunicorn_handover.HandoverWorker"
_MAX_PORT = 65535
_HERE = str(Path(__file__).resolve().parent)

if (Path(_HERE) / "gunicorn_handover.py").is_file() and _HERE not in sys.path:
    sys.path.append(_HERE)  # `gunicorn -c deploy/gunicorn_conf.py`: gunicorn adds only the working directory


# --------------------------------------------------------------------------------------------------------- input types
def _whole(value: object) -> object:
    """Accept digits only: ``180.0`` or ``3m`` would mean one thing here and another, or nothing, in nginx."""
    if isinstance(value, str) and not re.fullmatch(r"[0-9]{1,12}", value):
        msg = "not a whole number"
        raise ValueError(msg)
    return value


def _addresses(value: object) -> object:
    """Split gunicorn's comma list and check each address: ``host:port``, ``[ipv6]:port``, ``unix:/path`` or ``fd://N``."""
    items = [item.strip() for item in value.split(",")] if isinstance(value, str) else value
    if not isinstance(items, list) or not items:
        msg = "no address"
        raise ValueError(msg)
    for item in items:
        tcp = re.fullmatch(r"(?:\[[0-9a-fA-F:.]+\]|[^\s:\[\]/]+):([0-9]{1,5})", str(item))
        if not (tcp and int(tcp[1]) <= _MAX_PORT) and not re.fullmatch(r"unix:\S+|fd://[0-9]+", str(item)):
            msg = "not an address"
            raise ValueError(msg)
    return items


def _trusted(value: object) -> object:
    """Check ``FORWARDED_ALLOW_IPS``: ``*`` or a comma list of addresses and networks."""
    for item in str(value).split(","):
        if item.strip() != "*":
            ipaddress.ip_network(item.strip())
    return value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


_Seconds = Annotated[int, BeforeValidator(_whole)]
_Count = Annotated[int, BeforeValidator(_whole)]

_ALLOWED = {  # what a message says is allowed, where a range of numbers does not say it
    "LOG_LEVEL": "one of debug, info, warning, error, critical",
    "GUNICORN_BIND": "a comma list of host:port, [ipv6]:port, unix:/path or fd://N",
    "FORWARDED_ALLOW_IPS": "* or a comma list of addresses and networks (10.0.0.0/8, without host bits)",
}


# ------------------------------------------------------------------------------------------------------------ settings
class ServerSettings(BaseSettings):
    """The inputs, and the ladder that follows from them.

    Raises:
        pydantic.ValidationError: an input is out of range, or an override breaks a rung of the ladder.
    """

    model_config = SettingsConfigDict(
        env_file=".env",
        extra="ignore",
        case_sensitive=True,
        env_ignore_empty=True,
        frozen=True,
        populate_by_name=True,
        env_prefix="keyword only: ",  # else a variable called `port` would be read as well
    )

    # What the proxy side waits for. The same variables are substituted into nginx/.
    proxy_read_timeout: _Seconds = Field(180, ge=10, le=86400, validation_alias="PROXY_READ_TIMEOUT")
    """P: nginx ``proxy_read_timeout``, the longest gap between two reads, not a total. https://nginx.org/r/proxy_read_timeout"""
    proxy_keepalive_timeout: _Seconds = Field(15, ge=1, le=600, validation_alias="PROXY_KEEPALIVE_TIMEOUT")
    """U: nginx upstream ``keepalive_timeout``. https://nginx.org/en/docs/http/ngx_http_upstream_module.html#keepalive_timeout"""
    proxy_connect_timeout: _Seconds = Field(2, ge=1, le=75, validation_alias="PROXY_CONNECT_TIMEOUT")
    """C: nginx ``proxy_connect_timeout``; nginx's documentation names 75 as the usual ceiling."""
    front_read_timeout: _Seconds | None = Field(None, ge=1, le=172800, validation_alias="FRONT_READ_TIMEOUT")
    """L: how long a load balancer or CDN before nginx waits for a response; unset when nginx is the edge."""

    # What people already set.
    web_concurrency: _Count | None = Field(None, ge=1, le=512, validation_alias="WEB_CONCURRENCY")
    port: _Count | None = Field(None, ge=1, le=65535, validation_alias="PORT")
    log_level: Annotated[Literal["debug", "info", "warning", "error", "critical"], BeforeValidator(_lower)] = Field(
        "info", validation_alias="LOG_LEVEL"
    )
    forwarded_allow_ips_override: Annotated[str, BeforeValidator(_trusted)] | None = Field(
        None, validation_alias="FORWARDED_ALLOW_IPS"
    )

    # gunicorn's own settings.
    bind_override: Annotated[list[str], NoDecode, BeforeValidator(_addresses)] | None = Field(
        None, validation_alias="GUNICORN_BIND"
    )
    worker_class_override: str | None = Field(None, validation_alias="GUNICORN_WORKER_CLASS")
    max_requests: _Count = Field(1000, ge=0, le=10**9, validation_alias="GUNICORN_MAX_REQUESTS")
    """Requests after which a worker is replaced; 0 is never. https://gunicorn.org/reference/settings/#max_requests"""
    backlog: _Count = Field(2048, ge=64, le=65535, validation_alias="GUNICORN_BACKLOG")
    """Listen queue; the kernel cuts it to ``net.core.somaxconn``. https://gunicorn.org/reference/settings/#backlog"""
    proc_name: str = Field("no502", min_length=1, max_length=64, validation_alias="GUNICORN_PROC_NAME")
    stop_delay: _Seconds = Field(0, ge=0, le=3600, validation_alias="GUNICORN_STOP_DELAY")
    """After SIGTERM workers go on accepting for this long while readiness says 503; then they drain."""

    # Overrides of computed rungs: each replaces its formula and must still fit the ladder.
    timeout_override: _Seconds | None = Field(None, ge=1, le=86400, validation_alias="GUNICORN_TIMEOUT")
    request_deadline_override: _Seconds | None = Field(
        None, ge=1, le=86400, validation_alias="GUNICORN_REQUEST_DEADLINE"
    )
    statement_timeout_override: _Seconds | None = Field(
        None, ge=1, le=86400, validation_alias="GUNICORN_STATEMENT_TIMEOUT"
    )
    graceful_timeout_override: _Seconds | None = Field(
        None, ge=1, le=172800, validation_alias="GUNICORN_GRACEFUL_TIMEOUT"
    )
    drain_timeout_override: _Seconds | None = Field(None, ge=1, le=172800, validation_alias="GUNICORN_DRAIN_TIMEOUT")
    stop_grace_override: _Seconds | None = Field(None, ge=1, le=172800, validation_alias="GUNICORN_STOP_GRACE")
    keepalive_override: _Seconds | None = Field(None, ge=1, le=7200, validation_alias="GUNICORN_KEEPALIVE")
    max_requests_jitter_override: _Count | None = Field(
        None, ge=0, le=10**9, validation_alias="GUNICORN_MAX_REQUESTS_JITTER"
    )

    # The ladder, from the outermost wait to the innermost.
    @cached_property
    def timeout(self) -> int:
        """T = floor(2/3 P): the arbiter kills a worker whose event loop is blocked for longer, before nginx gives up.

        It does not bound a request: an async request may run longer while the loop is free.
        https://gunicorn.org/reference/settings/#timeout
        """
        return _first(self.timeout_override, self.proxy_read_timeout * 2 // 3)

    @cached_property
    def request_deadline(self) -> int:
        """D = floor(5/6 T): the application answers 504 itself when no response has started by then.

        Worker classes without a heartbeat while they drain are killed ``timeout`` after their last one, which may be
        ``timeout / 2`` old: with those D shrinks until T >= 2 D + 5.
        """
        deadline = self.timeout * 5 // 6
        if not self.hands_over:
            deadline = min(deadline, (self.timeout - 5) // 2)
        return _first(self.request_deadline_override, deadline)

    @cached_property
    def statement_timeout(self) -> int:
        """S = floor(9/10 D): PostgreSQL cancels a statement before the request's deadline hides which one it was.

        https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-STATEMENT-TIMEOUT
        """
        return _first(self.statement_timeout_override, self.request_deadline * 9 // 10)

    @cached_property
    def graceful_timeout(self) -> int:
        """G = max(T, U + 10): from the order to leave until the arbiter's SIGKILL.

        https://gunicorn.org/reference/settings/#graceful_timeout
        """
        return _first(self.graceful_timeout_override, max(self.timeout, self.proxy_keepalive_timeout + 10))

    @cached_property
    def drain_timeout(self) -> int:
        """G - min(9, max(1, G // 20)): a draining worker cancels what still runs, then runs the lifespan shutdown.

        The reserve stops growing at 9 s, so that the drain outlasts nginx's idle connections (U) whatever U is.
        """
        reserve = min(9, max(1, self.graceful_timeout // 20))
        return _first(self.drain_timeout_override, max(1, self.graceful_timeout - reserve))

    @cached_property
    def stop_grace(self) -> int:
        """Stop delay + G + 10: what Compose, systemd or Kubernetes must wait before SIGKILL.

        https://docs.docker.com/reference/compose-file/services/#stop_grace_period
        """
        return _first(self.stop_grace_override, self.stop_delay + self.graceful_timeout + 10)

    @cached_property
    def keepalive(self) -> int:
        """B = U + 15: the worker keeps an idle connection longer than nginx does, so that nginx is the one that closes.

        By a little, not by hours: uvicorn keeps a reset connection's objects for that long.
        https://gunicorn.org/reference/settings/#keepalive
        """
        return _first(self.keepalive_override, self.proxy_keepalive_timeout + 15)

    @cached_property
    def max_requests_jitter(self) -> int:
        """floor(max_requests * min(0.5, 0.05 * workers)): the more workers, the wider their retirements are spread.

        https://gunicorn.org/reference/settings/#max_requests_jitter
        """
        return _first(self.max_requests_jitter_override, self.max_requests * min(50, 5 * self.workers) // 100)

    @cached_property
    def workers(self) -> int:
        """``WEB_CONCURRENCY``, else the CPUs that this process may really use (cgroup quota, affinity), rounded up."""
        return _first(self.web_concurrency, min(512, _usable_cpus()))

    @cached_property
    def worker_class(self) -> str:
        """``GUNICORN_WORKER_CLASS``, else ``gunicorn_handover.HandoverWorker``."""
        return self.worker_class_override or _HANDOVER

    @property
    def hands_over(self) -> bool:
        """Whether the worker class keeps its heartbeat while it drains."""
        return self.worker_class == _HANDOVER

    @cached_property
    def bind(self) -> list[str]:
        """``GUNICORN_BIND``, else every address on ``PORT`` (as gunicorn does), else 127.0.0.1:8000."""
        return self.bind_override or [f"0.0.0.0:{self.port}" if self.port else "127.0.0.1:8000"]

    @cached_property
    def forwarded_allow_ips(self) -> str:
        """Whose X-Forwarded-* headers count: ``FORWARDED_ALLOW_IPS``, else ``*`` on unix sockets, else loopback.

        A unix socket's peer has no address, so uvicorn trusts it only by ``*``; who may connect is the socket's mode.
        https://uvicorn.dev/settings/#http
        """
        only_unix = all(address.startswith("unix:") for address in self.bind)
        return self.forwarded_allow_ips_override or ("*" if only_unix else "127.0.0.1,::1")

    @model_validator(mode="after")
    def _ladder_holds(self) -> ServerSettings:
        problems = [f"{rule} does not hold: {values}" for holds, rule, values in self._rules() if not holds]
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def _rules(self) -> Iterable[tuple[bool, str, str]]:
        """Every invariant of the ladder: whether it holds, its name with the variables to change, the values."""
        s, d, t, p = self.statement_timeout, self.request_deadline, self.timeout, self.proxy_read_timeout
        u, b, c = self.proxy_keepalive_timeout, self.keepalive, self.proxy_connect_timeout
        drain, g, grace = self.drain_timeout, self.graceful_timeout, self.stop_grace
        yield s >= 1, "GUNICORN_STATEMENT_TIMEOUT >= 1 (a larger PROXY_READ_TIMEOUT makes room)", f"{s} >= 1"
        yield s < d, "GUNICORN_STATEMENT_TIMEOUT < GUNICORN_REQUEST_DEADLINE", f"{s} < {d}"
        yield d < t, "GUNICORN_REQUEST_DEADLINE < GUNICORN_TIMEOUT", f"{d} < {t}"
        yield t < p, "GUNICORN_TIMEOUT < PROXY_READ_TIMEOUT", f"{t} < {p}"
        yield d < drain, "GUNICORN_REQUEST_DEADLINE < GUNICORN_DRAIN_TIMEOUT", f"{d} < {drain}"
        yield drain < g, "GUNICORN_DRAIN_TIMEOUT < GUNICORN_GRACEFUL_TIMEOUT", f"{drain} < {g}"
        rule = "GUNICORN_STOP_DELAY + GUNICORN_GRACEFUL_TIMEOUT < GUNICORN_STOP_GRACE"
        yield self.stop_delay + g < grace, rule, f"{self.stop_delay} + {g} < {grace}"
        yield u < b, "PROXY_KEEPALIVE_TIMEOUT < GUNICORN_KEEPALIVE", f"{u} < {b}"
        yield u < drain, "PROXY_KEEPALIVE_TIMEOUT < GUNICORN_DRAIN_TIMEOUT", f"{u} < {drain}"
        if self.front_read_timeout is not None:
            rule = "2 * PROXY_CONNECT_TIMEOUT + PROXY_READ_TIMEOUT < FRONT_READ_TIMEOUT"  # nginx may connect twice
            yield 2 * c + p < self.front_read_timeout, rule, f"2 * {c} + {p} < {self.front_read_timeout}"
        if not self.hands_over:
            rule = f"2 * GUNICORN_REQUEST_DEADLINE + 5 <= GUNICORN_TIMEOUT (worker class {self.worker_class})"
            yield 2 * d + 5 <= t, rule, f"2 * {d} + 5 <= {t}"


def _first(override: int | None, computed: int) -> int:
    return computed if override is None else override


# ------------------------------------------------------------------------------------------------------- CPUs, cgroups
def _usable_cpus(sys_fs: Path = Path("/sys/fs/cgroup"), proc: Path = Path("/proc/self/cgroup")) -> int:
    """Whole CPUs that this process may use, at least 1: the tightest cgroup quota, capped by affinity, rounded up.

    ``os.cpu_count()`` is the machine, ``os.process_cpu_count()`` knows affinity only; neither knows a quota.
    https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu-interface-files
    """
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, ceil(min([*_quotas(sys_fs, proc), cpus])))


def _quotas(sys_fs: Path, proc: Path) -> Iterable[float]:
    """Yield the CPU quota of the own control group and of every ancestor, cgroup v2 or v1."""
    for line in _read(proc).splitlines():
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if controllers and "cpu" not in controllers.split(","):
            continue
        group = sys_fs / controllers
        if controllers and not group.is_dir():
            group = sys_fs / "cpu"
        parts = [part for part in path.split("/") if part not in ("", "..")]
        for depth in range(len(parts), -1, -1):
            here = group.joinpath(*parts[:depth])
            v1 = f"{_read(here / 'cpu.cfs_quota_us')} {_read(here / 'cpu.cfs_period_us')}"
            limit = re.fullmatch(r"([0-9]+) ([1-9][0-9]*)", v1 if controllers else _read(here / "cpu.max"))
            if limit:  # "max 100000" (v2) and "-1 100000" (v1) are no limit
                yield int(limit[1]) / int(limit[2])


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


# ------------------------------------------------------------------------------------------------------------- loading
def _known_variables() -> set[str]:
    own = {"GUNICORN_CMD_ARGS", "GUNICORN_PID", "GUNICORN_FD", "GUNICORN_DIRTY_SOCKET"}  # gunicorn's, not ours
    return own | {str(field.validation_alias) for field in ServerSettings.model_fields.values()}


def _unknown(names: Iterable[str]) -> list[str]:
    """One line for each PROXY_* or GUNICORN_* name that nothing reads, with the closest name that something does."""
    known = sorted(_known_variables())
    suspects = sorted({name for name in names if name.startswith(("PROXY_", "GUNICORN_"))} - set(known))
    closest = [difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0] for name in suspects]
    return [f"{name}: unknown variable; did you mean {near}?" for name, near in zip(suspects, closest, strict=True)]


def _lines(error: ValidationError) -> list[str]:
    """One line for each problem: the variable, its value, what is allowed."""
    fields = {str(field.validation_alias): field for field in ServerSettings.model_fields.values()}
    fields |= ServerSettings.model_fields
    lines: list[str] = []
    for problem in error.errors():
        if not problem["loc"]:
            lines += str(problem["ctx"]["error"]).splitlines()
            continue
        name = str(problem["loc"][0])
        bounds = [getattr(mark, side, None) for side in ("ge", "le") for mark in fields[name].metadata]
        low, high = (bound for bound in bounds if bound is not None) if any(bounds) else (None, None)
        allowed = _ALLOWED.get(name) or (f"a whole number from {low} to {high}" if high else problem["msg"])
        lines.append(f"{name}={problem['input']}: must be {allowed}")
    return lines


def _load() -> ServerSettings:
    """Read the settings, or leave with exit code 1 and every problem at once on standard error."""
    problems = _unknown([*os.environ, *dotenv_values(".env")])
    try:
        loaded = ServerSettings()
    except ValidationError as error:
        raise _refusal(problems + _lines(error)) from None
    missing = [name for name in ("gunicorn_handover", "gunicorn_arbiter") if importlib.util.find_spec(name) is None]
    if loaded.hands_over and missing:
        problems.append(
            f"{missing[0]}.py is missing: copy it beside gunicorn_conf.py, or install no502 "
            "(or choose another class with GUNICORN_WORKER_CLASS)"
        )
    if problems:
        raise _refusal(problems)
    return loaded


def _refusal(problems: list[str]) -> SystemExit:
    return SystemExit("\n".join(f"gunicorn_conf: {problem}" for problem in problems))


settings = _load()

# ------------------------------------------------------------------------- what gunicorn reads: its own setting names
bind = settings.bind
backlog = settings.backlog
workers = settings.workers
worker_class = settings.worker_class
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108  heartbeats must not wait for a disk
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
control_socket_disable = True  # it would be created below $HOME; gunicorn before 25.1 has none and ignores the name


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
        "leaving: drain %d < graceful %d < stop grace %d (%s)",
        *(effective.statement_timeout, effective.request_deadline, effective.timeout, effective.proxy_read_timeout),
        *(effective.proxy_keepalive_timeout, effective.keepalive),
        *(effective.drain_timeout, effective.graceful_timeout, effective.stop_grace, effective.worker_class),
    )
    exposed = [item for item in effective.bind if not re.match(r"unix:|fd:|127\.|localhost:|\[::1\]", item)]
    if exposed and "*" in effective.forwarded_allow_ips:
        server.log.warning("FORWARDED_ALLOW_IPS=* on %s: whoever reaches it can forge client addresses", exposed[0])
    if effective.hands_over:
        from gunicorn_handover import install  # noqa: PLC0415  uvicorn is not needed to compute the numbers

        install(server, stop_delay=effective.stop_delay, drain_timeout=effective.drain_timeout)
    else:
        server.log.warning(
            "%s loses requests when a worker leaves: %s does not; the request deadline is shortened to %d s for it",
            *(effective.worker_class, _HANDOVER, effective.request_deadline),
        )


def _effective(server: Arbiter) -> ServerSettings:
    """Hold what gunicorn really uses (flags and GUNICORN_CMD_ARGS win over this file) against the ladder."""
    used = {f"{name}_override": getattr(server.cfg, name) for name in ("timeout", "graceful_timeout", "keepalive")}
    computed = {name: getattr(settings, name.removesuffix("_override")) for name in used}
    changed = dict(used.items() - computed.items())
    changed["worker_class_override"] = server.cfg.worker_class_str
    try:
        return ServerSettings(**(settings.model_dump() | changed))
    except ValidationError as error:
        for line in _lines(error):
            server.log.error("gunicorn_conf: the command line breaks the ladder: %s", line)  # noqa: TRY400
        raise SystemExit(1) from None
