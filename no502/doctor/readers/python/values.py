"""Values of Python expressions, worked out and not run: constants, look-ups in the environment, plain functions."""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["FAILURES", "UNKNOWN", "Function", "Namespace", "Unknown", "Values"]

_LONGEST = 400_000
_DEEPEST = 12


class Unknown(Exception):  # noqa: N818  control flow between the modules that read Python
    """A value that only running the file would tell."""


UNKNOWN = Unknown
"""Stands for a value that only running the file would tell."""

FAILURES = (Unknown, ArithmeticError, TypeError, ValueError, LookupError, AttributeError, RecursionError)
"""What working out a value may raise."""


def _times(one: Any, other: Any) -> Any:
    if not isinstance(one, (int, float)) or not isinstance(other, (int, float)):
        raise Unknown
    return one * other


def _modulo(one: Any, other: Any) -> Any:
    if not isinstance(one, str):
        return one % other
    parts = tuple(other) if isinstance(other, list) else other
    if any(char in one for char in "*") or any(part.lstrip("-")[:1].isdecimal() for part in one.split("%")[1:]):
        raise Unknown  # a width may be a billion
    return one % parts


_OPERATORS: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: _times,
    ast.FloorDiv: operator.floordiv,
    ast.Div: operator.truediv,
    ast.Mod: _modulo,
}
_COMPARISONS: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda one, other: one in other,
    ast.NotIn: lambda one, other: one not in other,
    ast.Is: lambda one, other: one is other,
    ast.IsNot: lambda one, other: one is not other,
}
_BUILT_IN: Mapping[str, Callable[..., Any]] = {
    **{one.__name__: one for one in (int, str, float, bool, max, min, abs, round, len, sum, list, dict)},
    "tuple": list,
    "math.ceil": math.ceil,
    "math.floor": math.floor,
    "ceil": math.ceil,
    "floor": math.floor,
}
_OF_TEXT = {"strip", "lstrip", "rstrip", "lower", "upper", "split", "join", "replace", "removeprefix", "removesuffix"}
_PLAIN_FIELDS = re.compile(r"(?:[^{}]|\{\d?\})*+")
"""A text for ``format`` without widths and attributes."""
_LOOKUPS = {"os.getenv", "getenv", "os.environ.get", "environ.get"}
_ENVIRONMENTS = {"os.environ", "environ"}
_READERS = {"decouple", "environ", "environs", "starlette.config"}
"""Packages whose objects read the environment: ``config("NAME", default=...)``, ``env.int("NAME", 8)``."""


def _method(owner: Any, name: str, values: Sequence[Any]) -> Any:
    """Return what a method of a text or a mapping returns."""
    if isinstance(owner, dict) and name == "get":
        return owner.get(*values)
    if isinstance(owner, str) and name == "format" and _PLAIN_FIELDS.fullmatch(owner):
        return owner.format(*values)
    if isinstance(owner, str) and name in _OF_TEXT:
        return getattr(owner, name)(*values)
    raise Unknown


@dataclass(frozen=True)
class Function:
    """A function of the file: names of its parameters, their defaults, and what it does."""

    parameters: Sequence[str]
    defaults: Mapping[str, ast.expr]
    body: Sequence[ast.stmt]


@dataclass(frozen=True)
class Namespace:
    """A class of the file, or an object of it: its attributes."""

    names: Mapping[str, Any]


@dataclass
class Values:
    """What the names of a file are, as far as its text tells."""

    environment: Mapping[str, str]
    names: dict[str, Any] = field(default_factory=dict)
    readers: set[str] = field(default_factory=set)
    """Names that read the environment: objects of decouple, environs and their like."""
    depth: int = 0

    def of(self, node: ast.expr) -> Any:  # noqa: C901, PLR0911, PLR0912  one case for each kind of expression
        """Return the value of an expression.

        Raises:
            Unknown: Only running the file would tell; the other ``FAILURES`` mean the same.
        """
        match node:
            case ast.Constant():
                return node.value
            case ast.Name():
                return self._known(self.names.get(node.id, UNKNOWN))
            case ast.List() | ast.Tuple() | ast.Set():
                return [self.of(item) for item in node.elts]
            case ast.Dict():
                return {self.of(key): self.of(item) for key, item in self._pairs(node)}
            case ast.UnaryOp(op=ast.USub()):
                return -self.of(node.operand)
            case ast.UnaryOp(op=ast.Not()):
                return not self.of(node.operand)
            case ast.BinOp() if type(node.op) in _OPERATORS:
                return self._bounded(_OPERATORS[type(node.op)](self.of(node.left), self.of(node.right)))
            case ast.BoolOp():
                return self._boolean(node)
            case ast.Compare(ops=[operation], comparators=[other]):
                if isinstance(operation, (ast.In, ast.NotIn)) and ast.unparse(other) in _ENVIRONMENTS:
                    return (self.of(node.left) in self.environment) == isinstance(operation, ast.In)
                return _COMPARISONS[type(operation)](self.of(node.left), self.of(other))
            case ast.IfExp():
                return self.of(node.body if self.of(node.test) else node.orelse)
            case ast.JoinedStr():
                return self._bounded("".join(self._piece(piece) for piece in node.values))
            case ast.Attribute():
                return self._attribute(node)
            case ast.Subscript() if ast.unparse(node.value) in _ENVIRONMENTS:
                return self.environment[str(self.of(node.slice))]
            case ast.Subscript():
                return self.of(node.value)[self.of(node.slice)]
            case ast.Call():
                return self._bounded(self._call(node))
            case _:
                raise Unknown

    def _known(self, value: Any) -> Any:
        if value is UNKNOWN:
            raise Unknown
        return value

    def _bounded(self, value: Any) -> Any:
        if isinstance(value, (str, list)) and len(value) > _LONGEST:
            raise Unknown
        return value

    def _pairs(self, node: ast.Dict) -> Sequence[tuple[ast.expr, ast.expr]]:
        if any(key is None for key in node.keys):
            raise Unknown
        return [(key, item) for key, item in zip(node.keys, node.values, strict=True) if key is not None]

    def _boolean(self, node: ast.BoolOp) -> Any:
        value: Any = None
        for item in node.values:
            value = self._unset(item) if item is not node.values[-1] else self.of(item)
            if bool(value) == isinstance(node.op, ast.Or):
                return value
        return value

    def _unset(self, node: ast.expr) -> Any:
        """Return the value of an expression; a variable without a value among the files is None, as its default is."""
        bare = isinstance(node, ast.Call) and ast.unparse(node.func) in _LOOKUPS and len(node.args) == 1
        if bare and isinstance(node, ast.Call) and not node.keywords:
            return self.environment.get(str(self.of(node.args[0])))
        return self.of(node)

    def _piece(self, piece: ast.expr) -> str:
        if isinstance(piece, ast.FormattedValue) and piece.format_spec is None:
            return str(self.of(piece.value))
        return str(self.of(piece))

    def _attribute(self, node: ast.Attribute) -> Any:
        owner = self.of(node.value)
        if isinstance(owner, Namespace):
            return self._known(owner.names.get(node.attr, UNKNOWN))
        raise Unknown

    def _call(self, node: ast.Call) -> Any:
        function, name = node.func, ast.unparse(node.func)
        if any(isinstance(item, ast.Starred) for item in node.args):
            raise Unknown
        if name in _LOOKUPS or name.split(".")[0] in self.readers:
            return self._looked_up(node)
        if name in _BUILT_IN and name not in self.names:
            named = {one.arg: self.of(one.value) for one in node.keywords if one.arg is not None}
            return _BUILT_IN[name](*(self.of(one) for one in node.args), **named)
        if isinstance(function, ast.Name):
            called = self.names.get(function.id)
            if isinstance(called, Function):
                return self._called(called, node)
            if isinstance(called, Namespace) and not node.args and not node.keywords:
                return called
        if isinstance(function, ast.Attribute) and not node.keywords:
            return _method(self.of(function.value), function.attr, [self.of(one) for one in node.args])
        raise Unknown

    def _called(self, called: Function, node: ast.Call) -> Any:
        """Return what a function of plain assignments returns."""
        if self.depth >= _DEEPEST:
            raise Unknown
        given = dict(zip(called.parameters, (self.of(one) for one in node.args), strict=False))
        given |= {one.arg: self.of(one.value) for one in node.keywords if one.arg is not None}
        given = {name: self.of(default) for name, default in called.defaults.items() if name not in given} | given
        inside = Values(self.environment, {**self.names, **given}, self.readers, self.depth + 1)
        for statement in called.body:
            match statement:
                case ast.Return(value=ast.expr() as value):
                    return inside.of(value)
                case ast.Assign(targets=[ast.Name(id=name)]):
                    inside.names[name] = inside.of(statement.value)
                case ast.Expr(value=ast.Constant()):
                    continue
                case _:
                    raise Unknown
        return None

    def _looked_up(self, node: ast.Call) -> Any:
        """Return a variable, else the default that the call gives."""
        key = str(self.of(node.args[0]))
        default = node.args[1] if len(node.args) > 1 else None
        named = {one.arg: one.value for one in node.keywords}
        default = named.get("default", default)
        if key in self.environment:
            value: Any = self.environment[key]
        elif default is None:
            raise Unknown
        else:
            value = self.of(default)
        cast = ast.unparse(named["cast"]) if "cast" in named else ast.unparse(node.func).rpartition(".")[2]
        return {"int": int, "float": float}[cast](value) if cast in {"int", "float"} else value

    def imported(self, module: str, name: str) -> None:
        """Take note of a name that an import brings in."""
        if module in _READERS:
            self.readers.add(name)

    def reads(self, node: ast.expr) -> bool:
        """Whether an expression makes an object that reads the environment: ``Env()``, ``Config(".env")``."""
        return (
            isinstance(node, ast.Call)
            and ast.unparse(node.func).split(".")[0] in self.readers
            and (not node.args or ast.unparse(node.func).rpartition(".")[2] in {"Env", "Config", "AutoConfig"})
        )
