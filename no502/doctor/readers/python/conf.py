"""A gunicorn configuration file, read and not run: its statements in order, with the modules that it imports."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from no502.doctor.model import Fact, Origin, Problem, Source
from no502.doctor.readers.gunicorn_defaults import TLS, closest, convert, gunicorn_names, refusal
from no502.doctor.readers.python.values import FAILURES, UNKNOWN, Function, Namespace, Values
from no502.ladder.conf_file import is_ladder_import

__all__ = ["UNKNOWN", "PythonConf", "evaluate", "read_python_conf"]

_LONGEST, _MOST_MODULES = 400_000, 6
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


@dataclass
class PythonConf:
    """What a configuration file sets."""

    settings: dict[str, Fact[Any]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    imports_ladder: bool = False
    """It takes everything from ``gunicorn_conf``, this project's own."""
    refused: dict[str, Problem] = field(default_factory=dict)
    """Settings whose last value keeps gunicorn from starting."""
    opaque: str = ""
    """What may set every other setting: ``from NAME import *`` of a module that is not here, ``globals()``."""


Modules = Callable[[str], tuple[str, str] | None]
"""Gives text and shown name of a module by its dotted name; None where it is not among the files."""


def _no_module(_name: str) -> None:
    return None


def read_python_conf(
    text: str, shown: str, environment: Mapping[str, str], *, before: int = 0, modules: Modules = _no_module
) -> PythonConf:
    """Read a configuration file.

    Args:
        text: Its text.
        shown: Its name for origins.
        environment: Variables that are known.
        before: Lines of the file around it that stand before the text.
        modules: Gives the modules that it imports.
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
    walk = _Walk(shown, environment, result, modules)
    walk.uses(tree)
    walk.body(tree.body, conditional="")
    result.problems += result.refused.values()
    result.imports_ladder = any(is_ladder_import(node) for node in ast.walk(tree))
    return result


Node = TypeVar("Node", ast.Call, ast.Dict)


def evaluate(
    text: str, environment: Mapping[str, str], kind: type[Node], wanted: Callable[[Node], bool]
) -> Iterator[tuple[Node, Callable[[ast.expr], Any]]]:
    """Yield the calls or mappings of a file that are wanted, each with a function that gives an expression's value.

    Args:
        text: The file.
        environment: Variables that are known.
        kind: Which of the two.
        wanted: Tells which of them.
    """
    if len(text) > _LONGEST:
        return
    try:
        tree = ast.parse(text)
        found = [node for node in ast.walk(tree) if isinstance(node, kind) and wanted(node)]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    walk = _Walk("", environment, PythonConf(), _no_module)
    if found:
        walk.body(tree.body, conditional="")
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                walk.body(node.body, conditional="")
    for one in found:
        yield one, walk.value_or_unknown


@dataclass(frozen=True)
class _Module:
    """What a module of the project sets."""

    values: Mapping[str, Any]
    settings: Mapping[str, Fact[Any]]
    opaque: str


class _Walk:
    """Goes through the statements in order, as Python would."""

    def __init__(
        self, shown: str, environment: Mapping[str, str], result: PythonConf, modules: Modules, depth: int = 0
    ) -> None:
        self._shown, self._result, self._modules, self._depth = shown, result, modules, depth
        self._values = Values(environment)
        self._used: set[str] = set()
        """Names that the file reads itself."""

    def uses(self, tree: ast.AST) -> None:
        """Take note of the names that are read."""
        self._used = {one.id for one in ast.walk(tree) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Load)}

    def body(self, statements: Sequence[ast.stmt], *, conditional: str) -> None:  # noqa: C901, PLR0912  one case for each
        for one in statements:
            match one:
                case ast.Assign():
                    for target in one.targets:
                        self._assign(target, one.value, conditional)
                case ast.AnnAssign(value=ast.expr() as value):
                    self._assign(one.target, value, conditional)
                case ast.AugAssign(target=ast.Name(id=name)):
                    self._assign(one.target, ast.BinOp(ast.Name(name), one.op, one.value), conditional)
                case ast.If():
                    self._branches(one, conditional)
                case ast.Try() | ast.TryStar():
                    self.body(one.body, conditional=conditional)
                    for handler in one.handlers:
                        self.body(handler.body, conditional=conditional or "inside an except")
                    self.body([*one.orelse, *one.finalbody], conditional=conditional)
                case ast.With():
                    self.body(one.body, conditional=conditional)
                case ast.For() | ast.While():
                    self.body([*one.body, *one.orelse], conditional="inside a loop")
                case ast.Match():
                    for case in one.cases:
                        self.body(case.body, conditional="inside a match")
                case ast.ImportFrom():
                    self._import(one, conditional)
                case ast.Import():
                    for alias in one.names:
                        self._values.imported(alias.name, alias.asname or alias.name)
                case ast.FunctionDef() if not one.decorator_list:
                    self._values.names[one.name] = _function(one)
                case ast.ClassDef():
                    self._values.names[one.name] = self._class(one)
                case _:
                    pass
            if not self._result.opaque and not isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                self._result.opaque = _writes_names(one)

    def _branches(self, one: ast.If, conditional: str) -> None:
        """Follow the branch that is taken, where that does not depend on what runs the file."""
        test = self.value_or_unknown(one.test)
        looks = any(word in ast.unparse(one.test) for word in ("environ", "getenv"))
        if test is not UNKNOWN and not looks:
            self.body(one.body if test else one.orelse, conditional=conditional)
            return
        self.body(one.body, conditional="inside an if")
        self.body(one.orelse, conditional="inside an if")

    def _class(self, one: ast.ClassDef) -> Any:
        """Return the attributes of a class without a base; those of another may come from anywhere."""
        inside = Values(self._values.environment, dict(self._values.names), self._values.readers)
        found: dict[str, Any] = {}
        for part in one.body:
            target = part.targets[0] if isinstance(part, ast.Assign) else getattr(part, "target", None)
            given = getattr(part, "value", None)
            if isinstance(target, ast.Name) and isinstance(given, ast.expr):
                try:
                    found[target.id] = inside.names[target.id] = inside.of(given)
                except FAILURES:
                    found[target.id] = UNKNOWN
        return UNKNOWN if one.bases or one.decorator_list else Namespace(found)

    def _import(self, one: ast.ImportFrom, conditional: str) -> None:
        """Take over what another module of the project sets; a setting from one that is not here is not known."""
        module = one.module or ""
        for alias in one.names:
            self._values.imported(module, alias.asname or alias.name)
        if module.split(".")[0] in sys.stdlib_module_names or is_ladder_import(one):
            return
        read = self._module(module)
        for alias in one.names:
            if alias.name == "*":
                if read is None:
                    self._result.opaque = self._result.opaque or f"from {module} import *"
                    continue
                self._values.names |= read.values
                self._result.settings |= read.settings
                self._result.opaque = self._result.opaque or read.opaque
                continue
            name = alias.asname or alias.name
            value = read.values.get(alias.name, UNKNOWN) if read is not None else UNKNOWN
            self._values.names[name] = UNKNOWN if conditional else value
            if name in gunicorn_names() and (
                conditional or value is UNKNOWN or not isinstance(value, (Function, Namespace))
            ):
                origin = Origin(file=self._shown, line=one.lineno)
                why = conditional or ("it is computed at run time" if value is UNKNOWN else "")
                self._set(name, None if why else value, origin, why)

    def _module(self, name: str) -> _Module | None:
        found = self._modules(name) if self._depth < _MOST_MODULES else None
        if found is None:
            return None
        text, shown = found
        try:
            tree = ast.parse(text) if len(text) <= _LONGEST else None
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None
        if tree is None:
            return None
        result = PythonConf()
        walk = _Walk(shown, self._values.environment, result, self._modules, self._depth + 1)
        walk.body(tree.body, conditional="")
        return _Module(walk._values.names, result.settings, result.opaque)

    def value_or_unknown(self, node: ast.expr) -> Any:
        """Return the value of an expression, or ``UNKNOWN``."""
        try:
            return self._values.of(node)
        except FAILURES:
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
            value = None if conditional else self._values.of(expression)
            known = not conditional
        except FAILURES:
            known, why = False, _reason(expression)
        if self._values.reads(expression):
            self._values.readers.add(target.id)
        self._values.names[target.id] = value if known else UNKNOWN
        origin = Origin(file=self._shown, line=target.lineno)
        if target.id in TLS and not value and not isinstance(expression, ast.Constant):
            known, why = False, why or "only running it would tell"
        if target.id in gunicorn_names():
            self._set(target.id, value, origin, "" if known else why)
        elif isinstance(expression, (ast.Constant, ast.Call, ast.BinOp, ast.UnaryOp)):
            self._misspelt(target.id, origin)

    def _set(self, name: str, value: Any, origin: Origin, why: str) -> None:
        self._result.refused.pop(name, None)
        says = refusal(name, value) if not why else ""
        if says:
            message = f"gunicorn does not start with {name} = {repr(value)[:60]}: {says}"
            fix = f"Write a value that {name} takes."
            self._result.refused[name] = Problem(rule="C003", message=message, origin=origin, fix=fix)
        if value is None and not why:
            return  # None means gunicorn's default
        converted = None if why else convert(name, value)
        if converted is not None:
            self._result.settings[name] = Fact(_shape(name, converted), origin)
            return
        note = why or f"not a value of {name}"
        unknown = replace(origin, source=Source.UNKNOWN, note=note, expression=why)
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


def _function(one: ast.FunctionDef) -> Function:
    given = one.args
    names = [part.arg for part in (*given.posonlyargs, *given.args)]
    defaults = dict(zip(names[len(names) - len(given.defaults) :], given.defaults, strict=True))
    defaults |= {part.arg: node for part, node in zip(given.kwonlyargs, given.kw_defaults, strict=True) if node}
    return Function([*names, *(part.arg for part in given.kwonlyargs)], defaults, one.body)


def _writes_names(one: ast.stmt) -> str:
    """Return what in a statement sets names that its text does not tell."""
    if isinstance(
        one, (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Expr, ast.For, ast.While, ast.If, ast.With, ast.Try)
    ):
        for node in ast.walk(one):
            match node:
                case ast.Subscript(
                    ctx=ast.Store(), value=ast.Call(func=ast.Name(id=("globals" | "locals" | "vars") as name))
                ):
                    return f"{name}()"
                case ast.Call(
                    func=ast.Attribute(
                        value=ast.Call(func=ast.Name(id=("globals" | "locals" | "vars") as name)), attr="update"
                    )
                ):
                    return f"{name}()"
                case ast.Call(func=ast.Name(id="exec")):
                    return "exec()"
                case _:
                    continue
    return ""


def _reason(node: ast.expr) -> str:
    text = ast.unparse(node)
    return text if "cpu_count" in text and len(text) < 120 else "only running it would tell"


def _shape(name: str, value: Any) -> Any:
    if name == "bind":
        return tuple(value) if isinstance(value, list) else (str(value),)
    return value
