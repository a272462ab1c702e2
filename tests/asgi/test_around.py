"""The documented ways to put the parts around an application that exists already."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.support.commands import ROOT

_PAGE = (ROOT / "docs" / "how-to" / "asgi-parts.md").read_text(encoding="utf-8")
_BLOCKS = re.findall(r"```python\n(.*?)```", _PAGE, re.DOTALL)


def test_the_example_is_on_the_page() -> None:
    """The page shows docs/examples/around.py, to the letter."""
    assert _BLOCKS[0] == (ROOT / "docs" / "examples" / "around.py").read_text(encoding="utf-8")


def test_fastapi() -> None:
    """The example answers, has health endpoints and a request id, and its errors are problems."""
    names: dict[str, object] = {}
    exec(compile(_BLOCKS[0], "around.py", "exec"), names)  # noqa: S102  the example as it is documented
    with TestClient(names["app"], base_url="http://localhost") as client:  # type: ignore[arg-type]
        assert client.get("/hello").json() == {"text": "hello"}
        assert client.get("/health/ready").status_code == 200
        missing = client.get("/nowhere", headers={"X-Request-ID": "around-1"})
    assert missing.headers["content-type"] == "application/problem+json"
    assert missing.json()["request_id"] == "around-1"


_DJANGO = """
import asyncio, django, sys
from django.conf import settings as django_settings
from django.http import HttpResponse
from django.urls import path
django_settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="x")
urlpatterns = [path("hello", lambda request: HttpResponse("hello"))]
{example}
from starlette.testclient import TestClient
client = TestClient(application, base_url="http://localhost")
print(client.get("/hello").text, client.get("/health/startup").status_code, client.get("/health/ready").status_code)
print(client.get("/hello").headers["x-request-id"] != "")
"""


def test_django(tmp_path: Path) -> None:
    """Around Django's ASGI handler the same parts work."""
    example = _BLOCKS[1].replace('os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")\n', "")
    script = tmp_path / "project.py"
    script.write_text(_DJANGO.replace("{example}", example), encoding="utf-8")
    command = [sys.executable, "-W", "ignore", str(script)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "hello 200 200" in done.stdout
    assert "True" in done.stdout


@pytest.mark.parametrize("hidden", ["fastapi", "prometheus_client", "pydantic"])
def test_what_importing_needs(hidden: str) -> None:
    """Importing the package needs none of what only some parts use."""
    code = f"import sys; sys.modules[{hidden!r}] = None; import no502.asgi; print(len(no502.asgi.__all__))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
