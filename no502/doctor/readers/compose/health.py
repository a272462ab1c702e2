"""Health checks of Compose services and of the images that they are built from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from no502.doctor.model import Fact, Healthcheck, Origin, Source
from no502.doctor.readers.dockerfile import Image
from no502.doctor.readers.durations import docker_seconds
from no502.doctor.readers.server_words import unknown
from no502.doctor.readers.yaml_nodes import Node

__all__ = ["image_health", "read_health"]

_DEFAULTS = {"interval": 30.0, "timeout": 30.0, "start_period": 0.0}
"""Seconds. https://docs.docker.com/reference/dockerfile/#healthcheck"""
_RETRIES = 3


def read_health(
    node: Node | None,
    image: Image | None,
    fill: Callable[[Node], Fact[str]],
    words_of: Callable[[Node | None], tuple[str, ...] | None],
) -> tuple[Healthcheck, ...]:
    """Return a service's health check, its image's where it has none, nothing where it is switched off.

    Args:
        node: What stands below ``healthcheck``.
        image: What the service is built from.
        fill: Fills variables in.
        words_of: Reads a command.
    """
    inherited = image_health(image)
    if node is None:
        return inherited
    disable, test, retries = (node.get(name) for name in ("disable", "test", "retries"))
    if disable is not None and disable.text == "true":
        return ()
    origin = Origin(file=node.file, line=node.line)
    words = words_of(test) if test is not None else None
    if words is None and inherited:
        words = inherited[0].test.value
    if words is None or words[:1] == ("NONE",):
        return ()
    if test is not None and test.text is not None:
        words = ("CMD-SHELL", test.text)
    times: dict[str, Any] = {
        name: _duration(node.get(name), default, fill, origin) for name, default in _DEFAULTS.items()
    }
    given = (retries.text or "") if retries is not None else ""
    count = Fact(int(given) if given.isdecimal() else _RETRIES, origin)
    return (Healthcheck(kind="healthcheck", origin=origin, test=Fact(words, origin), retries=count, **times),)


def _duration(written: Node | None, default: float, fill: Callable[[Node], Fact[str]], origin: Origin) -> Fact[float]:
    if written is None or written.text is None:
        note = "Docker's default"
        return Fact(default, Origin(file=origin.file, line=origin.line, source=Source.DEFAULT, note=note))
    fact = fill(written)
    seconds = docker_seconds(fact.value or "") if fact.known else None
    return Fact(seconds, fact.origin) if seconds is not None else unknown(fact.origin, "not a duration")


def image_health(image: Image | None) -> tuple[Healthcheck, ...]:
    """Return the health check of a Dockerfile."""
    if image is None or image.healthcheck is None:
        return ()
    line, options, words = image.healthcheck
    origin = Origin(file=image.cmd.file if image.cmd else "Dockerfile", line=line)
    times: dict[str, Any] = {}
    for name, default in _DEFAULTS.items():
        text = options.get(name.replace("_", "-"))
        seconds = docker_seconds(text) if text else default
        times[name] = Fact(seconds, origin) if seconds is not None else unknown(origin, "not a duration")
    retries = options.get("retries", "3")
    count = Fact(int(retries) if retries.isdecimal() else None, origin)
    return (Healthcheck(kind="healthcheck", origin=origin, test=Fact(words, origin), retries=count, **times),)
