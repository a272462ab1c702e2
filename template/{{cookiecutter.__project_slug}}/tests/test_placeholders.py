"""Secrets that nobody has chosen."""

import os
import re
from pathlib import Path

import pytest
from pydantic import SecretStr

from app import settings as settings_module
from app.placeholders import is_placeholder, problems
from app.settings import Settings, load

_ROOT = Path(__file__).resolve().parent.parent
_REAL = "f3b1c0de8a5e4d6f"


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Leave no variable that counts, and no ``.env``."""
    for name in [name for name in os.environ if name.startswith(("APP_", "PG"))] + ["LOG_LEVEL"]:
        monkeypatch.delenv(name, raising=False)
{%- if cookiecutter.database == 'postgresql' %}
    monkeypatch.setenv("DATABASE_URL", f"postgresql://app:{_REAL}@127.0.0.1/app")
{%- endif %}
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "secret",
    ["", "change-me", "CHANGE_ME", "<change me>", "password", "Secret!", "aaaaaaaa", "12345678", "0000", "your-secret"],
)
def test_a_secret_that_nobody_has_chosen(secret: str) -> None:
    """Well-known words however they are written, one character again and again, digits that count up."""
    assert is_placeholder(secret)


@pytest.mark.parametrize("secret", [_REAL, "change-me-not", "correct horse", "8462", "ü§", "passwords"])
def test_a_secret_that_may_be_meant(secret: str) -> None:
    """What only contains such a word, or is merely short, is nobody's default."""
    assert not is_placeholder(secret)


def test_a_password_that_is_the_name_of_its_user() -> None:
    """``app:app`` is a default, and ``app`` as somebody else's password is not known as one."""
    assert is_placeholder("billing", "billing")
    assert not is_placeholder("billing", "app")


class _WithSecrets(Settings):
    token: SecretStr = SecretStr(_REAL)
    broker: SecretStr = SecretStr("amqp://mq:9/x")
    plain: str = "change-me"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {}),
        ({"token": "change-me"}, {"token": "is a placeholder: "}),
        ({"broker": "amqp://user:change-me@mq/x"}, {"broker": "its password is a placeholder: "}),
        ({"broker": "amqp://user:change%2Dme@mq/x"}, {"broker": "its password is a placeholder: "}),
        ({"broker": "amqp://user:user@mq/x"}, {"broker": "its password is a placeholder: "}),
        ({"broker": f"amqp://user:{_REAL}@mq/change-me"}, {}),
        ({"token": "test", "broker": "amqp://u:@mq/x"}, {"token": "is a", "broker": "its password is a placeholder: "}),
    ],
)
def test_secret_fields_are_looked_at(changes: dict[str, str], expected: dict[str, str]) -> None:
    """Secrets, and the passwords of secrets that are URLs; all at once, and no other fields."""
    settings = _WithSecrets().model_copy(update={name: SecretStr(value) for name, value in changes.items()})
    found = dict(problems(settings))
    assert set(found) == set(expected)
    for name, message in found.items():
        assert message.startswith(expected[name])
        assert "APP_ENVIRONMENT=development" in message


def test_a_url_without_a_password_takes_the_one_of_libpq(monkeypatch: pytest.MonkeyPatch) -> None:
    """``PGPASSWORD`` counts where the URL has none, and only there."""
    without, having = SecretStr("x://user@db/x"), SecretStr(f"x://user:{_REAL}@db/x")
    monkeypatch.setenv("PGPASSWORD", "change-me")
    assert [name for name, _ in problems(_WithSecrets(broker=having))] == []
    [(name, message)] = problems(_WithSecrets(broker=without, token=SecretStr(_REAL)))
    assert (name, message.split(" is ")[0]) == ("broker", "the password in PGPASSWORD")
    monkeypatch.setenv("PGPASSWORD", _REAL)
    assert list(problems(_WithSecrets(broker=without))) == []


def test_production_does_not_start_with_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without APP_ENVIRONMENT it is production: the variable is named, what to do is said, the value is not."""
    monkeypatch.setattr(settings_module, "Settings", _WithSecrets)
    monkeypatch.setenv("APP_TOKEN", "letmein")
    with pytest.raises(SystemExit) as caught:
        load()
    assert caught.value.code == 3
    message = capsys.readouterr().err
    assert message.startswith("settings: APP_TOKEN: is a placeholder: choose one of your own (openssl rand -hex 32)")
    assert "letmein" not in message


def test_development_accepts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the developer's machine a default password harms nobody."""
    monkeypatch.setattr(settings_module, "Settings", _WithSecrets)
    monkeypatch.setenv("APP_TOKEN", "letmein")
    monkeypatch.setenv("APP_ENVIRONMENT", "development")
    assert load().environment == "development"


def test_what_the_example_has_is_a_placeholder() -> None:
    """A copy of ``.env.example`` does not start in production before its passwords have been replaced."""
    text = (_ROOT / ".env.example").read_text(encoding="utf-8")
    passwords = re.findall(r"://[^:/@\s]+:([^@\s]+)@", text)
{%- if cookiecutter.database == 'postgresql' %}
    assert passwords
{%- endif %}
    assert [password for password in passwords if not is_placeholder(password)] == []
