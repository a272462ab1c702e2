"""A PostgreSQL that the pods reach."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.polling import wait_until

__all__ = ["postgresql"]

_PORT = 5432


@contextmanager
def postgresql(directory: Path, address: str, password: str) -> Iterator[str]:
    """Run PostgreSQL on ``address`` while the block runs, for the user ``postgres`` with ``password``; yields its URL.

    The server refuses to run as root: ``directory``, in a place that every user may enter, becomes its user's.
    """
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    data = directory / "data"
    directory.mkdir()
    secret = directory / "password"
    secret.write_text(password, encoding="utf-8")
    subprocess.run(["chown", "-R", "postgres", str(directory)], check=True)
    user = ["runuser", "-u", "postgres", "--"]
    initdb = [programs / "initdb", "-D", data, "-U", "postgres", "--pwfile", secret, "-A", "scram-sha-256", "--no-sync"]
    subprocess.run([*user, *map(str, initdb)], check=True, capture_output=True, timeout=120)
    with (data / "pg_hba.conf").open("a", encoding="utf-8") as rules:
        rules.write("host all all 10.0.0.0/8 scram-sha-256\n")
    options = ["-D", data, "-h", address, "-p", str(_PORT), "-k", directory]
    with (directory / "log").open("wb") as log:
        server = subprocess.Popen(
            [*user, *map(str, [programs / "postgres", *options])], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        try:
            ready = [str(programs / "pg_isready"), "-h", address, "-p", str(_PORT)]
            wait_until(
                lambda: subprocess.run(ready, capture_output=True, check=False).returncode == 0,
                seconds=60,
                what="PostgreSQL",
            )
            yield f"postgresql+psycopg://postgres:{password}@{address}:{_PORT}/postgres"
        finally:
            server.terminate()
            server.wait(30)
