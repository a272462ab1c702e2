"""The worker under test with each HTTP parser and each event loop."""

from typing import Any, ClassVar

from gunicorn_handover import HandoverWorker

__all__ = ["H11Asyncio", "H11Uvloop", "HttptoolsAsyncio", "HttptoolsUvloop"]


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
