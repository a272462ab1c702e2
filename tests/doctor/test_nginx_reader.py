"""The nginx reader: files, includes, templates, dumps, values, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from no502.doctor.model import Address, Deployment, NginxConfig, Source
from no502.doctor.readers.nginx.configuration import BOTH_SIDES, CURRENT, find_versions, read_nginx
from no502.doctor.readers.nginx.values import is_template, parse_address, parse_size, parse_time
from tests.support.commands import ROOT

_SERVER = "server {{ listen 80; location / {{ proxy_pass {target}; }} }}\n"


def _read(
    path: Path, *, environment: dict[str, str] | None = None, path_map: dict[str, str] | None = None
) -> tuple[NginxConfig, Deployment]:
    deployment = Deployment()
    config, _ = read_nginx(path, base=path.parent, environment=environment, path_map=path_map, deployment=deployment)
    return config, deployment


def _conf(folder: Path, text: str, name: str = "nginx.conf") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_main_file_with_includes(tmp_path: Path) -> None:
    """Includes are followed relative to the main file, patterns too; each value knows its file and line."""
    _conf(tmp_path, "upstream app {\n    server app:8000;\n    keepalive 8;\n}\n", "conf.d/a.conf")
    _conf(tmp_path, "server {\n    location /api {\n        proxy_pass http://app;\n    }\n}\n", "conf.d/b.conf")
    main = _conf(tmp_path, "http {\n    proxy_read_timeout 90s;\n    include conf.d/*.conf;\n}\n")
    config, deployment = _read(main)
    [location] = config.locations
    assert location.path == "/api"
    assert str(location.origin) == "conf.d/b.conf:2"
    assert location.upstream is not None
    assert location.upstream.explicit
    assert location.upstream.servers[0].address.value == Address(host="app", port=8000)
    timeout = location.settings.named()["proxy_read_timeout"]
    assert timeout.value == 90.0
    assert str(timeout.origin) == "nginx.conf:2"
    assert deployment.looked_at == ["nginx.conf", "conf.d/a.conf", "conf.d/b.conf"]
    assert not deployment.problems


def test_fragment_without_http(tmp_path: Path) -> None:
    """A file of conf.d is read by itself, servers, upstreams and settings of the http level included."""
    text = "proxy_read_timeout 70;\nupstream app { server 127.0.0.1:8000; }\n" + _SERVER.format(target="http://app")
    config, deployment = _read(_conf(tmp_path, text, "default.conf"))
    [location] = config.locations
    assert location.settings.named()["proxy_read_timeout"].value == 70.0
    assert not deployment.problems


def test_locations_by_themselves(tmp_path: Path) -> None:
    """A file that a server includes has locations without a server; they are read too."""
    config, _ = _read(_conf(tmp_path, "location /a { proxy_pass http://127.0.0.1:9000; }\n", "proxy.inc"))
    assert [location.path for location in config.locations] == ["/a"]


def test_container_paths_are_mapped(tmp_path: Path) -> None:
    """An absolute include is found through the volumes of the container, and beside the main file otherwise."""
    _conf(tmp_path, _SERVER.format(target="http://a:1"), "sites/a.conf")
    _conf(tmp_path, _SERVER.format(target="http://b:2"), "conf.d/b.conf")
    text = "http { include /etc/nginx/sites-enabled/*.conf; include /etc/nginx/conf.d/*.conf; }"
    config, _ = _read(_conf(tmp_path, text), path_map={"/etc/nginx/sites-enabled": str(tmp_path / "sites")})
    assert [str(location.proxy_pass.value) for location in config.locations] == ["http://a:1", "http://b:2"]


def test_missing_include_is_said(tmp_path: Path) -> None:
    """A file that is not there is listed as not checked; a pattern without matches and mime.types are no problem."""
    text = "http { include snippets/proxy.conf; include nothing/*.conf; include /etc/nginx/mime.types; }"
    _, deployment = _read(_conf(tmp_path, text))
    assert [one.what for one in deployment.not_checked] == ["include snippets/proxy.conf"]


def test_include_loop_ends(tmp_path: Path) -> None:
    """A file that includes itself through another one is reported at the include that closes the loop."""
    _conf(tmp_path, "include nginx.conf;\n", "other.conf")
    _, deployment = _read(_conf(tmp_path, "include other.conf;\n"))
    [problem] = deployment.problems
    assert problem.rule == "C001"
    assert str(problem.origin) == "other.conf:1"


def test_symbolic_link_loop_ends(tmp_path: Path) -> None:
    """A link to the file that includes it is the same file."""
    main = _conf(tmp_path, "http { include conf.d/*.conf; }\n")
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "again.conf").symlink_to(main)
    _, deployment = _read(main)
    assert [problem.rule for problem in deployment.problems] == ["C001"]


def test_template_values(tmp_path: Path) -> None:
    """``${NAME}`` takes the environment's value; without one it is a template value, not a guess."""
    text = "upstream app { server ${APP_HOST}:${APP_PORT}; keepalive_timeout ${IDLE}s; }\n"
    path = _conf(tmp_path, text + _SERVER.format(target="http://app"), "default.conf.template")
    config, _ = _read(path, environment={"APP_HOST": "app", "APP_PORT": "8000"})
    [upstream] = config.upstreams
    assert upstream.servers[0].address.value == Address(host="app", port=8000)
    assert upstream.settings.named()["keepalive_timeout"].origin.source is Source.TEMPLATE
    assert not upstream.settings.named()["keepalive_timeout"].known
    unknown, _ = _read(path)
    assert unknown.upstreams[0].servers[0].address.origin.source is Source.TEMPLATE


def test_variable_alone_on_a_line_is_not_checked(tmp_path: Path) -> None:
    """envsubst may put any number of directives, or none, in its place; the rest is read."""
    text = "server {\n    location / { proxy_pass http://app:8000; }\n    ${MORE_LOCATIONS}\n}\n"
    config, deployment = _read(_conf(tmp_path, text, "default.conf.template"))
    assert [location.path for location in config.locations] == ["/"]
    assert not deployment.problems
    assert [one.origin.line for one in deployment.not_checked] == [3]


def test_pattern_means_the_files_that_the_container_gets(tmp_path: Path) -> None:
    """A file that is copied to a name of the pattern is included; a guess that finds the file itself is not."""
    _conf(tmp_path, "location /extra { proxy_pass http://b:2; }\n", "backend-not-found.conf")
    text = "server {\n    location / { proxy_pass http://a:1; }\n    include /etc/nginx/extra-conf.d/*.conf;\n}\n"
    main = _conf(tmp_path, text)
    extra = {"/etc/nginx/extra-conf.d/backend-not-found.conf": str(tmp_path / "backend-not-found.conf")}
    for path_map, paths in ((extra, ["/", "/extra"]), ({}, ["/", "/extra"])):
        config, deployment = _read(main, path_map=path_map)
        assert [location.path for location in config.locations] == paths
        assert not deployment.problems


def test_jinja_template(tmp_path: Path) -> None:
    """Expressions and statements of Jinja are stepped over; the lines stay right."""
    text = (
        "{% if tls %}\nserver {\n  listen {{ port }};\n  location / {\n"
        "    proxy_read_timeout {{ seconds }}s;\n    proxy_pass http://app:8000;\n  }\n}\n{% endif %}\n"
    )
    config, deployment = _read(_conf(tmp_path, text, "site.conf.j2"))
    [location] = config.locations
    assert location.settings.named()["proxy_read_timeout"].origin.source is Source.TEMPLATE
    assert location.proxy_pass.origin.line == 6
    assert not deployment.problems


def test_dump_of_nginx(tmp_path: Path) -> None:
    """The output of ``nginx -T`` is taken apart; lines are those of the dump."""
    text = (
        "nginx: configuration file /etc/nginx/nginx.conf test is successful\n"
        "# configuration file /etc/nginx/nginx.conf:\nhttp {\n  include /etc/nginx/conf.d/*.conf;\n}\n\n"
        "# configuration file /etc/nginx/conf.d/app.conf:\nserver {\n  location / {\n    proxy_pass http://app:8000;\n"
        "  }\n}\n"
    )
    config, deployment = _read(_conf(tmp_path, text, "dump.txt"))
    [location] = config.locations
    line = location.proxy_pass.origin.line
    assert line is not None
    assert text.splitlines()[line - 1].strip() == "proxy_pass http://app:8000;"
    assert not deployment.problems


@pytest.mark.parametrize(
    ("text", "line"),
    [("http {\n  server {\n", 3), ("http {\n}\n}\n", 3), ("http {\n  proxy_read_timeout 60\n}\n", None)],
    ids=["open", "closed-twice", "no-semicolon"],
)
def test_broken_syntax_is_a_problem(tmp_path: Path, text: str, line: int | None) -> None:
    """What nginx would not load is reported with its file, and never ends the run."""
    _, deployment = _read(_conf(tmp_path, text))
    assert [problem.rule for problem in deployment.problems][:1] == ["C001"]
    found = deployment.problems[0].origin
    assert found.file == "nginx.conf"
    assert line is None or found.line in {line - 1, line}


def test_unusual_bytes(tmp_path: Path) -> None:
    """CRLF and bytes that are no UTF-8 are read as nginx reads them."""
    path = tmp_path / "nginx.conf"
    path.write_bytes(b"# caf\xe9\r\nserver {\r\n location / { proxy_pass http://app:8000; }\r\n}\r\n")
    config, deployment = _read(path)
    assert config.locations[0].proxy_pass.origin.line == 3
    assert not deployment.problems


def test_lua_blocks_are_stepped_over(tmp_path: Path) -> None:
    """Braces in the strings and comments of Lua are not nginx's."""
    text = 'server {\n location / {\n  access_by_lua_block {\n   local a = [[ } ]] -- }\n   ngx.say("}")\n  }\n'
    config, deployment = _read(_conf(tmp_path, text + "  proxy_pass http://app:8000;\n }\n}\n"))
    assert config.locations[0].proxy_pass.origin.line == 7
    assert not deployment.problems


def test_huge_and_binary_files_are_refused(tmp_path: Path) -> None:
    """A line of megabytes and a binary file are named at once as not read."""
    long = _conf(tmp_path, "#" + "x" * 2_000_000, "long.conf")
    binary = tmp_path / "binary.conf"
    binary.write_bytes(b"\0\1\2")
    for path, words in ((long, "has a line of more than"), (binary, "binary data")):
        _, deployment = _read(path)
        assert words in deployment.not_checked[0].why


def test_deep_nesting_is_a_problem(tmp_path: Path) -> None:
    """Ten thousand nested blocks are a problem and no crash."""
    _, deployment = _read(_conf(tmp_path, "a {\n" * 10_000 + "}\n" * 10_000))
    assert [problem.rule for problem in deployment.problems] == ["C001"]


def test_variable_that_names_an_upstream(tmp_path: Path) -> None:
    """A constant in ``set`` and a map with one value lead to an upstream; anything else is not checked."""
    text = (
        "upstream app { server app:8000; }\nmap $host $other { default app; }\n"
        "server {\n set $one app;\n location /a { proxy_pass http://$one; }\n"
        " location /b { proxy_pass http://$other; }\n"
        " location /c { proxy_pass http://$http_x; }\n}\n"
    )
    config, deployment = _read(_conf(tmp_path, text))
    names = [location.upstream.name if location.upstream else None for location in config.locations]
    assert names == ["app", "app", None]
    assert [one.what for one in deployment.not_checked] == ["proxy_pass http://$http_x"]


def test_versions_of_tags() -> None:
    """A full version is one to judge by; a tag that moves is what a pull gives; without one both sides of 1.29.7."""
    assert find_versions("1.27.3-alpine")[0] == ((1, 27, 3),)
    assert find_versions("1.22")[0] == ((1, 22, 0),)
    assert find_versions("1.29")[0] == ((1, 29, 0), (1, 29, 7))
    for tag in ("latest", "alpine", "1", "mainline-alpine-slim"):
        assert find_versions(tag)[0] == (CURRENT,)
    for tag in ("stable", "stable-alpine"):
        assert find_versions(tag)[0] == ((1, 30, 0),)
    for unknown in (None, "acme-7f3e"):
        assert find_versions(unknown)[0] == BOTH_SIDES


def test_defaults_follow_the_version(tmp_path: Path) -> None:
    """Pool and HTTP version are known for a version on one side of 1.29.7, and not for a tag that moves."""
    path = _conf(tmp_path, "upstream app { server app:8000; }\n" + _SERVER.format(target="http://app"))
    found = []
    for versions in (((1, 22, 1),), ((1, 31, 3),), BOTH_SIDES):
        config, _ = read_nginx(path, base=tmp_path, versions=versions, deployment=Deployment())
        [location] = config.locations
        pool = config.upstreams[0].settings.named()["keepalive"].value
        found.append(
            (pool, location.settings.named()["proxy_http_version"].value, location.headers["connection"].value)
        )
    assert found == [(0, "1.0", "close"), (32, "1.1", ""), (None, None, None)]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("60", 60.0), ("60s", 60.0), ("1m", 60.0), ("1h30m", 5400.0), ("1h 30m", 5400.0), ("500ms", 0.5), ("x", None)],
)
def test_times(text: str, seconds: float | None) -> None:
    """nginx's times, with and without units."""
    assert parse_time(text) == seconds


def test_sizes_and_addresses() -> None:
    """Sizes with units; addresses with and without a port, IPv6 and unix sockets."""
    assert [parse_size(text) for text in ("4096", "4k", "1m", "1G", "x")] == [4096, 4096, 1048576, 1073741824, None]
    assert parse_address("[::1]:80") == Address(host="::1", port=80)
    assert parse_address("app") == Address(host="app", port=80)
    assert parse_address("unix:/run/a.sock") == Address(socket="/run/a.sock")
    assert parse_address("a b") is None


def test_placeholders_are_not_nginx_variables() -> None:
    """``$host`` is nginx's own, ``${PORT}`` a template's."""
    assert [is_template(text) for text in ("$host", "${host}", "${PORT}", "$APP_PORT", "<%= x %>")] == [
        *(False, False, True, True, True)
    ]


def test_shipped_files_are_read_without_a_problem() -> None:
    """Every file of this project's own configuration is found and understood."""
    deployment = Deployment()
    config, tree = read_nginx(ROOT / "nginx" / "nginx.conf", base=ROOT, deployment=deployment)
    assert not deployment.problems
    assert {location.upstream.name for location in config.locations if location.upstream} == {"backend"}
    assert any("keepalive" in comment for comments in tree.comments.values() for comment in comments.values())


_PIECES = st.sampled_from(
    [
        "server",
        "{",
        "}",
        ";",
        "location",
        "/",
        "proxy_pass",
        "http://a:1",
        "$x",
        '"',
        "'",
        "\\",
        "#",
        "\n",
        "${A}",
        "{{",
    ]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(st.one_of(_PIECES, st.text(max_size=5)), max_size=40))
def test_any_text_is_read_or_refused(tmp_path: Path, pieces: list[str]) -> None:
    """Whatever stands in a file: a result or a problem, no exception."""
    path = tmp_path / "nginx.conf"
    path.write_bytes(" ".join(pieces).encode("utf-8", "surrogatepass"))
    _read(path)
