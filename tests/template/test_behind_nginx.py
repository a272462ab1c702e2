"""A generated service behind a real nginx: overload, and a path that nginx strips."""

import re
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest

from no502.nginx.binary import find_nginx, nginx_version
from tests.nginx.proxy import HOST, Answer, Nginx, Proxy
from tests.support.directories import public_directory
from tests.support.polling import wait_until
from tests.support.ports import free_port
from tests.support.processes import Running
from tests.support.template import service_environment
from tests.template.conftest import Service

_LIMIT = 3
_SECONDS = 60.0
HELD = '''\
"""The service, with a handler that waits for a file, and a stream that waits for it after its first byte."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.responses import StreamingResponse

from app.main import create_app

app = create_app()


async def _opened() -> None:
    while not Path(os.environ["GATE"]).exists():
        await asyncio.sleep(0.02)


@app.post("/held")
async def held() -> str:
    print("held: arrived", flush=True)
    await _opened()
    return "held"


@app.get("/stream")
async def stream() -> StreamingResponse:
    async def parts() -> AsyncIterator[str]:
        yield "data: first\\n\\n"
        await _opened()
        yield "data: last\\n\\n"

    return StreamingResponse(parts(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})
'''


@pytest.fixture(name="tree")
def _tree() -> Iterator[Path]:
    """An empty directory that nginx's workers can reach."""
    with public_directory() as directory:
        yield directory


@pytest.fixture(name="held")
def _held(usual: Service) -> Iterator[str]:
    """Add the handlers that wait to the service; return what gunicorn is told to serve."""
    module = usual.directory / "held_app.py"
    module.write_text(HELD, encoding="utf-8")
    yield "held_app:app"
    module.unlink()


def _gunicorn(service: Service, application: str, port: int, **extra: str) -> Running:
    own = {"GUNICORN_BIND": f"127.0.0.1:{port}", "WEB_CONCURRENCY": "1", "PYTHONUNBUFFERED": "1"}
    own |= {"APP_ALLOWED_HOSTS": HOST, "GUNICORN_STOP_DELAY": "0"}
    environment = service_environment(service.directory.parent / "tmp", **own, **extra)
    command = [service.python, "-m", "gunicorn", "-c", "app/server.py", application]
    return Running(command, env=environment, cwd=service.directory, stop_seconds=60)


def _proxy(tree: Path, port: int, **changes: str) -> Proxy:
    path = find_nginx(None)
    return Proxy(Nginx(path, nginx_version(path)), tree / "nginx", f"127.0.0.1:{port}", changes=changes)


def _is_ready(proxy: Proxy) -> bool:
    return proxy.ask(path="/health/ready").status == 200


def test_a_worker_refuses_what_it_could_only_keep_waiting(usual: Service, held: str, tree: Path) -> None:
    """At the limit: 503 with Retry-After and the request id from the application; health and streams pass."""
    gate, port = tree / "gate", free_port()
    limit = {"APP_REQUESTS_IN_FLIGHT": str(_LIMIT), "GATE": str(gate)}
    answers: list[Answer] = []
    with (
        _gunicorn(usual, held, port, **limit) as running,
        _proxy(tree, port, PROXY_READ_TIMEOUT="120", NGINX_REQUESTS_IN_FLIGHT="100") as proxy,
    ):
        wait_until(lambda: _is_ready(proxy), seconds=_SECONDS, what="readiness")
        address = f"http://127.0.0.1:{proxy.port}"
        with httpx.Client(base_url=address, headers={"Host": HOST}, timeout=_SECONDS) as client:
            streams = [client.send(client.build_request("GET", "/stream"), stream=True) for _ in range(2 * _LIMIT)]
            first = [next(stream.iter_text()) for stream in streams]
            assert first == ["data: first\n\n"] * (2 * _LIMIT)
            threads = [
                threading.Thread(target=lambda: answers.append(proxy.ask("POST", "/held")), daemon=True)
                for _ in range(_LIMIT)
            ]
            for thread in threads:
                thread.start()
            wait_until(lambda: running.output().count("held: arrived") == _LIMIT, seconds=_SECONDS, what="requests")
            for method, path in (("POST", "/held"), ("GET", "/anything")):
                refused = proxy.ask(method, path, headers={"X-Request-ID": "one-too-many"})
                assert refused.status == 503
                assert refused.headers["Content-Type"] == "application/problem+json"
                assert refused.headers.get_all("Retry-After") == ["1"]
                assert refused.json()["request_id"] == "one-too-many"
            assert _is_ready(proxy)
            gate.touch()
            for thread in threads:
                thread.join(_SECONDS)
            for stream in streams:
                stream.close()
        assert [answer.status for answer in answers] == [200] * _LIMIT
        assert proxy.ask("POST", "/held").status == 200
        assert running.output().count("overload: requests are refused") == 1


SLOW = '''\
"""The service, with a slow path that has a deadline of its own, and another slow path."""

import asyncio
import time

from app.asgi import within
from app.main import create_app

app = create_app()


@app.post("/api/import", dependencies=[within(30)])
async def slow_import() -> str:
    await asyncio.sleep(11)
    return "imported"


@app.post("/api/import/sync", dependencies=[within(30)])
def slow_sync_import() -> str:
    time.sleep(11)
    return "imported"


@app.post("/api/other")
async def other() -> str:
    await asyncio.sleep(11)
    return "too late"
'''


@pytest.fixture(name="slow")
def _slow(unusual: Service) -> Iterator[str]:
    """Add the slow handlers to the service; return what gunicorn is told to serve."""
    module = unusual.directory / "slow_paths.py"
    module.write_text(SLOW, encoding="utf-8")
    yield "slow_paths:app"
    module.unlink()


def test_one_path_may_take_longer(unusual: Service, slow: str, tree: Path) -> None:
    """With the recipe of nginx.d and ``within``, a path outlives both time limits; another gets 504 at the deadline."""
    recipes = (unusual.directory / "nginx.d" / "README.md").read_text(encoding="utf-8")
    (lines,) = re.findall(r"^# A larger body and a longer timeout.*\n((?:.+\n)+)", recipes, re.MULTILINE)
    port = free_port()
    answers: dict[str, Answer] = {}
    with _gunicorn(unusual, slow, port) as running, _proxy(tree, port, PROXY_READ_TIMEOUT="10") as proxy:
        own = proxy.directory / "conf.d" / "server"
        own.mkdir()
        (own / "import.conf").write_text(lines, encoding="utf-8")
        proxy.reload()
        wait_until(lambda: _is_ready(proxy), seconds=_SECONDS, what="readiness")

        def ask(path: str) -> None:
            answers[path] = proxy.ask("POST", path)

        threads = [
            threading.Thread(target=ask, args=[path], daemon=True)
            for path in ("/api/import", "/api/import/sync", "/api/other")
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(_SECONDS)
        assert {path: answer.status for path, answer in answers.items()} == {
            "/api/import": 200,
            "/api/import/sync": 200,
            "/api/other": 504,
        }
        assert answers["/api/other"].json()["detail"] == "No response within 5 s."
        assert running.output().count("request deadline passed") == 1


def _logged(proxy: Proxy, uri: str) -> list[dict[str, str]]:
    """Return the access lines of one address; a line is written after its answer, and not always in order."""
    return [line for line in proxy.access_log() if line["uri"] == uri]


@pytest.mark.parametrize("prefix", ["/billing", "/api"])
def test_below_a_path_that_nginx_strips(usual: Service, tree: Path, prefix: str) -> None:
    """With the recipe's lines for nginx: routes are found, /docs has the path, and what is private stays private."""
    recipes = (usual.directory / "nginx.d" / "README.md").read_text(encoding="utf-8")
    (lines,) = re.findall(r"^# Below a path of its host.*\n((?:.+\n)+)", recipes, re.MULTILINE)
    port = free_port()
    with (
        _gunicorn(usual, "app.main:app", port, APP_ROOT_PATH=prefix, APP_DOCS="true"),
        _proxy(tree, port) as proxy,
    ):
        own = proxy.directory / "conf.d" / "server"
        own.mkdir()
        (own / "below.conf").write_text(lines.replace("/my-service", prefix), encoding="utf-8")
        proxy.reload()
        wait_until(lambda: _is_ready(proxy), seconds=_SECONDS, what="readiness")
        created = proxy.ask(
            "POST", f"{prefix}/api/greetings", body=b'{"text": "you"}', headers={"Content-Type": "application/json"}
        )
        assert created.status == 201
        assert created.json() == {"text": "Hello, you"}
        assert f"'{prefix}/openapi.json'" in proxy.ask(path=f"{prefix}/docs").body.decode()
        assert proxy.ask(path=f"{prefix}/openapi.json").json()["servers"] == [{"url": prefix}]
        assert proxy.ask(path=f"{prefix}/health/ready").status == 200
        for private in ("/health/checks", "/metrics"):
            assert proxy.ask(path=prefix + private).status == 404
            (logged,) = wait_until(partial(_logged, proxy, prefix + private), what="its access line")
            assert logged["upstream_addr"] == ""
