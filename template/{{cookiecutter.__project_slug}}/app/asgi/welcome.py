# Part of no502.asgi. In app/asgi of a generated service it is a copy: do not edit it, replace the folder as a whole.
"""The page at ``/`` in development and in the demo: the ladder, links, and a reload of the workers under load.

In production ``/`` is the application's.
"""

import html
import os
import signal
import time
from http import HTTPStatus
from typing import Any

from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["WelcomeMiddleware"]

_PATH = "/_demo"
_RUNGS = (
    ("statement timeout", "statement_timeout", "the database"),
    ("request deadline", "request_deadline", "the application: 504"),
    ("timeout", "timeout", "gunicorn: a blocked worker is killed"),
    ("proxy read timeout", "proxy_read_timeout", "nginx: the longest silence"),
    ("drain timeout", "drain_timeout", "a draining worker cancels what still runs"),
    ("graceful timeout", "graceful_timeout", "gunicorn: a draining worker is killed"),
    ("stop grace", "stop_grace", "Compose, systemd, Kubernetes"),
)
_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
  body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 42rem; margin: 2rem auto; padding: 0 1rem;
         color: #1c2733; background: #fff }}
  table {{ border-collapse: collapse }} td {{ padding: .15rem 1rem .15rem 0 }} td:nth-child(2) {{ text-align: right }}
  button {{ font: inherit; padding: .4rem .9rem }} output {{ display: block; margin: .8rem 0; font-weight: 600 }}
  @media (prefers-color-scheme: dark) {{ body {{ color: #e6e9ec; background: #14181c }} a {{ color: #7fb3ff }} }}
</style>
<h1>{title}</h1>
<p>{links}</p>
<h2>Time limits</h2>
<table>{rungs}</table>
<h2>Reload under load</h2>
<p>{reload}</p>
<output id="out" aria-live="polite"></output>
<script>
const out = document.getElementById("out"), button = document.getElementById("reload");
const wait = ms => new Promise(done => setTimeout(done, ms));
async function run() {{
  button.disabled = true;
  let sent = 0, lost = 0, on = true, reloaded = Infinity, renewed = false, workers = new Set();
  const show = text => out.textContent =
    `${{text}} Requests: ${{sent}}. Lost: ${{lost}}. Workers that answered: ${{workers.size}}.`;
  async function client() {{
    while (on) {{
      try {{
        const answer = await fetch("{path}/ping", {{method: "POST"}});
        sent++;
        if (answer.ok) {{
          const worker = await answer.json();
          workers.add(worker.pid);
          renewed = renewed || worker.since > reloaded;
        }} else lost++;
      }} catch {{ sent++; lost++; }}
      await wait(10);
    }}
  }}
  const clients = Array.from({{length: 4}}, client);
  for (let i = 0; i < 10; i++) {{ await wait(100); show("Load."); }}
  reloaded = (await (await fetch("{path}/reload", {{method: "POST"}})).json()).at;
  for (let i = 0; i < 100 && !renewed; i++) {{ await wait(100); show("Reloading."); }}
  for (let i = 0; i < 20; i++) {{ await wait(100); show("New workers serve."); }}
  on = false;
  await Promise.all(clients);
  show("Done.");
  button.disabled = false;
}}
if (button) button.addEventListener("click", run);
</script>
</html>
"""


class WelcomeMiddleware:
    """Pure ASGI middleware: answers ``/`` and what the page asks for, and nothing else.

    Args:
        app: The application.
        title: Its name.
        settings: The ladder, ``gunicorn_conf.settings``.
        docs: Whether ``/docs`` exists.
    """

    def __init__(self, app: ASGIApp, *, title: str, settings: Any, docs: bool) -> None:
        self._app = app
        self._since = time.time()  # a worker makes its application after the fork
        self._reloads = os.environ.get("SERVER_SOFTWARE", "").startswith("gunicorn")
        links = ["/health/ready", *(["/docs", "/openapi.json"] if docs else [])]
        rows = [(name, getattr(settings, rung), who) for name, rung, who in _RUNGS]
        self._page = _PAGE.format(
            title=html.escape(title),
            path=_PATH,
            links=" · ".join(f'<a href="{link}">{link}</a>' for link in links),
            rungs="".join(f"<tr><td>{name}<td>{seconds} s<td>{who}" for name, seconds, who in rows),
            reload=(
                '<button id="reload">Reload the workers now</button> sends requests, tells gunicorn to replace every '
                "worker, and counts what is lost."
                if self._reloads
                else "Behind gunicorn (make serve, no502 run) a button here replaces the workers."
            ),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        path = scope.get("path", "").removeprefix(scope.get("root_path", ""))
        answer = self._answer(scope["method"], path) if scope["type"] == "http" else None
        await (answer or self._app)(scope, receive, send)

    def _answer(self, method: str, path: str) -> Response | None:
        if path == "/" and method in {"GET", "HEAD"}:
            return HTMLResponse(self._page, headers={"Cache-Control": "no-store"})
        if path == f"{_PATH}/ping" and method == "POST":
            return JSONResponse({"pid": os.getpid(), "since": self._since})
        if path == f"{_PATH}/reload" and method == "POST" and self._reloads:
            os.kill(os.getppid(), signal.SIGHUP)  # the master
            return JSONResponse({"status": "reloading", "at": time.time()}, status_code=HTTPStatus.ACCEPTED)
        return None
