"""An area has a tick only where two sides, or a value and its bound, were compared; else the reason."""

from pathlib import Path

import pytest

from tests.doctor.report import HEADERS, Report, judge

SITE = "server {{ listen 80; location / {{ proxy_pass http://{to}; {more} " + HEADERS + " }} }}\n"
UNIT = "[Service]\nExecStart=/srv/venv/bin/gunicorn {options} shop:app\n"


def _report(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: str = "-b 127.0.0.1:8000 -k gthread",
    upstream: str = "",
    more: str = "",
    unit: str = "shop.service",
) -> Report:
    to = "shop" if upstream else "127.0.0.1:8000"
    files = {unit: UNIT.format(options=options), "nginx.conf": upstream + SITE.format(to=to, more=more)}
    return judge(folder, files, monkeypatch)


@pytest.mark.parametrize(
    ("options", "unit"), [("-b 127.0.0.1:800%i", "shop@.service"), ("-b 127.0.0.1:${PORT}", "shop.service")]
)
def test_an_unknown_bind_is_no_compared_address(
    options: str, unit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Address needs what the server binds."""
    report = _report(tmp_path, monkeypatch, options, unit=unit)
    assert report.data["areas"]["Address"] is False
    assert "[-] Address: the address on which gunicorn of shop listens is unknown" in report.text


def test_a_known_bind_is_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With both sides known there is a tick."""
    assert _report(tmp_path, monkeypatch).data["areas"]["Address"] is True


@pytest.mark.parametrize(("connection", "ticked"), [("$http_connection", False), ('""', True), ("close", True)])
def test_a_variable_in_connection_decides_at_run_time(
    connection: str, ticked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keep-alive is compared only where it is known whether nginx reuses connections."""
    upstream = "upstream shop { server 127.0.0.1:8000; keepalive 8; keepalive_timeout 1s; }\n"
    more = f"proxy_http_version 1.1; proxy_set_header Connection {connection};"
    report = _report(tmp_path, monkeypatch, upstream=upstream, more=more)
    assert report.data["areas"]["Keep-alive"] is ticked
    assert ("whether nginx reuses connections at location / is unknown" in report.text) is not ticked


@pytest.mark.parametrize("area", ["Limits", "Configuration"])
def test_one_side_alone(area: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An application without an nginx among the files has no tick there; the reason says which side was read."""
    unit = UNIT.format(options="-b 127.0.0.1:8000")
    report = judge(tmp_path, {"shop.service": unit}, monkeypatch)
    assert report.data["areas"][area] is False
    assert f"[-] {area}: only the application's" in report.text


def test_a_configuration_that_is_not_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration file that cannot be read leaves Configuration without a tick."""
    files = {
        "shop.service": UNIT.format(options="-c gunicorn.conf.py"),
        "gunicorn.conf.py": "timeout = 40\n",
        "nginx.conf": SITE.format(to="127.0.0.1:8000", more=""),
    }
    assert judge(tmp_path / "here", files, monkeypatch).data["areas"]["Configuration"] is True
    del files["gunicorn.conf.py"]
    report = judge(tmp_path / "away", files, monkeypatch)
    assert "[-] Configuration: the configuration file of gunicorn of shop is not known" in report.text


def test_a_configuration_of_any_size_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason names the file that could not be read."""
    files = {
        "shop.service": UNIT.format(options="-c gunicorn.conf.py"),
        "gunicorn.conf.py": "#" * 4_100_000,
        "nginx.conf": SITE.format(to="127.0.0.1:8000", more=""),
    }
    assert "[-] Configuration: gunicorn.conf.py cannot be read" in judge(tmp_path, files, monkeypatch).text
