"""The time limits of this deployment: gunicorn, the application, Compose."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from app.main import app
from gunicorn_conf import ServerSettings

_ROOT = Path(__file__).resolve().parent.parent
_ENV = _ROOT / ".env"


@pytest.fixture(scope="module")
def ladder() -> ServerSettings:
    """Return the numbers that ``.env`` gives, or those of ``.env.example`` where there is none."""
    return ServerSettings(_env_file=_ENV if _ENV.exists() else _ROOT / ".env.example")


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """Return the services of compose.yaml."""
    services: dict[str, Any] = yaml.safe_load((_ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]
    return services


@pytest.mark.parametrize("service", ["backend", "nginx"])
def test_compose_waits_as_long_as_the_ladder_says(
    ladder: ServerSettings, services: dict[str, Any], service: str
) -> None:
    """Compose must not kill what is still draining: stop_grace_period is the ladder's stop grace."""
    assert services[service]["stop_grace_period"] == f"{ladder.stop_grace}s", (
        f"compose.yaml: set stop_grace_period of {service} to {ladder.stop_grace}s, or PROXY_READ_TIMEOUT in .env back"
    )


def test_only_nginx_is_reachable_from_outside(services: dict[str, Any]) -> None:
    """The service itself publishes no port: clients come through nginx."""
    assert [name for name, service in services.items() if service.get("ports")] == ["nginx"]


def test_both_sides_get_the_same_numbers(services: dict[str, Any]) -> None:
    """What nginx substitutes and what gunicorn computes from are the same variables."""
    sides = [services[name]["environment"] for name in ("backend", "nginx")]
    shared = [{key: value for key, value in side.items() if key.startswith("PROXY_")} for side in sides]
    assert shared[0] == shared[1]
    assert "PROXY_READ_TIMEOUT" in shared[0]


def test_the_application_has_the_ladders_deadline(ladder: ServerSettings) -> None:
    """The 504 comes from the application before nginx would give up."""
    [seconds] = [layer.kwargs["seconds"] for layer in app.user_middleware if "seconds" in layer.kwargs]
    assert seconds == ladder.request_deadline < ladder.proxy_read_timeout
