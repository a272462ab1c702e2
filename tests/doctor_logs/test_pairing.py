"""Error log and access log of a real nginx, paired: what was repeated is told from what was lost."""

import socket
from pathlib import Path

import pytest

from no502.doctor.logs.access import AccessLog
from no502.doctor.logs.findings import Findings
from tests.nginx.proxy import Nginx, Proxy
from tests.support.backend import OK, Backend, Request


@pytest.mark.parametrize(("method", "status", "failed", "saved"), [("GET", 200, 0, 1), ("POST", 502, 1, 0)])
def test_connection_that_closes_when_it_is_reused(
    nginx: Nginx, tree: Path, method: str, status: int, failed: int, saved: int
) -> None:
    """The same line is logged for both; the GET is answered by the repeat, the POST is a 502."""

    def answer(request: Request, _connection: socket.socket) -> bytes | None:
        return None if request.connection == 1 and request.position > 1 else OK

    with Backend(answer) as backend, Proxy(nginx, tree / "proxy", backend.upstream) as proxy:
        client = proxy.connect()
        assert proxy.ask(path="/first", connection=client).status == 200
        assert proxy.ask(method, "/second?secret=1", connection=client).status == status
        client.close()
        proxy.wait_for_log("while reading response header from upstream")
        proxy.access_log(2)
        lines = [line.encode() for line in proxy.output().splitlines()]
    access = AccessLog()
    access.read(line for line in lines if line.startswith(b"{"))
    findings = Findings(access)
    findings.read(lines)
    seen = findings.seen["L911"]
    assert seen.count == 1
    assert seen.failed == failed
    assert seen.saved == saved
    assert access.by_nginx == failed
    assert access.by_application == 0
    assert access.saved == saved
    assert seen.harmless == bool(saved)
