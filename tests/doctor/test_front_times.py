"""By which times a proxy other than nginx is compared: its options, variables, labels, files and annotations."""

from pathlib import Path

import pytest

from tests.doctor.report import judge

COMPOSE = """services:
  shop:
    image: acme/shop:3
    command: gunicorn shop:app -b {bind} -k gthread --keep-alive {keep}
    stop_grace_period: 60s
    labels: [{labels}]
    {more}
  edge:
    image: traefik:v3.1
    command: [{options}]
    environment: {{{environment}}}
"""
ROUTED = "'traefik.enable=true', 'traefik.http.routers.shop.rule=Host(`shop.example.com`)'"
PORT = "'traefik.http.services.shop.loadbalancer.server.port={}'"


def _compose(
    *,
    labels: str = ROUTED,
    options: str = "",
    environment: str = "",
    keep: int = 10,
    bind: str = "0.0.0.0:8000",
    more: str = "",
) -> dict[str, str]:
    return {
        "compose.yaml": COMPOSE.format(
            labels=labels, options=options, environment=environment, keep=keep, bind=bind, more=more
        )
    }


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"options": "'--serversTransport.forwardingTimeouts.idleConnTimeout=5s'"}, False),
        ({"options": "'--serverstransport.forwardingtimeouts.idleconntimeout=15s'"}, True),
        ({"options": "'--serversTransport.forwardingTimeouts.idleConnTimeout', '5s'"}, False),
        ({"environment": "TRAEFIK_SERVERSTRANSPORT_FORWARDINGTIMEOUTS_IDLECONNTIMEOUT: 5s"}, False),
        ({"environment": "TRAEFIK_SERVERSTRANSPORT_FORWARDINGTIMEOUTS_IDLECONNTIMEOUT: 15s"}, True),
        ({"options": "'--providers.docker'"}, True),
        ({"keep": 100}, False),
        ({"labels": "'traefik.enable=false', " + PORT.format(8000)}, False),
        ({"labels": "'com.example.team=shop'"}, False),
        ({"labels": PORT.format(8000)}, True),
        ({"labels": "'traefik.port=8000', 'traefik.frontend.rule=Host:shop.example.com'"}, True),
    ],
)
def test_traefik_and_a_labelled_service(
    given: dict[str, object], found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Options and variables of Traefik replace its 90 s; a service needs labels for routing, not one for the port."""
    report = judge(tmp_path, _compose(**given), monkeypatch)  # type: ignore[arg-type]
    assert ("K206" in report.found()) is found


def test_traefiks_file_sets_the_time_of_labelled_services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The static configuration in a file is that of the container with the image."""
    files = _compose() | {
        "traefik.yml": "providers: {docker: {}}\nserversTransport:\n  forwardingTimeouts:\n    idleConnTimeout: 5s\n"
    }
    report = judge(tmp_path, files, monkeypatch)
    assert "K206" not in report.found()


@pytest.mark.parametrize(("exposed", "found"), [(8000, False), (8001, True)])
def test_the_only_port_of_an_image_is_the_one(
    exposed: int, found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Traefik takes the exposed port where no label names one."""
    files = _compose(keep=100, more="build: .") | {"Dockerfile": f"FROM python:3.13\nEXPOSE {exposed}\n"}
    files["compose.yaml"] = files["compose.yaml"].replace("    image: acme/shop:3\n", "")
    assert ("A101" in judge(tmp_path, files, monkeypatch).found()) is found


def test_an_unknown_port_is_not_guessed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an image of elsewhere exposes is not known: times are compared, the address is not."""
    report = judge(tmp_path, _compose(more="expose: ['9000']"), monkeypatch)
    assert "A101" not in report.found()
    assert report.data["areas"]["Address"] is False
    assert "the port to which the proxy connects is unknown" in report.text


ELSEWHERE = {
    "traefik": "labels: {traefik.enable: 'true', traefik.http.services.x.loadbalancer.server.port: '8000'}",
    "caddy": "labels: {caddy: shop.example.com, caddy.reverse_proxy: '{{upstreams 8000}}'}",
    "nginx-proxy": "environment: {VIRTUAL_HOST: shop.example.com, VIRTUAL_PORT: '8000'}",
}


@pytest.mark.parametrize("name", ELSEWHERE)
@pytest.mark.parametrize(("bind", "found"), [("127.0.0.1:8000", True), ("0.0.0.0:8000", False)])
def test_labels_for_a_proxy_of_another_project(
    name: str, bind: str, found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Labels alone say which proxy is in front: its container need not be in these files."""
    text = f"""services:
  shop:
    image: acme/shop:3
    command: gunicorn shop:app -b {bind} -k gthread --keep-alive 200
    stop_grace_period: 60s
    {ELSEWHERE[name]}
networks: {{web: {{external: true}}}}
"""
    report = judge(tmp_path, {"compose.yaml": text}, monkeypatch)
    assert ("A102" in report.found()) is found
    assert "is in front of the application" in report.gaps()


INGRESS = """apiVersion: apps/v1
kind: Deployment
metadata: {{name: shop}}
spec:
  template:
    metadata: {{labels: {{app: shop}}}}
    spec:
      terminationGracePeriodSeconds: 60
      containers:
      - name: shop
        image: acme/shop:3
        command: [gunicorn, "shop:app", -b, "0.0.0.0:8000", -k, gthread, --keep-alive, "{keep}"]
---
apiVersion: v1
kind: Service
metadata: {{name: shop}}
spec: {{selector: {{app: shop}}, ports: [{{port: 80, targetPort: 8000}}]}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: shop, annotations: {{{annotations}}}}}
spec:
  rules: [{{http: {{paths: [{{path: /, backend: {{service: {{name: shop, port: {{number: 80}}}}}}}}]}}}}]
"""
ALB = "alb.ingress.kubernetes.io/load-balancer-attributes"


@pytest.mark.parametrize(
    ("annotations", "keep", "found"),
    [
        (f"kubernetes.io/ingress.class: alb, {ALB}: idle_timeout.timeout_seconds=120", 75, True),
        (f"kubernetes.io/ingress.class: alb, {ALB}: idle_timeout.timeout_seconds=120", 125, False),
        (f"{ALB}: 'routing.http2.enabled=true,idle_timeout.timeout_seconds=30'", 45, False),
        ("kubernetes.io/ingress.class: alb", 75, False),
        ("kubernetes.io/ingress.class: alb", 45, True),
    ],
)
def test_the_idle_timeout_of_an_alb(
    annotations: str, keep: int, found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attribute replaces the 60 s of an ALB; its annotations name the controller too."""
    report = judge(tmp_path, {"k.yaml": INGRESS.format(annotations=annotations, keep=keep)}, monkeypatch)
    assert ("K206" in report.found()) is found


@pytest.mark.parametrize(("idle", "found"), [("90", True), ("30", False)])
def test_the_config_map_of_ingress_nginx(
    idle: str, found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """upstream-keepalive-timeout holds for every Ingress."""
    text = INGRESS.format(annotations="kubernetes.io/ingress.class: nginx", keep=75)
    text += (
        f"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c}}\ndata: {{upstream-keepalive-timeout: '{idle}'}}\n"
    )
    assert ("K206" in judge(tmp_path, {"k.yaml": text}, monkeypatch).found()) is found


CADDY = "shop.example.com {{\n\treverse_proxy shop:8000 {{\n\t\ttransport http {{\n\t\t\t{line}\n\t\t}}\n\t}}\n}}\n"
HAPROXY = "defaults\n  mode http\n  timeout server 30s\nbackend b\n  server a shop:8000 check\n"
BEHIND = """services:
  shop: {{image: "acme/shop:3", command: "gunicorn -b 0.0.0.0:8000 {options} shop:app", stop_grace_period: 60s}}
"""


def _behind(options: str, **files: str) -> dict[str, str]:
    return {"compose.yaml": BEHIND.format(options=options)} | files


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("keepalive 5s", ""),
        ("response_header_timeout 20s", "checked with its default idle timeout (120 s)"),
        ("dial_timeout 1s", "checked with its default timeouts"),
    ],
)
def test_what_is_said_of_a_caddyfile(line: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A default is named only where it is what the comparison used."""
    report = judge(tmp_path, _behind("-k gthread", Caddyfile=CADDY.format(line=line)), monkeypatch)
    assert ("default" in report.gaps()) is bool(said)
    assert said in report.gaps()


def test_what_is_said_of_haproxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A finding with HAProxy's written timeout stands beside no line that calls its timeouts unknown."""
    report = judge(tmp_path, _behind("-t 120", **{"haproxy.cfg": HAPROXY}), monkeypatch)
    assert "T304" in report.found()
    assert "its idle timeout is unknown" in report.gaps()
    assert "its timeouts are unknown" not in report.gaps()


@pytest.mark.parametrize(("options", "ticked"), [("-k gthread", False), ("", True)])
def test_no_tick_for_an_unknown_idle_time(
    options: str, ticked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How long HAProxy reuses a connection is not known; sync workers close with each response."""
    report = judge(tmp_path, _behind(options, **{"haproxy.cfg": HAPROXY}), monkeypatch)
    assert report.data["areas"]["Keep-alive"] is ticked
    assert ("how long haproxy reuses an idle connection is unknown" in report.text) is not ticked
