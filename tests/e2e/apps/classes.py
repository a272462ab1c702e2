"""The worker under test with each HTTP parser and each event loop."""

import asyncio
import os
from pathlib import Path
from typing import Any, ClassVar

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from gunicorn_handover import HandoverWorker

__all__ = [
    "H11Asyncio",
    "H11Uvloop",
    "Http2",
    "Http2ByClass",
    "Http2ByName",
    "HttptoolsAsyncio",
    "HttptoolsUvloop",
    "Legacy",
    "Sansio",
    "Stubborn",
    "Unable",
    "Wsproto",
]


class HttptoolsUvloop(HandoverWorker):
    """What ``auto`` chooses with uvicorn[standard]."""

    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {"http": "httptools", "loop": "uvloop"}


class HttptoolsAsyncio(HandoverWorker):
    """httptools on the standard library's loop."""

    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {"http": "httptools", "loop": "asyncio"}


class H11Uvloop(HandoverWorker):
    """h11 on uvloop."""

    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {"http": "h11", "loop": "uvloop"}


class H11Asyncio(HandoverWorker):
    """What ``auto`` chooses with plain uvicorn."""

    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {"http": "h11", "loop": "asyncio"}


class Sansio(HandoverWorker):
    """The WebSocket protocol that is the default since uvicorn 0.50."""

    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {"ws": "websockets-sansio"}


class Wsproto(HandoverWorker):
    """WebSockets by wsproto."""

    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {"ws": "wsproto"}


class Legacy(HandoverWorker):
    """The WebSocket protocol that was the default before uvicorn 0.50."""

    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {"ws": "websockets"}


class _Stubborn(WebSocketsSansIOProtocol):
    def shutdown(self) -> None:
        """Fail, as a protocol class in an unexpected state does."""
        message = "not now"
        raise RuntimeError(message)


class Stubborn(HandoverWorker):
    """WebSockets that cannot be closed."""

    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {"ws": _Stubborn}


async def _notify() -> None:
    _tick()


def _tick() -> None:
    file = Path("no_tick")  # names the worker
    if file.exists() and file.read_text(encoding="ascii") == str(os.getpid()):
        message = "no tick"
        raise RuntimeError(message)


class Unable(HandoverWorker):
    """uvicorn's own callback, which it runs every second, can be made to raise."""

    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {"callback_notify": _notify, "timeout_notify": 0}


class Http2(HandoverWorker):
    """HTTP/2, which is refused."""

    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {"http": "zttp", "http2": True}


class _OffersH2(asyncio.Protocol):
    """What makes a protocol class one of HTTP/2: what it offers in the TLS handshake."""

    alpn_protocols: ClassVar[list[str]] = ["h2", "http/1.1"]


class Http2ByClass(HandoverWorker):
    """HTTP/2 by a protocol class instead of ``http2``, which is refused too."""

    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {"http": _OffersH2}


class Http2ByName(HandoverWorker):
    """The same by the name of the class."""

    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {"http": "tests.e2e.apps.classes:_OffersH2"}
