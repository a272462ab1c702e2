"""Remove the empty directories that stand for what was not chosen: cookiecutter makes every directory of the template."""

import contextlib
import os

for name in (".mypy_cache", ".ruff_cache"):
    for directory, _, _ in os.walk(name, topdown=False):
        with contextlib.suppress(OSError):  # not empty
            os.rmdir(directory)
