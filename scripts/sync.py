"""Copy what the generated service vendors from the repository's root into the template, byte for byte."""

import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENDORED = ("gunicorn_arbiter.py", "gunicorn_conf.py", "gunicorn_handover.py", "nginx")


def main() -> None:
    """Replace the template's copies."""
    (project,) = (ROOT / "template").glob("{{*}}")
    for name in VENDORED:
        source, target = ROOT / name, project / name
        if source.is_dir():
            if target.exists():
                shutil.rmtree(target)
            shutil.copytree(source, target)
        else:
            shutil.copy(source, target)
        print(f"{name} -> {target.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
