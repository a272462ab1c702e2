"""A front end on another origin, in a real browser, and a generated service behind nginx."""

import sys
from pathlib import Path
from typing import Any

from tests.support.browser import Tab
from tests.support.front_end import front_end
from tests.support.ports import free_port
from tests.support.processes import Running
from tests.support.template import bake, service_environment

_SCRIPT = """
const seen = {{}};
async function ask(name, path, init) {{
    try {{
        const answer = await fetch({api!r} + path, {{credentials: "include", ...init}});
        seen[name] = [answer.status, Boolean(answer.headers.get("X-Request-ID"))];
    }} catch (error) {{
        seen[name] = [String(error), false];
    }}
}}
const json = {{"Content-Type": "application/json"}};
await ask("health", "/health/ready");
await ask("created", "/api/greetings", {{method: "POST", headers: json, body: '{{"text": "you"}}'}});
await ask("invalid", "/api/greetings", {{method: "POST", headers: json, body: "{{}}"}});
await ask("missing", "/no/such/path");
await ask("large", "/api/greetings", {{method: "POST", headers: json, body: "x".repeat(3 << 20)}});
return seen;
"""


def test_one_list_of_origins_is_enough_for_a_page(tmp_path: Path) -> None:
    """With APP_CORS_ORIGINS and APP_CORS_CREDENTIALS a page reads the status and request id of each answer."""
    port = free_port()
    with front_end() as origin:
        environment = service_environment(
            tmp_path / "tmp",
            APP_CORS_ORIGINS=f"https://other.example,{origin}",
            APP_CORS_CREDENTIALS="true",
            NGINX_CLIENT_MAX_BODY_SIZE="1m",
            WEB_CONCURRENCY="1",
        )
        command = [sys.executable, "-m", "ops.serve", str(port)]
        with Running(command, env=environment, cwd=bake(tmp_path)) as serve:
            serve.wait_for_output("serve: try: ", seconds=40)
            with Tab(f"{origin}/", profile=tmp_path / "chromium") as tab:
                seen: dict[str, Any] = tab.run(_SCRIPT.format(api=f"http://127.0.0.1:{port}"))
    assert seen["health"][0] == 200
    statuses = {"created": 201, "invalid": 422, "missing": 404, "large": 413}
    assert {name: seen[name] for name in statuses} == {name: [status, True] for name, status in statuses.items()}
