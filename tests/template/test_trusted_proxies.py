"""A load balancer in front of a generated service: whose word about the client counts, with real nginx."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from no502.data import data_path
from no502.nginx.binary import find_nginx
from tests.nginx import proxy
from tests.support.backend import Backend
from tests.support.directories import public_directory
from tests.support.polling import wait_until
from tests.support.ports import free_port
from tests.support.processes import Running
from tests.support.template import bake, service_environment
from tests.support.wire import Connection

_FORWARDED = b"X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n"
_PLACE = "/etc/nginx/"


def _interpolated(value: str, environment: dict[str, str]) -> str:
    """Return a value of compose.yaml as Compose passes it on."""
    return re.sub(r"\$\{(\w+):-([^}]*)\}", lambda found: environment.get(found[1]) or found[2], value)


def _lay_out(project: Path, tree: Path, port: int, upstream: str, environment: dict[str, str]) -> None:
    """Do what compose.yaml and the image's start script do: volumes, then envsubst; with paths and ports of its own."""
    service = yaml.safe_load((project / "compose.yaml").read_text(encoding="utf-8"))["services"]["nginx"]
    for volume in service["volumes"]:
        source, target, _mode = volume.split(":")
        if not target.startswith(_PLACE):
            continue
        place = tree / target.removeprefix(_PLACE)
        place.parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (project / source).is_dir() else shutil.copy
        copy(project / source, place)
    for variant in ("standalone", "static-upstream"):
        shutil.copytree(data_path("nginx") / "variants" / variant, tree / "templates", dirs_exist_ok=True)
    values = {name: _interpolated(str(value), environment) for name, value in service["environment"].items()}
    values |= {"NGINX_LISTEN": f"127.0.0.1:{port}", "NGINX_UPSTREAM": upstream, "NGINX_ACCESS_LOG": "/dev/stdout"}
    for template in (tree / "templates").rglob("*.template"):
        output = tree / "conf.d" / template.relative_to(tree / "templates").with_suffix("")
        output.parent.mkdir(parents=True, exist_ok=True)
        text = template.read_text(encoding="utf-8")
        output.write_text(re.sub(r"\$\{(\w+)\}", lambda found: values.get(found[1], found[0]), text), encoding="utf-8")


@contextmanager
def _compose(project: Path, upstream: str, environment: dict[str, str]) -> Iterator[int]:
    """Run nginx with what compose.yaml gives it; yield its port."""
    port = free_port()
    with public_directory() as tree:
        _lay_out(project, tree, port, upstream, environment)
        with Running(proxy.command(proxy.Nginx(find_nginx(None), (0, 0, 0)), tree)):
            wait_until(lambda: _answers(port), what="nginx")
            yield port


def _answers(port: int) -> bool:
    try:
        Connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def _ask(port: int) -> None:
    with Connection(("127.0.0.1", port)) as connection:
        connection.send(b"GET /api HTTP/1.1\r\nHost: localhost\r\n" + _FORWARDED + b"\r\n")
        assert connection.response().status == 200


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"NGINX_TRUSTED_PROXIES": "127.0.0.0/8"}, ("203.0.113.9", "https")),
        ({"NGINX_TRUSTED_PROXIES": "10.0.0.0/8"}, ("127.0.0.1", "http")),
        ({}, ("127.0.0.1", "http")),
    ],
    ids=["trusted", "another network", "not set"],
)
def test_compose(tmp_path: Path, environment: dict[str, str], told: tuple[str, str]) -> None:
    """The application hears of the client from a trusted load balancer only; without the variable from none."""
    with Backend() as backend, _compose(bake(tmp_path), backend.upstream, environment) as port:
        _ask(port)
        (request,) = [request for request in backend.requests if request.target == "/api"]
        assert request.all("X-Forwarded-For") == [told[0]]
        assert request.all("X-Forwarded-Proto") == [told[1]]


def test_make_serve(tmp_path: Path) -> None:
    """``make serve`` believes each network of a comma list: the address in nginx's log is the client's."""
    port = free_port()
    environment = service_environment(
        tmp_path / "tmp", NGINX_TRUSTED_PROXIES="10.0.0.0/8, 127.0.0.0/8", WEB_CONCURRENCY="1"
    )
    with Running([sys.executable, "-m", "ops.serve", str(port)], env=environment, cwd=bake(tmp_path)) as serve:
        serve.wait_for_output("serve: ready at", seconds=40)
        with Connection(("127.0.0.1", port)) as connection:
            connection.send(b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n" + _FORWARDED + b"\r\n")
            connection.response()
        serve.wait_for_output('"remote_addr":"203.0.113.9","peer_addr":"127.0.0.1"')


@pytest.mark.parametrize("networks", ["10.0.0.0/8,192.168.0.0/16", ""])
def test_write_nginx(tmp_path: Path, networks: str) -> None:
    """Under systemd each network has its line, in the application's server; without the variable there is no file."""
    project = bake(tmp_path, deploy="systemd")
    settings = tmp_path / "environment"
    text = (project / "deploy" / "systemd" / "environment.example").read_text(encoding="utf-8")
    settings.write_text(f"{text}\nNGINX_TRUSTED_PROXIES={networks}\n", encoding="utf-8")
    out = tmp_path / "nginx"
    command = ["sh", "deploy/systemd/write-nginx", str(out), str(settings)]
    subprocess.run(command, cwd=project, check=True, capture_output=True, timeout=60)
    file = out / project.name / "conf.d" / "app" / "trusted-proxies.conf"
    lines = re.findall(r"^set_real_ip_from (.+);$", file.read_text("utf-8") if file.exists() else "", re.MULTILINE)
    assert lines == [network for network in networks.split(",") if network]


@pytest.mark.parametrize("tls", ["none", "files", "acme"])
def test_docker_can_make_each_mount(tmp_path: Path, tls: str) -> None:
    """What is mounted below a read-only directory is already in it: Docker can create no place for it there."""
    project = bake(tmp_path, tls=tls)
    for service in yaml.safe_load((project / "compose.yaml").read_text(encoding="utf-8"))["services"].values():
        mounts = [volume.split(":") for volume in service.get("volumes", ()) if volume.startswith("./")]
        read_only = {target: project / source for source, target, *mode in mounts if "ro" in mode}
        missing = [
            target
            for _, target, *_ in mounts
            for above, source in read_only.items()
            if target.startswith(f"{above}/") and not (source / target.removeprefix(f"{above}/")).exists()
        ]
        assert missing == []
