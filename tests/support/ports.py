"""TCP ports for the servers that tests start."""

import random
import socket

__all__ = ["free_port"]

_PORTS = range(10_000, 32_000)
"""Below the range from which the kernel takes the local ports of outgoing connections (32768 and up on Linux)."""

_HANDED_OUT: set[int] = set()


def free_port() -> int:
    """Return a TCP port on 127.0.0.1 that nothing listens on and that this process has not been given before.

    Several test processes run at the same time, and all of them open many connections: a port that the kernel picks
    is often taken by one of those before the server binds it. A random one outside that range hardly ever is.
    """
    while True:
        port = random.choice(_PORTS)  # noqa: S311  no secret
        if port in _HANDED_OUT:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _HANDED_OUT.add(port)
        return port
