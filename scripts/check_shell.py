"""Run shellcheck on every shell script of the repository, found by its first line."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHELLCHECK = Path(sys.executable).with_name("shellcheck")


def main() -> int:
    """Return shellcheck's exit code; finding no script at all is a failure too."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],  # noqa: S607  the user's git
        cwd=ROOT,
        check=True,
        capture_output=True,
    ).stdout
    paths = [ROOT / name for name in listing.decode().split("\0") if name]
    scripts = sorted(str(path.relative_to(ROOT)) for path in paths if path.is_file() and _is_shell(path))
    if not scripts:
        print("no shell script found", file=sys.stderr)
        return 1
    print("shellcheck:", *scripts)
    return subprocess.run([SHELLCHECK, *scripts], cwd=ROOT, check=False).returncode


def _is_shell(path: Path) -> bool:
    with path.open("rb") as file:
        first = file.readline(80).split()
    interpreter = b" ".join(first)
    return interpreter.startswith(b"#!") and first[-1].split(b"/")[-1] in {b"sh", b"bash", b"dash"}


if __name__ == "__main__":
    sys.exit(main())
