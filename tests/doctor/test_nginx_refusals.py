"""What keeps nginx from loading a configuration is a problem for the reader, and nginx says so too."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from no502.doctor.model import Deployment, Problem, Version
from no502.doctor.readers.nginx.configuration import BOTH_SIDES, read_nginx
from no502.doctor.readers.nginx.refusals import ONCE
from no502.doctor.readers.nginx.table import closest, forms
from tests.nginx.conftest import PROGRAMS, program

_CONF = """events {{ {events} }}
http {{
{http}
server {{ listen 127.0.0.1:1;
{server}
location / {{ {location} }}
}}
}}
"""
_VALUES = {
    "proxy_buffers": "8 16k",
    "proxy_busy_buffers_size": "16k",
    "proxy_buffer_size": "16k",
    "proxy_http_version": "1.1",
    "proxy_pass": "http://127.0.0.1:1",
    "root": "x",
    "alias": "x",
    "resolver": "127.0.0.1",
}
_FLAGS = ("buffering", "abort", "errors", "socket_keepalive")


def _conf(events: str = "", http: str = "", server: str = "", location: str = "") -> str:
    return _CONF.format(events=events, http=http, server=server, location=location)


def _problems(
    folder: Path, text: str, name: str = "nginx.conf", versions: Sequence[Version] = BOTH_SIDES
) -> list[Problem]:
    (folder / name).write_text(text, encoding="utf-8")
    deployment = Deployment()
    read_nginx(folder / name, base=folder, deployment=deployment, versions=versions)
    return deployment.problems


def _refusal(nginx: str, folder: Path, text: str) -> str:
    """Return what nginx says; nothing if it would load the file."""
    (folder / "nginx.conf").write_text(text, encoding="utf-8")
    command = [nginx, "-t", "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return "" if done.returncode == 0 else done.stderr


_POOL = "upstream a {{ server 127.0.0.1:1; {} }}"
_REFUSED = {
    "no scheme": (_conf(location="proxy_pass 127.0.0.1:80;"), "no scheme", "invalid URL prefix"),
    "a URI in a regular expression": (
        _conf(server="location ~ ^/a { proxy_pass http://127.0.0.1:80/; }"),
        "cannot have a URI",
        "cannot have URI part",
    ),
    "a URI in a named location": (
        _conf(server="location @a { proxy_pass http://127.0.0.1:80/b; }"),
        "cannot have a URI",
        "cannot have URI part",
    ),
    "a URI in an if": (
        _conf(location="if ($arg_x) { proxy_pass http://unix:/run/x.sock:/; }"),
        "cannot have a URI",
        "cannot have URI part",
    ),
    "a URI in limit_except": (
        _conf(location="limit_except GET { proxy_pass http://127.0.0.1:80?x; }"),
        "cannot have a URI",
        "cannot have URI part",
    ),
    "a unit of no time": (_conf(location="proxy_read_timeout 5min;"), 'invalid value "5min"', "invalid value"),
    "a negative time": (_conf(http="send_timeout -1;"), 'invalid value "-1"', "invalid value"),
    "a second time": (_conf(http="keepalive_timeout 65 60x;"), 'invalid value "60x"', "invalid value"),
    "a unit of no size": (_conf(http="client_max_body_size 10MB;"), 'invalid value "10MB"', "invalid value"),
    "a size that is off": (_conf(http="client_max_body_size off;"), 'invalid value "off"', "invalid value"),
    "no flag": (_conf(location="proxy_buffering yes;"), "on or off", "invalid value"),
    "no number": (_conf(location="proxy_next_upstream_tries x;"), "a whole number", "invalid number"),
    "a pool of no number": (_conf(http=_POOL.format("keepalive ten;")), 'invalid value "ten"', "invalid value"),
    "no version of HTTP": (_conf(location="proxy_http_version 1.2;"), 'no value "1.2"', "invalid value"),
    "no failure": (_conf(location="proxy_next_upstream error timeouts;"), '"timeouts"', "invalid value"),
    "no parameter of listen": (
        _conf(server="listen 127.0.0.1:2\n server_name a;"),
        'invalid parameter "server_name"',
        'invalid parameter "server_name"',
    ),
    "no semicolon before a block": (
        _conf(server="listen 127.0.0.1:2\n location /x { return 200; }"),
        'listen has no ";" before location',
        "is not terminated",
    ),
    "resolve without a zone": (
        _conf(http="resolver 127.0.0.1; upstream a { server localhost:1 resolve; }"),
        "zone a 64k;",
        "resolv",
    ),
    "no block": (_conf(server="location /x;"), 'no opening "{"', 'no opening "{"'),
    "typo": (_conf(location="proxy_read_timout 60s;"), "proxy_read_timeout", "unknown directive"),
    "two locations": (_conf(server="location / { }"), "location / is duplicate", "duplicate location"),
    "two upstreams": (
        _conf(http="upstream a { server 127.0.0.1:1; } upstream a { server 127.0.0.1:2; }"),
        "upstream a is duplicate",
        "duplicate upstream",
    ),
    "not in a server": (_conf(server="proxy_pass http://127.0.0.1:1;"), "not allowed in server", "not allowed here"),
    "not in an if": (
        _conf(location="if ($uri) { proxy_set_header A b; }"),
        "not allowed in if in location",
        "not allowed here",
    ),
    "no semicolon": (
        _conf(location="proxy_connect_timeout 5s\n proxy_pass http://127.0.0.1:1;"),
        'no ";" before proxy_pass',
        "invalid number of arguments",
    ),
    "no semicolon at the end": (_conf(location="proxy_connect_timeout 5s\n"), 'has no ";"', 'unexpected "}"'),
    "arguments": (_conf(location="proxy_read_timeout 1h 30m;"), "does not take 2", "invalid number of arguments"),
    "repeats": (_conf(server="location ~ ^/[a-z]{2,8}$ { }"), "outside of quotes", "unknown directive"),
    "port of an upstream": (
        _conf(http="upstream a { server 127.0.0.1:1; }", location="proxy_pass http://a:8000;"),
        "ports of its own",
        "may not have port 8000",
    ),
}


@pytest.mark.parametrize("which", list(PROGRAMS))
@pytest.mark.parametrize("case", list(_REFUSED))
def test_what_nginx_refuses(tmp_path: Path, case: str, which: str) -> None:
    """Each mistake is a C001 with its words, and nginx does not load the same file."""
    text, ours, theirs = _REFUSED[case]
    [problem, *_] = _problems(tmp_path, text)
    assert problem.rule == "C001"
    assert problem.origin.file == "nginx.conf"
    assert problem.origin.line is not None
    assert ours in f"{problem.message} {problem.fix}"
    assert theirs in _refusal(program(which).path, tmp_path, text)


@pytest.mark.parametrize("which", list(PROGRAMS))
def test_directives_that_may_stand_once(tmp_path: Path, which: str) -> None:
    """nginx itself calls each of them duplicate when it stands twice."""
    nginx = program(which).path
    for name in sorted(ONCE):
        value = _VALUES.get(name, "on" if name.endswith(_FLAGS) else "5")
        line = f"{name} {value}; {name} {value};"
        if name == "worker_connections":
            text = _conf(events=line)
        elif name == "keepalive":
            text = _conf(http=f"upstream a {{ server 127.0.0.1:1; {line} }}")
        elif name == "client_header_timeout":
            text = _conf(server=line)
        else:
            text = _conf(location=line)
        assert "is duplicate" in _refusal(nginx, tmp_path, text), name
        assert ["is duplicate" in one.message for one in _problems(tmp_path, text)] == [True], name


_ACCEPTED = {
    "a scheme in capitals": _conf(location="proxy_pass HTTP://127.0.0.1:80;"),
    "no URI in a regular expression": _conf(server="location ~ ^/a { proxy_pass http://unix:/run/x.sock; }"),
    "an empty URI of a socket": _conf(server="location ~ ^/a { proxy_pass http://unix:/run/x.sock:; }"),
    "a variable in a URI": _conf(
        http="resolver 127.0.0.1;", server="location ~ ^/a { set $x a; proxy_pass http://127.0.0.1:80/$x; }"
    ),
    "a prefix inside a regular expression": _conf(
        server="location ~ ^/a { location ~ b { proxy_pass http://127.0.0.1:80; } }"
    ),
    "times and sizes": _conf(http='client_max_body_size 10G; send_timeout "1h 30m"; keepalive_timeout 65 60;'),
    "flags in capitals": _conf(location="proxy_buffering ON;"),
    "every failure": _conf(
        location="proxy_next_upstream error timeout invalid_header non_idempotent http_429 http_404;"
    ),
    "parameters of listen": _conf(server="listen 127.0.0.1:3 default_server reuseport deferred so_keepalive=on bind;"),
    "quoted repeats": _conf(server='location ~ "^/[a-z]{2,8}$" { }'),
    "maps are free": _conf(http="map $host $a { proxy_read_timout 1; proxy_pass 2; default 3; }"),
    "regular expressions twice": _conf(server="location ~ a { } location ~ a { }"),
    "accumulates": _conf(location="proxy_next_upstream error; proxy_next_upstream timeout;"),
    "if in a location": _conf(location="if ($uri) { set $a b; proxy_pass http://127.0.0.1:1; }"),
    "braces in variables": _conf(location='return 200 "${host}x"; add_header A ${host};'),
}


@pytest.mark.parametrize("which", list(PROGRAMS))
@pytest.mark.parametrize("case", list(_ACCEPTED))
def test_what_nginx_accepts(tmp_path: Path, case: str, which: str) -> None:
    """Nothing is said about what nginx loads."""
    assert _refusal(program(which).path, tmp_path, _ACCEPTED[case]) == ""
    assert _problems(tmp_path, _ACCEPTED[case]) == []


_VERSIONS = {
    "http2": _conf(server="http2 on;"),
    "resolve": _conf(http="resolver 127.0.0.1; upstream a { zone z 64k; server localhost:1 resolve; }"),
    "HTTP/2 to upstreams": _conf(location="proxy_http_version 2;"),
    "keepalive 0": _conf(http=_POOL.format("keepalive 0;")),
    "ssl on": _conf(server="ssl off;"),
    "a directive of 1.27.4": _conf(location="keepalive_min_timeout 1s;"),
    "a directive of 1.19": _conf(location="proxy_cookie_flags a secure;"),
}


@pytest.mark.parametrize("which", list(PROGRAMS))
@pytest.mark.parametrize("case", list(_VERSIONS))
def test_what_a_version_lacks(tmp_path: Path, case: str, which: str) -> None:
    """nginx of that version refuses the file if and only if there is a problem."""
    nginx = program(which)
    refused = _refusal(nginx.path, tmp_path, _VERSIONS[case]) != ""
    found = _problems(tmp_path, _VERSIONS[case], versions=(nginx.version,))
    assert bool(found) is refused


@pytest.mark.parametrize("case", list(_VERSIONS))
def test_what_one_of_two_versions_has(tmp_path: Path, case: str) -> None:
    """Where the version is not known, only what both sides refuse is a problem."""
    expected = case == "ssl on"
    assert bool(_problems(tmp_path, _VERSIONS[case])) is expected


def test_a_tag_of_two_numbers_may_have_what_came_with_a_third(tmp_path: Path) -> None:
    """nginx:1.25 is the last 1.25, which has http2."""
    assert not _problems(tmp_path, _VERSIONS["http2"], versions=((1, 25, 0),))
    assert _problems(tmp_path, _VERSIONS["http2"], versions=((1, 24, 0),))


@pytest.mark.parametrize("which", list(PROGRAMS))
def test_a_byte_order_mark(tmp_path: Path, which: str) -> None:
    """It is a part of the first name for nginx; the file is read nevertheless."""
    text = "\ufeff" + _conf(location="proxy_pass http://127.0.0.1:1;")
    assert "unknown directive" in _refusal(program(which).path, tmp_path, text)
    [problem] = _problems(tmp_path, text)
    assert "byte order mark" in problem.message


def test_conditions_of_templates_are_not_duplicates(tmp_path: Path) -> None:
    """Both sides of a template's condition stand in the text, and only one of them in what nginx gets."""
    text = (
        "server { location / {\n{% if a %}\nproxy_read_timeout 60;\n{% else %}\nproxy_read_timeout 90;\n{% endif %}\n"
    )
    (tmp_path / "a.conf.j2").write_text(text + "proxy_pass http://app:8000; } }")
    deployment = Deployment()
    config, _ = read_nginx(tmp_path / "a.conf.j2", base=tmp_path, deployment=deployment)
    assert not deployment.problems
    assert not config.locations[0].settings.named()["proxy_read_timeout"].known


def test_names_of_other_modules_are_not_typos() -> None:
    """Only names that are nearly nginx's own are slips; other modules have directives too."""
    assert closest("proxy_read_timout") == "proxy_read_timeout"
    assert closest("client_max_body_sized") == "client_max_body_size"
    for name in ("more_set_headers", "lua_package_path", "subs_filter", "brotli_types", "proxy_connect_address"):
        assert closest(name) is None
    assert any(form.takes(2) for form in forms("proxy_set_header"))
    assert not any(form.takes(3) for form in forms("proxy_set_header"))
