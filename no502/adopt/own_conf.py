"""A gunicorn configuration of the project's own: the computed settings first, its hooks and settings kept."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection
from dataclasses import dataclass, field

from no502.adopt.options import COMPUTED

__all__ = ["OwnConf", "adopt_conf"]

_HOOKS = ("on_starting", "on_reload")


@dataclass
class OwnConf:
    """What became of a configuration file."""

    text: str
    why: list[tuple[int, str]] = field(default_factory=list)
    """(line before the change, reason)."""
    problems: list[tuple[int, str]] = field(default_factory=list)
    """(line, what a person must decide)."""


def adopt_conf(text: str, module: str, known: Collection[str]) -> OwnConf:
    """Return the file with the computed settings imported and what they replace taken out.

    Args:
        text: The file.
        module: Where the computed settings are imported from.
        known: Settings whose value the file itself decides: a constant number of workers is kept.
    """
    found = OwnConf(text)
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError) as error:
        found.problems.append((getattr(error, "lineno", None) or 1, "it is not Python that gunicorn could load"))
        return found
    lines = text.split("\n")
    gone: set[int] = set()
    names = {*COMPUTED, *(() if "workers" in known else ("workers",))}
    for node in tree.body:
        for name in _assigned(node) & names:
            if not _is_alone(node, lines):
                found.problems.append((node.lineno, f"{name} stands in one statement with others: write it on its own"))
                continue
            gone |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
            found.why.append((node.lineno, f"without {name}: {_reason(name)}"))
    found.problems += _conditional(tree, names)
    calls, added = _hooks(tree, module, found)
    if found.problems:
        return found
    place = _place(tree, lines)
    out: list[str] = []
    for number, line in enumerate(lines, start=1):
        if number == place:
            out += _imports(module, needs_module=bool(calls), lines=lines, place=place)
        if number not in gone:
            out.append(line)
        out += added.get(number, [])
    if place > len(lines):
        out += _imports(module, needs_module=bool(calls), lines=lines, place=place)
    found.text = _tidied("\n".join(out), text)
    found.why.insert(0, (place, f"from {module} import *: the computed settings; what follows it wins, hooks included"))
    return found


def _reason(name: str) -> str:
    return COMPUTED.get(name, "one for each CPU that the process may use; WEB_CONCURRENCY overrides it")


def _assigned(node: ast.stmt) -> set[str]:
    targets = (
        node.targets
        if isinstance(node, ast.Assign)
        else [node.target]
        if isinstance(node, (ast.AnnAssign, ast.AugAssign))
        else []
    )
    return {
        one.id
        for target in targets
        for one in ast.walk(target)
        if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)
    }


def _is_alone(node: ast.stmt, lines: list[str]) -> bool:
    """Whether a statement sets one name and has its lines for itself."""
    if len(_assigned(node)) != 1:
        return False
    before = lines[node.lineno - 1][: node.col_offset]
    end = lines[(node.end_lineno or node.lineno) - 1].encode()[node.end_col_offset or 0 :].decode("utf-8", "replace")
    return not before.strip() and (not end.strip() or end.lstrip().startswith("#"))


def _conditional(tree: ast.Module, names: set[str]) -> list[tuple[int, str]]:
    """Return the settings that are set inside a block: which value counts is the file's own decision."""
    found = []
    for top in tree.body:
        if isinstance(top, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        for node in ast.walk(top):
            if node is not top and isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
                found += [
                    (node.lineno, f"{name} is set inside a block: take it out, or decide which value counts")
                    for name in sorted(_assigned(node) & names)
                ]
    return found


def _hooks(tree: ast.Module, module: str, found: OwnConf) -> tuple[list[str], dict[int, list[str]]]:
    """Return the hooks that have to call ours, and the lines to add, each by the line that it follows."""
    calls: list[str] = []
    added: dict[int, list[str]] = {}
    for node in tree.body:
        names = {one.id for one in getattr(node, "targets", ()) if isinstance(one, ast.Name)} & set(_HOOKS)
        if names:
            found.problems.append((node.lineno, f"{names.pop()} is no function here: call gunicorn_conf's from it"))
        if not isinstance(node, ast.FunctionDef) or node.name not in _HOOKS:
            continue
        arguments = [*node.args.posonlyargs, *node.args.args]
        if not arguments or node.body[0].lineno == node.lineno:
            found.problems.append((node.lineno, f"{node.name} has to call {module}.{node.name}(server)"))
            continue
        first = node.body[0]
        is_doc = (
            isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
        )
        after = (first.end_lineno or first.lineno) if is_doc else first.lineno - 1
        indent = " " * first.col_offset
        calls.append(node.name)
        added[after] = [f"{indent}{module}.{node.name}({arguments[0].arg})"]
        found.why.append((node.lineno, f"{node.name} calls the one that it replaces: the handover needs it"))
    return calls, added


def _place(tree: ast.Module, lines: list[str]) -> int:
    """Return the line before which the import goes: behind the docstring and imports from the future."""
    line = 1
    for number, node in enumerate(tree.body):
        is_doc = (
            number == 0
            and isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        )
        if is_doc or (isinstance(node, ast.ImportFrom) and node.module == "__future__"):
            line = (node.end_lineno or node.lineno) + 1
        else:
            break
    return line if line > 1 else _below_header(lines)


def _below_header(lines: list[str]) -> int:
    """Return the line behind a comment about the whole file: a shebang, a coding, a block that a blank line ends."""
    number = 0
    while number < len(lines) and lines[number].startswith("#"):
        number += 1
    if number and (number == len(lines) or not lines[number].strip()):
        return number + 1
    return next((at + 2 for at in (1, 0) if at < number and re.match(r"#!|#.*coding[:=]", lines[at])), 1)


def _imports(module: str, *, needs_module: bool, lines: list[str], place: int) -> list[str]:
    new = [*([f"import {module}"] if needs_module else []), f"from {module} import *"]
    before = lines[place - 2].strip() if place > 1 else ""
    after = lines[place - 1].strip() if place <= len(lines) else ""
    return [*([""] if before else []), *new, *([""] if after else [])]


def _tidied(new: str, old: str) -> str:
    """Return the text without more blank lines in a row than it had before."""
    most = max((len(run) for run in re.findall(r"\n(\n+)", old)), default=1)
    return re.sub(rf"\n{{{max(most, 2) + 2},}}", "\n" * (max(most, 2) + 1), new)
