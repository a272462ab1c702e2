"""The nginx of ``no502 run``: its private directory, configuration and command."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from no502.nginx.binary import check_configuration
from no502.nginx.command import collect_variables, render

if TYPE_CHECKING:
    from pathlib import Path

    from gunicorn_conf import ServerSettings

__all__ = ["foreground_command", "prepare_nginx"]

_LOCAL_NAMES = ("localhost", "127.0.0.1")


def prepare_nginx(  # noqa: PLR0913  keyword-only, and each is a different thing
    private: Path, *, binary: str, release: tuple[int, int, int], port: int, socket: Path, settings: ServerSettings
) -> list[str]:
    """Render and test the configuration for one application on one unix socket.

    Args:
        private: The directory of this run; everything that nginx writes goes below it.
        binary: The nginx program.
        release: Its version.
        port: Where it listens on 127.0.0.1.
        socket: Where gunicorn listens.
        settings: The numbers that both sides share.

    Returns:
        The command that runs nginx in the foreground.

    Raises:
        UserError: nginx rejects the configuration.
    """
    variables = collect_variables(settings)
    names = dict.fromkeys((*_LOCAL_NAMES, *variables["NGINX_SERVER_NAME"].split()))
    variables |= {
        "NGINX_LISTEN": f"127.0.0.1:{port}",
        "NGINX_SERVER_NAME": " ".join(names),
        "NGINX_UPSTREAM": f"unix:{socket}",
    }
    # Every client is this machine.
    variables.setdefault("NGINX_REQUESTS_IN_FLIGHT_PER_CLIENT", variables["NGINX_REQUESTS_IN_FLIGHT"])
    tree = private / "nginx"
    render(tree, variables, nginx_version=release, standalone=True)
    return foreground_command(binary, tree)


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
