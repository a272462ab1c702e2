"""Front proxies other than nginx, how nginx stops, and what a report promises."""

from pathlib import Path

import pytest

from tests.doctor.report import HEADERS, judge

APP = """services:
  shop:
    image: acme/shop:3
    command: gunicorn shop:app -b {bind} -k uvicorn_worker.UvicornWorker {more}
    stop_grace_period: 60s
    healthcheck: {{test: ["CMD", "true"], interval: 5s}}
    {labels}
"""


@pytest.mark.parametrize(
    ("front", "enough"),
    [("alb", 75), ("gcp", 620), ("traefik", 100), ("caddy", 130), ("envoy", 3700), ("ingress-nginx", 75)],
)
def test_a_front_without_nginx(front: str, enough: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--front is compared with the application itself: an error until it keeps connections longer."""
    short = {"compose.yaml": APP.format(bind="0.0.0.0:8000", more="", labels="")}
    report = judge(tmp_path / "short", short, monkeypatch, "--front", front, ".")
    assert report.severity("K206") == "error"
    assert report.code == 1
    long = {"compose.yaml": APP.format(bind="0.0.0.0:8000", more=f"--keep-alive {enough}", labels="")}
    assert "K206" not in judge(tmp_path / "long", long, monkeypatch, "--front", front, ".").found()


PROXIES = {
    "traefik": ("traefik:v3", "labels: ['traefik.http.services.shop.loadbalancer.server.port={port}']", {}),
    "caddy": ("caddy:2", "", {"Caddyfile": "shop.example.com {{\n reverse_proxy shop:{port}\n}}\n"}),
    "haproxy": ("haproxy:3.0", "", {"haproxy.cfg": "backend b\n  mode http\n  server one shop:{port} check\n"}),
    "nginx-proxy": ("nginxproxy/nginx-proxy:1.7", "environment: ['VIRTUAL_PORT={port}']", {}),
}


@pytest.mark.parametrize("name", PROXIES)
@pytest.mark.parametrize(
    ("bind", "port", "found"),
    [("0.0.0.0:8000", 8001, {"A101"}), ("0.0.0.0:8000", 8000, set()), ("127.0.0.1:8000", 8000, {"A102"})],
)
def test_addresses_of_other_proxies(
    name: str, bind: str, port: int, found: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Labels, variables and their own files say where they connect to; they are named."""
    image, labels, files = PROXIES[name]
    text = APP.format(bind=bind, more="--keep-alive 200", labels=labels.format(port=port))
    text += f"  front:\n    image: {image}\n"
    given = {"compose.yaml": text} | {key: value.format(port=port) for key, value in files.items()}
    report = judge(tmp_path, given, monkeypatch)
    assert report.found() & {"A101", "A102"} == found
    assert "is in front of" in report.gaps()


INGRESS = """apiVersion: v1
kind: Pod
metadata: {name: shop, labels: {app: shop}}
spec:
  containers:
    - name: shop
      image: acme/shop:3
      command: [uvicorn, "shop:app", --host, 0.0.0.0, --timeout-keep-alive, "%s"]
---
apiVersion: v1
kind: Service
metadata: {name: shop}
spec: {selector: {app: shop}, ports: [{port: 80, targetPort: 8000}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: shop}
spec:
  ingressClassName: %s
  rules: [{http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: shop, port: {number: 80}}}}]}}]
"""


@pytest.mark.parametrize(
    ("keepalive", "controller", "found"), [("5", "nginx", True), ("75", "nginx", False), ("75", "traefik", True)]
)
def test_an_ingress(
    keepalive: str, controller: str, found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its controller keeps connections to the pods."""
    report = judge(tmp_path, {"shop.yaml": INGRESS % (keepalive, controller)}, monkeypatch)
    assert ("K206" in report.found()) is found


# --- how nginx stops ------------------------------------------------------------------------------------------------

POD = """apiVersion: v1
kind: ConfigMap
metadata: {{name: edge}}
data:
  nginx.conf: |
    events {{}}
    http {{ server {{ location / {{ proxy_pass http://shop:8000; {headers} }} }} }}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: edge}}
spec:
  template:
    metadata: {{labels: {{app: edge}}}}
    spec:
      terminationGracePeriodSeconds: {grace}
      containers:
        - name: nginx
          image: nginx:1.28.0
          volumeMounts: [{{name: c, mountPath: /etc/nginx}}]
          {stop}
      volumes: [{{name: c, configMap: {{name: edge}}}}]
---
apiVersion: apps/v1
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
          command: [gunicorn, "shop:app", -b, "0.0.0.0:8000"]
          lifecycle: {{preStop: {{sleep: {{seconds: 5}}}}}}
          readinessProbe: {{httpGet: {{path: /, port: 8000}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: shop}}
spec: {{selector: {{app: shop}}, ports: [{{port: 8000}}]}}
"""


@pytest.mark.parametrize(
    ("stop", "grace", "found"),
    [
        ("lifecycle: {preStop: {exec: {command: [nginx, -s, stop]}}}", 60, True),
        ("lifecycle: {preStop: {exec: {command: [/usr/sbin/nginx, -s, quit]}}}", 60, True),
        ('lifecycle: {preStop: {exec: {command: [sh, -c, "sleep 5 && nginx -s quit"]}}}', 60, False),
        ("lifecycle: {preStop: {sleep: {seconds: 5}}}", 60, False),
        ("lifecycle: {preStop: {sleep: {seconds: 5}}}", 10, True),
        ("stdin: false", 60, True),
    ],
)
def test_how_a_pod_of_nginx_stops(
    stop: str, grace: int, found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slowly, after its Service has stopped sending, and with as much time as the application has."""
    text = POD.format(stop=stop, grace=grace, headers=HEADERS)
    assert ("S509" in judge(tmp_path, {"shop.yaml": text}, monkeypatch).found()) is found


@pytest.mark.parametrize(
    ("stop", "found"),
    [
        ("stop_signal: SIGTERM", True),
        ("stop_signal: SIGQUIT\n    stop_grace_period: 130s", False),
        ("restart: always", True),
    ],
)
def test_how_a_container_of_nginx_stops(
    stop: str, found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGTERM is its fast shutdown, and 10 s are too few where the application was given more."""
    text = APP.format(bind="0.0.0.0:8000", more="--graceful-timeout 120", labels="").replace("60s", "130s")
    text += f"  edge:\n    image: nginx:1.28.0\n    volumes: ['./e.conf:/etc/nginx/conf.d/default.conf']\n    {stop}\n"
    site = f"server {{ location / {{ resolver 127.0.0.11; set $s shop; proxy_pass http://$s:8000; {HEADERS} }} }}\n"
    assert ("S509" in judge(tmp_path, {"compose.yaml": text, "e.conf": site}, monkeypatch).found()) is found


@pytest.mark.parametrize(
    ("command", "test", "found"),
    [
        ("uvicorn shop:app --host 0.0.0.0", '["CMD", "curl", "-f", "http://localhost:8001/"]', {"S501", "P603"}),
        ("uvicorn shop:app --host 0.0.0.0", '"nc -z 127.0.0.1 8001 || exit 1"', {"S501", "P603"}),
        (
            "uvicorn shop:app --host 0.0.0.0 --timeout-graceful-shutdown 5",
            '["CMD", "curl", "http://127.0.0.1:8000/"]',
            set(),
        ),
        ("uvicorn shop:app --host 0.0.0.0 --timeout-graceful-shutdown 5", '["CMD", "curl", "http://db:5432/"]', set()),
    ],
)
def test_uvicorn_in_compose(
    command: str, test: str, found: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a limit it waits longer than Docker; a check has to ask the port that listens."""
    text = f"services:\n  shop:\n    image: acme/shop:3\n    command: {command}\n    healthcheck: {{test: {test}}}\n"
    assert judge(tmp_path, {"compose.yaml": text}, monkeypatch).found() & {"S501", "P603"} == found


def test_services_of_one_command_are_one_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the names of all of them."""
    text = "x-a: &a\n  image: acme/shop:3\n  command: gunicorn shop:app -b :80 -w 1 --max-requests 9\n"
    text += "services:\n  one: *a\n  two: *a\n"
    report = judge(tmp_path, {"compose.yaml": text}, monkeypatch)
    rules = [finding["rule"] for finding in report.data["findings"]]
    assert rules.count("S501") == 1
    assert rules.count("S506") == 1
    assert "one, two are killed" in report.text


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ("-k uvicorn_worker.UvicornWorker -w 4 -t 1", "B708"),
        ("-k uvicorn_worker.UvicornWorker -w 1 -t 1000", "B706"),
        ("-k gevent --worker-connections 10 -w 1", "B703"),
    ],
)
def test_numbers_at_their_ends(options: str, rule: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A timeout of a second, of a quarter of an hour for one worker, and ten requests at a time."""
    wrong = judge(tmp_path / "a", {"Procfile": f"web: gunicorn shop:app {options}\n"}, monkeypatch)
    assert rule in wrong.found("Procfile")
    usual = "-k uvicorn_worker.UvicornWorker -w 4 -t 40"
    assert rule not in judge(tmp_path / "b", {"Procfile": f"web: gunicorn shop:app {usual}\n"}, monkeypatch).found()


# --- what a report may promise --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("Procfile", "web: hypercorn shop:app\n", "hypercorn"),
        ("Procfile", "web: python -m daphne shop:app\n", "daphne"),
        ("Procfile", "web: honcho start\n", "honcho"),
        ("Procfile", "web: acme-server --port 80\n", "what web runs"),
        ("compose.yaml", "services:\n  a:\n    image: x\n    command: granian --interface asgi shop:app\n", "granian"),
        ("a.service", "[Service]\nExecStart=/usr/bin/uwsgi --ini /etc/uwsgi.ini\n", "uwsgi"),
        ("task.json", '{"containerDefinitions": [{"command": ["gunicorn", "shop:app"]}]}', "an ECS task definition"),
        (
            "render.yaml",
            "services:\n  - type: web\n    startCommand: gunicorn shop:app\n",
            "render.yaml is a Render blueprint",
        ),
        ("fly.toml", '[processes]\napp = "gunicorn shop:app"\n', "fly.toml"),
        ("koyeb.yaml", "name: shop\nrun: gunicorn -b :8000 shop:app\n", "koyeb.yaml starts a server"),
        (
            "chart/templates/d.yaml",
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: {{ .Release.Name }}}\n",
            "helm template",
        ),
    ],
)
def test_what_is_recognised_and_not_judged_is_named(
    name: str, text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line for it, and no tick in any area."""
    report = judge(tmp_path, {name: text, "Dockerfile": "FROM scratch\n"}, monkeypatch)
    assert said in report.gaps()
    assert "[✓]" not in report.text
    assert "[-] Keep-alive: nothing to compare" in report.text


def test_ticks_where_sides_were_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two sides in order give ticks, in the report for programs as well."""
    files = {
        "shop.service": "[Service]\nExecStart=/v/bin/gunicorn -b 127.0.0.1:8000 -k gthread --keep-alive 75 shop:app\n",
        "nginx.conf": f"server {{ location / {{ proxy_pass http://127.0.0.1:8000; {HEADERS} }} }}\n",
    }
    report = judge(tmp_path, files, monkeypatch)
    assert "[✓] Address" in report.text
    assert report.data["areas"]["Address"] is True
    assert report.data["areas"]["Probes"] is False


def test_placeholders_are_shown_as_they_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line for all of a file, with ERB's own brackets."""
    locations = "".join(f"location /{n} {{ proxy_pass <%= ENV['A'] %>; }}\n" for n in "abc")
    files = {"Procfile": "web: gunicorn shop:app\n", "config/nginx.conf.erb": f"server {{\n{locations}}}\n"}
    gaps = judge(tmp_path, files, monkeypatch).gaps()
    assert "{{" not in gaps
    assert gaps.count("the address to which nginx connects") == 1
