"""A throw-away PostgreSQL from this machine's own packages, for development and for the tests.

``python -m ops.database`` (``make database``) serves what DATABASE_URL in ``.env`` says, migrated, until it is
stopped; then its data is gone. Debian and Ubuntu: ``apt-get install postgresql``.
"""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import psycopg.sql
from sqlalchemy import URL, make_url

_ROOT = Path(__file__).resolve().parent.parent
_START_SECONDS = 60
_STOP_SECONDS = 15
_POLL_SECONDS = 0.05
_LOCAL = {"127.0.0.1", "localhost"}


def programs() -> Path:
    """Return the directory of initdb and postgres.

    Raises:
        RuntimeError: PostgreSQL's server is not installed.
    """
    if found := shutil.which("initdb"):
        return Path(found).parent
    versions = [directory for directory in Path("/usr/lib/postgresql").glob("*/bin") if (directory / "initdb").exists()]
    if not versions:
        msg = "PostgreSQL's server is not installed (on Debian and Ubuntu: apt-get install postgresql)"
        raise RuntimeError(msg)
    return max(versions, key=lambda directory: float(directory.parent.name))


def text_url(url: URL) -> str:
    """Return a URL as libpq and DATABASE_URL have it, with the password."""
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


@contextlib.contextmanager
def running(url: URL) -> Iterator[None]:
    """Serve the database that a URL names, on this host, while the ``with`` block runs.

    Args:
        url: With 127.0.0.1, a free port, a user (who may do everything), a password and the name of a database.

    Raises:
        RuntimeError: It is not installed or does not start.
    """
    binaries = programs()
    # Root's TMPDIR may be one where the server's user cannot go.
    with tempfile.TemporaryDirectory(prefix="database-", dir="/tmp" if _is_root() else None) as name:  # noqa: S108
        private = Path(name)
        account = _account(private)
        secret = private / "password"
        secret.write_text(f"{url.password}\n", encoding="utf-8")
        secret.chmod(0o644)  # its directory is private
        data, log = private / "data", private / "log"
        login = ["--username", str(url.username), "--auth", "scram-sha-256", "--pwfile", str(secret)]
        create = [str(binaries / "initdb"), "--pgdata", str(data), "--no-sync", "--encoding", "UTF8", *login]
        created = subprocess.run(create, **account, cwd=name, capture_output=True, text=True, check=False)
        if created.returncode != 0:
            raise RuntimeError(created.stdout + created.stderr)
        settings = [f"port={url.port}", "listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off"]
        command = [str(binaries / "postgres"), "-D", str(data), *(part for item in settings for part in ("-c", item))]
        with log.open("wb") as output:
            # A session of its own: Ctrl-C reaches this program only, and it stops the server when it is ready to.
            server = subprocess.Popen(
                command, **account, cwd=name, stdout=output, stderr=output, start_new_session=True
            )
        try:
            _create_database(url, server, log)
            yield
        finally:
            _stop(server)


def _is_root() -> bool:
    return os.geteuid() == 0


def _account(private: Path) -> dict[str, Any]:
    """Return whom the server must run as, and give the directory to that user: PostgreSQL refuses to be root."""
    if not _is_root():
        return {}
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            os.chown(private, entry.pw_uid, entry.pw_gid)
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    msg = "PostgreSQL does not run as root, and there is no user postgres or nobody"
    raise RuntimeError(msg)


def _create_database(url: URL, server: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the server answers, and create the URL's database."""
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            with psycopg.connect(text_url(url.set(database="postgres")), autocommit=True, connect_timeout=5) as admin:
                admin.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(str(url.database))))
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > deadline:
                msg = f"PostgreSQL does not start:\n{log.read_text(errors='replace')}"
                raise RuntimeError(msg) from None
            time.sleep(_POLL_SECONDS)
        else:
            return


def _stop(server: subprocess.Popen[bytes]) -> None:
    """Disconnect everybody and wait for the end; without an end in time, at once."""
    for number in (signal.SIGINT, signal.SIGQUIT):
        server.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(_STOP_SECONDS)
            return
    server.kill()
    server.wait()


def main() -> int:
    """Serve DATABASE_URL until a signal comes."""
    from app.settings import load  # noqa: PLC0415  the functions above do without settings

    os.chdir(_ROOT)
    url = make_url(load().database_url.get_secret_value())
    if url.host not in _LOCAL or not (url.port and url.username and url.password and url.database):
        example = "postgresql://app:PASSWORD@127.0.0.1:5433/app"
        print(f"database: DATABASE_URL names no throw-away database on this host; such as {example}", file=sys.stderr)
        return 1
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stopped.set())
    try:
        with running(url):
            migrate = [sys.executable, "-m", "alembic", "upgrade", "head"]
            if subprocess.run(migrate, check=False).returncode != 0:
                return 1
            print(f"database: ready at {url.host}:{url.port} (Ctrl-C stops it and deletes its data)", flush=True)
            stopped.wait()
    except RuntimeError as error:
        print(f"database: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
