"""Requests of the live probes: one at a time, read-only, to the given host and to no other."""

from __future__ import annotations

import socket
import ssl
import time
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

from no502 import __version__
from no502.errors import USAGE, UserError

__all__ = ["AGENT", "Answer", "Endpoint", "exchange", "idle_lifetime"]

AGENT = f"no502-doctor/{__version__}"
"""What the access log shows of the probes."""
_PATIENCE = 10.0
_LARGEST = 65536


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where the probes go: scheme, host, port and path of a URL."""

    tls: bool
    host: str
    port: int
    path: str

    @classmethod
    def parse(cls, url: str, option: str) -> Self:
        """Return the endpoint that a URL names.

        Raises:
            UserError: It is no http or https URL.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if parts.scheme not in {"http", "https"} or not parts.hostname or any(c in url for c in "\r\n "):
            message = f"{option} {url}: give a URL such as http://127.0.0.1:8000/"
            raise UserError(message, USAGE)
        tls = parts.scheme == "https"
        return cls(tls=tls, host=parts.hostname, port=port or (443 if tls else 80), path=parts.path or "/")

    def __str__(self) -> str:
        """The URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http{'s' if self.tls else ''}://{host}:{self.port}{self.path}"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back; ``status`` is None where nothing did."""

    status: int | None
    seconds: float
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    error: str = ""

    def __str__(self) -> str:
        """Status and time, or the reason."""
        return f"{self.status} in {self.seconds * 1000:.0f} ms" if self.status is not None else self.error


def _connect(endpoint: Endpoint) -> socket.socket:
    plain = socket.create_connection((endpoint.host, endpoint.port), _PATIENCE)
    if not endpoint.tls:
        return plain
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # trust is a probe of its own
    try:
        return context.wrap_socket(plain, server_hostname=endpoint.host)
    except BaseException:
        plain.close()
        raise


def _head(endpoint: Endpoint, path: str | None, headers: dict[str, str]) -> bytes:
    lines = [f"GET {path or endpoint.path} HTTP/1.1", f"Host: {endpoint.host}", f"User-Agent: {AGENT}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


def exchange(endpoint: Endpoint, path: str | None = None, headers: dict[str, str] | None = None) -> Answer:
    """Send one GET and return the answer, at most 64 KiB of it; never follows a redirect."""
    begin = time.monotonic()
    try:
        with _connect(endpoint) as connection:
            connection.sendall(_head(endpoint, path, {**(headers or {}), "Connection": "close"}))
            data, elapsed = _read(connection, begin)
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        return Answer(status=None, seconds=time.monotonic() - begin, error=reason)
    return _parsed(data, elapsed)


def _read(connection: socket.socket, begin: float) -> tuple[bytes, float]:
    """Return what is sent until the end, and the time of the first byte."""
    data, first = b"", 0.0
    while len(data) < _LARGEST and time.monotonic() - begin < 2 * _PATIENCE:
        part = connection.recv(16384)
        if not part:
            break
        first = first or time.monotonic() - begin
        data += part
        if data.startswith(b"HTTP/1.1 100"):
            break  # it would take the body that is announced
    return data, first


def _parsed(data: bytes, seconds: float) -> Answer:
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ", 2)
    if len(words) < 2 or not words[0].startswith("HTTP/") or not words[1].isdigit():
        return Answer(status=None, seconds=seconds, error="closed without an answer" if not data else "not HTTP")
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    return Answer(status=int(words[1]), seconds=seconds, headers=headers, body=body)


def idle_lifetime(endpoint: Endpoint, limit: float) -> float | None:
    """Return the seconds after which the other side closes an idle connection; None if it lasts longer than ``limit``.

    Raises:
        OSError: There is no connection, or no answer to the one request on it.
    """
    with _connect(endpoint) as connection:
        connection.sendall(_head(endpoint, None, {}))
        connection.settimeout(_PATIENCE)
        data = connection.recv(16384)
        if not data:
            message = "closed without an answer"
            raise OSError(message)
        begin = time.monotonic()
        while True:
            left = limit - (time.monotonic() - begin)
            if left <= 0:
                return None
            connection.settimeout(left)
            try:
                part = connection.recv(16384)
            except TimeoutError:
                return None
            except ConnectionResetError:
                part = b""
            if not part:
                return time.monotonic() - begin
            begin = time.monotonic()  # the rest of the answer
