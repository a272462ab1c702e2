# Part of no502.asgi. In app/asgi of a generated service it is a copy: do not edit it, replace the folder as a whole.
"""The service below a path of its host, such as ``https://example.com/billing/``, behind a proxy that strips the path.

What the proxy has taken away has to be known here: for redirects, for ``request.url_for`` and for the addresses in
``/openapi.json``. The ASGI specification wants ``path`` with it, and a proxy that strips gives it without; a route that
begins like the prefix would be lost otherwise. https://asgi.readthedocs.io/en/latest/specs/www.html#http-connection-scope
"""

from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["RootPath", "checked"]


def checked(prefix: str) -> str:
    """Return the prefix as the ASGI specification writes it: nothing, or ``/billing`` without a slash at the end.

    Raises:
        ValueError: It is no path.
    """
    if prefix and (not prefix.startswith("/") or "//" in prefix or set(prefix) & set("?#% ")):
        msg = "must be a path such as /billing, without any of ? # % and space"
        raise ValueError(msg)
    return prefix.rstrip("/")


class RootPath:
    """Pure ASGI middleware, the innermost: logs, limits and health checks go by the path without the prefix.

    Args:
        app: The application.
        prefix: What the proxy strips, such as ``/billing``.
    """

    def __init__(self, app: ASGIApp, *, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] in {"http", "websocket"}:
            scope["root_path"] = self._prefix
            scope["path"] = self._prefix + scope["path"]
            if scope.get("raw_path") is not None:
                scope["raw_path"] = self._prefix.encode() + scope["raw_path"]
        await self._app(scope, receive, send)
