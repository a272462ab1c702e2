"""uvicorn's command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from no502.doctor.model import Address, Deployment, Fact, Origin, Source
from no502.doctor.readers.bind import parse_bind
from no502.doctor.readers.gunicorn_defaults import UVICORN, closest, gunicorn_options
from no502.doctor.readers.server_words import Place, note_problem, note_value, put, unknown

__all__ = ["read_uvicorn"]

_SWITCHES = {
    "--proxy-headers": ("proxy_headers", True),
    "--no-proxy-headers": ("proxy_headers", False),
    "--reload": ("reload", True),
    "--http2": ("http2", True),
}
_MEANT = {
    **dict.fromkeys(("-b", "--bind"), "--host and --port"),
    **dict.fromkeys(("-w", "--worker"), "--workers"),
    "--keep-alive": "--timeout-keep-alive",
    "--graceful-timeout": "--timeout-graceful-shutdown",
    "--max-requests": "--limit-max-requests",
    "--max-requests-jitter": "--limit-max-requests-jitter",
    "--certfile": "--ssl-certfile",
    "--keyfile": "--ssl-keyfile",
}
"""What options of gunicorn are called in uvicorn."""
_WITHOUT_HTTP2 = {"auto", "h11", "httptools"}
_TRUE = {"1", "true", "t", "yes", "y", "on"}


def read_uvicorn(
    words: Sequence[str], place: Place, environment: Mapping[str, str], deployment: Deployment
) -> dict[str, Fact[Any]]:
    """Return what a uvicorn command line sets, defaults included, by gunicorn's names for the same things."""
    default = Origin(file=place.origin.file, line=place.origin.line, source=Source.DEFAULT, note="uvicorn's default")
    found: dict[str, Fact[Any]] = {name: Fact(value, default) for name, value in UVICORN.values()}
    found |= {"proxy_headers": Fact(True, default), "reload": Fact(False, default)}
    found |= {"http": Fact("auto", default), "http2": Fact(False, default)}
    _variables(found, environment, place.origin)
    _words(found, words, place.origin, deployment, literal=place.literal)
    host, port, uds, fd = (found.pop(name) for name in ("host", "port", "uds", "fd"))
    found["bind"] = _bind(host, port, uds, fd)
    found |= _protocols(found.pop("http"), found.pop("http2"), deployment)
    if found["graceful_timeout"].value is None and found["graceful_timeout"].origin.source is Source.DEFAULT:
        del found["graceful_timeout"]  # without the option uvicorn waits for as long as it takes
    return found


def _variables(found: dict[str, Fact[Any]], environment: Mapping[str, str], origin: Origin) -> None:
    for flag, (name, _) in UVICORN.items():
        names = ["UVICORN_" + flag.removeprefix("--").upper().replace("-", "_")]
        names += {"workers": ["WEB_CONCURRENCY"], "forwarded_allow_ips": ["FORWARDED_ALLOW_IPS"]}.get(name, [])
        variable = next((one for one in names if environment.get(one)), None)
        if variable is not None:
            put(found, name, environment[variable], Origin(file=origin.file, line=origin.line, note=variable))
    for variable, name in (("UVICORN_HTTP", "http"), ("UVICORN_HTTP2", "http2")):
        if environment.get(variable):
            put(found, name, environment[variable], Origin(file=origin.file, line=origin.line, note=variable))
    if found["http2"].known and isinstance(found["http2"].value, str):
        found["http2"] = Fact(found["http2"].value.lower() in _TRUE, found["http2"].origin)


def _words(
    found: dict[str, Fact[Any]], words: Sequence[str], origin: Origin, deployment: Deployment, *, literal: bool
) -> None:
    index = 0
    while index < len(words):
        word = words[index]
        flag, equals, value = word.partition("=")
        index += 1
        if word.startswith("--") and " " in flag:
            flag, _, value = word.partition(" ")
            message = f"option and value are in one word, {word!r}, which is no option of uvicorn"
            note_problem(deployment, message, origin, f'Write two words: "{flag}", "{value}".')
            continue
        if flag in UVICORN:
            if not equals and index < len(words):
                value, index = words[index], index + 1
            name = UVICORN[flag][0]
            put(found, name, value, origin, literal=literal)
            note_value(name, flag, value, origin, deployment, literal=literal)
        elif flag == "--http":
            if not equals and index < len(words):
                value, index = words[index], index + 1
            put(found, "http", value, origin, literal=literal)
        elif flag in _SWITCHES and equals:
            put(found, _SWITCHES[flag][0], value, origin, literal=literal)
        elif flag in _SWITCHES:
            name, state = _SWITCHES[flag]
            found[name] = Fact(state, origin)
        elif flag.startswith("-"):
            _note_refused(flag, origin, deployment)


def _note_refused(flag: str, origin: Origin, deployment: Deployment) -> None:
    """Report an option that uvicorn does not have: one that is nearly another, or one of gunicorn's."""
    if flag in _known():
        return
    near = _MEANT.get(flag) or (closest(flag, dict(UVICORN)) if flag.startswith("--") else "")
    if near:
        note_problem(deployment, f"uvicorn has no option {flag}; did you mean {near}?", origin, f"Write {near}.")
    elif flag in gunicorn_options():
        message = f"uvicorn has no option {flag}, which is one of gunicorn's: uvicorn does not start"
        note_problem(deployment, message, origin, f"Remove {flag}, or start gunicorn.")


def _protocols(http: Fact[Any], http2: Fact[Any], deployment: Deployment) -> dict[str, Fact[Any]]:
    """Return which versions of HTTP it speaks, by gunicorn's names: with ``--http2`` HTTP/2 with and without TLS.

    https://uvicorn.dev/concepts/http2/
    """
    if not http2.known:
        return {"http_protocols": http2, "http2_cleartext": http2}
    if http2.value and http.known and http.value in _WITHOUT_HTTP2:
        message = f"--http2 needs --http zttp, and --http is {http.value}: uvicorn does not start"
        note_problem(deployment, message, http2.origin, "Write --http zttp, or leave --http2 out.")
    protocols, cleartext = ("h2,h1", "both") if http2.value else ("h1", "off")
    return {"http_protocols": Fact(protocols, http2.origin), "http2_cleartext": Fact(cleartext, http2.origin)}


def _bind(host: Fact[Any], port: Fact[Any], uds: Fact[Any], fd: Fact[Any]) -> Fact[Any]:
    if uds.value is not None:
        return Fact((Address(socket=str(uds.value)),), uds.origin)
    if fd.value is not None:
        return unknown(fd.origin, "--fd")
    for one in (port, host):
        if not one.known:
            return Fact(None, one.origin)
    origin = next((one.origin for one in (port, host) if one.origin.source is Source.WRITTEN), port.origin)
    return Fact(parse_bind([f"{host.value}:{port.value}"]), origin)


def _known() -> set[str]:
    from uvicorn.main import main

    return {option for parameter in main.params for option in (*parameter.opts, *parameter.secondary_opts)}
