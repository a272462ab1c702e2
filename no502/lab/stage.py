"""The setting of a scenario: real nginx and gunicorn on loopback, in a directory that is deleted with it."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
from dotenv import dotenv_values

from no502.data import data_path
from no502.errors import UserError
from no502.lab.side import Event, Side, WorkerEvent
from no502.ladder.settings import is_ours, values_from
from no502.nginx.render import render
from no502.serve.children import Child
from no502.serve.ports import free_port
from no502.serve.proxy import foreground_command
from no502.serve.waiting import NotInTimeError, wait_until

__all__ = ["Stage"]

_BOOT_SECONDS = 30.0
_POLL_SECONDS = 0.02
_KEPT_LINES = 5000
_SILENCE_SECONDS, _SILENCE_AT_MOST = 0.3, 3.0
_NGINX_LINE = re.compile(r"^\S+ \S+ (\[(?:warn|error|crit|alert|emerg)\]) \S+ (?:\*\d+ )?(.*)$")
_NOISE = re.compile(r', client: .*| "http://.*')
_GUNICORN_WORTH = re.compile(r"WORKER TIMEOUT|SIGKILL|SIGABRT|Autorestarting|Maximum request limit|handover:")

_WILD_NGINX = """
daemon off;
pid nginx.pid;
worker_processes 1;
error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path temp_body; proxy_temp_path temp_proxy;
    fastcgi_temp_path temp_fastcgi; uwsgi_temp_path temp_uwsgi; scgi_temp_path temp_scgi;
    upstream app {{ {upstream} }}
    server {{
        listen 127.0.0.1:{port};
        location / {{ proxy_pass http://app; {location} }}
    }}
}}
"""


class Stage:
    """One side's servers, while the ``with`` block runs.

    Args:
        directory: An empty directory; servers run and write there.
        binary: The nginx program.
        release: Its version.
    """

    def __init__(self, directory: Path, binary: str, release: tuple[int, int, int]) -> None:
        self.directory, self.release = directory, release
        self._binary = binary
        self._children: list[Child] = []
        self._workers_file = directory / "workers"
        self._epoch = time.time()
        self.began = time.monotonic()

    def __enter__(self) -> Self:
        """Note the beginning."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End every server and what it has started."""
        for child in reversed(self._children):
            child.kill()

    def gunicorn(self, arguments: str, *, address: str | None = None, **environment: str) -> tuple[Child, str]:
        """Start gunicorn with the given command line, and wait until it answers.

        Args:
            arguments: The command line, without bind and application.
            address: ``host:port`` to bind to; a free one if it is None.
            environment: Variables besides.

        Returns:
            The server and its address.

        Raises:
            UserError: It did not answer in time.
        """
        address = address or f"127.0.0.1:{free_port()}"
        command = [sys.executable, "-m", "gunicorn", *arguments.split(), "--bind", address, "no502.lab.app:app"]
        child = self._start("gunicorn", command, {**self._environment(), **environment})
        self._wait_for(child, f"http://{address}/health/ready")
        return child, address

    def no502_gunicorn(self, *, address: str | None = None, **variables: str) -> tuple[Child, str]:
        """Start gunicorn with this project's configuration and these variables; one worker, as in the wild."""
        variables.setdefault("WEB_CONCURRENCY", "1")
        deadline = _ladder(variables)["request_deadline"]
        return self.gunicorn("-c python:gunicorn_conf", address=address, LAB_DEADLINE=deadline, **variables)

    def wild_nginx(self, *, upstream: str, location: str = "") -> str:
        """Start nginx with a configuration as people write it.

        Args:
            upstream: What stands in the ``upstream`` block.
            location: What stands after ``proxy_pass``.

        Returns:
            Its URL.
        """
        port = free_port()
        tree = self.directory / "wild"
        tree.mkdir()
        (tree / "nginx.conf").write_text(_WILD_NGINX.format(upstream=upstream, location=location, port=port))
        return self._nginx(tree, port)

    def no502_nginx(self, upstream: str, **variables: str) -> str:
        """Start nginx with this project's configuration before ``upstream``, and return its URL."""
        port = free_port()
        tree = self.directory / "no502"
        ladder = _ladder(variables)
        examples = {name: value for name, value in dotenv_values(data_path("nginx") / "example.env").items() if value}
        own = {
            "NGINX_LISTEN": f"127.0.0.1:{port}",
            "NGINX_SERVER_NAME": "localhost 127.0.0.1",
            "NGINX_UPSTREAM": upstream,
            # Every client of a scenario has the same address.
            "NGINX_REQUESTS_IN_FLIGHT_PER_CLIENT": examples["NGINX_REQUESTS_IN_FLIGHT"],
            "PROXY_READ_TIMEOUT": ladder["proxy_read_timeout"],
            "PROXY_KEEPALIVE_TIMEOUT": ladder["proxy_keepalive_timeout"],
            "PROXY_CONNECT_TIMEOUT": ladder["proxy_connect_timeout"],
        }
        nginx = {name: value for name, value in variables.items() if name.startswith("NGINX_")}
        render(tree, {**examples, **own, **nginx}, nginx_version=self.release, standalone=True)
        return self._nginx(tree, port)

    def side(self, setup: str, events: list[Event]) -> Side:
        """Return what happened on this stage.

        Args:
            setup: What was run, in one line.
            events: What the clients saw.
        """
        self._wait_for_silence()
        return Side(setup=setup, events=events, workers=self._worker_events(), log=self._log())

    def _environment(self) -> dict[str, str]:
        """Return this process's environment without the settings that are meant for other servers."""
        kept = {name: value for name, value in os.environ.items() if not _foreign(name)}
        imports = os.pathsep.join(entry for entry in sys.path if entry)
        return {**kept, "LAB_WORKERS": str(self._workers_file), "PYTHONUNBUFFERED": "1", "PYTHONPATH": imports}

    def _nginx(self, tree: Path, port: int) -> str:
        child = self._start("nginx", foreground_command(self._binary, tree), None)
        url = f"http://127.0.0.1:{port}"
        self._wait_for(child, f"{url}/no502-lab-is-nginx-up")
        return url

    def _start(self, name: str, command: list[str], environment: dict[str, str] | None) -> Child:
        child = Child(name, command, environment, directory=self.directory, kept=_KEPT_LINES)
        self._children.append(child)
        return child

    def _wait_for(self, child: Child, url: str) -> None:
        with httpx.Client(trust_env=False, timeout=_BOOT_SECONDS) as client:

            def answers() -> bool:
                try:
                    client.get(url)
                except httpx.HTTPError:
                    return False
                return True

            with suppress(NotInTimeError):
                wait_until(lambda: child.exit_code is not None or answers(), seconds=_BOOT_SECONDS)
                if child.exit_code is None:
                    return
        message = f"lab: {child.name} does not answer at {url}; its last lines:\n" + "\n".join(child.lines()[-20:])
        raise UserError(message)

    def _wait_for_silence(self) -> None:
        """Wait until the servers have written what they had to say of the last request: that comes after its answer."""
        deadline, quiet_since, seen = time.monotonic() + _SILENCE_AT_MOST, time.monotonic(), -1
        while (now := time.monotonic()) < deadline and now - quiet_since < _SILENCE_SECONDS:
            count = sum(len(child.lines()) for child in self._children)
            if count != seen:
                quiet_since, seen = now, count
            time.sleep(_POLL_SECONDS)

    def _worker_events(self) -> list[WorkerEvent]:
        if not self._workers_file.exists():
            return []
        rows = [line.split() for line in self._workers_file.read_text(encoding="utf-8").splitlines()]
        return [
            WorkerEvent(at=float(at) - self._epoch, pid=int(pid), arrives=what == "arrives") for at, pid, what in rows
        ]

    def _log(self) -> list[str]:
        lines = []
        for child in self._children:
            for line in child.lines():
                nginx = _NGINX_LINE.match(line)
                if nginx:
                    lines.append(f"nginx: {nginx[1]} {_NOISE.sub('', nginx[2])}")
                elif child.name == "gunicorn" and _GUNICORN_WORTH.search(line):
                    lines.append("gunicorn: " + re.sub(r"^(?:\[[^\]]*\] )+", "", line))
        return lines


def _ladder(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the rungs by name, computed from these variables alone."""
    from gunicorn_conf import LadderError

    try:
        return {name: str(value) for name, value in values_from(variables).items()}
    except LadderError as error:
        message = f"lab: no ladder from {dict(variables)}: {'; '.join(error.problems)}"
        raise UserError(message) from None


def _foreign(name: str) -> bool:
    return is_ours(name) or name.startswith(("NGINX_", "LAB_", "UVICORN_"))
