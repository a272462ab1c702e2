"""The service as a whole: documentation, host names, CORS, settings, and the time limits of this deployment."""

import os
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from fastapi.testclient import TestClient
from pydantic import SecretStr
{%- if cookiecutter.database == 'postgresql' %}

from app.database import engine_url
from app.main import app, create_app
from app.settings import Settings, load
from gunicorn_conf import ServerSettings
from gunicorn_conf import settings as numbers
{%- else %}

from app.main import app, create_app
from app.settings import Settings, load
from gunicorn_conf import ServerSettings
{%- endif %}

_ROOT = Path(__file__).resolve().parent.parent
_ENV = _ROOT / ".env"


@pytest.mark.parametrize(("docs", "status"), [(True, 200), (False, 404)])
def test_the_docs_are_there_only_when_asked_for(*, docs: bool, status: int) -> None:
    """/docs and /openapi.json follow the setting."""
    client = TestClient(create_app(Settings.model_construct(docs=docs)), base_url="http://localhost")
    assert client.get("/docs").status_code == status
    assert client.get("/openapi.json").status_code == status


@pytest.mark.parametrize(
    ("host", "status"), [("a.example.com", 200), ("localhost:8080", 200), ("127.0.0.1", 200), ("b.example.com", 400)]
)
def test_only_known_hosts_are_answered(host: str, status: int) -> None:
    """The setting's hosts and this host itself (for probes) are answered, no others."""
    client = TestClient(create_app(Settings.model_construct(allowed_hosts=["a.example.com"])))
    assert client.get("/health/live", headers={"Host": host}).status_code == status


@pytest.mark.parametrize(
    ("origin", "allowed"), [("https://a.example.com", "https://a.example.com"), ("https://b.example.com", None)]
)
def test_only_listed_origins_may_call_from_a_browser(origin: str, allowed: str | None) -> None:
    """CORS headers are sent to listed origins, with errors too."""
    settings = Settings.model_construct(cors_origins=["https://a.example.com"])
    client = TestClient(create_app(settings), base_url="http://localhost")
    response = client.get("/nowhere", headers={"Origin": origin})
    assert response.headers.get("access-control-allow-origin") == allowed


@pytest.mark.parametrize("credentials", [True, False])
def test_cookies_of_other_origins_only_where_asked_for(*, credentials: bool) -> None:
    """APP_CORS_CREDENTIALS lets a page send cookies; the headers that it needs are readable either way."""
    settings = Settings.model_construct(cors_origins=["https://a.example.com"], cors_credentials=credentials)
    client = TestClient(create_app(settings), base_url="http://localhost")
    headers = client.get("/nowhere", headers={"Origin": "https://a.example.com"}).headers
    assert headers.get("access-control-allow-credentials") == ("true" if credentials else None)
    assert "X-Request-ID" in headers["access-control-expose-headers"]


@pytest.mark.parametrize(("environment", "status"), [("development", 200), ("production", 404)])
def test_the_page_with_the_ladder_is_for_development(
    environment: Literal["development", "production"], status: int
) -> None:
    """In production ``/`` is the service's own."""
    client = TestClient(create_app(Settings.model_construct(environment=environment)), base_url="http://localhost")
    assert client.get("/_demo/ping").status_code == 404
    assert client.get("/").status_code == status


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


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Leave no APP_ variable and no ``.env``."""
    for name in [name for name in os.environ if name.startswith("APP_")] + ["LOG_LEVEL"]:
        monkeypatch.delenv(name, raising=False)
{%- if cookiecutter.database == 'postgresql' %}
    monkeypatch.setenv("DATABASE_URL", "postgresql://app:hunter2@127.0.0.1/app")
{%- endif %}
    monkeypatch.chdir(tmp_path)


def test_the_defaults_are_those_of_production() -> None:
    """Nothing set means: no docs, and lines for a program."""
    settings = load()
    assert (settings.docs, settings.log_format, settings.log_level) == (False, "auto", "info")


def test_lists_are_comma_separated(monkeypatch: pytest.MonkeyPatch) -> None:
    """``a, b`` is a list, as people write it."""
    monkeypatch.setenv("APP_ALLOWED_HOSTS", "a.example.com, b.example.com,")
    assert load().allowed_hosts == ["a.example.com", "b.example.com"]


def test_the_file_is_read_and_the_environment_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """``.env`` counts, foreign variables in it are left alone, the real environment has the last word."""
    (tmp_path / ".env").write_text("APP_ROOT_PATH=/a\nLOG_LEVEL=DEBUG\nPROXY_READ_TIMEOUT=60\n", encoding="utf-8")
    assert (load().root_path, load().log_level) == ("/a", "debug")
    monkeypatch.setenv("APP_ROOT_PATH", "/b")
    assert load().root_path == "/b"


def test_all_problems_are_reported_at_once_without_values(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line for each: a bad value, a bad level, an unknown name in the environment and one in the file."""
    monkeypatch.setenv("APP_LOG_FORMAT", "hunter2")
    monkeypatch.setenv("LOG_LEVEL", "verbos")
    monkeypatch.setenv("APP_DOC", "1")
    (tmp_path / ".env").write_text("APP_CORS_ORIGIN=x\n", encoding="utf-8")
    with pytest.raises(SystemExit) as caught:
        load()
    assert caught.value.code == 3
    assert capsys.readouterr().err.splitlines() == [
        "settings: APP_CORS_ORIGIN: unknown variable; did you mean APP_CORS_ORIGINS?",
        "settings: APP_DOC: unknown variable; did you mean APP_DOCS?",
        "settings: APP_LOG_FORMAT: Input should be 'auto', 'json' or 'console'",
        "settings: LOG_LEVEL: Input should be 'debug', 'info', 'warning', 'error' or 'critical'",
    ]


def test_production_does_not_start_with_a_placeholder(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A secret such as ``letmein`` is refused by the name of its variable; in development it is not."""

    class WithSecret(Settings):
        token: SecretStr

    monkeypatch.setattr("app.settings.Settings", WithSecret)
    monkeypatch.setenv("APP_TOKEN", "letmein")
    with pytest.raises(SystemExit):
        load()
    message = capsys.readouterr().err
    assert message.startswith("settings: APP_TOKEN: is a placeholder: ")
    assert "letmein" not in message
    monkeypatch.setenv("APP_ENVIRONMENT", "development")
    assert load().environment == "development"


def test_secrets_do_not_print() -> None:
    """A secret field shows stars wherever the settings are shown."""

    class WithSecret(Settings):
        token: SecretStr = SecretStr("hunter2")

    assert "hunter2" not in f"{WithSecret()!r}{WithSecret().model_dump_json()}"
{%- if cookiecutter.database == 'postgresql' %}


def test_the_password_does_not_print() -> None:
    """Neither the settings nor the URL that is made from them show it."""
    settings = load()
    assert settings.database_url.get_secret_value().count("hunter2") == 1
    assert "hunter2" not in f"{settings!r}{settings.model_dump_json()}{engine_url(settings)}{engine_url(settings)!r}"


@pytest.mark.parametrize(
    "url",
    ["hunter2", "mysql://app:hunter2@db/app", "postgresql+asyncpg://app:hunter2@db/app", "postgresql://db:hunter2/x"],
)
def test_a_url_of_anything_else_is_refused_without_repeating_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], url: str
) -> None:
    """Only PostgreSQL is understood; the message says how it is written."""
    monkeypatch.setenv("DATABASE_URL", url)
    with pytest.raises(SystemExit):
        load()
    message = capsys.readouterr().err
    assert message.startswith("settings: DATABASE_URL: ")
    assert "must be postgresql://" in message
    assert "hunter2" not in message


@pytest.mark.parametrize("url", ["postgres://u@h/d", "postgresql+psycopg://u@h/d", "postgresql:///d"])
def test_the_usual_ways_to_write_the_url_are_understood(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Other platforms say ``postgres``; SQLAlchemy wants the driver."""
    monkeypatch.setenv("DATABASE_URL", url)
    assert engine_url(load()).drivername == "postgresql+psycopg"


def test_a_missing_url_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """There is no default: the service must not start with a database that was not chosen."""
    monkeypatch.delenv("DATABASE_URL")
    with pytest.raises(SystemExit):
        load()
    assert capsys.readouterr().err == "settings: DATABASE_URL: Field required\n"


def test_connections_for_every_worker_or_no_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every process that may exist gets one connection for requests and one for readiness, at least."""
    least = 2 * (2 * numbers.workers + 1)
    monkeypatch.setenv("APP_DATABASE_CONNECTIONS", str(least))
    assert load().database_connections == least
    monkeypatch.setenv("APP_DATABASE_CONNECTIONS", str(least - 1))
    with pytest.raises(SystemExit):
        load()
    message = capsys.readouterr().err
    assert message.startswith(f"settings: APP_DATABASE_CONNECTIONS: Input should be at least {least} (")
{%- endif %}
