"""Do what systemd does with a socket unit: listen, start the command with the socket as descriptor 3, restart it.

Usage: activator.py PLACE COMMAND [ARGUMENT]...

A PLACE called ``port`` is a file to write a TCP port into, any other the path of a unix socket. SIGTERM ends both.
"""

import os
import signal
import socket
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

__all__: list[str] = []

_FIRST_DESCRIPTOR = 3


def _listen(place: Path) -> socket.socket:
    if place.name != "port":
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(place))
    else:
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        place.write_text(str(listener.getsockname()[1]), encoding="ascii")
    listener.listen(2048)
    return listener


def _run(listener: socket.socket, command: list[str]) -> NoReturn:
    if listener.fileno() == _FIRST_DESCRIPTOR:
        os.set_inheritable(_FIRST_DESCRIPTOR, True)
    else:
        os.dup2(listener.fileno(), _FIRST_DESCRIPTOR)
    os.environ |= {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
    os.execv(command[0], command)  # noqa: S606  that is the point


def main() -> None:
    """Serve until SIGTERM; exit as the last command did."""
    listener, command = _listen(Path(sys.argv[1])), sys.argv[2:]
    asked: list[int] = []
    status = 0
    while not asked and status == 0:
        child = os.fork()
        if child == 0:
            _run(listener, command)

        def stop(number: int, frame: FrameType | None, pid: int = child) -> None:  # noqa: ARG001  signal's signature
            asked.append(number)
            os.kill(pid, signal.SIGTERM)

        signal.signal(signal.SIGTERM, stop)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    sys.exit(status)


if __name__ == "__main__":
    main()
