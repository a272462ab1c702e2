"""gunicorn's configuration of this service: the numbers of ``gunicorn_conf.py``, and what the master needs besides.

``gunicorn -c app/server.py app.main:app``. The master's own lines get the form of the application's
(``APP_LOG_FORMAT``), and ``APP_METRICS`` has its hooks. gunicorn takes both from its configuration file only, and
gunicorn_conf.py is a copy that is never edited, so this file stands between the two. ``gunicorn -c gunicorn_conf.py``
serves as well, without them.

gunicorn runs this file again on SIGHUP. It imports nothing of the application under its own name: workers are forked
from this process and would go on with the old code after a reload.
"""

import fcntl
import importlib
import importlib.util
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from dotenv import dotenv_values
from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker

__all__ = ["child_exit", "logconfig_dict", "on_exit", "on_reload", "on_starting"]

_ROOT = str(Path(__file__).resolve().parent.parent)
_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
_TRUE = {"1", "true", "t", "yes", "y", "on"}
_ADDS_UP = {"counter", "histogram", "summary"}
_LOCK_SECONDS = 1.0

if _ROOT not in sys.path:
    sys.path.append(_ROOT)
if "gunicorn_conf" in sys.modules:
    gunicorn_conf = importlib.reload(sys.modules["gunicorn_conf"])  # SIGHUP: .env may have changed
else:
    gunicorn_conf = importlib.import_module("gunicorn_conf")
globals().update({name: value for name, value in vars(gunicorn_conf).items() if not name.startswith("_")})


def _environment() -> dict[str, str | None]:
    """Return ``.env`` and the environment, which has the last word."""
    return {**dotenv_values(".env"), **{name: value for name, value in os.environ.items() if value}}


def _log_module() -> ModuleType:
    """Load app/log.py under another name, so that workers load their own."""
    spec = importlib.util.spec_from_file_location("_log_of_the_master", Path(_ROOT) / "app" / "log.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError(_ROOT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


logconfig_dict = _log_module().dict_config(
    gunicorn_conf.loglevel, "console" if _environment().get("APP_LOG_FORMAT") == "console" else "json"
)


def on_starting(server: Arbiter) -> None:
    """Make the directory in which the workers share their numbers, empty."""
    gunicorn_conf.on_starting(server)
    _prepare(server)
    if (directory := os.environ.get(_DIRECTORY)) and "GUNICORN_PID" not in os.environ:  # not while it replaces another
        for left_over in Path(directory).glob("*.db"):
            left_over.unlink()


def on_reload(server: Arbiter) -> None:
    """Make it if metrics have been switched on since; keep what is in it."""
    gunicorn_conf.on_reload(server)
    _prepare(server)


def child_exit(server: Arbiter, worker: Worker) -> None:
    """Keep the counts of a worker that is gone, drop its gauges, remove its files."""
    try:
        if directory := os.environ.get(_DIRECTORY):
            _bury_the_dead(Path(directory))
    except Exception:  # whatever is wrong with the files, the master must live
        server.log.exception("metrics: the files of worker %s are left as they are", worker.pid)


def on_exit(server: Arbiter) -> None:  # noqa: ARG001  gunicorn's signature
    """Remove the directory, unless the operator has chosen it."""
    directory = os.environ.get(_DIRECTORY, "")
    if Path(directory).name.startswith(f"metrics-{os.getpid()}-"):
        shutil.rmtree(directory, ignore_errors=True)


def _prepare(server: Arbiter) -> None:
    """Set ``PROMETHEUS_MULTIPROC_DIR`` where metrics are wanted; workers inherit it."""
    environment = _environment()
    if (environment.get("APP_METRICS") or "").strip().lower() not in _TRUE:
        return
    directory = environment.get(_DIRECTORY) or ""
    of_a_master = re.match(r"metrics-([0-9]+)-", Path(directory).name)
    if of_a_master and int(of_a_master[1]) == os.getpid():
        return
    if of_a_master or not directory:  # SIGUSR2: each master has its own
        directory = tempfile.mkdtemp(prefix=f"metrics-{os.getpid()}-", dir=gunicorn_conf.worker_tmp_dir)
        os.chown(directory, server.cfg.uid, server.cfg.gid)
    Path(directory).mkdir(parents=True, exist_ok=True)
    os.environ[_DIRECTORY] = directory


def _bury_the_dead(directory: Path) -> None:
    """Add what dead workers have counted to the files of "worker 0", so that no count ever goes backwards.

    Left alone, those files would be read on every scrape for ever, more with each recycle.
    """
    from prometheus_client.mmap_dict import MmapedDict  # noqa: PLC0415  it must not be imported before _prepare

    with _locked(directory):
        for file in directory.glob("*_[1-9]*.db"):
            kind, *_, pid = file.stem.split("_")
            if _is_alive(int(pid)):
                continue
            if kind in _ADDS_UP and file.stat().st_size:
                heir = MmapedDict(str(file.with_name(f"{kind}_0.db")))
                for key, value, _, _ in MmapedDict.read_all_values_from_file(str(file)):
                    heir.write_value(key, heir.read_value(key)[0] + value, 0.0)
                heir.close()
            if kind in _ADDS_UP or "_live" in file.name:
                file.unlink()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Keep scrapes out (they lock the directory too): a count must be read either before or after it has moved."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        deadline = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:  # a scrape takes milliseconds, and the next exit tries again
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.005)
        yield
    finally:
        os.close(handle)
