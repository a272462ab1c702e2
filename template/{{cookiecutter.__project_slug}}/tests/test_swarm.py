"""The stack of this deployment: its time limits are the ladder's, and both halves get the same numbers."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from dotenv import dotenv_values

from gunicorn_conf import ServerSettings

_ROOT = Path(__file__).resolve().parent.parent
_ENV = next(path for path in (_ROOT / ".env", _ROOT / ".env.example") if path.exists())


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """Return the services of the stack."""
    text = (_ROOT / "deploy" / "swarm" / "stack.yaml").read_text(encoding="utf-8")
    services: dict[str, Any] = yaml.safe_load(text)["services"]
    return services


@pytest.fixture(scope="module")
def ladder(services: dict[str, Any]) -> ServerSettings:
    """Return the numbers that ``.env`` gives, with the stack's own delay where it names none."""
    own = re.sub(r"^\$\{\w+:-|\}$", "", services["backend"]["environment"]["GUNICORN_STOP_DELAY"])
    delay = dotenv_values(_ENV).get("GUNICORN_STOP_DELAY") or own
    return ServerSettings(_env_file=_ENV, stop_delay=int(delay))


def test_swarm_waits_as_long_as_the_ladder_says(ladder: ServerSettings, services: dict[str, Any]) -> None:
    """Swarm must not kill what is still draining: stop_grace_period is the ladder's stop grace, its delay included."""
    assert services["backend"]["stop_grace_period"] == f"{ladder.stop_grace}s", (
        f"deploy/swarm/stack.yaml: set stop_grace_period of backend to {ladder.stop_grace}s, "
        "or PROXY_READ_TIMEOUT and GUNICORN_STOP_DELAY in .env back"
    )


def test_a_leaving_task_accepts_until_nginx_knows(ladder: ServerSettings) -> None:
    """The delay before the drain is longer than nginx keeps the name server's answer."""
    text = (_ROOT / "nginx" / "templates" / "upstream.conf.template").read_text(encoding="utf-8")
    [valid] = re.findall(r"^ *resolver .* valid=(\d+)s", text, re.MULTILINE)
    assert int(valid) < ladder.stop_delay


def test_both_halves_get_the_same_numbers(services: dict[str, Any]) -> None:
    """What nginx substitutes and what gunicorn computes from are the same variables."""
    backend, nginx = (services[name]["environment"] for name in ("backend", "nginx"))
    shared = {name for name in backend if name.startswith("PROXY_")}
    assert shared
    assert {name: backend[name] for name in shared} == {name: nginx[name] for name in shared}


def test_only_nginx_is_reachable_from_outside(services: dict[str, Any]) -> None:
    """The service itself publishes no port: clients come through nginx."""
    assert [name for name, service in services.items() if service.get("ports")] == ["nginx"]
