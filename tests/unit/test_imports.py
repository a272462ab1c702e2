"""Which module imports which."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.support.commands import ROOT


def modules() -> dict[str, Path]:
    """Return every module of the package and the three modules beside it, by its dotted name."""
    found = {path.stem: path for path in ROOT.glob("gunicorn_*.py")}
    for path in (ROOT / "no502").rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def at_import(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield the imports of a module outside functions, those for type checkers included."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        elif not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from at_import(child)


def imported(name: str, path: Path, known: dict[str, Path]) -> Iterator[str]:
    """Yield the modules of ours that a module imports."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for one in at_import(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(one, ast.Import):
            yield from (alias.name for alias in one.names if alias.name in known)
            continue
        above = package.split(".")[: len(package.split(".")) - (one.level - 1)] if one.level else []
        source = ".".join([*above, *([one.module] if one.module else [])])
        for alias in one.names:
            full = f"{source}.{alias.name}"
            if full in known or source in known:
                yield full if full in known else source


def cycle(graph: dict[str, set[str]]) -> list[str]:
    """Return the modules of one circle, or an empty list."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_module_imports_one_that_imports_it() -> None:
    """Imports form no circle, not even those that only a type checker sees."""
    known = modules()
    graph = {name: set(imported(name, path, known)) - {name} for name, path in known.items()}
    assert cycle(graph) == []


def test_a_circle_is_found() -> None:
    """Two modules that import each other are named."""
    assert set(cycle({"a": {"b"}, "b": {"c"}, "c": {"a"}})) == {"a", "b", "c"}


@pytest.mark.parametrize(
    ("importer", "needed"),
    [
        ("no502.lab.scenario", "no502.lab.stage"),
        ("no502.asgi", "no502.asgi.deadline"),
        ("no502.doctor.readers.nginx.refusals", "no502.doctor.readers.nginx.table"),
    ],
)
def test_imports_are_seen(importer: str, needed: str) -> None:
    """Absolute and relative imports, of a package and of a module in it, are edges of the graph."""
    known = modules()
    assert needed in set(imported(importer, known[importer], known))
