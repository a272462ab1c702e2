"""Copy what the generated service vendors from this repository into the template, byte for byte."""

import shutil
from collections.abc import Iterator
from pathlib import Path

__all__ = ["ROOT", "instructions", "vendored"]

ROOT = Path(__file__).resolve().parent.parent
_MARKER = "<!-- The rest is no502's skill file, a copy: replace it as a whole. -->\n"
_RUNTIME = shutil.ignore_patterns("__pycache__", "py.typed")


def vendored() -> Iterator[tuple[Path, Path]]:
    """Yield each file or directory that is copied, and where it is copied to."""
    (project,) = (ROOT / "template").glob("{{*}}")
    for file in sorted(ROOT.glob("gunicorn_*.py")):
        yield file, project / file.name
    yield ROOT / "nginx", project / "nginx"
    yield ROOT / "no502" / "asgi", project / "app" / "asgi"
    yield ROOT / "docs" / "examples" / "tls" / "deploy-hook", project / "ops" / "deploy-hook"


def instructions() -> tuple[Path, str]:
    """Return the template's AGENTS.md, and its text with the skill file's body as its end."""
    (file,) = (ROOT / "template").glob("{{*}/AGENTS.md")
    skill = (ROOT / "no502" / ".agents" / "skills" / "no502" / "SKILL.md").read_text(encoding="utf-8")
    own, marker, _ = file.read_text(encoding="utf-8").partition(_MARKER)
    return file, own + marker + skill.partition("\n# no502\n")[2]


def main() -> None:
    """Replace the template's copies."""
    for source, target in vendored():
        if source.is_dir():
            if target.exists():
                shutil.rmtree(target)
            shutil.copytree(source, target, ignore=_RUNTIME)
        else:
            shutil.copy(source, target)  # with its mode
        print(f"{source.relative_to(ROOT)} -> {target.relative_to(ROOT)}")
    file, text = instructions()
    file.write_text(text, encoding="utf-8")
    print(f"the skill file -> {file.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
