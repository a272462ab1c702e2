"""gunicorn's configuration: the ladder of ``gunicorn_conf.py``, and the master's log lines in the application's form.

``gunicorn -c app/server.py app.main:app``. Your own gunicorn settings and hooks go at the end of this file; an
``on_starting`` or ``on_reload`` of your own must call the one of ``gunicorn_conf``.
"""

import os
import shutil
import sys
from pathlib import Path

from dotenv import dotenv_values
from gunicorn.arbiter import Arbiter

sys.path.append(str(Path(__file__).resolve().parent.parent))

# gunicorn runs this file again on SIGHUP: .env may have changed by then, and workers, which are forked from here, must
# import the application's new code instead of inheriting the old one.
for _name in [name for name in sys.modules if name.partition(".")[0] in {"app", "gunicorn_conf"}]:
    del sys.modules[_name]

import gunicorn_conf  # noqa: E402
from app.asgi.logs import dict_config  # noqa: E402
from gunicorn_conf import *  # noqa: E402, F403  every setting and hook of the ladder

logconfig_dict = dict_config(
    gunicorn_conf.loglevel, os.environ.get("APP_LOG_FORMAT") or dotenv_values(".env").get("APP_LOG_FORMAT") or "auto"
)

for _name in [name for name in sys.modules if name.partition(".")[0] == "app"]:
    del sys.modules[_name]


def on_starting(server: Arbiter) -> None:  # type: ignore[no-redef]
    """Begin with empty metrics in the directory that the operator has chosen; see app/asgi/metrics.py."""
    gunicorn_conf.on_starting(server)
    if (directory := os.environ.get("PROMETHEUS_MULTIPROC_DIR")) and "GUNICORN_PID" not in os.environ:
        for left_over in Path(directory).glob("*.db"):
            left_over.unlink()


def on_exit(_server: Arbiter) -> None:
    """Remove the directory in which the workers have shared their metrics."""
    for directory in Path("/dev/shm").glob(f"metrics-{os.getpid()}-*"):  # noqa: S108  the workers' own
        shutil.rmtree(directory, ignore_errors=True)
