"""This project's own configuration, as far as the variables among the files decide it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from no502.doctor.facts import COMPUTED
from no502.doctor.model import Fact, Origin, Source
from no502.ladder.settings import is_ours, values_from

__all__ = ["ladder_settings", "trust"]

_RUNGS = ("timeout", "graceful_timeout", "keepalive", "max_requests", "max_requests_jitter")


def ladder_settings(environment: Mapping[str, str], origin: Origin) -> dict[str, Fact[Any]]:
    """Return the settings that ``gunicorn_conf`` computes from these variables.

    The number of workers depends on the machine and is not known. Variables that it would refuse leave all unknown.
    """
    given = {name: value for name, value in environment.items() if is_ours(name)}
    rungs = _computed(given)
    if rungs is None:
        note = "gunicorn_conf refuses these variables"
        unknown = Origin(file=origin.file, line=origin.line, source=Source.UNKNOWN, note=note)
        return {name: Fact(None, unknown) for name in (*_RUNGS, "worker_class")}
    origin = Origin(file=origin.file, line=origin.line, note=COMPUTED)
    found: dict[str, Fact[Any]] = {name: Fact(rungs[name], origin) for name in _RUNGS}
    found["worker_class"] = Fact(rungs["worker_class"], origin)
    note = "one for each CPU that the process may use"
    workers = Origin(file=origin.file, line=origin.line, source=Source.UNKNOWN, note=note)
    given_workers = environment.get("WEB_CONCURRENCY", "")
    found["workers"] = Fact(int(given_workers), origin) if given_workers.isdecimal() else Fact(None, workers)
    port = environment.get("PORT")
    bind = environment.get("GUNICORN_BIND") or (f"0.0.0.0:{port}" if port else "127.0.0.1:8000")
    found["bind"] = Fact(tuple(bind.split(",")), origin)
    trusted = environment.get("FORWARDED_ALLOW_IPS")
    given_trust = Origin(file=origin.file, line=origin.line, note="FORWARDED_ALLOW_IPS")
    found["forwarded_allow_ips"] = Fact(trusted, given_trust) if trusted else Fact(_trusted(bind.split(",")), origin)
    return found


def trust(settings: dict[str, Fact[Any]]) -> None:
    """Have the ladder trust the peers of the addresses in force: ``--bind`` wins, and gunicorn_conf looks at it."""
    peers, bind = settings.get("forwarded_allow_ips"), settings.get("bind")
    if peers is not None and peers.origin.note == COMPUTED and bind is not None and bind.known:
        settings["forwarded_allow_ips"] = Fact(_trusted([str(one) for one in bind.value or ()]), peers.origin)


def _trusted(addresses: Sequence[str]) -> str:
    """Return whose X-Forwarded-* headers count by themselves: see ``gunicorn_conf.trusted_peers``."""
    return "*" if all(address.startswith("unix:") for address in addresses) else "127.0.0.1,::1"


def _computed(variables: Mapping[str, str]) -> Mapping[str, Any] | None:
    from gunicorn_conf import LadderError

    try:
        return values_from(variables)
    except LadderError:
        return None
