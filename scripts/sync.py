"""Copy what the generated service vendors from this repository into the template, byte for byte."""

import shutil
from collections.abc import Iterator
from pathlib import Path

__all__ = ["ROOT", "vendored"]

ROOT = Path(__file__).resolve().parent.parent
_RUNTIME = shutil.ignore_patterns("__pycache__", "py.typed")


def vendored() -> Iterator[tuple[Path, Path]]:
    """Yield each file or directory that is copied, and where it is copied to."""
    (project,) = (ROOT / "template").glob("{{*}}")
    for file in sorted(ROOT.glob("gunicorn_*.py")):
        yield file, project / file.name
    yield ROOT / "nginx", project / "nginx"
    yield ROOT / "no502" / "asgi", project / "app" / "asgi"


def main() -> None:
    """Replace the template's copies."""
    for source, target in vendored():
        if source.is_dir():
            if target.exists():
                shutil.rmtree(target)
            shutil.copytree(source, target, ignore=_RUNTIME)
        else:
            shutil.copy(source, target)
        print(f"{source.relative_to(ROOT)} -> {target.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
