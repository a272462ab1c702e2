"""Scaffold a service into a temporary directory and serve it behind nginx, with the ``no502`` command."""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from types import FrameType


def main() -> int:
    """Run the demo and return the exit code of the step that failed, or 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=None, help="nginx's port (default 8080; with --check a free one)")
    parser.add_argument("--check", action="store_true", help="stop as soon as the service is ready")
    arguments = parser.parse_args()
    port = arguments.port if arguments.port is not None else 0 if arguments.check else 8080
    with tempfile.TemporaryDirectory(prefix="no502-demo-") as directory:
        new = ["new", directory, "--no-input", "project_name=Demo"]
        os.environ.setdefault("APP_DEMO", "true")  # the page at /
        os.environ.setdefault("APP_DOCS", "true")
        run = ["run", "--dir", f"{directory}/demo", "--port", str(port)]
        return _call(*new) or _call(*run, *(["--check"] if arguments.check else []))


def _call(*words: str) -> int:
    """Run one command to its end; being asked to stop is passed on, not obeyed, so that it can stop its servers."""
    print("$ no502", *words, flush=True)
    process = subprocess.Popen([sys.executable, "-m", "no502", *words])

    def pass_on(number: int, frame: FrameType | None) -> None:
        del frame
        if number == signal.SIGTERM:  # Ctrl-C has reached the command already: it is in the same process group
            process.terminate()

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        return process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(main())
