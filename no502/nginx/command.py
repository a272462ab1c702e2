"""``no502 nginx``: the nginx configuration for a host without the official image."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from dotenv import dotenv_values

from no502.data import data_path
from no502.errors import USAGE, UserError
from no502.ladder.fronts import FRONTS, WITHOUT_DEFAULTS, client_keepalive
from no502.ladder.settings import load_settings
from no502.near import did_you_mean
from no502.nginx.binary import nginx_user
from no502.nginx.binary import nginx_version as version_of
from no502.nginx.render import render

if TYPE_CHECKING:
    from gunicorn_conf import ServerSettings

__all__ = ["collect_variables", "nginx_command", "render"]

_STABLE = "1.30"
_ONLY_HERE = "localhost"


def nginx_command(
    out: Annotated[Path, typer.Option(help="The directory to write to; OUT/nginx.conf is the file to start.")],
    nginx_version: Annotated[
        str | None,
        typer.Option(
            help=f"The nginx that will read the files, 1.22 or newer; default: the one on PATH, else {_STABLE}."
        ),
    ] = None,
    upstream: Annotated[
        str | None, typer.Option(help="unix:/path, address:port or name:port; default: NGINX_UPSTREAM, GUNICORN_BIND.")
    ] = None,
    server_name: Annotated[str | None, typer.Option(help="Host names, separated by spaces.")] = None,
    listen: Annotated[str | None, typer.Option(help="Port, or address:port.")] = None,
    tls: Annotated[
        tuple[Path, Path] | None, typer.Option(metavar="CERT KEY", help="Serve TLS with these PEM files.")
    ] = None,
    trusted_proxies: Annotated[
        str | None, typer.Option(metavar="CIDR,CIDR", help="Proxies in front whose X-Forwarded-* count.")
    ] = None,
    front: Annotated[
        str | None,
        typer.Option(help=f"Front proxy: {', '.join(sorted(FRONTS))}. Sets how long idle clients are kept."),
    ] = None,
    user: Annotated[
        str | None, typer.Option(help="User of nginx's workers; default: that of the nginx on PATH.")
    ] = None,
    standalone: Annotated[
        bool, typer.Option("--standalone", help="A tree that nginx runs by itself, in the foreground, as any user.")
    ] = False,
) -> None:
    """Write the nginx configuration that matches this environment and .env."""
    version, why = _chosen(nginx_version)
    given = {
        "NGINX_UPSTREAM": upstream,
        "NGINX_SERVER_NAME": server_name,
        "NGINX_LISTEN": listen,
        "NGINX_TRUSTED_PROXIES": trusted_proxies,
    }
    if tls is not None:
        given["NGINX_TLS_CERTIFICATE"], given["NGINX_TLS_CERTIFICATE_KEY"] = (str(path.absolute()) for path in tls)
    variables = collect_variables(load_settings())
    variables |= {name: value for name, value in given.items() if value is not None}
    if front is not None:
        variables["NGINX_KEEPALIVE_TIMEOUT"] = str(_client_keepalive(front))
    user = _user(user)
    written = render(out, variables, nginx_version=version, tls=tls is not None, standalone=standalone, user=user)
    typer.echo(
        f"wrote {len(written)} files for nginx {'.'.join(map(str, version))} ({why}); start with {out / 'nginx.conf'}"
    )
    if variables["NGINX_SERVER_NAME"] == _ONLY_HERE:
        typer.echo(f"answers to {_ONLY_HERE} only: requests for other names are closed, and not logged (--server-name)")


def collect_variables(settings: ServerSettings) -> dict[str, str]:
    """Return the variables in force here: the environment, ``.env``, else the examples.

    The three timeouts come from ``settings``, so gunicorn and nginx cannot differ; the upstream defaults to the address
    that gunicorn binds to.
    """
    here = {name: value for name, value in {**dotenv_values(".env"), **os.environ}.items() if value}
    examples = {name: value for name, value in dotenv_values(data_path("nginx") / "example.env").items() if value}
    del examples["NGINX_REQUESTS_IN_FLIGHT_PER_CLIENT"]  # follows from NGINX_REQUESTS_IN_FLIGHT
    return {
        **examples,
        "NGINX_TLS_LISTEN": "443",
        "NGINX_UPSTREAM": re.sub(r"^(?:0\.0\.0\.0|\[::\])(?=:)", "127.0.0.1", settings.bind[0]),
        **{name: value for name, value in here.items() if name.startswith(("NGINX_", "PROXY_"))},
        "PROXY_READ_TIMEOUT": str(settings.proxy_read_timeout),
        "PROXY_KEEPALIVE_TIMEOUT": str(settings.proxy_keepalive_timeout),
        "PROXY_CONNECT_TIMEOUT": str(settings.proxy_connect_timeout),
    }


def _client_keepalive(front: str) -> int:
    """Return how long nginx keeps an idle connection of a named front proxy: longer than that proxy does."""
    vendor = FRONTS.get(front.lower())
    if vendor is None:
        names = sorted(FRONTS)
        allowed = f"one of {', '.join(names)}, or set NGINX_KEEPALIVE_TIMEOUT"
        message = f"--front {front}: {WITHOUT_DEFAULTS.get(front.lower(), 'unknown')}; {allowed}"
        raise UserError(message + did_you_mean(front, names), USAGE)
    return client_keepalive(vendor)


def _user(stated: str | None) -> str | None:
    """Return the user of nginx's workers: as stated, else as the installed nginx has it."""
    if stated is not None:
        if not re.fullmatch(r"[\w.-]+( [\w.-]+)?", stated):
            message = f"--user {stated}: a user name, and after a space a group name"
            raise UserError(message, USAGE)
        return stated
    program = shutil.which("nginx")
    return None if program is None else nginx_user(program)


def _chosen(stated: str | None) -> tuple[tuple[int, int, int], str]:
    """Return nginx's version, and where it is from."""
    if stated is not None:
        return _parse_version(stated), "--nginx-version"
    program = shutil.which("nginx")
    if program is None:
        return _parse_version(_STABLE), "none on PATH; --nginx-version for another one"
    return version_of(program), f"{program}; --nginx-version for another one"


def _parse_version(text: str) -> tuple[int, int, int]:
    match = re.fullmatch(r"(\d{1,3})\.(\d{1,3})(?:\.(\d{1,4}))?", text)
    if match is None:
        message = f"--nginx-version {text}: not a version; allowed: such as 1.22 or 1.30.1"
        raise UserError(message, USAGE)
    return int(match[1]), int(match[2]), int(match[3] or 0)
