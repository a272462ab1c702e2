"""Each proxy, started with the configuration that ``no502 explain --proxy`` prints.

Nothing here is collected by a plain ``pytest``: scripts/proxies-test installs the programs first.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from no502.ladder.proxies import Numbers, Proxy, to_text
from tests.support.polling import wait_until
from tests.support.ports import free_port
from tests.support.processes import Running
from tests.support.wire import Connection

collect_ignore_glob = [] if os.environ.get("NO502_PROXY_TESTS") else ["test_*.py"]

Starter = Callable[..., int]
"""Starts the proxy in front of a port, with ``read`` and ``idle`` seconds; returns its own port."""

_APACHE = """\
ServerRoot {directory}
ServerName localhost
PidFile {directory}/apache.pid
DefaultRuntimeDir {directory}
ErrorLog {directory}/apache.log
Listen 127.0.0.1:{listen}
User www-data
Group www-data
"""
_APACHE_MODULES = ("mpm_event", "authz_core", "headers", "proxy", "proxy_http")


def _program(name: str) -> str:
    found = shutil.which(name, path=os.pathsep.join([os.environ["NO502_PROXY_TESTS"], os.environ["PATH"], "/usr/sbin"]))
    assert found, f"{name} is not installed"
    return found


def _command(proxy: Proxy, text: str, directory: Path, listen: int) -> list[str]:
    """Write the configuration and return the command that starts the proxy with it."""
    file = directory / {Proxy.ENVOY: "envoy.yaml", Proxy.TRAEFIK: "traefik.yml"}.get(proxy, "proxy.conf")
    if proxy is Proxy.APACHE:
        modules = [f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n" for name in _APACHE_MODULES]
        text = "".join(modules) + _APACHE.format(directory=directory, listen=listen) + text
    if proxy is Proxy.NGINX:
        text = f"pid {directory}/nginx.pid;\nuser root;\nevents {{}}\nhttp {{\naccess_log off;\n{text}}}\n"
    if proxy is Proxy.TRAEFIK:
        text, _, dynamic = text.partition("\n---\n")
        (directory / "dynamic.yml").write_text(dynamic, encoding="utf-8")
    file.write_text(text, encoding="utf-8")
    return {
        Proxy.APACHE: ["apache2", "-f", str(file), "-DFOREGROUND"],
        Proxy.CADDY: ["caddy", "run", "--config", str(file), "--adapter", "caddyfile"],
        Proxy.ENVOY: ["envoy", "-c", str(file), "--concurrency", "2", "--disable-hot-restart", "-l", "warning"],
        Proxy.HAPROXY: ["haproxy", "-f", str(file)],
        Proxy.NGINX: ["nginx", "-c", str(file), "-p", str(directory), "-e", "stderr", "-g", "daemon off;"],
        Proxy.TRAEFIK: ["traefik", f"--configFile={file}"],
    }[proxy]


def _answers(port: int) -> bool:
    try:
        Connection(("127.0.0.1", port), seconds=2).close()
    except OSError:
        return False
    return True


@pytest.fixture(name="proxy", params=list(Proxy))
def _proxy(request: pytest.FixtureRequest) -> Proxy:
    """Each proxy."""
    proxy: Proxy = request.param
    return proxy


@pytest.fixture(name="start")
def _start(proxy: Proxy, tmp_path: Path) -> Iterator[Starter]:
    """A function that starts the proxy."""
    with ExitStack() as stack:

        def start(port: int, *, read: int = 10, idle: int = 15) -> int:
            directory = tmp_path / "proxy"
            directory.mkdir()
            listen = free_port()
            text = to_text(proxy, Numbers(read=read, idle=idle, connect=2, port=port, listen=listen))
            program, *arguments = _command(proxy, text, directory, listen)
            environment = {**os.environ, "HOME": str(directory), "CADDY_ADMIN": f"unix/{directory}/admin"}
            command = [_program(program), *arguments]
            stack.enter_context(Running(command, env=environment, cwd=directory, stop_seconds=10))
            wait_until(lambda: _answers(listen), seconds=30, what=f"{program} on its port")
            return listen

        yield start
