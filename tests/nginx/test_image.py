"""The files as the official image loads them: static ones mounted, templates through envsubst."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from no502.data import data_path
from no502.errors import UserError
from no502.nginx.binary import check_configuration
from no502.nginx.command import render
from no502.nginx.render import for_version
from no502.nginx.versions import UPSTREAM_RESOLVER
from tests.nginx.proxy import VARIABLES, Nginx, command

_CONTAINER = {
    # What a container has in its environment anyway; the image hands every name to envsubst.
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOSTNAME": "4f2a9c",
    "HOME": "/root",
    "PWD": "/",
    "TERM": "xterm",
    "NGINX_VERSION": "1.31.3",
    "PKG_RELEASE": "1~bookworm",
    "http_proxy": "http://proxy.example:3128",
    "https_proxy": "http://proxy.example:3128",
    "no_proxy": "localhost",
}
_ALL = {**VARIABLES, "NGINX_REQUESTS_IN_FLIGHT_PER_CLIENT": "64"}
_REQUIRED = [
    "NGINX_LISTEN",
    "NGINX_SERVER_NAME",
    "NGINX_UPSTREAM",
    "NGINX_CLIENT_MAX_BODY_SIZE",
    "NGINX_REQUESTS_IN_FLIGHT",
    "NGINX_REQUESTS_IN_FLIGHT_PER_CLIENT",
    "NGINX_KEEPALIVE_TIMEOUT",
    "NGINX_CORS_ORIGINS",
    "NGINX_HSTS",
    "NGINX_ACCESS_LOG",
    "PROXY_CONNECT_TIMEOUT",
    "PROXY_READ_TIMEOUT",
    "PROXY_KEEPALIVE_TIMEOUT",
]


def _envsubst(template: str, environment: dict[str, str]) -> str:
    """Do what the image's start script does: substitute exactly the names that the environment has, braces or not."""
    if program := shutil.which("envsubst"):
        names = " ".join(f"${{{name}}}" for name in environment)
        done = subprocess.run(
            [program, names], input=template, env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout
    return re.sub(
        r"\$(?:\{(\w+)\}|([A-Za-z_]\w*))", lambda found: environment.get(found[1] or found[2], found[0]), template
    )


def _mount(nginx: Nginx, target: Path, environment: dict[str, str], *variants: str) -> None:
    """Lay the files out as the documented volumes do, and run the start script's part."""
    source = data_path("nginx")
    shutil.copy(source / "nginx.conf", target / "nginx.conf")
    shutil.copytree(source / "snippets", target / "snippets")
    shutil.copytree(source / "templates", target / "templates")
    for variant in variants:
        shutil.copytree(source / "variants" / variant, target / "templates", dirs_exist_ok=True)
    for template in (target / "templates").rglob("*.template"):
        output = target / "conf.d" / template.relative_to(target / "templates").with_suffix("")
        output.parent.mkdir(parents=True, exist_ok=True)
        text = for_version(template.read_text(encoding="utf-8"), nginx.version)  # "leave this line out"
        output.write_text(_envsubst(text, environment), encoding="utf-8")
    shutil.rmtree(target / "templates")


def _variants(nginx: Nginx, upstream: str) -> list[str]:
    """Return what README.md tells to mount besides."""
    return [] if nginx.version >= UPSTREAM_RESOLVER and not upstream.startswith("127.") else ["static-upstream"]


@pytest.mark.parametrize("upstream", ["127.0.0.1:8000", "app:8000"])
@pytest.mark.parametrize("trusted", [False, True])
def test_image_and_renderer_agree(nginx: Nginx, tree: Path, upstream: str, trusted: bool) -> None:
    """envsubst in the image and ``no502 nginx`` make the same files, byte for byte."""
    variables = {**_ALL, "NGINX_UPSTREAM": upstream}
    variants = _variants(nginx, upstream)
    if trusted:
        variables["NGINX_TRUSTED_PROXIES"] = "10.0.0.0/8"
        variants.append("trusted-proxies")
    image, host = tree / "image", tree / "host"
    image.mkdir()
    _mount(nginx, image, {**_CONTAINER, **variables}, *variants)
    render(host, variables, nginx_version=nginx.version)
    files = {path.relative_to(image) for path in image.rglob("*") if path.is_file()}
    assert files == {path.relative_to(host) for path in host.rglob("*") if path.is_file()}
    assert [name for name in files if (image / name).read_bytes() != (host / name).read_bytes()] == []


def test_image_loads(nginx: Nginx, tree: Path) -> None:
    """The mounted files load; the standalone variant only moves pid, log and temporary files elsewhere."""
    _mount(nginx, tree, {**_CONTAINER, **_ALL}, *_variants(nginx, "127.0.0.1:8000"), "standalone")
    check_configuration(nginx.path, command(nginx, tree)[1:])


@pytest.mark.parametrize("missing", _REQUIRED)
def test_a_variable_that_is_not_set_is_named(nginx: Nginx, tree: Path, missing: str) -> None:
    """nginx does not start while a variable is missing; its message has the name, or the line where it stands."""
    environment = {name: value for name, value in {**_CONTAINER, **_ALL}.items() if name != missing}
    variants = _variants(nginx, "127.0.0.1:8000") if nginx.version < UPSTREAM_RESOLVER else []
    _mount(nginx, tree, environment, *variants, "standalone")
    with pytest.raises(UserError) as caught:
        check_configuration(nginx.path, command(nginx, tree)[1:])
    message = str(caught.value)
    if place := re.search(r"invalid value in (.+):(\d+)$", message, re.MULTILINE):
        message = Path(place[1]).read_text(encoding="utf-8").splitlines()[int(place[2]) - 1]
    assert missing.lower() in message.lower()


def test_required_variables_are_all_guarded() -> None:
    """Each variable of the default templates is in the file that makes nginx refuse to start without it."""
    templates = data_path("nginx") / "templates"
    guard = (templates / "http.conf.template").read_text(encoding="utf-8")
    used = {
        name
        for template in templates.rglob("*.template")
        for name in re.findall(r"\$\{([A-Z_]+)\}", template.read_text(encoding="utf-8"))
    }
    (line,) = re.findall(r'(?m)^    default "(.*PROXY.*)";$', guard)
    assert set(re.findall(r"\$\{([A-Z_]+)\}", line)) == set(_REQUIRED) == used - {"NGINX_RESOLVER"}
