"""What the reader says is in force, against what a real nginx does with the same file."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from no502.doctor.model import Deployment, NginxConfig
from no502.doctor.readers.nginx.configuration import read_nginx
from no502.serve.proxy import foreground_command
from tests.nginx.conftest import PROGRAMS, program
from tests.support.backend import Backend, Request, response
from tests.support.polling import wait_until
from tests.support.ports import free_port
from tests.support.processes import Running

_CONF = """
daemon off;
pid nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
    proxy_set_header X-Level http;
    proxy_set_header X-Http yes;
    upstream pool {{ server {backend}; }}
    upstream kept {{ server {backend}; keepalive 4; }}
    server {{
        listen 127.0.0.1:{port};
        location /inherits {{ proxy_pass http://pool; }}
        location /own {{
            proxy_set_header X-Level location;
            proxy_pass http://pool;
            location /own/nested {{ proxy_set_header X-Nested yes; proxy_pass http://pool; }}
            location /own/bare {{ }}
        }}
        location /old {{ proxy_http_version 1.0; proxy_pass http://kept; }}
        location /classic {{ proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass http://kept; }}
        location /closes {{ proxy_http_version 1.1; proxy_set_header Connection close; proxy_pass http://kept; }}
        location /address {{ proxy_pass http://{backend}; }}
    }}
    server {{
        listen 127.0.0.1:{port};
        server_name second;
        proxy_set_header X-Level server;
        location /inherits {{ proxy_pass http://pool; }}
        location @named {{ proxy_pass http://pool; }}
        location /to-named {{ proxy_set_header X-Level location; error_page 418 = @named; return 418; }}
    }}
}}
"""
_PATHS = ("/inherits", "/own", "/own/nested", "/old", "/classic", "/closes", "/address")


class _Server:
    """A running nginx, the backend behind it, and the reader's view of the same file."""

    def __init__(self, config: NginxConfig, port: int, seen: list[Request]) -> None:
        self.config, self._port, self._seen = config, port, seen

    def get(self, path: str, host: str = "first") -> tuple[int, Request | None]:
        """Send a request and return the status and what the backend saw of it."""
        before = len(self._seen)
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        connection.request("GET", path, headers={"Host": host})
        status = connection.getresponse().status
        connection.close()
        return status, self._seen[-1] if len(self._seen) > before else None


def _answer(one: Request, connection: socket.socket, seen: list[Request]) -> bytes | None:
    """Answer as a good server does: a client that asked for the connection's end gets it."""
    seen.append(one)
    if one.protocol == "HTTP/1.1" and one.all("connection") != ["close"]:
        return response()
    connection.sendall(response("200 OK", b"ok", "Connection: close"))
    return None


@pytest.fixture(name="server", scope="module", params=list(PROGRAMS))
def _server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Server]:
    """The configuration in each of the two nginx versions."""
    nginx = program(request.param)
    folder: Path = tmp_path_factory.mktemp("nginx")
    folder.chmod(0o755)
    seen: list[Request] = []
    with ExitStack() as stack:
        backend = stack.enter_context(Backend(lambda one, connection: _answer(one, connection, seen)))
        port = free_port()
        (folder / "nginx.conf").write_text(_CONF.format(backend=backend.upstream, port=port))
        config, _ = read_nginx(folder / "nginx.conf", base=folder, versions=(nginx.version,), deployment=Deployment())
        stack.enter_context(Running(foreground_command(nginx.path, folder), cwd=folder))
        server = _Server(config, port, seen)

        def answers() -> bool:
            try:
                return server.get("/inherits")[0] == 200
            except OSError:
                return False

        wait_until(answers, seconds=30, what="nginx")
        yield server


def test_headers(server: _Server) -> None:
    """The headers that arrive are those that the reader names, and none of those that it says are dropped."""
    read = {(one.server_names, one.path): one for one in server.config.locations}
    probes: list[tuple[tuple[str, ...], str, str, str]] = [((), path, path, "first") for path in _PATHS]
    probes += [(("second",), "/inherits", "/inherits", "second"), (("second",), "@named", "/to-named", "second")]
    for names, path, target, host in probes:
        status, seen = server.get(target, host)
        location = read[names, path]
        assert status == 200, target
        assert seen is not None, target
        assert seen is not None
        for header in ("x-level", "x-http", "x-nested", "connection"):
            fact = location.headers.get(header)
            expected = [fact.value] if fact is not None and fact.value else []
            assert [value.lower() for value in seen.all(header)] == expected, (target, header)
        assert all(not seen.all(name) for name in location.dropped_headers), target


def test_proxy_pass_is_not_inherited_by_a_nested_location(server: _Server) -> None:
    """A nested location without its own proxy_pass is none of the reader's places, and nginx answers 404 there."""
    assert server.get("/own/bare")[0] == 404
    assert all(location.path != "/own/bare" for location in server.config.locations)


def test_pooling(server: _Server) -> None:
    """Connections are used again exactly where pool size, HTTP version and Connection header of the reader say so."""
    for path in _PATHS:
        [location] = [one for one in server.config.locations if one.path == path and not one.server_names]
        upstream = location.upstream
        assert upstream is not None
        size = upstream.settings.named()["keepalive"].value if upstream.explicit else 0
        version = location.settings.named()["proxy_http_version"].value
        expected = bool(size) and version != "1.0" and location.headers["connection"].value != "close"
        server.get(path)
        first, second = server.get(path)[1], server.get(path)[1]
        assert first is not None
        assert second is not None
        assert (first.connection == second.connection) is expected, path
