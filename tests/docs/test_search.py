"""What people type into a search box leads to the right page, in a real browser and without a server."""

from __future__ import annotations

import html
import json
from pathlib import Path

import pytest

from tests.support.browser import title_after

_ASK = """
    const queries = %s
    const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds))
    document.title = "not finished"
    addEventListener("load", async () => {
      const field = document.querySelector("[data-md-component=search-query]")
      const result = document.querySelector("[data-md-component=search-result]")
      const type = (text) => {
        field.focus()
        field.value = text
        field.dispatchEvent(new KeyboardEvent("keyup", { bubbles: true }))
      }
      const first = () => result.querySelector("a[href]")
      document.querySelector("#__search").checked = true
      document.querySelector("#__search").dispatchEvent(new Event("change", { bubbles: true }))
      const hits = {}
      for (const query of queries) {
        type("")
        for (let look = 0; look < 50 && first(); look++) { await pause(50) }
        type(query)
        for (let look = 0; look < 100 && !first(); look++) { await pause(50) }
        await pause(50)
        const found = [...result.querySelectorAll("a[href].md-search-result__link")].map((one) => one.href)
        const pages = [...new Set(found.map((one) => one.split("#")[0].split("?")[0].split("/site/").pop()))]
        hits[query] = pages.slice(0, 3)
      }
      document.title = JSON.stringify(hits)
    })
"""

_RIGHT: dict[str, str | tuple[str, ...]] = {
    "recv() failed 104": "errors/recv-failed-104-reading-response-header",
    "recv() failed (104: Connection reset by peer)": "errors/recv-failed-104-reading-response-header",
    "Connection reset by peer": "errors/recv-failed-104-reading-response-header",
    "upstream prematurely closed connection": (  # two messages begin like this, and each page names the other
        "errors/recv-failed-104-reading-response-header",
        "errors/upstream-prematurely-closed-connection-while-reading-upstream",
    ),
    "upstream prematurely closed connection while reading upstream": "errors/upstream-prematurely",
    "readv() failed": "errors/upstream-prematurely-closed-connection-while-reading-upstream",
    "upstream timed out": "errors/upstream-timed-out-110",
    "upstream timed out (110: Connection timed out)": "errors/upstream-timed-out-110",
    "connect() failed (111": "errors/connect-failed-111",
    "Connection refused": "errors/connect-failed-111",
    "no live upstreams": "errors/no-live-upstreams",
    "upstream sent too big header": "errors/upstream-sent-too-big-header",
    "host not found in upstream": "errors/host-not-found-in-upstream",
    "could not be resolved": "errors/could-not-be-resolved",
    "client intended to send too large body": "errors/client-intended-to-send-too-large-body",
    "client prematurely closed connection": "errors/client-prematurely-closed-connection-499",
    "worker_connections are not enough": "errors/worker-connections-are-not-enough",
    "too many open files": ("errors/accept-failed-24", "errors/errno-24"),
    "SSL_do_handshake() failed": "errors/ssl-do-handshake-failed",
    "auth request unexpected status": "errors/auth-request-unexpected-status",
    "permission denied while connecting to upstream": (
        "errors/connect-to-unix-socket-failed-13",
        "errors/connect-failed-13",
    ),
    "buffered to a temporary file": (  # of the response, of the request
        "errors/upstream-response-is-buffered",
        "errors/client-request-body-is-buffered",
    ),
    "rewrite or internal redirection cycle": "errors/rewrite-or-internal-redirection-cycle",
    "address already in use": ("errors/connection-in-use", "errors/bind-failed-98"),
    "WORKER TIMEOUT": "errors/worker-timeout",
    # lines as they are pasted: their own pids, addresses, paths and requests must not decide
    '2026/12/01 03:14:07 [emerg] 1#1: host not found in upstream "web:8000" in /etc/nginx/conf.d/default.conf:5': (
        "errors/host-not-found-in-upstream"
    ),
    "2026/12/01 03:14:07 [error] 31#31: *1741 connect() failed (111: Connection refused) while connecting to upstream, "
    'client: 172.18.0.1, server: shop.example, request: "POST /api/orders HTTP/1.1", '
    'upstream: "http://172.18.0.3:8000/api/orders", host: "shop.example"': "errors/connect-failed-111",
    '2026/12/01 03:14:07 [error] 31#31: *9 upstream sent "Content-Length" and "Transfer-Encoding" headers at the same '
    "time while reading response header from upstream, client: 10.0.0.7": "errors/upstream-sent-content-length-and",
    "[2026-12-01 03:14:07 +0000] [7] [CRITICAL] WORKER TIMEOUT (pid:31)": "errors/worker-timeout",
    "limit_req 503": "errors/limiting-requests",
    "Perhaps out of memory": ("errors/worker-was-sent-sigkill", "runbooks/oom"),
    "Worker failed to boot": "errors/application-startup-failed",
    "Failed to find attribute": "errors/failed-to-find-attribute",
    "Could not import module": "errors/failed-to-find-attribute",
    "missing 1 required positional argument: 'send'": "errors/fastapi-call-missing",
    "class uri invalid or not found": "errors/class-uri-invalid",
    "Invalid HTTP request received": "errors/invalid-http-request-received",
    "Child process died": "errors/child-process-died",
    "No supported WebSocket library": "errors/unsupported-upgrade-request",
    "Maximum request limit exceeded": "errors/autorestarting-worker",
    "exit code 137": ("errors/exited-with-code-137", "runbooks/oom", "errors/oomkilled"),
    "OOMKilled": "errors/oomkilled",
    "status=203/EXEC": "errors/status-203-exec",
    "stop-sigterm timed out": "errors/state-stop-sigterm",
    "Cloudflare 524": "errors/cloudflare-524",
    "Cloudflare 520": "errors/cloudflare-520",
    "ALB 502": "errors/alb-502",
    "Heroku H12": "errors/heroku-h12",
    "HAProxy": ("errors/haproxy", "how-to/other-proxies"),
    "Azure": ("platforms/azure", "errors/azure", "how-to/front-proxies"),
    "websocket 1006": (
        "errors/recv-failed-104-while-proxying-upgraded",
        "errors/upstream-timed-out-110-while-proxying-upgraded",
    ),
    "keepalive_timeout": ("explanation/keepalive-race", "runbooks/502", "doctor/K201"),
    "proxy_buffer_size": ("errors/upstream-sent-too-big-header", "runbooks/502", "doctor/B701"),
    "max_requests": ("explanation/recycling", "errors/autorestarting-worker"),
    "gunicorn timeout": ("explanation/timeout", "errors/worker-timeout"),
    "gunicorn workers how many": "explanation/sizing",
    "gunicorn vs uvicorn": ("explanation/gunicorn-or-not", "how-to/migrate"),
    "https redirect": "how-to/https-redirects",
    "uvicorn behind nginx https redirect": "how-to/https-redirects",
    "root_path": "how-to/https-redirects",
    "SSE buffering": "how-to/websockets-and-streams",
    "kubernetes preStop": "how-to/kubernetes",
    "TimeoutStopSec": ("doctor/S503", "how-to/systemd", "errors/state-stop-sigterm"),
    "SELinux": ("errors/avc-denied-selinux", "errors/connect-failed-13"),
    "413": "errors/client-intended-to-send-too-large-body",
    "ECS Fargate": "platforms/ecs",
    "Django": "how-to/django",
    "Prometheus": "how-to/monitoring",
    "Celery": "how-to/background-work",
    "install": ("tutorial", "faq"),
    "502": ("runbooks/502",),
    "kubernetes rolling update 502": "how-to/kubernetes",
    "kubernetes rollout 502": "how-to/kubernetes",
    "container recreated new ip": "doctor/A103",
    "504": ("runbooks/504",),
    "499": ("runbooks/499",),
    "WebSocket closes 1006": (
        "errors/recv-failed-104-while-proxying-upgraded",
        "errors/upstream-timed-out-110-while-proxying-upgraded",
    ),
    "keep-alive race": "explanation/keepalive-race",
    "502 only POST": ("explanation/keepalive-race", "runbooks/502", "index", "faq"),
    "X-Forwarded-Proto": "how-to/https-redirects",
    "mixed content": "how-to/https-redirects",
    "zero downtime": "how-to/zero-downtime-deploy",
    "Cloud Run": "platforms/cloud-run",
    "App Service": "platforms/azure",
    "Fly.io": "platforms/fly-render-railway-heroku",
    "Railway": "platforms/fly-render-railway-heroku",
    "Nginx Proxy Manager": "how-to/control-panels",
    "gthread": ("how-to/django-and-wsgi", "explanation/timeout"),
    "BackgroundTasks": ("how-to/background-work", "handover"),
    "CORS": "how-to/cors",
    "certbot": "how-to/tls",
    "gunicorn.conf.py": "how-to/gunicorn-conf",
    "how many workers": "explanation/sizing",
    "proxy_next_upstream": "explanation/retries",
    "preStop": "how-to/kubernetes",
    "stop_grace_period": ("how-to/docker", "explanation/advice"),
    "client_max_body_size": "how-to/uploads-and-downloads",
    "tiangolo": "how-to/migrate",
    "UvicornWorker deprecated": "how-to/migrate",
    "server-sent events": "how-to/websockets-and-streams",
    "Traefik idleConnTimeout": "how-to/other-proxies",
    "error codes of front proxies": "reference/front-proxy-codes",
    "missing 1 required positional argument": "errors/fastapi-call-missing",  # a digit alone is a word, too
    "2 x cores": ("explanation/sizing", "explanation/advice"),
    # What is pasted is text: a flag excludes nothing, a colon names no field.
    "gunicorn --timeout": ("explanation/timeout", "errors/worker-timeout"),
    "uvicorn --workers": ("explanation/sizing", "explanation/gunicorn-or-not"),
    "--keep-alive": "explanation/keepalive-race",
    "--max-requests": "explanation/recycling",
    "--forwarded-allow-ips": ("how-to/https-redirects", "doctor/H803", "errors/forwarded-allow-ips"),
    "proxy_read_timeout 60s;": "doctor/T30",
    'upstream: "http://127.0.0.1:8000/" connect() failed (111: Connection refused)': "errors/connect-failed-111",
    "~^2000 +- connect() failed (111*": "errors/connect-failed-111",
    '"no live upstreams"': "errors/no-live-upstreams",
    "2026/11/30 22:00:00 [error] 7#7: *1 no live upstreams while connecting to upstream": "errors/no-live-upstreams",
    "[CRITICAL] WORKER TIMEOUT (pid:7)": "errors/worker-timeout",
    # The names of the numbers in nginx's messages, and words that stand in no heading.
    "ECONNRESET": "errors/recv-failed-104-reading-response-header",
    "ECONNREFUSED": "errors/connect-failed-111",
    "ETIMEDOUT": "errors/upstream-timed-out-110",
    "EADDRINUSE": "errors/bind-failed-98",
    "EMFILE": "errors/accept-failed-24",
    "calculator": "calculator",
    # A whole word goes before the beginning of one, and a page with all words before one with some of them.
    "SELinux 13": "errors/connect-failed-13-permission-denied-selinux",
    "proxy_http_version 2": "doctor/K207",
    "HTTP/2 upstream": "doctor/K207",
    "ALB idle timeout": "how-to/front-proxies",
    "upstream timed out (110) while connecting": "errors/upstream-timed-out-110-while-connecting-to-upstream",
}
"""What is typed -> beginning of the address of the first hit, or several that are as good."""


@pytest.fixture(name="hits", scope="module")
def _hits(site: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """The first three pages for each query, on the built site opened from a folder."""
    profile = tmp_path_factory.mktemp("chromium")
    title = title_after(site / "index.html", _ASK % json.dumps(list(_RIGHT)), profile=profile, width=1280, seconds=90)
    found: dict[str, list[str]] = json.loads(html.unescape(title))
    return found


@pytest.mark.parametrize("query", _RIGHT)
def test_first_hit_is_the_right_page(hits: dict[str, list[str]], query: str) -> None:
    """The first page that the search offers is the one about it."""
    assert hits[query], "nothing found"
    assert hits[query][0].startswith(_RIGHT[query]), hits[query]
