"""Servers that a Python file starts itself: ``uvicorn.run(...)``, ``uvicorn.Config(...)`` for a ``Server``."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Mapping

from no502.doctor.model import Origin
from no502.doctor.readers.gunicorn_defaults import TLS, UVICORN, gunicorn_names, gunicorn_options
from no502.doctor.readers.python.conf import UNKNOWN, evaluate
from no502.doctor.readers.shell.commands import Command
from no502.doctor.readers.shell.expansion import OPEN

__all__ = ["read_python_start"]

_OPTIONS = {flag.removeprefix("--").replace("-", "_"): flag for flag in UVICORN}
_LONGEST = 40
"""Characters of an expression that stands for options."""
_BASE = re.compile(r"^[ \t]*+(?:from|import)[ \t]++gunicorn\.app\b", re.MULTILINE)
_FROM = re.compile(r"^[ \t]*+from[ \t]++uvicorn[ \t]++import[ \t]++([^\n]++)", re.MULTILINE)
_FLAGS = {
    "proxy_headers": ("--proxy-headers", "--no-proxy-headers"),
    "reload": ("--reload", ""),
    "http2": ("--http2", ""),
}


def read_python_start(text: str, shown: str, environment: Mapping[str, str]) -> list[tuple[Command, Origin]]:
    """Return a uvicorn for each ``uvicorn.run(...)`` or ``Config(...)``, its arguments as options; others stay open.

    Args:
        text: The file.
        shown: Its name for origins.
        environment: Variables that are known.
    """
    found: list[tuple[Command, Origin]] = []
    names = {alias for alias in _FROM.findall(text) for alias in re.findall(r"\b(run|Config)\b(?![ \t]+as\b)", alias)}
    for call, value in evaluate(text, environment, ast.Call, lambda node: _is_run(node, names)):
        words = [str(value(call.args[0]))] if call.args and value(call.args[0]) is not UNKNOWN else ["app"]
        spread = [ast.unparse(keyword.value) for keyword in call.keywords if keyword.arg is None]
        for keyword in call.keywords:
            name = keyword.arg or ""
            words += _words(name, _certificate(name, keyword.value, value(keyword.value)))
        words += [f"{OPEN}{{**{mapping[:_LONGEST]}}}" for mapping in spread[:1]]
        origin = Origin(file=shown, line=call.lineno)
        found.append((Command(program="uvicorn", words=tuple(words), environment=environment, literal=True), origin))
    return found + (_of_gunicorn(text, shown, environment) if _BASE.search(text) else [])


def _of_gunicorn(text: str, shown: str, environment: Mapping[str, str]) -> list[tuple[Command, Origin]]:
    """Return the gunicorn that a file starts as an application of its own, with a mapping of settings.

    https://gunicorn.org/custom/
    """
    flags = {name: flag for flag, (name, takes) in gunicorn_options().items() if takes and flag.startswith("--")}
    for options, value in evaluate(text, environment, ast.Dict, _is_settings):
        words = ["app:app"]
        for key, given in zip(options.keys, options.values, strict=True):
            name = key.value if isinstance(key, ast.Constant) else None
            if name in flags:
                known = _certificate(name, given, value(given))
                many = known if isinstance(known, list) else [known]
                for one in many if known is not None else ():
                    words += [flags[name], f"{OPEN}{{{name}}}" if one is UNKNOWN else str(one)]
        command = Command(program="gunicorn", words=tuple(words), environment=environment, literal=True)
        return [(command, Origin(file=shown, line=options.lineno))]
    return []


def _is_settings(node: ast.Dict) -> bool:
    """Whether a mapping holds gunicorn's settings."""
    keys = {key.value for key in node.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)}
    return bool(keys & {"bind", "workers", "worker_class"}) and keys <= gunicorn_names()


def _is_run(node: ast.Call, names: Collection[str]) -> bool:
    function = node.func
    if isinstance(function, ast.Name):
        return function.id in names
    return (
        isinstance(function, ast.Attribute)
        and function.attr in {"run", "Config"}
        and isinstance(function.value, ast.Name)
        and function.value.id == "uvicorn"
    )


def _certificate(name: object, given: ast.expr, known: object) -> object:
    """Return a value, or ``UNKNOWN`` for a certificate from a variable that has no value among the files."""
    certificate = str(name).removeprefix("ssl_") in TLS or name == "ssl_context_factory"
    return UNKNOWN if certificate and not known and not isinstance(given, ast.Constant) else known


def _words(name: str, value: object) -> list[str]:
    if name in _FLAGS:
        on, off = _FLAGS[name]
        if value is UNKNOWN:
            return [f"{on}={OPEN}{name}"]
        flag = on if value is True else off if value is False else ""
        return [flag] if flag else []
    name = "ssl_certfile" if name == "ssl_context_factory" else name
    if name == "http":
        return ["--http", value if isinstance(value, str) else f"{OPEN}http"]
    if name not in _OPTIONS or value is None:
        return []
    return [_OPTIONS[name], f"{OPEN}{name}" if value is UNKNOWN else str(value)]
