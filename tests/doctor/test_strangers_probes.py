"""Health checks that ask something else beside the application: that is not the application's port."""

from pathlib import Path

import pytest

from tests.doctor.report import judge

POD = """apiVersion: v1
kind: Pod
metadata: {name: shop}
spec:
  terminationGracePeriodSeconds: 60
  containers:
  - name: shop
    image: acme/shop:1
    command: %s
%s
    lifecycle: {preStop: {sleep: {seconds: 5}}}
    livenessProbe: {httpGet: {path: /live, port: 9000}}
    readinessProbe: {tcpSocket: {port: 8000}}
"""
PLAIN = '[gunicorn, -b, "0.0.0.0:8000", "shop:app"]'
CHECKED = "FROM acme/python-nginx:2\nHEALTHCHECK CMD curl -f http://localhost:9000/\nCMD %s\n"


@pytest.mark.parametrize(
    ("command", "more"),
    [
        (PLAIN, "    ports: [{containerPort: 8000}, {containerPort: 9000}]"),
        (PLAIN, "    env: [{name: METRICS_PORT, value: '9000'}]"),
        ('[sh, -c, "python metrics.py & exec gunicorn -b 0.0.0.0:8000 shop:app"]', "    stdin: false"),
    ],
)
def test_another_part_of_a_pod_may_answer_its_probe(
    command: str, more: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second declared port, a port in a variable and a process in the background are not gunicorn's."""
    assert "P603" not in judge(tmp_path, {"pod.yaml": POD % (command, more)}, monkeypatch).found()


@pytest.mark.parametrize(
    ("more", "severity"),
    [("    stdin: false", "error"), ("    ports: [{containerPort: 9000}]", "warning")],
)
def test_a_probe_of_a_port_that_only_itself_names(
    more: str, severity: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a declaration nothing listens there; with one alone it is likely."""
    report = judge(tmp_path, {"pod.yaml": POD % (PLAIN, more)}, monkeypatch)
    assert report.severity("P603") == severity


@pytest.mark.parametrize(
    "command",
    [
        '["sh", "-c", "service nginx start && exec gunicorn -b 127.0.0.1:8000 shop:app"]',
        "/etc/init.d/nginx start && gunicorn -b 127.0.0.1:8000 shop:app",
        "nginx; exec gunicorn -b 127.0.0.1:8000 shop:app",
        "start-stop-daemon --start --exec /opt/exporter && exec gunicorn -b 127.0.0.1:8000 shop:app",
    ],
)
def test_what_goes_on_in_the_background_may_answer_a_health_check(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An nginx that the same line starts is in no configuration here."""
    assert "P603" not in judge(tmp_path, {"Dockerfile": CHECKED % command}, monkeypatch).found()


@pytest.mark.parametrize("before", ["", "python manage.py migrate && ", "mkdir -p /run/shop; "])
def test_a_command_that_ends_answers_nothing(before: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Migrations and checks leave nothing behind that listens."""
    files = {"Dockerfile": CHECKED % f"{before}exec gunicorn -b 127.0.0.1:8000 shop:app"}
    assert judge(tmp_path, files, monkeypatch).severity("P603") == "error"


@pytest.mark.parametrize("mode", ["host", "service:web"])
def test_localhost_of_a_shared_network_is_not_the_applications_alone(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another container may listen there."""
    text = f"""services:
  web: {{image: "acme/web:1"}}
  shop:
    image: acme/shop:1
    network_mode: {mode}
    command: gunicorn -b 0.0.0.0:8000 shop:app
    healthcheck: {{test: "curl -f http://localhost:9000/"}}
"""
    assert "P603" not in judge(tmp_path, {"compose.yaml": text}, monkeypatch).found()
