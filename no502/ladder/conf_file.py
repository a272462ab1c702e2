"""The gunicorn configuration file of a project, and whether the ladder is in it."""

import ast
from pathlib import Path

__all__ = [
    "GENERATED",
    "LADDERS",
    "foreign_conf_note",
    "has_ladder",
    "imports_ladder",
    "is_ladder_import",
    "project_conf",
]

GENERATED = "app/server.py"
"""The configuration file of a generated service, which imports ``gunicorn_conf``."""
LADDERS = frozenset({"gunicorn_conf", "no502.gunicorn"})
"""The modules that are this project's configuration."""
_NAMES = ("gunicorn_conf.py", "gunicorn.conf.py")


def project_conf(directory: Path) -> Path | None:
    """Return the configuration file in a project's directory, or None.

    A generated service's own file comes first, then ``gunicorn_conf.py``, then ``gunicorn.conf.py``, which gunicorn
    itself reads where no ``-c`` is given (https://docs.gunicorn.org/en/stable/configure.html).
    """
    generated, copied = directory / GENERATED, directory / _NAMES[0]
    if generated.is_file() and copied.is_file() and has_ladder(generated):
        return generated
    return next((path for name in _NAMES if (path := directory / name).is_file()), None)


def foreign_conf_note(directory: Path) -> str | None:
    """Return one line about a project's configuration file whose settings do not come from the ladder, else None."""
    path = project_conf(directory)
    if path is None or has_ladder(path):
        return None
    return (
        f"{path.name} here is not no502's and does not import it: gunicorn takes its numbers from that file, not from "
        "this ladder. Write `from no502.gunicorn import *` as its first line, or start gunicorn with "
        "-c python:no502.gunicorn"
    )


def has_ladder(path: Path) -> bool:
    """Whether a configuration file is this project's ``gunicorn_conf.py`` or imports it; a broken file is not."""
    try:
        text = path.read_bytes()
    except OSError:
        return False
    return b"class ServerSettings" in text or imports_ladder(text)


def imports_ladder(text: str | bytes) -> bool:
    """Whether a configuration takes the computed settings; a broken one does not."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return False
    return any(is_ladder_import(node) for node in ast.walk(tree))


def is_ladder_import(node: ast.AST) -> bool:
    """Whether a node brings in the ladder's configuration: an import, or its name given to importlib."""
    if isinstance(node, ast.ImportFrom):
        module = node.module or ""
        from_package = module == "no502" and any(alias.name == "gunicorn" for alias in node.names)
        return module in LADDERS or module.rsplit(".", 1)[-1] == "gunicorn_conf" or from_package
    if isinstance(node, ast.Import):
        return any(alias.name in LADDERS for alias in node.names)
    calls = {f"{call}('{name}')" for call in ("importlib.import_module", "import_module") for name in LADDERS}
    return isinstance(node, ast.Call) and ast.unparse(node) in calls
