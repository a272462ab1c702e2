"""Rendering for a plain host, without nginx."""

import itertools
import re
from pathlib import Path

import pytest

from no502.data import data_path
from no502.errors import UserError
from no502.nginx.command import render
from no502.nginx.variables import VARIABLES as KNOWN
from tests.nginx.proxy import VARIABLES

_NEW, _OLD = (1, 31, 3), (1, 22, 1)
_TLS = {"NGINX_TLS_CERTIFICATE": "/etc/tls/chain.pem", "NGINX_TLS_CERTIFICATE_KEY": "/etc/tls/key.pem"}


def _problems(
    out: Path, changes: dict[str, str], *, version: tuple[int, int, int] = _NEW, tls: bool = False
) -> list[str]:
    """Return the problems that rendering reports; nothing may have been written."""
    with pytest.raises(UserError) as caught:
        render(out, {**VARIABLES, **changes}, nginx_version=version, tls=tls)
    assert not out.exists()
    first, *rest = str(caught.value).splitlines()
    assert first == "no nginx configuration written:"
    return [line.strip() for line in rest]


def _text(out: Path, name: str) -> str:
    return (out / name).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PROXY_READ_TIMEOUT", "abc"),
        ("PROXY_READ_TIMEOUT", "0"),
        ("PROXY_READ_TIMEOUT", "-1"),
        ("PROXY_READ_TIMEOUT", "3m"),
        ("PROXY_CONNECT_TIMEOUT", ""),
        ("NGINX_LISTEN", "http"),
        ("NGINX_LISTEN", "65536"),
        ("NGINX_LISTEN", "80; evil on"),
        ("NGINX_LISTEN", "999.0.0.1:80"),
        ("NGINX_SERVER_NAME", "a.example,b.example"),
        ("NGINX_SERVER_NAME", "a.example; return 200"),
        ("NGINX_SERVER_NAME", "$hostname"),
        ("NGINX_SERVER_NAME", "a.example\nb.example"),
        ("NGINX_UPSTREAM", "app"),
        ("NGINX_UPSTREAM", "http://app:8000"),
        ("NGINX_UPSTREAM", "unix:relative.sock"),
        ("NGINX_UPSTREAM", "unix:/a b"),
        ("NGINX_UPSTREAM", "app:0"),
        ("NGINX_UPSTREAM", "300.0.0.1:80"),
        ("NGINX_UPSTREAM", "localhost:8000"),
        ("NGINX_CLIENT_MAX_BODY_SIZE", "10 m"),
        ("NGINX_CLIENT_MAX_BODY_SIZE", "10t"),
        ("NGINX_REQUESTS_IN_FLIGHT", "0"),
        ("NGINX_REQUESTS_IN_FLIGHT", "65536"),
        ("NGINX_REQUESTS_IN_FLIGHT", "1e3"),
        ("NGINX_TRUSTED_PROXIES", "10.0.0.0/33"),
        ("NGINX_TRUSTED_PROXIES", "10.0.0.1/8"),
        ("NGINX_TRUSTED_PROXIES", "10.0.0.0/8,,"),
        ("NGINX_TRUSTED_PROXIES", "10.0.0.0/8; evil on"),
    ],
)
def test_bad_values_are_named(tmp_path: Path, name: str, value: str) -> None:
    """A bad value is reported with its variable and with what is allowed; nothing is written."""
    (problem,) = _problems(tmp_path / "out", {name: value}) if "\n" not in value else (name + KNOWN[name].allowed,)
    assert problem.startswith(name)
    assert KNOWN[name].allowed in problem or "127.0.0.1" in problem


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PROXY_READ_TIMEOUT", "1"),
        ("NGINX_LISTEN", "8080"),
        ("NGINX_LISTEN", "[::]:80"),
        ("NGINX_LISTEN", "*:80"),
        ("NGINX_SERVER_NAME", "example.org *.example.org 10.0.0.1 localhost"),
        ("NGINX_UPSTREAM", "unix:/run/app/gunicorn.sock"),
        ("NGINX_UPSTREAM", "[::1]:8000"),
        ("NGINX_UPSTREAM", "my_app-1.internal:8000"),
        ("NGINX_CLIENT_MAX_BODY_SIZE", "0"),
        ("NGINX_CLIENT_MAX_BODY_SIZE", "2G"),
        ("NGINX_REQUESTS_IN_FLIGHT", "1"),
        ("NGINX_REQUESTS_IN_FLIGHT", "65535"),
        ("NGINX_TRUSTED_PROXIES", "10.0.0.0/8, 192.168.1.1,fd00::/8"),
        ("NGINX_VERSION", "1.31.3"),
        ("NGINX_ENVSUBST_OUTPUT_DIR", "/etc/nginx/elsewhere"),
        ("SOMETHING_ELSE", "passed over"),
    ],
)
def test_good_values_are_accepted(tmp_path: Path, name: str, value: str) -> None:
    """What is allowed is rendered, and names that are not for these files are passed over."""
    render(tmp_path / "out", {**VARIABLES, name: value}, nginx_version=_NEW)
    assert (tmp_path / "out" / "nginx.conf").is_file()


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    """Several mistakes are one report: unknown names with the closest known one, a missing value, an old nginx."""
    changes = {"NGINX_UPSTRAEM": "x", "PROXY_READ_TIMEOUTS": "1", "NGINX_LISTEN": "", "PROXY_CONNECT_TIMEOUT": "x"}
    problems = _problems(tmp_path / "out", changes, version=(1, 18, 0), tls=True)
    assert problems == [
        "NGINX_UPSTRAEM: unknown variable; did you mean NGINX_UPSTREAM?",
        "PROXY_READ_TIMEOUTS: unknown variable; did you mean PROXY_READ_TIMEOUT?",
        "nginx 1.18.0: too old; the files need 1.22.0 or newer",
        "PROXY_CONNECT_TIMEOUT=x: not allowed; allowed: seconds, digits only, 1 to 86400",
        "NGINX_LISTEN is not set; allowed: port, address:port or [address]:port",
        f"NGINX_TLS_CERTIFICATE is not set; allowed: {KNOWN['NGINX_TLS_CERTIFICATE'].allowed}",
        f"NGINX_TLS_CERTIFICATE_KEY is not set; allowed: {KNOWN['NGINX_TLS_CERTIFICATE_KEY'].allowed}",
    ]


def test_missing_parent_and_file_in_the_way(tmp_path: Path) -> None:
    """The output directory is made, its parents are not; a file of that name is not touched."""
    (problem,) = _problems(tmp_path / "no" / "out", {})
    assert f"no directory {tmp_path / 'no'}" in problem
    assert problem.endswith(f"mkdir -p {tmp_path / 'no'} makes it")
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(UserError, match="not a directory"):
        render(file, VARIABLES, nginx_version=_NEW)
    assert file.read_text() == "mine"


@pytest.mark.parametrize(
    ("upstream", "version", "expected"),
    [
        ("unix:/run/a.sock", _NEW, "server unix:/run/a.sock max_fails=1 fail_timeout=1s;"),
        ("127.0.0.1:8000", _OLD, "server 127.0.0.1:8000 max_fails=1 fail_timeout=1s;"),
        ("app:8000", (1, 27, 3), "server app:8000 resolve max_fails=1 fail_timeout=1s;"),
        ("app:8000", (1, 27, 2), "server app:8000 max_fails=1 fail_timeout=1s;"),
        ("app:8000", _OLD, "server app:8000 max_fails=1 fail_timeout=1s;"),
    ],
)
def test_form_of_the_upstream(tmp_path: Path, upstream: str, version: tuple[int, int, int], expected: str) -> None:
    """One address, a name that is followed, a name for an older nginx: each has its form."""
    render(tmp_path / "out", {**VARIABLES, "NGINX_UPSTREAM": upstream}, nginx_version=version)
    text = _text(tmp_path / "out", "conf.d/upstream.conf")
    assert [line.strip() for line in text.splitlines() if line.strip().startswith("server ")] == [expected]
    assert "include conf.d/upstream/pool.conf;" in text
    assert "keepalive_timeout 15s;" in _text(tmp_path / "out", "conf.d/upstream/pool.conf")
    assert ("resolver 127.0.0.1 " in text) is (" resolve " in expected)


@pytest.mark.parametrize(("version", "directive"), [((1, 25, 1), True), ((1, 25, 0), False), (_OLD, False)])
def test_form_of_http_2(tmp_path: Path, version: tuple[int, int, int], directive: bool) -> None:
    """HTTP/2 is a directive from nginx 1.25.1 on and a parameter of listen before."""
    render(tmp_path / "out", {**VARIABLES, **_TLS}, nginx_version=version, tls=True)
    text = _text(tmp_path / "out", "conf.d/default.conf")
    assert ("    http2 on;" in text) is directive
    assert ("listen 443 http2 ssl;" in text) is not directive


def test_one_line_for_each_trusted_network(tmp_path: Path) -> None:
    """A comma list becomes one set_real_ip_from for each network."""
    out = tmp_path / "out"
    render(out, {**VARIABLES, "NGINX_TRUSTED_PROXIES": "10.0.0.0/8, fd00::/8"}, nginx_version=_NEW)
    assert re.findall(r"(?m)^set_real_ip_from (.*);$", _text(out, "conf.d/trusted-proxies.conf")) == [
        "10.0.0.0/8",
        "fd00::/8",
    ]


def test_times_follow_the_variables(tmp_path: Path) -> None:
    """Each of the three shared times reaches its directives."""
    changes = {"PROXY_READ_TIMEOUT": "61", "PROXY_CONNECT_TIMEOUT": "3", "PROXY_KEEPALIVE_TIMEOUT": "7"}
    out = tmp_path / "out"
    render(out, {**VARIABLES, **changes}, nginx_version=_NEW)
    text = "".join(_text(out, f"conf.d/{name}.conf") for name in ("app/numbers", "upstream/pool", "main/reload"))
    directives = [line.strip() for line in text.splitlines() if not line.strip().startswith("#")]
    for directive in (
        "proxy_connect_timeout 3s;",
        "proxy_read_timeout 61s;",
        "proxy_send_timeout 61s;",
        "proxy_next_upstream_timeout 3500ms;",
        "keepalive_timeout 7s;",
        "worker_shutdown_timeout 61s;",
    ):
        assert directive in directives


def test_rendering_again_updates(tmp_path: Path) -> None:
    """Files of a variant that is no longer asked for go, files of others stay; the rest is as in a first rendering."""
    again, once = tmp_path / "again", tmp_path / "once"
    trusted = {**VARIABLES, **_TLS, "NGINX_TRUSTED_PROXIES": "10.0.0.0/8"}
    render(again, trusted, nginx_version=_OLD, tls=True, standalone=True)
    (again / "conf.d" / "mine.conf").write_text("# mine\n")
    render(again, VARIABLES, nginx_version=_NEW)
    render(once, VARIABLES, nginx_version=_NEW)
    (again / "conf.d" / "mine.conf").unlink()
    assert _tree(again) == _tree(once)


def test_standalone_differs_in_few_files(tmp_path: Path) -> None:
    """What is tested as a standalone tree is what runs on a host, but for the log, the pid and the temporary files."""
    render(tmp_path / "host", VARIABLES, nginx_version=_NEW)
    render(tmp_path / "alone", VARIABLES, nginx_version=_NEW, standalone=True)
    host, alone = _tree(tmp_path / "host"), _tree(tmp_path / "alone")
    assert {name for name in host.keys() | alone.keys() if host.get(name) != alone.get(name)} == {
        "conf.d/app/numbers.conf",
        "conf.d/http.conf",  # it names the access log's variable, to refuse a missing one
        "conf.d/main/standalone.conf",
        "conf.d/temporary-files.conf",
    }
    (host_log,), (own_log,) = (
        re.findall(r"(?m)^access_log .*$", tree["conf.d/app/numbers.conf"]) for tree in (host, alone)
    )
    assert host_log.replace("/var/log/nginx/access.log", "/dev/stdout") == own_log


@pytest.mark.parametrize("name", ["nginx.conf", "conf.d/default.conf", "snippets/http.conf"])
def test_files_of_others_are_refused(tmp_path: Path, name: str) -> None:
    """A file that is not from here is never overwritten: the message lists it, and nothing is written."""
    foreign = tmp_path / name
    foreign.parent.mkdir(exist_ok=True)
    foreign.write_text("user www-data;\n")
    with pytest.raises(UserError, match=f"{name}: not written by no502, and never overwritten"):
        render(tmp_path, VARIABLES, nginx_version=_NEW)
    assert _tree(tmp_path) == {name: "user www-data;\n"}


def test_files_of_others_stay(tmp_path: Path) -> None:
    """Beside ours, files with other names stay, and one of ours that was replaced is not removed either."""
    render(tmp_path, {**VARIABLES, "NGINX_TRUSTED_PROXIES": "10.0.0.0/8"}, nginx_version=_NEW)
    for name in ("snippets/fastcgi-php.conf", "conf.d/trusted-proxies.conf", "sites-enabled/shop"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("# mine\n")
    render(tmp_path, VARIABLES, nginx_version=_NEW)
    assert _text(tmp_path, "snippets/fastcgi-php.conf") == "# mine\n"
    assert _text(tmp_path, "conf.d/trusted-proxies.conf") == "# mine\n"
    assert _text(tmp_path, "sites-enabled/shop") == "# mine\n"


def test_the_user_of_the_workers(tmp_path: Path) -> None:
    """A user is written where one is known, and goes with the next rendering that knows none."""
    render(tmp_path, VARIABLES, nginx_version=_NEW, user="www-data")
    assert "\nuser www-data;\n" in _text(tmp_path, "conf.d/main/user.conf")
    render(tmp_path, VARIABLES, nginx_version=_NEW)
    assert not (tmp_path / "conf.d" / "main" / "user.conf").exists()


@pytest.mark.parametrize(("bound", "share"), [("1024", "64"), ("100", "32"), ("2", "2"), ("4096", "256")])
def test_one_client_has_a_part_of_the_bound(tmp_path: Path, bound: str, share: str) -> None:
    """Without a number of its own, one client may have a sixteenth of the requests in flight, but at least 32."""
    render(tmp_path, {**VARIABLES, "NGINX_REQUESTS_IN_FLIGHT": bound}, nginx_version=_NEW)
    assert f"limit_conn in_flight_per_client {share};" in _text(tmp_path, "conf.d/app/numbers.conf")


@pytest.mark.parametrize(("version", "known"), [((1, 27, 4), True), ((1, 27, 3), False), (_OLD, False)])
def test_directives_of_newer_versions(tmp_path: Path, version: tuple[int, int, int], known: bool) -> None:
    """A directive that the installed nginx does not know is left out."""
    render(tmp_path, VARIABLES, nginx_version=version)
    assert ("\nkeepalive_min_timeout 10s;" in _text(tmp_path, "conf.d/app/numbers.conf")) is known


def test_result_names_every_file(tmp_path: Path) -> None:
    """render() returns what it has written, and no placeholder is left in any of it."""
    out = tmp_path / "out"
    for number, (tls, standalone) in enumerate(itertools.product((False, True), repeat=2)):
        written = render(out, {**VARIABLES, **_TLS}, nginx_version=_NEW, tls=tls, standalone=standalone)
        assert {path.relative_to(out).as_posix() for path in written} == _tree(out).keys(), number
        assert not [path for path in written if "${" in path.read_text(encoding="utf-8")]


def test_directory_that_cannot_be_written(tmp_path: Path) -> None:
    """A file where a directory is needed is a message, not a traceback, and what was there stays."""
    (tmp_path / "snippets").write_text("mine")
    with pytest.raises(UserError, match="cannot be written"):
        render(tmp_path, VARIABLES, nginx_version=_NEW)
    assert (tmp_path / "snippets").read_text() == "mine"


def test_a_failure_while_writing_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk half way: the new directory is removed and the message says what happened."""
    write_text = Path.write_text
    calls = itertools.count()

    def fails_late(self: Path, data: str, encoding: str | None = None) -> int:
        if next(calls) == 5:
            raise OSError(28, "No space left on device")
        return write_text(self, data, encoding=encoding)

    monkeypatch.setattr(Path, "write_text", fails_late)
    with pytest.raises(UserError, match="No space left on device"):
        render(tmp_path / "out", VARIABLES, nginx_version=_NEW)
    assert not (tmp_path / "out").exists()


def test_example_names_every_variable() -> None:
    """example.env has each known variable, set or commented out, and no other."""
    text = (data_path("nginx") / "example.env").read_text(encoding="utf-8")
    assert set(re.findall(r"(?m)^#?([A-Z][A-Z_]+)=", text)) == set(KNOWN)


def test_variants_replace_existing_files() -> None:
    """In the image a variant is mounted over the template of the same name, which must exist for that."""
    nginx = data_path("nginx")
    for variant in (nginx / "variants").iterdir():
        if variant.name == "standalone":  # not for the image
            continue
        if variant.name == "trusted-proxies":  # adds a file
            continue
        for file in variant.iterdir():
            assert (nginx / "templates" / file.name).is_file(), file


def test_headers_are_set_in_one_place_each() -> None:
    """One proxy_set_header or add_header in a location would drop all inherited ones there: only one file has them."""
    places: dict[str, set[str]] = {"proxy_set_header": set(), "add_header": set()}
    for file in data_path("nginx").rglob("*.conf*"):
        for directive in re.findall(r"(?m)^\s*(proxy_set_header|add_header) ", file.read_text(encoding="utf-8")):
            places[directive].add(file.relative_to(data_path("nginx")).as_posix())
    assert places == {
        "proxy_set_header": {"snippets/application.conf"},
        "add_header": {"snippets/every-server.conf"},
    }


def test_every_directive_is_explained() -> None:
    """Every file begins with what it is for, and has a link into nginx's documentation where it has directives."""
    for file in data_path("nginx").rglob("*.conf*"):
        text = file.read_text(encoding="utf-8")
        assert text.startswith("# "), file
        if re.search(r"(?m)^\s*[a-z_]+ .*;$", text) and file.name != "standalone.conf.template":
            assert "https://nginx.org/en/docs/" in text, file


def _tree(directory: Path) -> dict[str, str]:
    return {
        path.relative_to(directory).as_posix(): path.read_text(encoding="utf-8")
        for path in directory.rglob("*")
        if path.is_file()
    }
