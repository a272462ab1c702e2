"""What a module has that may be the application, read without importing it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from no502.near import near

__all__ = ["meant"]

_APPLICATIONS = {"FastAPI", "Starlette"}
_LARGEST = 1_000_000


def meant(module: str, wanted: str) -> str:
    """Return the attribute that was perhaps meant: what a FastAPI is assigned to, else a close name, else ``app``.

    Args:
        module: Its dotted name; it is looked for in the working directory.
        wanted: The attribute that it does not have, or that is no application.
    """
    tree = _tree(Path(*module.split(".")))
    if tree is None:
        return "app"
    names = dict(_names(tree))
    applications = [name for name, call in names.items() if call in _APPLICATIONS]
    others = [name for name in names if name != wanted]
    found = near(wanted, applications) or applications or near(wanted, others)
    return found[0] if found else "app"


def _tree(path: Path) -> ast.Module | None:
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        try:
            if file.stat().st_size <= _LARGEST:
                return ast.parse(file.read_bytes())
        except (OSError, SyntaxError, ValueError):
            continue
    return None


def _names(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield what the module assigns, with the name of the call whose result it is; empty for another value."""
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            call = node.value.func if isinstance(node.value, ast.Call) else None
            name = call.attr if isinstance(call, ast.Attribute) else call.id if isinstance(call, ast.Name) else ""
            yield from ((target.id, name) for target in targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, ""
        elif isinstance(node, ast.ImportFrom):
            yield from ((alias.asname or alias.name, "") for alias in node.names)
