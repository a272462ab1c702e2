# Part of no502.asgi. In app/asgi of a generated service it is a copy: do not edit it, replace the folder as a whole.
"""Placeholders for secrets: in production a service does not start with one.

``.env.example`` has them, tutorials have them, and attackers try them first.
"""

import os
import re
from collections.abc import Iterator, Mapping
from urllib.parse import unquote, urlsplit

__all__ = ["is_placeholder", "problems"]

_WORDS = {
    "admin",
    "changeit",
    "changeme",
    "changethis",
    "default",
    "example",
    "insecure",
    "letmein",
    "pass",
    "passw0rd",
    "passwd",
    "password",
    "postgres",
    "postgresql",
    "qwerty",
    "replaceme",
    "root",
    "secret",
    "secretkey",
    "supersecret",
    "test",
    "todo",
    "yourpassword",
    "yoursecret",
}
_ADVICE = "choose one of your own (openssl rand -hex 32); APP_ENVIRONMENT=development accepts it, on your own machine"


def is_placeholder(secret: str, user: str = "") -> bool:
    """Return whether the value is an obvious placeholder.

    That is: empty, a well-known word, one character again and again, or the user's name.

    Case, and whatever is not a letter or a digit, make no difference: ``<Change-Me>`` is ``changeme``.

    Args:
        secret: A password, a key, a token.
        user: Whose password it is, where that is known.
    """
    plain = re.sub(r"[^a-z0-9]", "", secret.lower())
    repeated = len(set(secret)) <= 1
    counted = bool(plain) and plain in "01234567890"
    return repeated or counted or plain in _WORDS or bool(user and secret == user)


def problems(secrets: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the name and what is wrong with it, for each secret that is a placeholder.

    Of a secret that is a URL only the password counts; one without a password may have it in ``PGPASSWORD``, as libpq
    does, and one without both says that the server wants none.

    Args:
        secrets: Secrets by name.
    """
    for name, secret in secrets.items():
        if "://" not in secret:
            if is_placeholder(secret):
                yield name, f"is a placeholder: {_ADVICE}"
            continue
        url = urlsplit(secret)
        user = unquote(url.username or "")
        if url.password is not None and is_placeholder(unquote(url.password), user):
            yield name, f"its password is a placeholder: {_ADVICE}"
        elif url.password is None and (elsewhere := os.environ.get("PGPASSWORD")) and is_placeholder(elsewhere, user):
            yield name, f"the password in PGPASSWORD is a placeholder: {_ADVICE}"
