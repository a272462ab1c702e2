"""How long a proxy waits for a response and reuses an idle connection, where its file, options or variables say it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from no502.doctor.model import Fact, Origin, Proxy, Source
from no502.doctor.readers.durations import docker_seconds

__all__ = ["Times", "judged_by", "seconds_of", "times_of_options", "with_times"]

Times = tuple[Fact[float] | None, Fact[float] | None]
"""Seconds for a response, seconds of an idle connection; None where nothing sets one."""

_TRANSPORT = "serverstransport.forwardingtimeouts."
_FIELDS = ("responseheadertimeout", "idleconntimeout")
_VARIABLE = "TRAEFIK_SERVERSTRANSPORT_FORWARDINGTIMEOUTS_"


def times_of_options(name: str, words: Sequence[str], environment: Mapping[str, Fact[str]], origin: Origin) -> Times:
    """Return what the options and variables of a container set: Traefik takes all of its static configuration so.

    https://doc.traefik.io/traefik/reference/install-configuration/configuration-options/
    """
    if name != "traefik":
        return None, None
    given: dict[str, tuple[str, Origin]] = {
        key.removeprefix(_VARIABLE).lower(): (fact.value, fact.origin)
        for key, fact in environment.items()
        if key.upper().startswith(_VARIABLE) and fact.value
    }
    given |= {key: (value, origin) for key, value in _options(words)}
    read, idle = (seconds_of(name, *given[field]) if field in given else None for field in _FIELDS)
    return read, idle


def _options(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    for number, word in enumerate(words):
        flag, equals, value = word.partition("=")
        key = flag.lstrip("-").lower()
        if word.startswith("-") and key.startswith(_TRANSPORT):
            following = words[number + 1] if number + 1 < len(words) else ""
            yield key.removeprefix(_TRANSPORT), value if equals else following


def seconds_of(name: str, text: str, origin: Origin) -> Fact[float]:
    """Return a written time; unknown where it is no time, or Go's 0 for "no limit".

    Args:
        name: The proxy.
        text: The time as it is written.
        origin: Where.
    """
    text = text.strip("\"'")
    number: float | None
    if name == "caddy" and text == "off":
        number = 0.0
    elif name == "haproxy" and text.isdecimal():
        number = int(text) / 1000
    else:
        number = docker_seconds(text)
        if number == 0 and name in {"traefik", "envoy"}:
            number = None
    if number is None:
        return Fact(None, replace(origin, source=Source.UNKNOWN, note=f"{text[:40]} is no number of seconds"))
    return Fact(number, origin)


def with_times(proxy: Proxy, times: Times) -> Proxy:
    """Return a proxy with what is written instead of its defaults."""
    return replace(proxy, read=times[0] or proxy.read, idle=times[1] or proxy.idle)


def judged_by(proxy: Proxy) -> str:
    """Return by which times a proxy is compared, where not by those of its own files alone; empty for those."""
    sides: Mapping[str, Fact[float]] = {"response timeout": proxy.read, "idle timeout": proxy.idle}
    advice = "pass --front with the timeout in seconds"
    written = {name for name, fact in sides.items() if fact.origin.source is Source.WRITTEN}
    defaults = _which(sides, lambda fact: fact.origin.source is Source.DEFAULT and fact.value is not None)
    unknown = _which(sides, lambda fact: fact.value is None and not _without_limit(proxy, fact))
    if not written and not unknown and defaults:
        return f"checked with its default timeouts; if yours differ, {advice}"
    if not written and not defaults:
        return f"its timeouts are unknown; {advice} to compare them"
    said = [f"its {name} is unknown; {advice} to compare it" for name in unknown]
    said += [
        f"checked with its default {name} ({sides[name].value:g} s); if yours differs, {advice}" for name in defaults
    ]
    return "; ".join(said)


def _which(sides: Mapping[str, Fact[float]], test: Callable[[Fact[float]], bool]) -> list[str]:
    return [name for name, fact in sides.items() if test(fact)]


def _without_limit(proxy: Proxy, fact: Fact[float]) -> bool:
    """Whether a proxy whose defaults are known has no limit there by default."""
    return fact.origin.source is Source.DEFAULT and proxy.idle.value is not None and fact is proxy.read
