"""The lines that ``no502 explain --proxy`` prints, read by doctor: what the docs say it reads of other proxies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from no502.cli import app
from no502.ladder.proxies import Numbers, Proxy, to_text

_FILES = {
    Proxy.APACHE: "site.conf",
    Proxy.CADDY: "Caddyfile",
    Proxy.ENVOY: "envoy.yaml",
    Proxy.HAPROXY: "haproxy.cfg",
    Proxy.TRAEFIK: "traefik.yml",
}
_POOLING = sorted(set(_FILES) - {Proxy.HAPROXY})


def _report(folder: Path, proxy: Proxy, *, keepalive: int) -> dict[str, Any]:
    (folder / _FILES[proxy]).write_text(to_text(proxy, Numbers(read=180, idle=15, connect=2)), encoding="utf-8")
    command = f"web: gunicorn -b 127.0.0.1:8000 -k uvicorn.workers.UvicornWorker --keep-alive {keepalive} app:app\n"
    (folder / "Procfile").write_text(command, encoding="utf-8")
    done = CliRunner().invoke(app, ["doctor", "--format", "json", str(folder)])
    report: dict[str, Any] = json.loads(done.output)
    return report


@pytest.mark.parametrize("proxy", sorted(_FILES))
def test_printed_lines_have_no_finding(tmp_path: Path, proxy: Proxy) -> None:
    """The lines agree with a worker that keeps idle connections for 30 s: address, timeouts and keep-alive."""
    assert _report(tmp_path, proxy, keepalive=30)["findings"] == []


@pytest.mark.parametrize("proxy", _POOLING)
def test_idle_timeout_of_the_lines_is_compared(tmp_path: Path, proxy: Proxy) -> None:
    """With a worker that closes after 5 s, doctor finds the 15 s of the lines, not another idle timeout beside them."""
    (finding,) = _report(tmp_path, proxy, keepalive=5)["findings"]
    assert "reuses them for up to 15 s" in finding["message"]
