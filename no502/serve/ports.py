"""The TCP port that nginx is to listen on."""

import errno
import os
import socket

from no502.errors import UserError

__all__ = ["choose_port"]

_HOST = "127.0.0.1"


def choose_port(wanted: int) -> int:
    """Return ``wanted`` if it is free on 127.0.0.1, or a free port where it is 0.

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
            message = f"port {wanted} on {_HOST} {reason}: choose another with --port, or --port 0 for a free one"
            raise UserError(message) from None
        port: int = probe.getsockname()[1]
    return port
