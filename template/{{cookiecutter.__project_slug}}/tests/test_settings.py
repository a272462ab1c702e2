"""What can be set, and how mistakes are reported."""

import os
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.settings import Settings, load


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Leave no APP_ variable and no ``.env``."""
    for name in [name for name in os.environ if name.startswith("APP_")] + ["LOG_LEVEL"]:
        monkeypatch.delenv(name, raising=False)
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
