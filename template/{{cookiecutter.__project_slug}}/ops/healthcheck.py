"""Exit 0 when the service on this host is ready, 1 when it is not: the container's health check.

Run as ``python -I -S healthcheck.py [PORT]``: it runs every few seconds, so it loads next to nothing, and the image has
no curl. Any answer but 2xx is a failure.
"""

import socket
import sys

_PORT = 8000
_SECONDS = 1.5


def main(port: int) -> int:
    """Ask ``/health/ready`` once and return the exit code."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=_SECONDS) as connection:
            connection.sendall(b"GET /health/ready HTTP/1.0\r\nHost: localhost\r\n\r\n")
            status_line = connection.makefile("rb").readline(1000).decode("latin-1").strip()
    except OSError as error:
        print(f"no answer on port {port}: {error}")
        return 1
    print(status_line)
    return 0 if status_line.split(" ")[1:2] and status_line.split(" ")[1].startswith("2") else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else _PORT))
