"""The messages of two real nginx versions, each made to happen and recognised."""

import contextlib
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from no502.doctor.logs.findings import Findings, classify
from no502.doctor.logs.parse import parse
from no502.lab.dns import NameServer
from tests.nginx.conftest import PROGRAMS, program
from tests.nginx.proxy import Nginx
from tests.support.backend import Backend, Request, response
from tests.support.directories import public_directory
from tests.support.polling import wait_until
from tests.support.ports import free_port
from tests.support.processes import Running

CONF = """
daemon off; master_process on; worker_processes 1; pid nginx.pid; error_log stderr info;
events {{ worker_connections 64; }}
http {{
    access_log off; client_max_body_size 100k; proxy_http_version 1.1; proxy_set_header Connection "";
    proxy_connect_timeout 1s; proxy_read_timeout 1s; proxy_send_timeout 1s;
    client_body_temp_path a; proxy_temp_path b; fastcgi_temp_path c; uwsgi_temp_path d; scgi_temp_path e;
    resolver {resolver} ipv6=off; resolver_timeout 2s;
    upstream pair {{ server 127.0.0.1:{closed}; server 127.0.0.1:{closed2}; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{ proxy_pass http://{backend}; }}
        location /refused {{ proxy_pass http://127.0.0.1:{closed}; }}
        location /missing {{ proxy_pass http://unix:{tree}/missing.sock; }}
        location /forbidden {{ proxy_pass http://unix:{tree}/closed/s; }}
        location /full {{ proxy_pass http://unix:{tree}/full; }}
        location /pair {{ proxy_pass http://pair; }}
        location /unknown {{ set $name unknown.test; proxy_pass http://$name; }}
        location /tls {{ proxy_pass https://127.0.0.1:{plain}; }}
        location /upload {{ client_max_body_size 50m; proxy_pass http://{backend}; }}
        location /loop {{ rewrite ^ /loop last; }}
        location /buffered {{ proxy_temp_path g; proxy_pass http://{backend}; }}
        location /denied {{ proxy_temp_path h; proxy_pass http://{backend}; }}
        location /body-buffered {{ client_max_body_size 50m; client_body_temp_path i; proxy_pass http://{backend}; }}
        location /body-denied {{ client_max_body_size 50m; client_body_temp_path j; proxy_pass http://{backend}; }}
        location /auth {{ auth_request /refused-auth; proxy_pass http://{backend}; }}
        location = /refused-auth {{ internal; proxy_pass http://127.0.0.1:{closed}; }}
        location /prefix {{ set $empty ""; proxy_pass $empty; }}
        location /static/ {{ root {tree}; }}
        location /fastcgi-http {{ fastcgi_pass 127.0.0.1:{http}; }}
        location /fastcgi-script {{ fastcgi_pass 127.0.0.1:{script}; }}
        location /fastcgi-ended {{ fastcgi_pass 127.0.0.1:{ended}; }}
        location /http2 {{ {http2} proxy_pass http://127.0.0.1:{old}; }}
        location /websocket {{
            proxy_set_header Upgrade websocket; proxy_set_header Connection upgrade; proxy_pass http://{backend};
        }}
    }}
    server {{ listen 127.0.0.1:{port2}; resolver_timeout 1s; location / {{ return 200; }} }}
}}
"""
HOLD_SECONDS = 3.0
"""Longer than every timeout of the configuration."""


PART = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\npart"
WRITTEN = {
    "/cut": (PART, 0.0),
    "/silent": (PART, HOLD_SECONDS),
    "/websocket": (b"HTTP/1.1 101 Hi\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", HOLD_SECONDS),
    "/noise": (b"\x15\x03\x01 this is not HTTP\r\n\r\n", 0.2),
    "/chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nzz\r\n", 0.2),
}
"""What is written before the connection is held for so many seconds and closed."""
ANSWERS = {
    "/big": response("200 OK", b"ok", "X-Large: " + "x" * 20_000),
    "/both": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "/server": response("200 OK", b"ok", "Server: one", "Server: two"),
    "/twice": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
}


LARGE = response("200 OK", b"x" * 12_000_000)
"""More than the buffers of nginx and of the kernel."""


def answer(request: Request, connection: socket.socket) -> bytes | None:
    """Misbehave as the path says."""
    if request.target in WRITTEN:
        written, seconds = WRITTEN[request.target]
        connection.sendall(written)
        time.sleep(seconds)
        return None
    if request.target == "/resets":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if request.target in {"/resets", "/closes"}:
        return None
    if request.target in {"/buffered", "/denied"}:
        return LARGE
    if request.target == "/slow":
        time.sleep(HOLD_SECONDS)
    return ANSWERS.get(request.target, response())


def ask(port: int, path: str, *, method: str = "POST", length: int = 0, leave: bool = False) -> None:
    """Send a request and read until nginx closes the connection, or leave at once."""
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n"
    head += "Upgrade: websocket\r\n\r\n" if path == "/websocket" else "\r\n"
    with socket.create_connection(("127.0.0.1", port), 30) as client, contextlib.suppress(ConnectionError):
        client.sendall(head.encode() + b"x" * min(length, 1 << 20))
        if leave:
            time.sleep(0.3)
            return
        if path in {"/buffered", "/denied"}:
            time.sleep(0.5)  # nginx fills its buffers meanwhile
        while client.recv(65536):
            pass


@contextlib.contextmanager
def full_socket(path: Path) -> Iterator[None]:
    """A unix socket whose listen queue is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(str(path))
        path.chmod(0o666)
        listener.listen(0)
        for _ in range(8):
            waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
            waiting.setblocking(False)
            try:
                waiting.connect(str(path))
            except BlockingIOError:
                break
        yield


_NOT_FOUND = b"Status: 404 Not Found\r\nContent-Type: text/plain\r\n\r\nnone"


def _record(kind: int, content: bytes) -> bytes:
    """Return a FastCGI record of version 1: 6 is standard output, 7 standard error, 3 the end of the request."""
    return struct.pack(">BBHHBB", 1, kind, 1, len(content), 0, 0) + content


@contextlib.contextmanager
def answers_once(written: bytes = b"HTTP/1.1 400 Bad Request\r\n\r\n") -> Iterator[int]:
    """A port that writes this to its first client, whatever that has sent, and closes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(written)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield int(listener.getsockname()[1])
        thread.join(10)


def lines_of(nginx: Nginx, tree: Path) -> list[str]:
    """Make everything happen on one nginx and return its error log."""
    (tree / "closed").mkdir(mode=0o700)
    (tree / "static" / "empty").mkdir(parents=True)
    with (
        socket.socket(socket.AF_UNIX) as forbidden,
        full_socket(tree / "full"),
        Backend(answer) as backend,
        answers_once() as plain,
        answers_once() as old,
        answers_once() as http,
        answers_once(_record(7, b"Primary script unknown") + _record(6, _NOT_FOUND) + _record(3, bytes(8))) as script,
        answers_once(_record(6, b"Status: 200 OK\r\n") + _record(3, bytes(8))) as ended,
        NameServer() as names,
    ):
        forbidden.bind(str(tree / "closed" / "s"))
        (tree / "closed" / "s").chmod(0)
        forbidden.listen(1)
        port, port2 = free_port(), free_port()
        text = CONF.format(
            port=port,
            port2=port2,
            closed=free_port(),
            closed2=free_port(),
            backend=backend.upstream,
            tree=tree,
            plain=plain,
            resolver=names.address,
            old=old,
            http=http,
            script=script,
            ended=ended,
            http2="proxy_http_version 2;" if nginx.version >= (1, 29, 4) else "",
        )
        (tree / "nginx.conf").write_text(text, encoding="utf-8")
        with Running([nginx.path, "-e", "stderr", "-p", str(tree), "-c", "nginx.conf"]) as running:
            running.wait_for_output("start worker process ")
            wait_until(lambda: _listens(port), seconds=30, what="nginx")
            for path in (
                *("/refused?secret=1", "/missing", "/forbidden", "/full", "/pair", "/pair", "/unknown", "/tls"),
                *("/closes", "/resets", "/cut", "/slow", "/silent", "/websocket", "/big", "/noise", "/chunks"),
                *("/both", "/twice", "/server", "/loop", "/fastcgi-http", "/fastcgi-script", "/fastcgi-ended"),
            ):
                ask(port, path)
            ask(port, "/slow", leave=True)
            for name in "hj":
                (tree / name).chmod(0)
            for path in ("/buffered", "/denied", "/auth", "/prefix", "/static/none", "/static/empty/", "/http2"):
                ask(port, path, method="GET")
            ask(port, "/body-buffered", length=200_000)
            ask(port, "/body-denied", length=200_000)
            ask(port, "/too-large", length=200_000)
            wait_until(lambda: "so upstream connection is closed too" in running.output(), seconds=30, what="L922")
        return running.output().splitlines()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.fixture(scope="module", params=list(PROGRAMS))
def log(request: pytest.FixtureRequest) -> tuple[Nginx, list[str]]:
    """Each nginx with its error log."""
    nginx = program(request.param)
    with public_directory() as tree:
        return nginx, lines_of(nginx, tree)


def _of(lines: list[str], path: str) -> set[str]:
    wanted = [line for raw in lines if (line := parse(raw.encode())) is not None and line.uri.partition("?")[0] == path]
    return {message.id for line in wanted if (message := classify(line)) is not None}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/refused", "L901"),
        ("/missing", "L902"),
        ("/forbidden", "L903"),
        ("/full", "L904"),
        ("/pair", "L908"),
        ("/pair", "L909"),
        ("/unknown", "L925"),
        ("/tls", "L929"),
        ("/closes", "L911"),
        ("/resets", "L911"),
        ("/cut", "L912"),
        ("/slow", "L913"),
        ("/slow", "L922"),
        ("/silent", "L914"),
        ("/websocket", "L916"),
        ("/big", "L918"),
        ("/noise", "L919"),
        ("/chunks", "L931"),
        ("/too-large", "L923"),
        ("/loop", "L946"),
        ("/buffered", "L943"),
        ("/denied", "L941"),
        ("/body-buffered", "L944"),
        ("/body-denied", "L942"),
        ("/auth", "L939"),
        ("/auth", "L901"),
        ("/prefix", "L977"),
        ("/fastcgi-http", "L980"),
        ("/fastcgi-ended", "L980"),
        ("/fastcgi-script", "L978"),
        ("/static/none", "L970"),
        ("/static/empty/", "L971"),
    ],
)
def test_message_is_recognised(log: tuple[Nginx, list[str]], path: str, expected: str) -> None:
    """What nginx writes when it happens is the message that the table says."""
    assert expected in _of(log[1], path), "\n".join(line for line in log[1] if path in line)


@pytest.mark.parametrize(("path", "expected"), [("/both", "L921"), ("/twice", "L920"), ("/server", "L936")])
def test_newer_nginx_refuses_what_older_ones_passed(log: tuple[Nginx, list[str]], path: str, expected: str) -> None:
    """Length and chunks together, two lengths and two servers are messages on 1.31 and none on 1.22."""
    nginx, lines = log
    assert _of(lines, path) == ({expected} if nginx.version >= (1, 23, 0) else set())


def test_http2_to_a_server_without_it(log: tuple[Nginx, list[str]]) -> None:
    """A nginx that can speak HTTP/2 to the application says that the answer is none."""
    nginx, lines = log
    assert _of(lines, "/http2") == ({"L949"} if nginx.version >= (1, 29, 4) else set())


def test_levels_are_those_of_the_catalogue(log: tuple[Nginx, list[str]]) -> None:
    """nginx writes each message at a level that its page names."""
    for raw in log[1]:
        line = parse(raw.encode())
        message = classify(line) if line is not None else None
        if line is not None and message is not None:
            assert line.level in message.levels, raw


def test_nothing_serious_is_left_unknown(log: tuple[Nginx, list[str]]) -> None:
    """Every error of the run is in the table."""
    findings = Findings()
    findings.read([line.encode() for line in log[1]])
    assert findings.unknown.top(10) == []


def test_a_query_string_is_not_kept(log: tuple[Nginx, list[str]]) -> None:
    """The busiest URI is shown without its query, which may hold a secret."""
    findings = Findings()
    findings.read([line.encode() for line in log[1]])
    assert ("POST /refused", 1) in findings.seen["L901"].uris.top(5)


def test_name_unknown_at_start(nginx: Nginx, tree: Path) -> None:
    """nginx that refuses to start over a name says L924, without any connection number."""
    conf = "events {} http { server { listen 127.0.0.1:1; location / { proxy_pass http://no-such-name.invalid; } } }"
    (tree / "nginx.conf").write_text(conf, encoding="utf-8")
    command = [nginx.path, "-t", "-e", "stderr", "-p", str(tree), "-c", "nginx.conf"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    ids = [
        message.id for raw in done.stderr.splitlines() if (line := parse(raw.encode())) and (message := classify(line))
    ]
    assert ids == ["L924"], done.stderr


_EMERG = {
    "upstream a { server http://backend:8000; }": "L999",
    "upstream a { server 127.0.0.1:99999; }": "L999",
    "upstream a { }": "L999",
    "server { location / { proxy_set_header Connection $connection_upgrade; } }": "L969",
    "upstream a { server 127.0.0.1:1; } upstream a { server 127.0.0.1:1; }": "L981",
    "server { location / {} location / {} }": "L981",
    "server { location ~ /x { proxy_pass http://127.0.0.1:1/a/; } }": "L982",
    "upstream a { server localhost:1 resolve; }": "L983",
    "server { location / { proxy_pass http:/; } }": "L977",
    "server { nonsense on; }": "L937",
}
"""Lines that stop a start, and the message that each version writes."""


@pytest.mark.parametrize("line", _EMERG)
@pytest.mark.parametrize("name", PROGRAMS)
def test_refused_configuration_has_its_message(name: str, line: str) -> None:
    """What nginx -t says is recognised; the general message is left for the rest."""
    with public_directory() as tree:
        file = tree / "nginx.conf"
        listening = line.replace("server { ", f"server {{ listen 127.0.0.1:{free_port()}; ")
        file.write_text(f"pid {tree}/pid; error_log stderr; events {{}} http {{ {listening} }}", encoding="utf-8")
        command = [program(name).path, "-t", "-p", str(tree), "-c", str(file)]
        said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30).stderr
    findings = Findings()
    findings.read([one.encode() for one in said.splitlines()])
    assert set(findings.seen) == {_EMERG[line]}, said
