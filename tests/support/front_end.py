"""A page on a port of its own, from which a browser asks another origin."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

__all__ = ["front_end"]

_PAGE = b'<!doctype html><html lang="en"><title>front end</title><link rel="icon" href="data:,">'


class _Page(BaseHTTPRequestHandler):
    """Answers each GET with the same page, which has nothing in it."""

    def do_GET(self) -> None:
        """Answer with the page."""
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(_PAGE)))
        self.end_headers()
        self.wfile.write(_PAGE)

    def log_message(self, *_: object) -> None:
        """Write nothing."""


@contextmanager
def front_end() -> Iterator[str]:
    """Serve the page on a free port of 127.0.0.1; give its origin, such as ``http://127.0.0.1:20000``."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Page) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
