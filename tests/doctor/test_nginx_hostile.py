"""Files that want to hang, crash or fill the memory of their reader end in an answer; good ones are shown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from no502.doctor.model import Deployment
from no502.doctor.readers.nginx.configuration import read_nginx
from no502.doctor.show import show_effective


def _read(path: Path, text: str = "") -> Deployment:
    if text:
        path.write_text(text)
    deployment = Deployment()
    read_nginx(path, base=path.parent, deployment=deployment)
    show_effective(deployment)
    return deployment


@pytest.mark.parametrize(
    "text",
    [
        "{" * 100_000,
        "{{ " * 100_000,
        "<% " * 100_000,
        "\\" * 100_000,
        "x_by_lua_block {\n" * 10_000,
        "server { set $x 'abc; }\n" * 1000,
        "${" * 50_000,
        "server { location / { proxy_pass http://a; proxy_read_timeout " + "9" * 5000 + "; } }",
        "server { location / { proxy_pass http://\u0661:\u0662; proxy_read_timeout \u0661\u00b2; } }",
    ],
    ids=["braces", "jinja", "erb", "backslashes", "lua", "quotes", "variables", "number", "digits"],
)
def test_any_of_these_is_read_or_refused(tmp_path: Path, text: str) -> None:
    """No exception, whatever stands in the file."""
    _read(tmp_path / "nginx.conf", text)


def test_includes_that_multiply_are_stopped(tmp_path: Path) -> None:
    """Files that include each other ten times at every step are cut off and listed as not checked."""
    for number in range(8):
        (tmp_path / f"{number}.inc").write_text(f"include {number + 1}.inc;\n" * 10)
    (tmp_path / "8.inc").write_text("proxy_read_timeout 1;\n")
    deployment = _read(tmp_path / "nginx.conf", "include 0.inc;\n")
    assert any("repeat too much" in one.why for one in deployment.not_checked)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """A named pipe would keep the reader waiting for ever, and a folder is no file."""
    os.mkfifo(tmp_path / "pipe.conf")
    assert [one.why for one in _read(tmp_path / "pipe.conf").not_checked] == ["is not a regular file"]
    assert [one.why for one in _read(tmp_path).not_checked] == ["is not a regular file"]


def test_show_names_value_and_origin(tmp_path: Path) -> None:
    """Each value stands with its file and line or as a default; another path lists the ones there are."""
    text = "upstream app { server app:8000; }\nserver {\n proxy_read_timeout 90;\n"
    deployment = Deployment()
    path = tmp_path / "a.conf"
    path.write_text(text + " location /api { proxy_pass http://app; }\n}\n")
    read_nginx(path, base=tmp_path, versions=((1, 31, 3),), deployment=deployment)
    rows = [" ".join(line.split()) for line in show_effective(deployment, "/api").splitlines()]
    assert "proxy_read_timeout 90 s a.conf:3" in rows
    assert "proxy_connect_timeout 60 s default of nginx 1.31.3" in rows
    assert "keepalive 32 default of nginx 1.31.3" in rows
    assert "those that do: /api" in show_effective(deployment, "/other")


def test_variables_lead_where_they_can_only_lead(tmp_path: Path) -> None:
    """A constant with a port or a path behind it is followed; one that an if changes is not."""
    text = (
        "server { set $app app;\n location /a { proxy_pass http://$app:8000$request_uri; }\n"
        " location /b { proxy_pass https://$app; }\n"
        " location /c { set $b x; if ($uri) { set $b y; } proxy_pass http://$b; }\n"
        " location /d { proxy_pass http://unix:/run/a.sock:/; }\n}\n"
    )
    deployment = _read(tmp_path / "a.conf", text)
    places = [one.upstream and str(one.upstream.servers[0].address.value) for one in deployment.nginx[0].locations]
    assert places == ["app:8000", "app:443", None, "unix:/run/a.sock"]
