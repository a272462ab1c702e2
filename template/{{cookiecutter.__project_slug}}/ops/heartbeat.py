"""Exit 0 when the worker on this host has given a sign of life lately, 1 when it has not: its health check.

Run as ``python -I -S heartbeat.py [SECONDS]``: it loads next to nothing. The file (``WORKER_HEARTBEAT``, by default
``/tmp/worker-heartbeat``) has the value of the monotonic clock, so a changed time of day makes no difference. That a
process exists counts for nothing: one that hangs exists, too.
"""

import os
import sys
import time

_SECONDS = 30.0


def main(longest: float) -> int:
    """Read the file once and return the exit code."""
    path = os.environ.get("WORKER_HEARTBEAT") or "/tmp/worker-heartbeat"  # noqa: S108
    try:
        with open(path, encoding="ascii") as file:  # noqa: PTH123  pathlib takes longer to load than all the rest
            age = time.monotonic() - float(file.read())
    except (OSError, ValueError) as error:
        print(f"no heartbeat: {error}")
        return 1
    print(f"last heartbeat {age:.1f} s ago, allowed are {longest:g} s")
    return 0 if 0 <= age <= longest else 1


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if sys.argv[1:] else _SECONDS))
