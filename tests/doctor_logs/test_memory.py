"""How much memory a log of any size takes: what is remembered does not grow with the lines."""

import os
import subprocess
import sys

_PROGRAM = """
import io, sys
from pathlib import Path
from no502.doctor.logs import timeline
from no502.doctor.logs.findings import Findings
from no502.doctor.logs.reading import lines
from no502.doctor.logs.report import to_text

class Stream(io.RawIOBase):
    '''Lines of nginx, gunicorn and access logs, each with words of its own, up to a size.'''

    def __init__(self, size):
        self.size, self.number, self.made, self.rest = size, 0, 0, b''

    def read(self, count):
        while len(self.rest) < count and self.made < self.size:
            piece = b''.join(self.line() for _ in range(2000))
            self.made += len(piece)
            self.rest += piece
        piece, self.rest = self.rest[:count], self.rest[count:]
        return piece

    def line(self):
        n = self.number = self.number + 1
        clock = f'{n // 3600000 % 24:02}:{n // 60000 % 60:02}:{n // 1000 % 60:02}'
        if n % 3 == 0:
            return (f'2026/11/30 {clock} [error] 29#29: *{n} recv() failed (104: Connection reset by peer) while '
                    f'reading response header from upstream, client: 10.0.{n % 251}.1, server: x, request: "POST '
                    f'/order/x{n:x} HTTP/1.1", upstream: "http://10.1.{n % 199}.{n % 211}:8000/"\\n').encode()
        if n % 3 == 1:
            return f'[2026-11-30 {clock} +0000] [1] [ERROR] Unknown failure of thing-{n:x}\\n'.encode()
        return f'10.0.0.1 - - [30/Nov/2026:{clock} +0000] "GET /p/y{n:x} HTTP/1.1" 502 157 "-" "x {n}"\\n'.encode()

timeline.MOST_EVENTS = timeline.MOST_LOST = 1000
findings = Findings()
for batch in lines(Stream(int(sys.argv[1]) << 20)):
    findings.read(batch)
to_text(findings)
# Not ru_maxrss: that begins with the peak of the process that has started this one.
[peak] = [line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
print(findings.lines, peak)
"""
_SMALL, _LARGE = 12, 36
"""MiB."""
_MOST_FOR_A_GIGABYTE = 160
"""MiB at the peak, the interpreter included; what the timeline remembers at most, 100,000 requests, adds some 40."""


def _peak(size: int) -> tuple[int, float]:
    """Return the lines that a process read, and its peak of resident memory in MiB."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}  # it takes memory
    command = [sys.executable, "-c", _PROGRAM, str(size)]
    done = subprocess.run(command, env=plain, capture_output=True, text=True, check=True, timeout=300)
    lines, kilobytes = done.stdout.split()
    return int(lines), int(kilobytes) / 1024


def test_a_gigabyte_is_read_in_bounded_memory() -> None:
    """The slope between two sizes, every line with words of its own, leads to less than the bound at 1 GB.

    The timeline's bounds are low, so that both sizes are beyond them.
    """
    (few, small), (many, large) = _peak(_SMALL), _peak(_LARGE)
    assert many > few * 2.5
    slope = max(0.0, large - small) / (_LARGE - _SMALL)
    assert small + slope * 1024 < _MOST_FOR_A_GIGABYTE, f"{small:.0f} MiB, then {slope:.3f} MiB for each MiB"
