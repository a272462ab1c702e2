"""The nginx of ``no502 run``: its private directory, configuration, certificate and command."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from no502.nginx.binary import check_configuration
from no502.nginx.command import collect_variables, render

if TYPE_CHECKING:
    from pathlib import Path

    from gunicorn_conf import ServerSettings
    from no502.serve.tls import Certificate

__all__ = ["foreground_command", "local_names", "prepare_nginx"]

_LOCAL_NAMES = ("localhost", "127.0.0.1")


def prepare_nginx(
    private: Path,
    *,
    binary: str,
    release: tuple[int, int, int],
    port: int,
    socket: Path,
    settings: ServerSettings,
    tls: tuple[int, Certificate] | None = None,
    readable: bool = False,
) -> list[str]:
    """Render and test the configuration for one application on one unix socket.

    Args:
        private: The directory of this run; everything that nginx writes goes below it.
        binary: The nginx program.
        release: Its version.
        port: Where it listens on 127.0.0.1.
        socket: Where gunicorn listens.
        settings: The numbers that both sides share.
        tls: Port and certificate of a server over TLS, which has the application; ``port`` then redirects to it.
        readable: Whether its access log is for people instead of JSON.

    Returns:
        The command that runs nginx in the foreground.

    Raises:
        UserError: nginx rejects the configuration.
    """
    variables = collect_variables(settings)
    variables |= {
        "NGINX_LISTEN": f"127.0.0.1:{port}",
        "NGINX_SERVER_NAME": " ".join(local_names(settings)),
        "NGINX_UPSTREAM": f"unix:{socket}",
    }
    # Every client is this machine.
    variables.setdefault("NGINX_REQUESTS_IN_FLIGHT_PER_CLIENT", variables["NGINX_REQUESTS_IN_FLIGHT"])
    if tls is not None:
        tls_port, certificate = tls
        files = certificate.linked(private / "tls-files")
        variables |= {
            "NGINX_TLS_LISTEN": f"127.0.0.1:{tls_port}",
            "NGINX_TLS_PORT": str(tls_port),
            "NGINX_TLS_CERTIFICATE": str(files.chain),
            "NGINX_TLS_CERTIFICATE_KEY": str(files.key),
        }
    tree = private / "nginx"
    render(tree, variables, nginx_version=release, tls=tls is not None, standalone=True)
    if readable:
        numbers = tree / "conf.d" / "app" / "numbers.conf"
        text = numbers.read_text(encoding="utf-8")
        numbers.write_text(text.replace(" json if=$access_logged;", " readable if=$access_logged;"), encoding="utf-8")
    return foreground_command(binary, tree)


def local_names(settings: ServerSettings) -> list[str]:
    """Return the host names that nginx answers to: this machine's, then those of ``NGINX_SERVER_NAME``."""
    return list(dict.fromkeys((*_LOCAL_NAMES, *collect_variables(settings)["NGINX_SERVER_NAME"].split())))


def foreground_command(binary: str, tree: Path) -> list[str]:
    """Test the configuration ``tree/nginx.conf`` and return the command that runs it in the foreground.

    Raises:
        UserError: nginx rejects it.
    """
    arguments = ["-p", str(tree), "-c", str(tree / "nginx.conf"), "-e", "stderr"]
    if os.geteuid() == 0:
        arguments += ["-g", "user root;"]  # otherwise workers drop to a user that may not open the socket
    check_configuration(binary, arguments)
    return [binary, *arguments]
