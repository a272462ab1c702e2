"""``make demo`` without make: the script that it runs."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.support.browser import Tab
from tests.support.commands import ROOT, processes_in
from tests.support.polling import wait_until
from tests.support.ports import free_port
from tests.support.processes import Running

DEMO = [sys.executable, str(ROOT / "scripts" / "demo.py")]


def test_check_scaffolds_and_serves(home: Path, environment: dict[str, str]) -> None:
    """With --check the demo ends with 0 when the scaffolded service has answered, and leaves nothing behind."""
    command = [*DEMO, "--check"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stdout
    assert done.stderr == "", done.stdout
    assert "ready at http://127.0.0.1:" in done.stdout
    assert list((home / "tmp").iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stop_reaches_the_servers(number: signal.Signals, home: Path, environment: dict[str, str]) -> None:
    """Ctrl-C (to the whole process group) and SIGTERM (to the script alone) end the servers too."""
    port = free_port()
    with Running([*DEMO, "--port", str(port)], env=environment) as running:
        running.wait_for_output("ready at", seconds=60)
        assert httpx.get(f"http://127.0.0.1:{port}/health/ready", trust_env=False).status_code == 200
        if number == signal.SIGINT:
            os.killpg(running.pid, number)
        else:
            os.kill(running.pid, number)
        assert running.wait(20) == 0
    assert processes_in(home) == {}
    assert list((home / "tmp").iterdir()) == []


_PRESS = 'document.getElementById("reload").click();'
_SHOWN = 'return document.getElementById("out").textContent;'


def test_the_button_replaces_the_workers_and_loses_nothing(
    home: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    """Pressed in a browser, it ends with new workers, many requests, and none lost."""
    port = free_port()
    with Running([*DEMO, "--port", str(port)], env={**environment, "WEB_CONCURRENCY": "2"}) as running:
        running.wait_for_output("ready at", seconds=60)
        with Tab(f"http://127.0.0.1:{port}/", profile=tmp_path / "chromium") as tab:
            tab.run(_PRESS)
            wait_until(lambda: tab.run(_SHOWN).startswith("Done."), what="the end of the reload", seconds=60)
            said = tab.run(_SHOWN)
        running.terminate()
        assert running.wait(20) == 0
    found = re.fullmatch(r"Done\. Requests: (\d+)\. Lost: (\d+)\. Workers that answered: (\d+)\.", said)
    assert found, said
    requests, lost, workers = map(int, found.groups())
    assert lost == 0, running.output()
    assert requests > 100
    assert workers > 2, "no new worker has answered"
    assert list((home / "tmp").iterdir()) == []
