"""HTTP/2 between nginx and the application: which servers speak it, by their options."""

from pathlib import Path

import pytest

from tests.doctor.report import HEADERS, judge

NGINX = f"server {{ listen 80; location / {{ proxy_pass http://127.0.0.1:8000; proxy_http_version 2; {HEADERS} }} }}\n"
UVICORN = "/v/bin/uvicorn shop:app --timeout-graceful-shutdown 30 "
GUNICORN = "/v/bin/gunicorn shop:app "


def _unit(command: str, environment: str = "") -> dict[str, str]:
    lines = f"Environment={environment}\n" if environment else ""
    return {
        "doctor.toml": 'nginx-version = "1.31.0"\n',
        "shop.service": f"[Service]\n{lines}ExecStart={command}\n",
        "nginx.conf": NGINX,
    }


@pytest.mark.parametrize(
    ("command", "severity"),
    [
        (UVICORN, "error"),
        (UVICORN + "--http h11", "error"),
        (UVICORN + "--http zttp --http2", "warning"),
        (UVICORN + "--http=zttp --http2", "warning"),
        (GUNICORN + "--http-protocols h2,h1 --http2-cleartext prior-knowledge", "warning"),
        (GUNICORN + "-k uvicorn_worker.UvicornWorker --http-protocols h2,h1 --http2-cleartext both", "error"),
    ],
)
def test_an_upstream_with_http2(command: str, severity: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server without HTTP/2 is an error, one with it a warning of GOAWAY."""
    assert judge(tmp_path, _unit(command), monkeypatch).severity("K207") == severity


def test_uvicorns_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """UVICORN_HTTP2 is --http2."""
    report = judge(tmp_path, _unit(UVICORN, "UVICORN_HTTP=zttp UVICORN_HTTP2=1"), monkeypatch)
    assert report.severity("K207") == "warning"


def test_a_worker_class_of_ones_own_may_speak_http2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a subclass passes to uvicorn is not known."""
    report = judge(tmp_path, _unit(GUNICORN + "-k shop.workers.FastUvicornWorker"), monkeypatch)
    assert "K207" not in report.found()


@pytest.mark.parametrize(
    ("options", "found"),
    [("--http2", True), ("--http2 --http h11", True), ("--http2 --http zttp", False), ("--http zttp", False)],
)
def test_http2_needs_its_implementation(
    options: str, found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """uvicorn ends with an error if --http2 meets another implementation than zttp."""
    assert ("C003" in judge(tmp_path, _unit(UVICORN + options), monkeypatch).found()) is found


@pytest.mark.parametrize(
    ("arguments", "found"),
    [("http='zttp', http2=True", "warning"), ("http2=False", "error"), ("http='zttp', http2=settings.http2", "")],
)
def test_a_start_in_python(arguments: str, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """uvicorn.run takes the same settings; one that is not known is not judged."""
    files = _unit("/v/bin/python main.py") | {
        "main.py": "import uvicorn\nfrom conf import settings\n"
        f'if __name__ == "__main__":\n    uvicorn.run("shop:app", {arguments})\n'
    }
    report = judge(tmp_path, files, monkeypatch)
    severities = [one["severity"] for one in report.data["findings"] if one["rule"] == "K207"]
    assert severities == ([found] if found else [])
