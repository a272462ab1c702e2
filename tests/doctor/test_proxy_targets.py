"""Where proxies other than nginx connect to, target by target: address, protocol and times."""

from pathlib import Path

import pytest

from tests.doctor.report import judge

SHOP = """services:
  shop:
    image: acme/shop:3
    command: gunicorn shop:app -b 0.0.0.0:8000 -k gthread --keep-alive {keep}
    stop_grace_period: 60s
    labels: [{labels}]
  edge:
    image: {image}
    command: {command}
    volumes: [./edge:/etc/edge]
"""


def _compose(image: str, *, command: str = "[]", labels: str = "", keep: int = 200) -> dict[str, str]:
    return {"compose.yaml": SHOP.format(image=image, command=command, labels=labels, keep=keep)}


CADDY = "shop.example.com {{\n  reverse_proxy {words} {{\n    {inside}\n  }}\n}}\n"
HAPROXY = (
    "defaults\n  mode http\n  timeout server 50s\nfrontend web\n  bind :80\n  default_backend shop\n"
    "backend shop\n  server one shop:8000 {words}\n"
)


@pytest.mark.parametrize(
    ("image", "name", "text", "rule"),
    [
        ("caddy:2", "Caddyfile", "shop.example.com {\n  reverse_proxy https://shop:8000\n}\n", "A108"),
        ("caddy:2", "Caddyfile", CADDY.format(words="shop:8000", inside="transport http {\n      tls\n    }"), "A108"),
        ("caddy:2", "Caddyfile", CADDY.format(words="h2c://shop:8000", inside="lb_policy first"), "K207"),
        ("caddy:2", "Caddyfile", CADDY.format(words="", inside="dynamic a shop 9000"), "A101"),
        ("caddy:2", "Caddyfile", "shop.example.com {\n  reverse_proxy shop:8000\n}\n", ""),
        (
            "caddy:2",
            "caddy.json",
            '{"apps": {"handler": "reverse_proxy", "upstreams": [{"dial": "shop:9000"}]}}',
            "A101",
        ),
        ("caddy:2", "caddy.json", '{"apps": {"handler": "reverse_proxy", "upstreams": [{"dial": "shop:8000"}]}}', ""),
        ("haproxy:3.0", "haproxy.cfg", HAPROXY.format(words="check ssl verify none"), "A108"),
        ("haproxy:3.0", "haproxy.cfg", HAPROXY.format(words="proto h2"), "K207"),
        ("haproxy:3.0", "haproxy.cfg", HAPROXY.format(words="check check-ssl"), ""),
        ("httpd:2.4", "site.conf", '<VirtualHost *:80>\n  ProxyPass "/" "http://shop:9000/"\n</VirtualHost>\n', "A101"),
        ("httpd:2.4", "site.conf", "ProxyPass /static !\nProxyPass / http://shop:8000/\n", ""),
        ("httpd:2.4", "site.conf", "<Proxy balancer://shop>\n  BalancerMember https://shop:8000\n</Proxy>\n", "A108"),
        ("varnish:7", "shop.vcl", 'vcl 4.1;\nbackend default {\n  .host = "shop";\n  .port = "9000";\n}\n', "A101"),
        ("varnish:7", "shop.vcl", 'vcl 4.1;\nbackend default { .host = "shop"; .port = "8000"; }\n', ""),
        ("cloudflare/cloudflared:1", "c.yml", "tunnel: x\ningress:\n  - service: http://shop:9000\n", "A101"),
        ("cloudflare/cloudflared:1", "c.yml", "tunnel: x\ningress:\n  - service: http://shop:8000\n", ""),
    ],
)
def test_a_file_says_address_and_protocol(
    image: str, name: str, text: str, rule: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each proxy's own words for port, TLS and HTTP/2; what agrees stays silent."""
    report = judge(tmp_path, _compose(image) | {f"edge/{name}": text}, monkeypatch)
    assert report.found() & {"A101", "A108", "K207"} == ({rule} if rule else set())


@pytest.mark.parametrize(
    ("image", "command", "found"),
    [
        ("caddy:2", "caddy reverse-proxy --from shop.example.com --to shop:9000", True),
        ("caddy:2", "caddy reverse-proxy --from shop.example.com --to=shop:8000", False),
        ("caddy:2", "caddy run --to shop:9000", False),
        ("cloudflare/cloudflared:1", "tunnel --url http://shop:9000 run", True),
    ],
)
def test_a_command_says_the_address(
    image: str, command: str, found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The short forms without a file."""
    assert ("A101" in judge(tmp_path, _compose(image, command=command), monkeypatch).found()) is found


PORT = "'traefik.http.services.shop.loadbalancer.server.port=8000'"
TRANSPORT = "'traefik.http.services.shop.loadbalancer.serverstransport=long@file'"
TIMES = "http:\n  serversTransports:\n    long:\n      forwardingTimeouts: {{idleConnTimeout: {idle}}}\n"
SERVED = "  services:\n    shop:\n      loadBalancer:\n        serversTransport: long\n        servers: [{url: 'http://shop:8000'}]\n"
TOML = (
    '[http.services.shop.loadBalancer]\nserversTransport = "long"\n'
    '[[http.services.shop.loadBalancer.servers]]\nurl = "http://shop:8000"\n'
    '[http.serversTransports.long.forwardingTimeouts]\nidleConnTimeout = "{idle}"\n'
)


@pytest.mark.parametrize(
    ("labels", "files", "seconds"),
    [
        (f"{PORT}, {TRANSPORT}", {"edge/times.yml": TIMES.format(idle="300s")}, 300),
        (f"{PORT}, {TRANSPORT}", {"edge/times.yml": TIMES.format(idle="60s")}, None),
        (PORT, {"edge/times.yml": TIMES.format(idle="300s")}, 90),
        (f"{PORT}, {TRANSPORT}", {}, None),
        ("", {"edge/times.yml": TIMES.format(idle="300s") + SERVED}, 300),
        ("", {"edge/times.yml": TIMES.format(idle="60s") + SERVED}, None),
        ("", {"edge/times.toml": TOML.format(idle="5m")}, 300),
        ("", {"edge/times.toml": TOML.format(idle="1m")}, None),
    ],
)
def test_traefik_has_times_for_each_service(
    labels: str, files: dict[str, str], seconds: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A serversTransport counts for the services that name it; one that is not among the files is unknown."""
    report = judge(tmp_path, _compose("traefik:v3.1", labels=labels, keep=75) | files, monkeypatch)
    said = f"traefik reuses them for up to {seconds} s" if seconds else ""
    assert ("K206" in report.found()) is (seconds is not None)
    assert said in report.text


@pytest.mark.parametrize(("scheme", "rule"), [("https", "A108"), ("h2c", "K207"), ("http", "")])
def test_traefiks_label_of_the_scheme(scheme: str, rule: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scheme is that of the service whose port is labelled."""
    labels = f"{PORT}, 'traefik.http.services.shop.loadbalancer.server.scheme={scheme}'"
    report = judge(tmp_path, _compose("traefik:v3.1", labels=labels), monkeypatch)
    assert report.found() & {"A108", "K207"} == ({rule} if rule else set())


def test_haproxys_backends_have_their_own_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of a backend wins over that of the defaults."""
    text = (
        HAPROXY.format(words="check")
        .replace("50s", "10s")
        .replace("backend shop\n", "backend shop\n  timeout server 5m\n")
    )
    files = _compose("haproxy:3.0") | {"edge/haproxy.cfg": text}
    files["compose.yaml"] = files["compose.yaml"].replace("-k gthread", "-k sync --timeout 120")
    assert "T304" not in judge(tmp_path, files, monkeypatch).found()


WORKLOAD = """apiVersion: {api}
kind: {kind}
metadata: {{name: shop}}
spec:
  template:
    metadata: {{labels: {{app: shop}}}}
    spec:
      terminationGracePeriodSeconds: 60
      containers:
      - name: shop
        image: acme/shop:3
        command: [gunicorn, "shop:app", -b, "0.0.0.0:8000", -k, {worker}, --timeout, "120", --keep-alive, "700"]
---
apiVersion: v1
kind: Service
metadata: {{name: shop, annotations: {{{notes}}}}}
spec: {{selector: {{app: shop}}, ports: [{{name: http, port: 80, targetPort: {inside}}}]}}
---
"""
INGRESS = """apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: shop, annotations: {{{notes}}}}}
spec:
  ingressClassName: {name}
  defaultBackend: {{service: {{name: shop, port: {{number: 80}}}}}}
"""
ROUTES = {
    "IngressRoute": "spec: {routes: [{services: [{name: shop, port: http}]}]}",
    "Route": "spec: {to: {kind: Service, name: shop}, port: {targetPort: http}}",
    "HTTPRoute": "spec: {rules: [{backendRefs: [{name: shop, port: 80}]}]}",
    "VirtualService": "spec: {http: [{route: [{destination: {host: shop, port: {number: 80}}}]}]}",
}


def _workload(
    *, inside: int = 8000, worker: str = "gthread", notes: str = "", api: str = "apps/v1", kind: str = "Deployment"
) -> str:
    return WORKLOAD.format(inside=inside, worker=worker, notes=notes, api=api, kind=kind)


@pytest.mark.parametrize("kind", ROUTES)
@pytest.mark.parametrize(("inside", "found"), [(9000, True), (8000, False)])
def test_routes_lead_to_services(
    kind: str, inside: int, found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other routes than an Ingress lead to the port behind the Service, too."""
    route = f"apiVersion: example.com/v1\nkind: {kind}\nmetadata: {{name: shop}}\n{ROUTES[kind]}\n"
    report = judge(tmp_path, {"shop.yaml": _workload(inside=inside) + route}, monkeypatch)
    assert ("A101" in report.found()) is found
    assert "is in front of the application" in report.gaps()


@pytest.mark.parametrize(
    ("api", "kind"), [("argoproj.io/v1alpha1", "Rollout"), ("apps.openshift.io/v1", "DeploymentConfig")]
)
def test_other_workloads_have_pods(api: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A template of pods is one, whatever makes them."""
    report = judge(tmp_path, {"shop.yaml": _workload(api=api, kind=kind)}, monkeypatch)
    assert report.servers() == [("gunicorn", ["0.0.0.0:8000"])]


@pytest.mark.parametrize(
    ("notes", "wait", "found"),
    [
        ('cloud.google.com/backend-config: \'{"default": "shop"}\'', 300, False),
        ('cloud.google.com/backend-config: \'{"ports": {"80": "shop"}}\'', 300, False),
        ('cloud.google.com/backend-config: \'{"default": "shop"}\'', 40, True),
        ('cloud.google.com/backend-config: \'{"ports": {"81": "shop"}}\'', 300, True),
        ("cloud.google.com/backend-config: '{broken'", 300, True),
        ("", 300, True),
    ],
)
def test_googles_backend_config(
    notes: str, wait: int, found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The load balancer waits 30 s, or what the BackendConfig of the Service says."""
    config = (
        f"---\napiVersion: cloud.google.com/v1\nkind: BackendConfig\nmetadata: {{name: shop}}\n"
        f"spec: {{timeoutSec: {wait}}}\n"
    )
    text = _workload(worker="sync", notes=notes) + INGRESS.format(name="gce", notes="") + config
    assert ("T304" in judge(tmp_path, {"shop.yaml": text}, monkeypatch).found()) is found


@pytest.mark.parametrize(("spoken", "rule"), [("HTTPS", "A108"), ("GRPC", "K207"), ("HTTP", "")])
def test_an_ingress_names_the_protocol(spoken: str, rule: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``backend-protocol`` is how the controller speaks to the Service."""
    ingress = INGRESS.format(name="nginx", notes=f"nginx.ingress.kubernetes.io/backend-protocol: {spoken}")
    report = judge(tmp_path, {"shop.yaml": _workload() + ingress}, monkeypatch)
    assert report.found() & {"A108", "K207"} == ({rule} if rule else set())


VOLUMES = {
    "items": "configMap: {name: files, items: [{key: settings, path: gunicorn.conf.py}]}",
    "projected": "projected: {sources: [{configMap: {name: files, items: [{key: settings, path: gunicorn.conf.py}]}}]}",
}


@pytest.mark.parametrize("way", VOLUMES)
def test_files_of_config_maps_under_other_names(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``items`` gives a key another file name; a projected volume puts several ConfigMaps together."""
    text = f"""apiVersion: v1
kind: Pod
metadata: {{name: shop}}
spec:
  containers:
  - name: shop
    image: acme/shop:3
    command: [gunicorn, -c, /etc/shop/gunicorn.conf.py, "shop:app"]
    volumeMounts: [{{name: files, mountPath: /etc/shop}}]
  volumes: [{{name: files, {VOLUMES[way]}}}]
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: files}}
data: {{settings: "bind = '0.0.0.0:9000'"}}
"""
    assert judge(tmp_path, {"shop.yaml": text}, monkeypatch).servers() == [("gunicorn", ["0.0.0.0:9000"])]
