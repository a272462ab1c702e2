"""The proxy in front of every peer: one small configuration, the same for all of them.

The upstream keeps 64 idle connections for a stated time, or none: then every request tells the peer to close, as by
nginx's own default up to 1.29.6. Everything a peer could gain or lose by is written out, so that nginx 1.22 and 1.31
do the same. Neither the client side nor a log can blur the result: clients are never cut off and requests are not
logged.
"""

from __future__ import annotations

import os
import re
import signal
from collections import Counter
from typing import TYPE_CHECKING

from _process import Running

from no502.nginx.binary import nginx_version
from no502.nginx.versions import KEEPALIVE_MIN_TIMEOUT
from no502.serve.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

__all__ = ["Nginx"]

_CONFIGURATION = """\
daemon off;
{user}worker_processes 1;
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
    {reload}
    include upstream.conf;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://peer;
            proxy_http_version 1.1;
            proxy_set_header Host $host;
            proxy_set_header Connection "{connection}";
            proxy_connect_timeout 10s;
            proxy_read_timeout 30s;
            proxy_send_timeout 30s;
            proxy_request_buffering {buffering};
        }}
    }}
}}
"""

_POOL = "keepalive 64; keepalive_timeout {seconds}s; "

_LINE = re.compile(r"^\S+ \S+ \[(?P<level>\w+)\] \d+#\d+: (?:\*\d+ )?(?P<message>.*?)(?:, client: .*)?$")


class Nginx(Running):
    """nginx, as long as the ``with`` block lasts.

    Args:
        binary: The program.
        directory: Where its configuration and its log are written.
        upstreams: The peer's addresses, ``127.0.0.1:PORT`` or ``unix:PATH``.
        upstream_keepalive: How long an idle connection to the peer is kept, in seconds; 0 keeps none.
        max_fails: Leave one of several upstreams out for a second after so many failures; 0 is never.
        buffers_requests: Whether the peer sees an upload only when nginx has all of it.
    """

    def __init__(
        self,
        binary: str,
        directory: Path,
        *,
        upstreams: Sequence[str],
        upstream_keepalive: int,
        max_fails: int = 1,
        buffers_requests: bool = True,
    ) -> None:
        self.port = free_port()
        self._tree, self._upstreams = directory, tuple(upstreams)
        self._max_fails = max_fails
        self._pool = _POOL.format(seconds=upstream_keepalive) if upstream_keepalive else ""
        directory.mkdir(parents=True)
        text = _CONFIGURATION.format(
            port=self.port,
            connection="" if upstream_keepalive else "close",
            user=_user(),
            reload=_reload(binary),
            buffering="on" if buffers_requests else "off",
        )
        (directory / "nginx.conf").write_text(text, encoding="ascii")
        self._write_upstream(())
        command = [binary, "-e", "start.log", "-p", f"{directory}{os.sep}", "-c", "nginx.conf"]
        super().__init__(command, log=directory / "output.log", directory=directory, seconds_to_serve=10.0)

    def take_out(self, *upstreams: str) -> None:
        """Send nothing to these upstreams from now on, and something to all others (a reload)."""
        self._write_upstream(upstreams)
        self.signal(signal.SIGHUP)

    def errors(self) -> dict[str, int]:
        """Count the lines of the error log by message, without connection numbers and addresses."""
        log = self._tree / "error.log"
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
        kinds: Counter[str] = Counter()
        for line in lines:
            match = _LINE.match(line)
            kinds[f"[{match['level']}] {match['message']}" if match else line] += 1
        return dict(kinds.most_common())

    def _write_upstream(self, down: Collection[str]) -> None:
        one = f"max_fails={self._max_fails} fail_timeout=1s"
        servers = "".join(f"server {name} {one}{' down' * (name in down)}; " for name in self._upstreams)
        text = f"upstream peer {{ {servers}{self._pool}}}\n"
        (self._tree / "upstream.conf").write_text(text, encoding="ascii")

    def _serves(self) -> bool:
        return (self._tree / "nginx.pid").exists()


def _user() -> str:
    """As root, nginx would take another user, who may not use the peer's unix socket."""
    return "user root;\n" if os.geteuid() == 0 else ""


def _reload(binary: str) -> str:
    """A reload would close idle connections of the load generator, which is no doing of the peer's."""
    return "keepalive_min_timeout 10s;" if nginx_version(binary) >= KEEPALIVE_MIN_TIMEOUT else ""
