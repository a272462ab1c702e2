"""What can be set, and how mistakes are reported."""

import os
from pathlib import Path

import pytest
from pydantic import SecretStr
{%- if cookiecutter.database == 'postgresql' %}

from app.database import engine_url
from app.settings import Settings, load
from gunicorn_conf import settings as ladder
{%- else %}

from app.settings import Settings, load
{%- endif %}


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
    """Nothing set means: no docs, JSON lines."""
    settings = load()
    assert (settings.docs, settings.log_format, settings.log_level) == (False, "json", "info")


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
        "settings: APP_LOG_FORMAT: Input should be 'json' or 'console'",
        "settings: LOG_LEVEL: Input should be 'debug', 'info', 'warning', 'error' or 'critical'",
    ]


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
    """There is no default: the service must not start with a database that nobody chose."""
    monkeypatch.delenv("DATABASE_URL")
    with pytest.raises(SystemExit):
        load()
    assert capsys.readouterr().err == "settings: DATABASE_URL: Field required\n"


def test_connections_for_every_worker_or_no_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every process that may exist gets one connection for requests and one for readiness, at least."""
    least = 2 * (2 * ladder.workers + 1)
    monkeypatch.setenv("APP_DATABASE_CONNECTIONS", str(least))
    assert load().database_connections == least
    monkeypatch.setenv("APP_DATABASE_CONNECTIONS", str(least - 1))
    with pytest.raises(SystemExit):
        load()
    message = capsys.readouterr().err
    assert message.startswith(f"settings: APP_DATABASE_CONNECTIONS: Input should be at least {least} (")
{%- endif %}
