"""A DNS server for one name: it answers A questions with the addresses that it holds at the moment."""

import socket
import struct
import threading
from types import TracebackType
from typing import Self

__all__ = ["NameServer"]

_HEADER = struct.Struct(">HHHHHH")
_ANSWER = struct.Struct(">HHHIH")
_A = 1
_INTERNET = 1
_IS_ANSWER = 0x8180
_NO_SUCH_NAME = 0x8183
_POINTER_TO_QUESTION = 0xC00C
_LIFETIME_SECONDS = 600


class NameServer:
    """Listens on 127.0.0.1 (UDP) while the ``with`` block runs.

    Args:
        addresses: The addresses to answer with, in dotted form; none of them: there is no such name. May be replaced
            at any time. The lifetime in the answers is long: a client that follows a change does so by its own rule.
    """

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)
        self.questions = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.1)
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        """Start to answer."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop."""
        self._stopped.set()
        self._thread.join(5.0)
        self._socket.close()

    def _serve(self) -> None:
        while not self._stopped.is_set():
            try:
                packet, peer = self._socket.recvfrom(512)
            except TimeoutError:
                continue
            self.questions += 1
            self._socket.sendto(self._reply(packet), peer)

    def _reply(self, packet: bytes) -> bytes:
        end = packet.index(0, _HEADER.size) + 5  # the root label, then type and class
        question = packet[_HEADER.size : end]
        (kind,) = struct.unpack(">H", question[-4:-2])
        addresses = self.addresses if kind == _A else []
        flags = _IS_ANSWER if self.addresses else _NO_SUCH_NAME
        answers = [
            _ANSWER.pack(_POINTER_TO_QUESTION, _A, _INTERNET, _LIFETIME_SECONDS, 4) + socket.inet_aton(address)
            for address in addresses
        ]
        return (
            _HEADER.pack(*struct.unpack(">H", packet[:2]), flags, 1, len(answers), 0, 0) + question + b"".join(answers)
        )
