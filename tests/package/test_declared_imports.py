"""What the package imports is what it declares: an environment of the developers has more."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

from tests.support.commands import ROOT

_OURS = {"gunicorn_arbiter", "gunicorn_conf", "gunicorn_handover", "no502"}
_OF_THE_SERVICE = {
    "fastapi": "an application that has no502.asgi around it brings it",
    "prometheus_client": "no502.asgi.metrics says what to install where it is missing",
}
"""Imported by ``no502.asgi`` only where the application has them, and why they are not declared."""


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield (node.module or "").partition(".")[0]


def _imported() -> dict[str, set[str]]:
    """Return each third-party module and the files that import it."""
    found: dict[str, set[str]] = {}
    for path in [*ROOT.glob("gunicorn_*.py"), *(ROOT / "no502").rglob("*.py")]:
        for name in _imports(path):
            if name not in sys.stdlib_module_names and name not in _OURS:
                found.setdefault(name, set()).add(str(path.relative_to(ROOT)))
    return found


def _declared() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    lines = [*project["dependencies"], *(line for name in ("asgi", "cli", "nginx") for line in extras[name])]
    return {re.split(r"[^A-Za-z0-9_.-]", line)[0].lower().replace("_", "-") for line in lines}


def test_every_import_is_declared() -> None:
    """Each third-party module belongs to a distribution that the core or an extra requires by name."""
    distributions, declared = packages_distributions(), _declared()
    missing = {
        module: sorted(files)
        for module, files in _imported().items()
        if module not in _OF_THE_SERVICE
        and not {name.lower().replace("_", "-") for name in distributions.get(module, [])} & declared
    }
    assert missing == {}


def test_only_the_parts_of_a_service_import_what_is_not_declared() -> None:
    """The exceptions are imported, and by ``no502/asgi`` alone."""
    imported = _imported()
    for module in _OF_THE_SERVICE:
        files = imported.get(module, set())
        assert files, module
        assert [file for file in files if not file.startswith("no502/asgi/")] == []
