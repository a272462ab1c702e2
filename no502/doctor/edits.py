"""Edits that several rules propose: a setting of gunicorn or uvicorn, a number on its line."""

from __future__ import annotations

import re

from no502.doctor.facts import is_computed
from no502.doctor.finding import Edit
from no502.doctor.model import AppServer, Fact, Origin, Source

__all__ = ["replace_number", "set_option", "substitute"]


_BY_VARIABLE = frozenset({"keepalive", "timeout", "graceful_timeout", "max_requests", "max_requests_jitter"})
"""What gunicorn_conf computes from variables: an option would take its part of the ladder out."""


def substitute(origin: Origin, *substitutions: tuple[str, str], within: int = 1) -> tuple[Edit, ...]:
    """Propose the first of these substitutions that matches on the line of ``origin``: none without a line."""
    if origin.line is None:
        return ()
    return (Edit(file=origin.file, line=origin.line, substitutions=substitutions, within=within),)


def replace_number(origin: Origin, new: str, *, after: str = "") -> tuple[Edit, ...]:
    """Propose another number on the line of ``origin``: the first one behind the regular expression ``after``."""
    if origin.source is not Source.WRITTEN:
        return ()
    pattern = rf"((?:{after})[\s=:\"',]*)[0-9][0-9.]*(?:m?s|m|h)?"
    return substitute(origin, (pattern, rf"\g<1>{new}"), within=12)


def set_option(server: AppServer, setting: str, flag: str, new: str) -> tuple[Edit, ...]:
    """Propose a value for a setting: where it is written, else in the configuration file, else on the command line."""
    fact: Fact[object] | None = server.settings.fact(setting)
    if setting in _BY_VARIABLE and is_computed(fact):
        return ()  # variables decide it
    if fact is not None and fact.origin.source is Source.WRITTEN and fact.origin.line is not None:
        name = setting if fact.origin.file.endswith(".py") else re.escape(flag)
        return replace_number(fact.origin, new, after=rf"(?:{name}|{setting})")
    if server.conf_file is not None and server.conf_file.known and str(server.conf_file.value).endswith(".py"):
        place = _conf_path(server)
        if place is not None:
            return (Edit(file=place, line=None, insert=f"{setting} = {new}"),)
    if server.origin.file.endswith(".py"):
        return (Edit(file=server.origin.file, line=None, insert=f"{setting} = {new}"),)
    program = server.program
    return substitute(
        server.origin,
        (rf"([\"']){program}\1,", rf'\1{program}\1, "{flag}", "{new}",'),
        (rf"^(\s*- ){program}\s*$", rf'\g<1>{program}\n\g<1>{flag}\n\g<1>"{new}"'),
        (rf"\b{program}(?=\s)(?! *[:=])", f"{program} {flag} {new}"),
        within=12,
    )


def _conf_path(server: AppServer) -> str | None:
    """Return the configuration file as a path of this deployment: some setting must come from it."""
    name = str(server.conf_file.value).removeprefix("file:") if server.conf_file else ""
    base = name.rsplit("/", 1)[-1]
    for fact in server.settings.named().values():
        if fact.origin.file.rsplit("/", 1)[-1] == base:
            return fact.origin.file
    return None
