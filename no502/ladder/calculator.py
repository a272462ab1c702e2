"""The ladder as data for a web page: the declared formulas as trees, which JavaScript evaluates as Python does.

There is no second implementation of a formula: the page has the rungs and rules of ``gunicorn_conf`` and evaluates
these trees. A tree is a number, ``true``, ``null``, or a list: an operator and its operands.
"""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

from gunicorn_conf import GROUPS, RULES, RUNGS
from no502.ladder.fronts import CLIENT_IDLE, FRONTS, client_keepalive
from no502.ladder.proxies import Proxy, template_of
from no502.ladder.uvicorn_flags import FLAGS

__all__ = ["SERVERS", "javascript", "tree"]

SERVERS: dict[str, dict[str, Any]] = {
    "no502": {
        "hands_over": True,
        "service_type": "notify",
        "reload": "# New workers first; the old ones drain.\nExecReload=/bin/kill -HUP $MAINPID",
        "reads": None,
    },
    "gunicorn": {
        "hands_over": False,
        "service_type": "notify",
        "reload": "ExecReload=/bin/kill -HUP $MAINPID",
        "reads": ["WEB_CONCURRENCY"],
    },
    "uvicorn": {"hands_over": True, "service_type": "exec", "reload": "", "reads": ["WEB_CONCURRENCY"]},
}
"""What runs the application: whether its heartbeat goes on while a worker drains (as `no502 explain` assumes for
uvicorn, which has none of gunicorn's arbiter), what systemd can do with it, and the variables it reads (None: all)."""

_ALWAYS = ("proxy_read_timeout", "proxy_keepalive_timeout", "stop_delay", "workers")
"""Rungs whose variables a deployment states, also at their defaults."""

_OPERATORS: dict[type[ast.AST], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.FloorDiv: "//",
    ast.Pow: "**",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.GtE: ">=",
    ast.And: "and",
    ast.Or: "or",
    ast.Not: "not",
    ast.IsNot: "is not",
}


def tree(formula: str) -> Any:
    """Return a formula as nested lists, such as ``["//", ["*", ["name", "P"], 2], 3]`` for ``P * 2 // 3``.

    Raises:
        ValueError: the formula has something in it that the page could not evaluate.
    """
    return _tree(ast.parse(formula, mode="eval").body)


def _tree(node: ast.expr) -> Any:  # noqa: PLR0911  JSON; one line for each kind of node
    match node:
        case ast.Constant(value=bool() | int() | None as value):
            return value
        case ast.Name(id=name):
            return ["name", name]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return [_OPERATORS[type(op)], _tree(left), _tree(right)]
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _OPERATORS:
            return [_OPERATORS[type(op)], _tree(left), _tree(right)]
        case ast.BoolOp(op=op, values=[left, right]):
            return [_OPERATORS[type(op)], _tree(left), _tree(right)]
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return ["not", _tree(operand)]
        case ast.IfExp(test=test, body=body, orelse=other):
            return ["if", _tree(test), _tree(body), _tree(other)]
        case ast.Call(func=ast.Name(id="min" | "max" as name), args=arguments, keywords=[]):
            return [name, *map(_tree, arguments)]
    message = f"{ast.unparse(node)}: the calculator cannot evaluate this"
    raise ValueError(message)


def _data() -> dict[str, Any]:
    rungs = [
        {
            "name": rung.name,
            "symbol": rung.symbol,
            "variable": rung.variable,
            "unit": rung.unit,
            "group": rung.group,
            "enforced_by": rung.enforced_by,
            "why": rung.why,
            "formula": rung.formula,
            "tree": None if rung.formula is None else tree(rung.formula),
            "default": rung.default,
            "low": rung.low,
            "high": rung.high,
        }
        for rung in RUNGS
    ]
    rules = [
        {"text": rule.holds, "note": rule.note, "holds": tree(rule.holds), "only_if": tree(rule.only_if)}
        for rule in RULES
    ]
    deployments = (Path(__file__).parent / "deployment_files").iterdir()
    return {
        "groups": dict(GROUPS),
        "rungs": rungs,
        "rules": rules,
        "proxies": {str(proxy): template_of(proxy) for proxy in Proxy},
        "fronts": {
            name: {"read": vendor.read, "idle": vendor.idle, "keepalive": client_keepalive(vendor)}
            for name, vendor in sorted(FRONTS.items())
        },
        "client_idle": CLIENT_IDLE,
        "servers": SERVERS,
        "always": _ALWAYS,
        "uvicorn": dict(FLAGS),
        "deployments": {file.name: file.read_text(encoding="utf-8") for file in sorted(deployments)},
    }


def javascript() -> str:
    """Return the data as a script that sets ``window.no502Ladder``; a page from a folder cannot fetch JSON."""
    return f"// Written by make docs.\nwindow.no502Ladder = {json.dumps(_data(), indent=1)};\n"
