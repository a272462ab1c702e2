"""What must pass through unharmed."""

import asyncio
import gzip
import socket
import threading
from collections.abc import Iterator

import pytest
import websockets.asyncio.client
import websockets.asyncio.server

from tests.nginx.proxy import HOST, ProxyFactory
from tests.support.backend import Backend, Request, response

_HEAD = f"Host: {HOST}\r\n"


def test_head_has_no_body(start: ProxyFactory) -> None:
    """HEAD keeps the Content-Length of the GET and has no body."""
    with Backend(lambda _request, _connection: b"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n") as backend:
        answer = start(backend.upstream).ask("HEAD")
    assert answer.status == 200
    assert answer.headers["Content-Length"] == "12345"
    assert answer.body == b""
    assert backend.requests[0].method == "HEAD"


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_bodiless_statuses_keep_both_connections(start: ProxyFactory, status: str) -> None:
    """204 and 304 pass and neither the client's nor the application's connection is given up."""
    with Backend(lambda _request, _connection: f"HTTP/1.1 {status}\r\n\r\n".encode()) as backend:
        proxy = start(backend.upstream)
        connection = proxy.connect()
        assert [proxy.ask(connection=connection).status for _ in range(3)] == [int(status[:3])] * 3
        connection.close()
        assert [line["connection_requests"] for line in proxy.access_log(3)] == ["1", "2", "3"]
        assert backend.accepted == 1


def test_chunked_upload_arrives_complete(start: ProxyFactory) -> None:
    """A body without a length arrives whole, with a length (nginx has read it to the end)."""
    with Backend() as backend:
        assert start(backend.upstream).ask("POST", body=iter([b"one", b"two" * 10000])).status == 200
    (request,) = backend.requests
    assert request.body == b"one" + b"two" * 10000
    assert request.all("content-length") == ["30003"]


def test_a_slow_upload_does_not_occupy_the_application(start: ProxyFactory) -> None:
    """The application is not even connected to before the whole body is here."""
    with Backend() as backend:
        proxy = start(backend.upstream)
        with socket.create_connection(("127.0.0.1", proxy.port), 10) as client:
            client.sendall(f"POST / HTTP/1.1\r\n{_HEAD}Content-Length: 4\r\n\r\nhal".encode())
            proxy.ask(path="/other")
            assert [request.target for request in backend.requests] == ["/other"]
            client.sendall(b"f")
            assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
    assert backend.requests[1].body == b"half"


def test_expect_continue_is_answered_by_nginx(start: ProxyFactory) -> None:
    """A client that asks first is told to go on; one whose body is too large is refused before it sends it."""
    with Backend() as backend:
        proxy = start(backend.upstream, NGINX_CLIENT_MAX_BODY_SIZE="10k")
        with socket.create_connection(("127.0.0.1", proxy.port), 10) as client:
            client.sendall(f"POST / HTTP/1.1\r\n{_HEAD}Expect: 100-continue\r\nContent-Length: 2\r\n\r\n".encode())
            assert client.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
            client.sendall(b"ok")
            assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
        refused = proxy.raw(
            f"POST / HTTP/1.1\r\n{_HEAD}Expect: 100-continue\r\nContent-Length: 99999\r\n\r\n", until_close=False
        )
        assert refused.startswith(b"HTTP/1.1 413 ")
    assert [request.body for request in backend.requests] == [b"ok"]


def test_http_1_0_client(start: ProxyFactory) -> None:
    """An HTTP/1.0 client gets a plain body and a closed connection, also where the application sends chunks."""
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    with Backend(lambda _request, _connection: chunked) as backend:
        answer = start(backend.upstream).raw(f"GET / HTTP/1.0\r\n{_HEAD}\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert body == b"hello"
    assert b"Connection: close" in head
    assert b"Transfer-Encoding" not in head
    assert backend.requests[0].protocol == "HTTP/1.1"


def test_request_target_is_untouched(start: ProxyFactory) -> None:
    """Escapes, double slashes and dots reach the application as the client wrote them."""
    target = "/a%2Fb//c/./d%20e?x=%26&y=//"
    with Backend() as backend:
        start(backend.upstream).ask(path=target)
    assert backend.requests[0].target == target


def test_early_answer_to_a_large_upload(start: ProxyFactory) -> None:
    """An application that answers 405 before it has read the body: the client gets the 405, not a 502."""

    def refuse(request: Request, _connection: socket.socket) -> bytes:
        return response("405 No") if request.method == "POST" else response()

    with Backend(refuse) as backend:
        proxy = start(backend.upstream)
        assert [proxy.ask("POST", body=b"x" * 900_000).status for _ in range(5)] == [405] * 5


@pytest.mark.parametrize(("size", "expected"), [(14_000, 200), (17_000, 502)])
def test_size_of_response_headers(start: ProxyFactory, size: int, expected: int) -> None:
    """Response headers of 14 kB pass; beyond 16 kB the client gets 502 and the error log says why."""
    cookies = [f"Set-Cookie: c{number}={'x' * 980}" for number in range(size // 1000)]
    with Backend(lambda _request, _connection: response("200 OK", b"ok", *cookies)) as backend:
        proxy = start(backend.upstream)
        answer = proxy.ask()
        assert answer.status == expected
        assert len(answer.headers.get_all("Set-Cookie") or []) == (len(cookies) if expected == 200 else 0)
        if expected == 502:
            proxy.wait_for_log("upstream sent too big header while reading response header from upstream")


@pytest.mark.parametrize(("size", "expected"), [(15_000, 200), (17_000, 400)])
def test_size_of_request_headers(start: ProxyFactory, size: int, expected: int) -> None:
    """A request header line of 15 kB passes; beyond 16 kB it is refused."""
    with Backend() as backend:
        assert start(backend.upstream).ask(headers={"Cookie": "c=" + "x" * size}).status == expected
    assert len(backend.requests) == (expected == 200)


@pytest.mark.parametrize(("size", "extra"), [(20, ""), (20_000, "X-Accel-Buffering: no\r\n")])
def test_events_arrive_at_once(start: ProxyFactory, size: int, extra: str) -> None:
    """A server-sent event arrives while the stream goes on: small ones always, large ones with the header."""
    event = b"data: " + b"x" * size + b"\n\n"
    released = threading.Event()

    def stream(_request: Request, connection: socket.socket) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n{extra}\r\n"
        connection.sendall(head.encode() + f"{len(event):x}\r\n".encode() + event + b"\r\n")
        released.wait(10)

    with Backend(stream) as backend:
        proxy = start(backend.upstream)
        received = b""
        try:
            with socket.create_connection(("127.0.0.1", proxy.port), 3) as client:
                client.sendall(f"GET / HTTP/1.1\r\n{_HEAD}Accept-Encoding: gzip\r\n\r\n".encode())
                while b"x\n\n\r\n" not in received:
                    received += client.recv(65536)
        finally:
            released.set()
    assert b"Content-Encoding" not in received


def test_compression(start: ProxyFactory) -> None:
    """JSON above 1 kB is compressed for a client that asks; small bodies and other clients get it plain."""

    def answer(request: Request, _connection: socket.socket) -> bytes:
        return response("200 OK", b"1" * int(request.target[1:]), "Content-Type: application/json")

    with Backend(answer) as backend:
        proxy = start(backend.upstream)
        large = proxy.ask(path="/5000", headers={"Accept-Encoding": "gzip"})
        small = proxy.ask(path="/500", headers={"Accept-Encoding": "gzip"})
        plain = proxy.ask(path="/5000")
        proxied = proxy.ask(path="/5000", headers={"Accept-Encoding": "gzip", "Via": "1.1 cdn"})
    assert large.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(large.body) == b"1" * 5000
    assert small.headers["Content-Encoding"] is None
    assert small.body == b"1" * 500
    assert plain.headers["Content-Encoding"] is None
    assert plain.headers["Vary"] == "Accept-Encoding"
    assert proxied.headers["Content-Encoding"] == "gzip"


@pytest.fixture
def echo() -> Iterator[int]:
    """A WebSocket server that says everything back; its port."""
    loop = asyncio.new_event_loop()

    async def serve(connection: websockets.asyncio.server.ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    async def listen() -> websockets.asyncio.server.Server:
        return await websockets.asyncio.server.serve(serve, "127.0.0.1", 0)

    server = loop.run_until_complete(listen())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    (listener,) = server.sockets
    yield listener.getsockname()[1]

    async def close() -> None:
        server.close()
        await server.wait_closed()

    asyncio.run_coroutine_threadsafe(close(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


def test_websocket(start: ProxyFactory, echo: int) -> None:
    """A WebSocket is opened, speaks both ways and is closed with its own code."""
    proxy = start(f"127.0.0.1:{echo}")

    async def talk() -> tuple[str | bytes, int | None]:
        url = f"ws://{HOST}/ws"
        async with websockets.asyncio.client.connect(url, host="127.0.0.1", port=proxy.port, proxy=None) as client:
            await client.send("hello")
            said = await asyncio.wait_for(client.recv(), 5)
            await client.close(4000, "done")
            return said, client.close_code

    assert asyncio.run(talk()) == ("hello", 4000)
    (line,) = proxy.access_log()
    assert line["status"] == "101"
