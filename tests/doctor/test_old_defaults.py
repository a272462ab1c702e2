"""What nginx has by default depends on its version: ``--show effective`` names no value that it never had."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from no502.cli import app

SITE = "upstream a { server 127.0.0.1:8000; keepalive 8; }\nserver { listen 80; location / { proxy_pass http://a; } }\n"


def _shown(folder: Path, version: str) -> list[str]:
    (folder / "site.conf").write_text(SITE, encoding="utf-8")
    done = CliRunner().invoke(app, ["doctor", "--show", "effective", "--nginx-version", version, str(folder)])
    return [" ".join(line.split()) for line in done.stdout.splitlines()]


@pytest.mark.parametrize(("version", "number"), [("1.18.0", 100), ("1.19.9", 100), ("1.19.10", 1000), ("1.28.0", 1000)])
def test_requests_per_connection(version: str, number: int, tmp_path: Path) -> None:
    """For clients and for the upstream: https://nginx.org/en/CHANGES, 1.19.10."""
    lines = _shown(tmp_path, version)
    assert lines.count(f"keepalive_requests {number} default of nginx {version}") == 2


@pytest.mark.parametrize(("version", "has"), [("1.19.9", False), ("1.19.10", True)])
def test_a_directive_that_the_version_lacks_has_no_value(version: str, has: bool, tmp_path: Path) -> None:
    """keepalive_time came with 1.19.10."""
    assert any(line.startswith("keepalive_time ") for line in _shown(tmp_path, version)) == has
