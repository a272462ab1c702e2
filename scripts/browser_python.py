"""Python and doctor as scripts that a page loads, also from a folder: ``build/browser`` and the site's hook use it.

``python scripts/browser_python.py`` fetches Pyodide by npm into ``build/browser`` and converts it, once. A page that
was opened from a folder cannot fetch files, and this site's page may not: everything is in scripts, as text.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import importlib.metadata
import importlib.util
import inspect
import io
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["INTEGRITY", "NOT_RUN", "VERSION", "built", "fetch", "main", "packages"]

VERSION = "314.0.7"
"""Of Pyodide: Python 3.14."""
INTEGRITY = "sha512-0YvXxEhfEdpLfb/XkM2BFAeMROq0iMUX2bzzH9pOttyMcWkwq+HbE5uyuGD82LN7y2q+SNvi/6V5JEsOlD2R1A=="
"""Of the package that npm downloads."""
NOT_RUN = 77
"""Exit code: npm is missing, or has no network."""

_ROOT = Path(__file__).resolve().parent.parent
_FOLDER = _ROOT / "build" / "browser"
_DISTRIBUTIONS = {
    "yaml": "pyyaml",
    "dotenv": "python-dotenv",
    "crossplane": "ngxparse",
    "typer": "typer",
    "typing_extensions": "typing-extensions",
    "annotated_doc": "annotated-doc",
    "shellingham": "shellingham",
}
"""Module that doctor imports -> its distribution: each is Python only, so the installed one runs in the browser too."""
_LEFT_OUT = ("no502/adopt", "no502/asgi", "no502/lab", "no502/serve")
"""What no line of doctor needs."""
_STAND_IN = """
class _One:
    def __init__(self, **values):
        self.__dict__.update(values)


{name} = {value}
"""


class _Unavailable(Exception):  # noqa: N818  no fault: the page says that it is missing
    """Pyodide could not be fetched."""


def built() -> Path | None:
    """Return the script with Pyodide of this version; None where it has not been fetched."""
    path = _FOLDER / f"pyodide-{VERSION}.js"
    return path if path.is_file() else None


def fetch() -> Path:
    """Return that script, and fetch and convert Pyodide if need be.

    Raises:
        _Unavailable: npm is missing, has no network, or gave another package than the pinned one.
    """
    found = built()
    if found is not None:
        return found
    _FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_FOLDER) as private:
        package = _unpack(_packed(Path(private)), Path(private))
        made = Path(private, "made.js")
        made.write_text(_script(package), encoding="utf-8")
        return made.replace(_FOLDER / f"pyodide-{VERSION}.js")


def _packed(folder: Path) -> bytes:
    npm = shutil.which("npm")
    if npm is None:
        message = "npm is not installed (Debian: apt install npm)"
        raise _Unavailable(message)
    command = [npm, "pack", "--silent", f"pyodide@{VERSION}"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        message = f"npm pack pyodide@{VERSION} failed: {done.stderr.strip()[-300:]}"
        raise _Unavailable(message)
    content = (folder / f"pyodide-{VERSION}.tgz").read_bytes()
    digest = "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode()
    if digest != INTEGRITY:
        message = f"pyodide@{VERSION} has the digest {digest}, not {INTEGRITY}"
        raise _Unavailable(message)
    return content


def _unpack(content: bytes, folder: Path) -> Path:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        archive.extractall(folder, filter="data")
    return folder / "package"


def _script(package: Path) -> str:
    """Return Pyodide as one classic script: its loader, its module, and its files as text."""
    loader = (package / "pyodide.js").read_text(encoding="utf-8")
    module = (package / "pyodide.asm.mjs").read_text(encoding="utf-8")
    for old, new in (
        ("import.meta.url", "document.baseURI"),
        ("export default _createPyodideModule;", "globalThis.no502Pyodide.create = _createPyodideModule;"),
    ):
        if old not in module:
            message = f"pyodide.asm.mjs of {VERSION} has no {old}: scripts/browser_python.py has to be adapted"
            raise ValueError(message)
        module = module.replace(old, new)
    lock = json.loads((package / "pyodide-lock.json").read_text(encoding="utf-8"))
    files = {
        "wasm": _text(gzip.compress((package / "pyodide.asm.wasm").read_bytes(), 9, mtime=0)),
        "stdlib": _text((package / "python_stdlib.zip").read_bytes()),
        "lock": {**lock, "packages": {}},  # nothing is loaded from elsewhere, not even by its name
    }
    without_map = "\n".join(line for line in loader.splitlines() if not line.startswith("//# sourceMappingURL"))
    return "\n".join(
        [
            f"// Pyodide {VERSION}, Mozilla Public License 2.0; converted by scripts/browser_python.py.",
            f"globalThis.no502Pyodide = {json.dumps(files)};",
            without_map,
            module,
            "",
        ]
    )


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def packages() -> str:
    """Return doctor and what it imports as a script that sets ``window.no502Packages``, a zip archive as text."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in sorted(_files().items()):
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED, 9)
    return f'window.no502Packages = "{_text(packed.getvalue())}";\n'


@cache
def _files() -> dict[str, bytes]:
    """Return every file of the archive by its name in it."""
    found: dict[str, bytes] = {}
    for module, distribution in _DISTRIBUTIONS.items():
        for one in importlib.metadata.files(distribution) or ():
            if "dist-info" in one.parts[0] and "license" in one.as_posix().lower():
                found[one.as_posix()] = one.read_binary()
        spec = importlib.util.find_spec(module)
        if spec is None or spec.origin is None:
            message = f"{module} is not installed: make install"
            raise ModuleNotFoundError(message)
        path = Path(spec.origin)
        if path.name == "__init__.py":
            found |= {one.relative_to(path.parent.parent).as_posix(): one.read_bytes() for one in _under(path.parent)}
        else:
            found[path.name] = path.read_bytes()
    for path in _under(_ROOT / "no502"):
        name = path.relative_to(_ROOT).as_posix()
        if not name.startswith(_LEFT_OUT):
            found[name] = path.read_bytes()
    for path in _under(_ROOT / "docs" / "doctor"):
        found[f"no502/_data/doctor/{path.name}"] = path.read_bytes()
    found["gunicorn_conf.py"] = (_ROOT / "gunicorn_conf.py").read_bytes()
    found["why_doctor.py"] = (_ROOT / "scripts" / "why_doctor.py").read_bytes()
    return found | _stand_ins()


def _under(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts and path.suffix not in {".so", ".pyc"}:
            yield path


def _stand_ins() -> dict[str, bytes]:
    """Return the two modules of gunicorn and uvicorn that doctor asks for options and values, with these alone.

    The real ones import what a browser has not: ``grp``, ``fcntl``, processes.
    """
    from gunicorn import config
    from uvicorn.main import main

    sys.path.insert(0, str(_ROOT))
    from no502.doctor.readers.gunicorn_defaults import PURE_VALIDATORS

    settings = [
        {
            **{key: getattr(one, key, None) for key in ("name", "cli", "action", "nargs")},
            "validator": getattr(one.validator, "__name__", "") if one.validator is not None else "",
        }
        for one in config.KNOWN_SETTINGS
    ]
    validators = "\n\n".join(inspect.getsource(getattr(config, name)) for name in sorted(PURE_VALIDATORS))
    chosen = "for one in KNOWN_SETTINGS:\n    one.validator = globals().get(one.validator)\n"
    parameters = [{"opts": list(one.opts), "secondary_opts": list(one.secondary_opts)} for one in main.params]
    return {
        "gunicorn/__init__.py": b"",
        "gunicorn/config.py": _stand_in("KNOWN_SETTINGS", _objects(settings)) + f"{validators}\n\n{chosen}".encode(),
        "uvicorn/__init__.py": b"",
        "uvicorn/main.py": _stand_in("main", f"_One(params={_objects(parameters)})"),
    }


def _objects(found: list[dict[str, Any]]) -> str:
    return f"[_One(**one) for one in {found!r}]"


def _stand_in(name: str, value: str) -> bytes:
    return _STAND_IN.format(name=name, value=value).encode()


def main() -> int:
    """Fetch and convert; return the exit code."""
    try:
        path = fetch()
    except _Unavailable as problem:
        print(f"without Pyodide the page Why 502? takes no files: {problem}", file=sys.stderr)
        return NOT_RUN
    print(f"{path.relative_to(_ROOT)}: {path.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
