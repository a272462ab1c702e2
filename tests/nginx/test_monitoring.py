"""The monitoring files that read nginx's access log, on lines of a real nginx."""

import json
import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.nginx.proxy import HOST, ProxyFactory
from tests.support.backend import Backend, Request, response
from tests.support.monitoring import KIT
from tests.support.ports import free_port

_EXPECTED = {
    ("GET", "200", "application", "200"): 2,
    ("POST", "502", "application", "502"): 1,
    ("POST", "502", "nginx", "502"): 1,
    ("other", "200", "application", "200"): 1,
}


def _lines(start: ProxyFactory) -> list[str]:
    """Return the access log of: two answers, a 502 of the application, a 502 of nginx, a method that does not exist."""

    def answer(request: Request, connection: socket.socket) -> bytes | None:
        if request.target == "/reset":
            connection.close()
            return None
        return response("502 Mine" if request.target == "/own" else "200 OK")

    with Backend(answer) as backend:
        proxy = start(backend.upstream)
        proxy.ask(path='/?a="status":"999","upstream_status":"1,2"')
        proxy.ask()
        proxy.ask("POST", "/own")
        proxy.ask("POST", "/reset")
        proxy.ask("BREW")
        proxy.access_log(5)
    return [line for line in proxy.output().splitlines() if line.startswith("{")]


def test_mtail_counts_who_answered(start: ProxyFactory, tmp_path: Path) -> None:
    """nginx's own 502 and the application's are told apart; invented methods make no series."""
    program = shutil.which("mtail")
    if program is None:
        pytest.skip("mtail is missing: apt-get install mtail")
    (tmp_path / "access.log").write_text("\n".join([*_lines(start), ""]), encoding="utf-8")
    command = [program, "--one_shot", "--one_shot_format=prometheus", "--emit_prog_label=false", "--logtostderr"]
    command += ["--progs", str(KIT / "nginx.mtail"), "--logs", str(tmp_path / "access.log"), "--port", str(free_port())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = re.findall(
        r'^nginx_responses_total\{answered_by="(.*?)",method="(.*?)",status="(.*?)",upstream_status="(.*?)"\} (\d+)$',
        done.stdout,
        re.MULTILINE,
    )
    counted = {(method, status, who, upstream): int(count) for who, method, status, upstream, count in found}
    assert counted == _EXPECTED


def test_vector_reads_each_line(start: ProxyFactory) -> None:
    """Vector's language accepts the page's lines and gives every log line the fields that are counted."""
    pyvrl = pytest.importorskip("pyvrl", reason="pyvrl is missing: pip install pyvrl (Python 3.11 and 3.12)")
    configuration = yaml.safe_load((KIT / "vector.yaml").read_text(encoding="utf-8"))
    program = pyvrl.Transform(configuration["transforms"]["parsed"]["source"] + "\nencode_json(.)")
    [metric] = configuration["transforms"]["counted"]["metrics"]
    fields = [metric["tags"][tag].strip("{ }") for tag in ("method", "status", "answered_by", "upstream_status")]
    counted: dict[tuple[str, ...], int] = {}
    for line in _lines(start):
        event = json.loads(program.remap({"message": line}))
        key = tuple(str(event[field]) for field in fields)
        counted[key] = counted.get(key, 0) + 1
        assert event["host"] == HOST
        assert isinstance(event["request_time"], float)
        assert event["retried"] is False
    assert counted == _EXPECTED
