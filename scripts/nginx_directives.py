"""Print the table of nginx's directives from nginx programs themselves: names, contexts, numbers of arguments.

    scripts/nginx_directives.py PROGRAM [PROGRAM ...] > no502/doctor/readers/nginx/directives.txt

An nginx program holds an ``ngx_module_t`` per module, which leads to an array of ``ngx_command_t`` (name, mask of
contexts and arguments). Read from ELF64 files for little-endian machines; several programs are merged.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from pathlib import Path

_PROGBITS, _RELA = 1, 4
_RELATIVE = {8, 1027}  # R_X86_64_RELATIVE, R_AARCH64_RELATIVE
_MODULES = {b"CORE": "main", b"CONF": "any", b"EVNT": "events", b"HTTP": "http", b"STRM": "stream", b"MAIL": "mail"}
_HTTP = {
    0x02000000: "http",
    0x04000000: "server",
    0x08000000: "location",
    0x10000000: "upstream",
    0x20000000: "server-if",
    0x40000000: "location-if",
    0x80000000: "limit_except",
}
_BLOCK, _FLAG = 0x0100, 0x0200
_AT_LEAST = {0x0400: "0+", 0x0800: "1+", 0x1000: "2+"}
_EXACTLY = 8


class _Program:
    """Reads words at the addresses that the program has when it runs."""

    def __init__(self, path: Path) -> None:
        self._data = path.read_bytes()
        (start,) = struct.unpack_from("<Q", self._data, 40)
        size, count = struct.unpack_from("<HH", self._data, 58)
        self._sections = [struct.unpack_from("<4xI8xQQQ", self._data, start + at * size) for at in range(count)]
        self._moved: dict[int, int] = {}
        for kind, _, where, length in self._sections:
            for place in range(where, where + length if kind == _RELA else where, 24):
                address, info, addend = struct.unpack_from("<QQq", self._data, place)
                if info & 0xFFFFFFFF in _RELATIVE:
                    self._moved[address] = addend

    def read(self, address: int, length: int) -> bytes:
        """Return what stands at an address; nothing if nothing is loaded there."""
        for kind, begin, where, size in self._sections:
            if kind == _PROGBITS and begin and begin <= address <= begin + size - length:
                return self._data[where + address - begin : where + address - begin + length]
        return b""

    def word(self, address: int) -> int:
        """Return the number or pointer at an address."""
        return self._moved.get(address) or int.from_bytes(self.read(address, 8), "little")

    def modules(self) -> Iterator[tuple[str, int]]:
        """Yield the kind of every module and the address of its commands."""
        for kind, begin, where, size in self._sections:
            if kind != _PROGBITS or not begin:
                continue
            for mark, family in _MODULES.items():
                word = mark + b"\0" * 4
                place = self._data.find(word, where, where + size)
                while place >= 0:
                    address = begin + place - where
                    if address % 8 == 0:
                        yield family, self.word(address - 8)
                    place = self._data.find(word, place + 1, where + size)

    def commands(self) -> Iterator[tuple[str, str, int]]:
        """Yield the kind of module, the name and the mask of every directive."""
        for family, first in self.modules():
            address = first
            while 1 < (length := self.word(address)) < 64:
                name = self.read(self.word(address + 8), length)
                if not name.replace(b"_", b"").isalnum():
                    break
                yield family, name.decode(), self.word(address + 16)
                address += 56


def _contexts(family: str, mask: int) -> Iterator[str]:
    if family == "http":
        if mask & 0x01000000:
            yield "main"
        else:
            yield from (name for bit, name in _HTTP.items() if mask & bit)
    elif family == "main" or mask & 0xFF000000 == 0xFF000000:
        yield "any" if family == "any" else "main"
    else:
        yield "main" if mask & 0x01000000 else family


def _arguments(mask: int) -> str:
    if mask & _FLAG:
        return "flag"
    counts = [str(count) for count in range(_EXACTLY) if mask & (1 << count)]
    return ",".join([*counts, *(text for bit, text in _AT_LEAST.items() if mask & bit)])


def main(programs: list[str]) -> None:
    """Print a line per directive and kind of module: name, contexts, arguments, ``block``."""
    lines = set()
    for program in programs:
        for family, name, mask in _Program(Path(program)).commands():
            contexts = ",".join(sorted(_contexts(family, mask)))
            lines.add(f"{name} {contexts} {_arguments(mask)}{' block' if mask & _BLOCK else ''}")
    print("\n".join(sorted(lines)))


if __name__ == "__main__":
    main(sys.argv[1:])
