"""Placeholders for secrets."""

import pytest

from no502.asgi.placeholders import is_placeholder, problems

_REAL = "f3b1c0de8a5e4d6f"


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave no password in the environment."""
    monkeypatch.delenv("PGPASSWORD", raising=False)


@pytest.mark.parametrize(
    "secret",
    ["", "change-me", "CHANGE_ME", "<change me>", "password", "Secret!", "aaaaaaaa", "12345678", "0000", "your-secret"],
)
def test_a_placeholder(secret: str) -> None:
    """Well-known words however they are written, one character again and again, digits that count up."""
    assert is_placeholder(secret)


@pytest.mark.parametrize("secret", [_REAL, "change-me-not", "correct horse", "8462", "ü§", "passwords"])
def test_a_secret_that_may_be_meant(secret: str) -> None:
    """What only contains such a word, or is merely short, is not a placeholder."""
    assert not is_placeholder(secret)


def test_a_password_that_is_the_name_of_its_user() -> None:
    """``app:app`` is a default, and ``app`` as another user's password is not known as one."""
    assert is_placeholder("billing", "billing")
    assert not is_placeholder("billing", "app")


_SECRETS = {"token": _REAL, "broker": "amqp://mq:9/x"}


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
    found = dict(problems(_SECRETS | changes))
    assert set(found) == set(expected)
    for name, message in found.items():
        assert message.startswith(expected[name])
        assert "APP_ENVIRONMENT=development" in message


def test_a_url_without_a_password_takes_the_one_of_libpq(monkeypatch: pytest.MonkeyPatch) -> None:
    """``PGPASSWORD`` counts where the URL has none, and only there."""
    without, having = {"broker": "x://user@db/x"}, {"broker": f"x://user:{_REAL}@db/x"}
    monkeypatch.setenv("PGPASSWORD", "change-me")
    assert [name for name, _ in problems(_SECRETS | having)] == []
    [(name, message)] = problems(_SECRETS | without)
    assert name == "broker"
    assert message.split(" is ")[0] == "the password in PGPASSWORD"
    monkeypatch.setenv("PGPASSWORD", _REAL)
    assert list(problems(_SECRETS | without)) == []
