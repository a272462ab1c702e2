"""Caddy, Traefik, Envoy, HAProxy, Apache and nginx with the lines that ``no502 explain --proxy`` prints."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

from _process import Running

from no502.ladder.proxies import Numbers, Proxy, to_text
from no502.serve.ports import free_port

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["OtherProxy", "program_version"]

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
_PROGRAMS = {Proxy.APACHE: "apache2"}
_VERSION = {
    Proxy.APACHE: ["-v"],
    Proxy.CADDY: ["version"],
    Proxy.ENVOY: ["--version"],
    Proxy.HAPROXY: ["-v"],
    Proxy.NGINX: ["-v"],
    Proxy.TRAEFIK: ["version"],
}
_SECONDS_TO_START = 30.0


def _program(proxy: Proxy, directories: str) -> str:
    name = _PROGRAMS.get(proxy, proxy.value)
    found = shutil.which(name, path=os.pathsep.join([directories, os.environ["PATH"], "/usr/sbin"]))
    if not found:
        message = f"{name} is not installed"
        raise RuntimeError(message)
    return found


def program_version(proxy: Proxy, directories: str) -> str:
    """Return the version of the program that would be started.

    Raises:
        RuntimeError: It is not installed, or does not say.
    """
    command = [_program(proxy, directories), *_VERSION[proxy]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    found = re.search(r"\d+\.\d+(?:\.\d+)*", done.stdout + done.stderr)
    if not found:
        message = f"{command[0]} does not tell its version"
        raise RuntimeError(message)
    return found[0]


class OtherProxy(Running):
    """One of them on a port of its own, as long as the ``with`` block lasts.

    Args:
        proxy: Which one.
        numbers: Its times, and the application's port; its own port is chosen here.
        directory: A new directory for its files and its log.
        directories: Where programs are looked for before PATH, as in PATH.
    """

    def __init__(self, proxy: Proxy, numbers: Numbers, directory: Path, *, directories: str = "") -> None:
        directory.mkdir()
        self.port = free_port()
        text = to_text(proxy, replace(numbers, listen=self.port))
        arguments = _arguments(proxy, text, directory, self.port)
        environment = {**os.environ, "HOME": str(directory), "CADDY_ADMIN": f"unix/{directory}/admin"}
        command = [_program(proxy, directories), *arguments]
        log = directory / "proxy.log"
        super().__init__(command, log=log, env=environment, directory=directory, seconds_to_serve=_SECONDS_TO_START)

    def _serves(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=2).close()
        except OSError:
            return False
        return True


def _arguments(proxy: Proxy, text: str, directory: Path, listen: int) -> list[str]:
    """Write the configuration and return the program's arguments."""
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
        Proxy.APACHE: ["-f", str(file), "-DFOREGROUND"],
        Proxy.CADDY: ["run", "--config", str(file), "--adapter", "caddyfile"],
        Proxy.ENVOY: ["-c", str(file), "--concurrency", "2", "--disable-hot-restart", "-l", "warning"],
        Proxy.HAPROXY: ["-f", str(file)],
        Proxy.NGINX: ["-c", str(file), "-p", str(directory), "-e", "stderr", "-g", "daemon off;"],
        Proxy.TRAEFIK: [f"--configFile={file}"],
    }[proxy]
