"""A small HTTP/1.1 server on a raw socket that does exactly what a test says, also what no good server would do."""

import contextlib
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

__all__ = ["OK", "Backend", "Request", "response"]


@dataclass(frozen=True)
class Request:
    """One request as it arrived.

    Attributes:
        method: The method.
        target: The request target, untouched.
        protocol: ``HTTP/1.1`` or ``HTTP/1.0``.
        headers: Name (lower case) and value of every header, in order.
        body: The body, chunks put together.
        connection: Which connection it came on, counted from 1.
        position: Which request of that connection it was, counted from 1.
    """

    method: str
    target: str
    protocol: str
    headers: list[tuple[str, str]]
    body: bytes
    connection: int
    position: int

    def all(self, name: str) -> list[str]:
        """Return every value of one header."""
        return [value for key, value in self.headers if key == name.lower()]


def response(status: str = "200 OK", body: bytes = b"ok", *headers: str) -> bytes:
    """Return a complete response with its Content-Length."""
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(head).encode() + body


OK = response()

Answer = Callable[[Request, socket.socket], bytes | None]


class Backend:
    """Listens while the ``with`` block runs; one thread for each connection.

    Args:
        answer: Called with each request and its connection; returns the bytes to send, or None to close the connection
            (after it has written to the connection itself, or without any answer).
        host: The address to listen on, or a path for a unix socket.
        port: The port; 0: a free one.
    """

    def __init__(self, answer: Answer | None = None, *, host: str | Path = "127.0.0.1", port: int = 0) -> None:
        self._answer = answer or (lambda _request, _connection: OK)
        family = socket.AF_UNIX if isinstance(host, Path) else socket.AF_INET
        self._listener = socket.socket(family, socket.SOCK_STREAM)
        if isinstance(host, Path):
            self._listener.bind(str(host))
            host.chmod(0o666)
            self.upstream = f"unix:{host}"
        else:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind((host, port))
            self.port: int = self._listener.getsockname()[1]
            self.upstream = f"{host}:{self.port}"
        self._listener.listen(64)
        self._threads: list[threading.Thread] = []
        self._open: list[socket.socket] = []
        self.requests: list[Request] = []
        self.accepted = 0
        self.closed_by_peer = 0

    def __enter__(self) -> Self:
        """Start to accept."""
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close everything and wait for the threads."""
        for one in [self._listener, *self._open]:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for thread in self._threads:
            thread.join(5.0)

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.accepted += 1
                self._open.append(connection)
                self._start(self._serve, connection, self.accepted)

    def _serve(self, connection: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as reader:
            position = 0
            while line := reader.readline():
                position += 1
                method, target, protocol = line.decode().split()
                headers = []
                while (line := reader.readline()) not in {b"\r\n", b""}:
                    name, _, value = line.decode("latin-1").partition(":")
                    headers.append((name.lower(), value.strip()))
                request = Request(method, target, protocol, headers, _body(reader, dict(headers)), number, position)
                self.requests.append(request)
                answer = self._answer(request, connection)
                if answer is None:
                    return
                connection.sendall(answer)
            self.closed_by_peer += 1


def _body(reader: BinaryIO, headers: dict[str, str]) -> bytes:
    read = reader.read
    if "chunked" in headers.get("transfer-encoding", ""):
        parts = []
        while size := int(reader.readline(), 16):
            parts.append(read(size))
            read(2)
        read(2)
        return b"".join(parts)
    body: bytes = read(int(headers.get("content-length", "0")))
    return body
