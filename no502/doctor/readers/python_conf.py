"""A gunicorn configuration file, read and not run: constants, environment look-ups and arithmetic on them."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from no502.doctor.model import Fact, Origin, Problem, Source
from no502.doctor.readers.gunicorn_defaults import closest, convert, gunicorn_names

__all__ = ["UNKNOWN", "PythonConf", "evaluate", "read_python_conf"]

_LONGEST = 400_000
_OPERATORS: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b if isinstance(a, (int, float)) and isinstance(b, (int, float)) else None,
    ast.FloorDiv: lambda a, b: a // b,
    ast.Div: lambda a, b: a / b,
}
_LOOKUPS = {"getenv", "get"}
_ORDINARY = {"logger", "logging", "log", "app", "host", "port", "env", "debug", "name", "path"}


_MEANT = {
    "preload": "preload_app",
    "log_level": "loglevel",
    "access_log": "accesslog",
    "error_log": "errorlog",
    "log_file": "errorlog",
    "keep_alive": "keepalive",
    "max_request": "max_requests",
    "worker_type": "worker_class",
    "bind_address": "bind",
    "num_workers": "workers",
}
"""What names that gunicorn does not have were meant to be, where that is not the most similar one."""
_RISKY = {"reload", "daemon", "spew", "check_config", "dirty_workers"}
"""Settings that are never proposed for a name that is only similar."""


class _Unknown(Exception):  # noqa: N818  control flow inside this module
    """A value that only running the file would tell."""


UNKNOWN = _Unknown
"""Stands for a value that only running the file would tell."""


@dataclass
class PythonConf:
    """What a configuration file sets."""

    settings: dict[str, Fact[Any]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    imports_ladder: bool = False
    """It takes everything from ``gunicorn_conf``, this project's own."""


def read_python_conf(text: str, shown: str, environment: Mapping[str, str], *, before: int = 0) -> PythonConf:
    """Read a configuration file.

    Args:
        text: Its text.
        shown: Its name for origins.
        environment: Variables that are known.
        before: Lines of the file around it that stand before the text.
    """
    result = PythonConf()
    if len(text) > _LONGEST:
        result.problems.append(
            Problem(rule="C003", message="too long to be a configuration", origin=Origin(file=shown))
        )
        return result
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None)
        message = f"gunicorn cannot load it: {getattr(error, 'msg', None) or 'not Python'}"
        result.problems.append(Problem(rule="C003", message=message, origin=Origin(file=shown, line=line)))
        return result
    if before:
        ast.increment_lineno(tree, before)
    walk = _Walk(shown, environment, result)
    walk.uses(tree)
    walk.body(tree.body, conditional="")
    result.imports_ladder = any(_is_ladder(node) for node in ast.walk(tree))
    return result


def evaluate(
    text: str, environment: Mapping[str, str], wanted: Callable[[ast.Call], bool]
) -> Iterator[tuple[ast.Call, Callable[[ast.expr], Any]]]:
    """Yield the calls of a file that are wanted, each with a function that gives the value of an expression there.

    Args:
        text: The file.
        environment: Variables that are known.
        wanted: Tells which calls.
    """
    if len(text) > _LONGEST:
        return
    try:
        tree = ast.parse(text)
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and wanted(node)]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    walk = _Walk("", environment, PythonConf())
    if calls:
        walk.body(tree.body, conditional="")
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                walk.body(node.body, conditional="")
    for call in calls:
        yield call, walk.value_or_unknown


def _is_ladder(node: ast.AST) -> bool:
    """Whether a node brings in ``gunicorn_conf``: an import, or its name given to importlib."""
    if isinstance(node, ast.ImportFrom):
        return (node.module or "").rsplit(".", 1)[-1] == "gunicorn_conf"
    if isinstance(node, ast.Import):
        return any(alias.name == "gunicorn_conf" for alias in node.names)
    return isinstance(node, ast.Call) and ast.unparse(node) == "importlib.import_module('gunicorn_conf')"


class _Walk:
    """Goes through the statements in order, as Python would."""

    def __init__(self, shown: str, environment: Mapping[str, str], result: PythonConf) -> None:
        self._shown, self._environment, self._result = shown, environment, result
        self._names: dict[str, Any] = {}
        self._used: set[str] = set()
        """Names that the file reads itself."""

    def uses(self, tree: ast.AST) -> None:
        """Take note of the names that are read."""
        self._used = {one.id for one in ast.walk(tree) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Load)}

    def body(self, statements: list[ast.stmt], *, conditional: str) -> None:
        for one in statements:
            if isinstance(one, ast.Assign):
                for target in one.targets:
                    self._assign(target, one.value, conditional)
            elif isinstance(one, ast.AnnAssign) and one.value is not None:
                self._assign(one.target, one.value, conditional)
            elif isinstance(one, ast.If):
                self.body(one.body, conditional="inside an if")
                self.body(one.orelse, conditional="inside an if")
            elif isinstance(one, (ast.Try, ast.With)):
                self.body(one.body, conditional=conditional)
            elif isinstance(one, ast.For):
                self.body(one.body, conditional="inside a loop")
            elif isinstance(one, ast.AugAssign) and isinstance(one.target, ast.Name):
                self._assign(one.target, ast.BinOp(ast.Name(one.target.id), one.op, one.value), conditional)

    def value_or_unknown(self, node: ast.expr) -> Any:  # noqa: ANN401
        """Return the value of an expression, or ``UNKNOWN``."""
        try:
            return self._value(node)
        except (_Unknown, ArithmeticError, TypeError, ValueError, RecursionError):
            return UNKNOWN

    def _assign(self, target: ast.expr, expression: ast.expr, conditional: str) -> None:
        if isinstance(target, ast.Tuple) and isinstance(expression, ast.Tuple):
            for one, part in zip(target.elts, expression.elts, strict=False):
                self._assign(one, part, conditional)
            return
        if not isinstance(target, ast.Name):
            return
        value, why = None, conditional
        try:
            value = None if conditional else self._value(expression)
            known = not conditional
        except (_Unknown, ArithmeticError, TypeError, ValueError, RecursionError):
            known, why = False, _reason(expression)
        self._names[target.id] = value if known else _Unknown
        origin = Origin(file=self._shown, line=target.lineno)
        if target.id in gunicorn_names():
            self._set(target.id, value, origin, "" if known else why)
        elif isinstance(expression, (ast.Constant, ast.Call, ast.BinOp, ast.UnaryOp)):
            self._misspelt(target.id, origin)

    def _set(self, name: str, value: Any, origin: Origin, why: str) -> None:  # noqa: ANN401
        if value is None and not why:
            return  # None means gunicorn's default
        converted = None if why else convert(name, value)
        if converted is not None:
            self._result.settings[name] = Fact(_shape(name, converted), origin)
            return
        note = why or f"not a value of {name}"
        unknown = Origin(file=origin.file, line=origin.line, source=Source.UNKNOWN, note=note)
        self._result.settings[name] = Fact(None, unknown)

    def _misspelt(self, name: str, origin: Origin) -> None:
        if name.startswith("_") or name.lower() in _ORDINARY or name.isupper():
            return
        if name in self._used:
            return  # a variable of the file's own
        near = _MEANT.get(name.lower()) or closest(name.lower(), gunicorn_names())
        if near in _RISKY:
            return
        if near and near not in self._result.settings and near != name:
            self._result.problems.append(
                Problem(
                    rule="C004",
                    message=f"gunicorn has no setting {name!r} and ignores it silently; did you mean {near}?",
                    origin=origin,
                    fix=f"Write {near}.",
                )
            )

    def _value(self, node: ast.expr) -> Any:  # noqa: ANN401, C901, PLR0911  one case for each kind of expression
        match node:
            case ast.Constant():
                return node.value
            case ast.Name():
                value = self._names.get(node.id, _Unknown)
                if value is _Unknown:
                    raise _Unknown
                return value
            case ast.List() | ast.Tuple():
                return [self._value(item) for item in node.elts]
            case ast.UnaryOp(op=ast.USub()):
                return -self._value(node.operand)
            case ast.BinOp() if type(node.op) in _OPERATORS:
                value = _OPERATORS[type(node.op)](self._value(node.left), self._value(node.right))
                if isinstance(value, str) and len(value) > _LONGEST:
                    raise _Unknown
                return value
            case ast.BoolOp(op=ast.Or()):
                values = [self._value(item) for item in node.values]
                return next((value for value in values if value), values[-1])
            case ast.JoinedStr():
                return "".join(self._piece(piece) for piece in node.values)
            case ast.Call():
                return self._call(node)
            case ast.Subscript():
                return self._looked_up(node.value, node.slice, None)
            case _:
                raise _Unknown

    def _piece(self, piece: ast.expr) -> str:
        if isinstance(piece, ast.FormattedValue) and piece.format_spec is None:
            return str(self._value(piece.value))
        return str(self._value(piece))

    def _call(self, node: ast.Call) -> Any:  # noqa: ANN401
        function = node.func
        name = (
            function.id
            if isinstance(function, ast.Name)
            else function.attr
            if isinstance(function, ast.Attribute)
            else ""
        )
        if name in _LOOKUPS and node.args:
            where = function.value if isinstance(function, ast.Attribute) else function
            default = node.args[1] if len(node.args) > 1 else None
            default = next((one.value for one in node.keywords if one.arg == "default"), default)
            return self._looked_up(where, node.args[0], default)
        if name in {"int", "str", "float"} and len(node.args) == 1 and isinstance(function, ast.Name):
            return {"int": int, "str": str, "float": float}[name](self._value(node.args[0]))
        if name in {"max", "min"} and node.args and isinstance(function, ast.Name):
            return {"max": max, "min": min}[name](*(self._value(one) for one in node.args))
        raise _Unknown

    def _looked_up(self, where: ast.expr, key: ast.expr, default: ast.expr | None) -> Any:  # noqa: ANN401
        text = ast.unparse(where)
        if text not in {"os", "os.environ", "environ", "getenv"}:
            raise _Unknown
        name = str(self._value(key))
        if name in self._environment:
            return self._environment[name]
        if default is None:
            raise _Unknown
        return self._value(default)


def _reason(node: ast.expr) -> str:
    text = ast.unparse(node)
    return text if "cpu_count" in text and len(text) < 120 else "only running it would tell"  # noqa: PLR2004


def _shape(name: str, value: Any) -> Any:  # noqa: ANN401
    if name == "bind":
        return tuple(value) if isinstance(value, list) else (str(value),)
    return value
