"""Servers that a Python file starts itself: ``uvicorn.run(...)``."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from no502.doctor.model import Origin
from no502.doctor.readers.gunicorn_defaults import UVICORN
from no502.doctor.readers.python_conf import UNKNOWN, evaluate
from no502.doctor.readers.shell.commands import Command
from no502.doctor.readers.shell.expansion import OPEN

__all__ = ["read_python_start"]

_OPTIONS = {flag.removeprefix("--").replace("-", "_"): flag for flag in UVICORN}
_FLAGS = {"proxy_headers": ("--proxy-headers", "--no-proxy-headers"), "reload": ("--reload", "")}


def read_python_start(text: str, shown: str, environment: Mapping[str, str]) -> list[tuple[Command, Origin]]:
    """Return a uvicorn for each ``uvicorn.run(...)``, its arguments as options; what is not known stays open.

    Args:
        text: The file.
        shown: Its name for origins.
        environment: Variables that are known.
    """
    found: list[tuple[Command, Origin]] = []
    for call, value in evaluate(text, environment, _is_run):
        words = [str(value(call.args[0]))] if call.args and value(call.args[0]) is not UNKNOWN else ["app"]
        spread = False
        for keyword in call.keywords:
            spread = spread or keyword.arg is None
            words += _words(keyword.arg or "", value(keyword.value))
        if spread:
            words += [OPEN + "@"]
        origin = Origin(file=shown, line=call.lineno)
        found.append((Command(program="uvicorn", words=tuple(words), environment=environment, literal=True), origin))
    return found


def _is_run(node: ast.Call) -> bool:
    function = node.func
    return (
        isinstance(function, ast.Attribute)
        and function.attr == "run"
        and isinstance(function.value, ast.Name)
        and function.value.id == "uvicorn"
    )


def _words(name: str, value: object) -> list[str]:
    if name in _FLAGS:
        on, off = _FLAGS[name]
        flag = on if value is True else off if value is False else ""
        return [flag] if flag else []
    if name not in _OPTIONS or value is None:
        return []
    return [_OPTIONS[name], f"{OPEN}{name}" if value is UNKNOWN else str(value)]
