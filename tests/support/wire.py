"""HTTP/1.1 over plain sockets, so that a test decides when which byte is sent and sees resets as resets."""

import json
import select
import socket
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

__all__ = ["Address", "Connection", "Load", "LostError", "Response", "request"]

Address = tuple[str, int] | str
"""Host and port, or the path of a unix socket."""

_PAUSE_SECONDS = 0.004


class LostError(Exception):
    """The peer closed or reset the connection before it had sent a whole response."""


@dataclass(frozen=True)
class Response:
    """One response; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def closes(self) -> bool:
        """Whether it says ``Connection: close``."""
        return "close" in self.headers.get("connection", "").lower()

    @property
    def data(self) -> Any:
        """The body, decoded from JSON."""
        return json.loads(self.body)

    @property
    def pid(self) -> int:
        """The process that answered, as the test applications report it."""
        return int(self.data["pid"])


def request(path: str = "/", *, method: str = "POST", body: bytes = b"{}") -> bytes:
    """Return a request with its body as it is sent."""
    head = f"{method} {path} HTTP/1.1\r\nHost: e2e\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Connection:
    """A client connection; leaving the ``with`` block closes it.

    Args:
        address: Where to connect to.
        seconds: How long one read or write may take.
    """

    def __init__(self, address: Address, *, seconds: float = 60.0) -> None:
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.settimeout(seconds)
        self._received = b""
        try:
            self._socket.connect(address)
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        """Return the connection itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close it, even if more is to come."""
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Send bytes as they are.

        Raises:
            LostError: The peer has reset the connection.
        """
        try:
            self._socket.sendall(data)
        except ConnectionError as error:
            raise LostError(repr(error)) from error

    def post(self, path: str = "/", body: bytes = b"{}") -> Response:
        """Send one POST and return its response.

        Raises:
            LostError: The connection ended before the response did.
        """
        self.send(request(path, body=body))
        return self.response()

    def response(self) -> Response:
        """Read one response; what follows it is kept for the next call.

        Raises:
            LostError: The connection ended before the response did.
        """
        head = self.head()
        if "chunked" in head.headers.get("transfer-encoding", ""):
            return Response(head.status, head.headers, self._chunks())
        return Response(head.status, head.headers, self._exactly(int(head.headers.get("content-length", "0"))))

    def head(self) -> Response:
        """Read a response's status and headers only; the body can be read with ``chunk``."""
        lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        fields = (line.partition(":") for line in lines[1:])
        headers = {name.strip().lower(): value.strip() for name, _, value in fields}
        return Response(int(lines[0].split()[1]), headers, b"")

    def chunk(self) -> bytes:
        """Read one chunk of a chunked body; empty at its end."""
        data = self._exactly(int(self._until(b"\r\n"), 16))
        self._exactly(2)
        return data

    @property
    def received(self) -> bytes:
        """What has been read and not been returned yet."""
        return self._received

    def readable(self) -> bool:
        """Return whether something, or the end, has arrived; does not wait."""
        return bool(select.select([self._socket], [], [], 0)[0])

    def has_ended(self) -> bool:
        """Wait for the peer to end the connection; False if it sends something instead."""
        try:
            self._received += self._read()
        except LostError:
            return True
        return False

    def _chunks(self) -> bytes:
        body = b""
        while data := self.chunk():
            body += data
        return body

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._received:
            self._received += self._read()
        found, _, self._received = self._received.partition(mark)
        return found

    def _exactly(self, count: int) -> bytes:
        while len(self._received) < count:
            self._received += self._read()
        found, self._received = self._received[:count], self._received[count:]
        return found

    def _read(self) -> bytes:
        try:
            data = self._socket.recv(65536)
        except ConnectionError as error:
            raise LostError(repr(error)) from error
        if not data:
            message = f"end of file after {self._received!r}"
            raise LostError(message)
        return data


class Load:
    """POSTs, one after the other, from one thread, as long as the ``with`` block lasts.

    Args:
        address: Where to connect to.
        reuse: Keep a connection until a response says ``Connection: close``, as a proxy does; else one per request.
        path: What to ask for.
    """

    def __init__(self, address: Address, *, reuse: bool = False, path: str = "/") -> None:
        self.pids: Counter[int] = Counter()
        """How many requests each process has answered."""
        self.failures: list[str] = []
        """What went wrong: one entry for each lost request."""
        self._address, self._reuse, self._path = address, reuse, path
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        """Start the thread."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the thread after its current request."""
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        connection: Connection | None = None
        while not self._done.wait(_PAUSE_SECONDS):
            try:
                connection = connection or Connection(self._address)
                response = connection.post(self._path)
                if response.status == 200:
                    self.pids[response.pid] += 1
                else:
                    self.failures.append(f"status {response.status}")
                leave = response.closes or not self._reuse
            except (LostError, OSError) as error:
                self.failures.append(repr(error))
                leave = True
            if leave and connection is not None:
                connection.close()
                connection = None
        if connection is not None:
            connection.close()
