"""How long a stop may take: a uvicorn without a limit, a time that a template fills in, what Swarm ignores."""

from pathlib import Path

import pytest

from tests.doctor.report import HEADERS, judge

POD = """apiVersion: v1
kind: Pod
metadata: {name: shop}
spec:
  %s
  containers:
  - name: shop
    image: acme/shop:1
    command: [%s]
    lifecycle: {preStop: {sleep: {seconds: 5}}}
    readinessProbe: {httpGet: {path: /, port: 8000}%s}
"""
UVICORN, GUNICORN = 'uvicorn, "shop:app", --host, "0.0.0.0"', 'gunicorn, -b, "0.0.0.0:8000", "shop:app"'
LIMIT = ', --timeout-graceful-shutdown, "20"'


@pytest.mark.parametrize(
    ("files", "rule"),
    [
        ({"a.service": "[Service]\nTimeoutStopSec=10\nExecStart=/srv/bin/uvicorn shop:app\n"}, "S503"),
        ({"a.conf": "[program:shop]\ncommand=uvicorn shop:app\n"}, "S503"),
        ({"pod.yaml": POD % ("restartPolicy: Always", UVICORN, "")}, "S505"),
        ({"compose.yaml": "services: {shop: {image: a, command: 'uvicorn shop:app'}}\n"}, "S501"),
        (
            {"compose.yaml": "services: {shop: {image: a, stop_grace_period: 5s, command: 'uvicorn shop:app'}}\n"},
            "S501",
        ),
    ],
)
def test_a_uvicorn_without_a_limit_is_killed_at_a_stop(
    files: dict[str, str], rule: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for its requests for as long as they take, whatever runs it."""
    assert rule in judge(tmp_path, files, monkeypatch).found()


@pytest.mark.parametrize(
    "files",
    [
        {"a.service": "[Service]\nExecStart=/srv/bin/uvicorn shop:app\n"},
        {"a.service": "[Service]\nTimeoutStopSec=45\nExecStart=/srv/bin/uvicorn shop:app\n"},
        {"a.conf": "[program:shop]\ncommand=uvicorn shop:app\nstopwaitsecs=40\n"},
        {"a.conf": "[program:shop]\ncommand=uvicorn shop:app --timeout-graceful-shutdown 5\n"},
        {"pod.yaml": POD % ("terminationGracePeriodSeconds: 45", UVICORN, "")},
        {"pod.yaml": POD % ("restartPolicy: Always", UVICORN + LIMIT, "")},
    ],
)
def test_a_uvicorn_with_time_enough_is_no_finding(
    files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """systemd's default, a time that was chosen, and a limit of its own."""
    assert judge(tmp_path, files, monkeypatch).found() == set()


@pytest.mark.parametrize(
    "files",
    [
        {"a.conf.j2": "[program:shop]\ncommand=gunicorn shop:app\nstopwaitsecs={{ stop }}\n"},
        {"a.conf": "[program:shop]\ncommand=gunicorn shop:app\nstopwaitsecs=%(ENV_STOP)s\n"},
        {"a.conf": "[program:shop]\ncommand=gunicorn shop:app\nstopwaitsecs=@STOP_SECONDS@\n"},
        {"pod.yaml": POD % ("terminationGracePeriodSeconds: ${GRACE}", GUNICORN, "")},
        {"pod.yaml": POD % ("terminationGracePeriodSeconds: ${GRACE}", UVICORN, "")},
    ],
)
def test_a_time_that_something_fills_in_is_not_the_default(
    files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is unknown, and the report says so."""
    report = judge(tmp_path, files, monkeypatch)
    assert report.found() == set()
    assert "stop_grace of shop" in report.gaps()


def test_a_variable_of_the_program_is_filled_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ``environment=`` of the same program says is known."""
    text = "[program:shop]\nenvironment=STOP=5\ncommand=gunicorn shop:app\nstopwaitsecs=%(ENV_STOP)s\n"
    assert "S503" in judge(tmp_path, {"a.conf": text}, monkeypatch).found()


@pytest.mark.parametrize(("name", "found"), [("stack.yml", False), ("compose.yaml", True)])
def test_depends_on_is_no_advice_for_swarm(
    name: str, found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """docker stack deploy ignores it."""
    text = """services:
  shop: {image: "acme/shop:1", command: "gunicorn -b 0.0.0.0:8000 shop:app", stop_grace_period: 60s}
  edge: {image: "nginx:1.28", volumes: ["./site.conf:/etc/nginx/conf.d/default.conf"]}
"""
    site = f"server {{ location / {{ proxy_pass http://shop:8000; {HEADERS} }} }}\n"
    assert ("S507" in judge(tmp_path, {name: text, "site.conf": site}, monkeypatch).found()) is found


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"a.service": "[Service]\nKillSignal=SIGKILL\nExecStart=/srv/bin/gunicorn shop:app\n"}, True),
        ({"a.service": "[Service]\nKillSignal=9\nExecStart=/srv/bin/uvicorn shop:app\n"}, True),
        ({"a.service": "[Service]\nExecStop=/bin/kill -9 $MAINPID\nExecStart=/srv/bin/gunicorn shop:app\n"}, True),
        ({"a.service": "[Service]\nExecStop=/bin/kill -s QUIT $MAINPID\nExecStart=/srv/bin/gunicorn a:b\n"}, True),
        ({"a.service": "[Service]\nExecStop=/bin/kill -s TERM $MAINPID\nExecStart=/srv/bin/gunicorn a:b\n"}, False),
        ({"a.service": "[Service]\nKillSignal=SIGINT\nExecStart=/srv/bin/uvicorn shop:app\n"}, False),
        ({"a.conf": "[program:a]\ncommand=uvicorn a:b --timeout-graceful-shutdown 5\nstopsignal=KILL\n"}, True),
    ],
)
def test_a_signal_that_ends_requests_at_once(
    files: dict[str, str], found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL for both servers, SIGINT and SIGQUIT for gunicorn."""
    assert ("S504" in judge(tmp_path, files, monkeypatch).found()) is found
