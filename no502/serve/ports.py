"""TCP ports on 127.0.0.1 for servers that are about to start."""

import errno
import os
import random
import socket

from no502.errors import UserError

__all__ = ["choose_port", "free_port"]

_HOST = "127.0.0.1"
_PORTS = range(10_000, 32_000)
"""Below the range from which the kernel takes the local ports of outgoing connections (32768 and up on Linux)."""
_ATTEMPTS = 100

_HANDED_OUT: set[int] = set()


def free_port() -> int:
    """Return a TCP port on 127.0.0.1 that nothing listens on and that this process has not been given before.

    Several processes may choose ports at the same time, and all of them open many connections: a port that the kernel
    picks is often taken by one of those before the server binds it. A random one outside that range hardly ever is.
    Where none of a hundred can be bound, the kernel picks after all.
    """
    for _ in range(_ATTEMPTS):
        port = random.choice(_PORTS)
        if port not in _HANDED_OUT:
            with socket.socket() as probe:
                try:
                    probe.bind((_HOST, port))
                except OSError:
                    continue
            _HANDED_OUT.add(port)
            return port
    return choose_port(0)


def choose_port(wanted: int, option: str = "--port") -> int:
    """Return ``wanted`` if it is free on 127.0.0.1, or a port of the kernel's choice where it is 0.

    Raises:
        UserError: It is taken, or binding it is not allowed.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as nginx does: TIME_WAIT is no obstacle
        try:
            probe.bind((_HOST, wanted))
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            reason = "is taken" if taken else f"cannot be used ({os.strerror(error.errno or 0)})"
            message = f"port {wanted} on {_HOST} {reason}: choose another with {option}, or {option} 0 for a free one"
            raise UserError(message) from None
        port: int = probe.getsockname()[1]
    return port
