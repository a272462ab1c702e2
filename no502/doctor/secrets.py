"""What a report may not show as it stands: secrets, and control characters that a terminal or a CI would obey."""

from __future__ import annotations

import re

__all__ = ["holds_secret", "mask", "printable"]

_USERINFO = re.compile(r"(\b[A-Za-z][A-Za-z0-9+.-]{0,20}://)[^\s/@\"'<>]{1,500}@")
_BARE = re.compile(r"(?<![\w@/:])[^\s:@/\"'<>()]{1,100}:[^\s@/\"'<>()]{1,200}@(?=[\w\[])")
_NAMES = (
    r"(?:pass(?:word|wd|phrase)?|pwd|secret|token|credentials?|(?:api|access|private|secret|signing|encryption)[_-]?key"
    r"|authorization|auth|cookie|dsn|salt|signature)"
)
_NAMED = re.compile(
    rf"(?i)(?<![A-Za-z0-9])((?:[A-Za-z0-9]{{1,40}}[_.-]){{0,8}}{_NAMES}(?:[_-][A-Za-z0-9]{{1,20}}){{0,3}}[\"']?"
    r"(?:\s{0,3}[:=]\s{0,3}|\s{1,3}(?=[\"'])))(?!\s|[\"']?\$[\w{])(\"[^\"\n]{1,500}|'[^'\n]{1,500}|[^\s,;\"']{1,500})"
)
_SCHEME = re.compile(r"(?i)\b(Bearer|Basic|Digest)\s{1,3}[A-Za-z0-9+/=._~-]{6,2000}")
_ENVIRONMENT = re.compile(
    r"(?:^|[\s\"'-])[A-Z][A-Z0-9]*_[A-Z0-9_]+[\"']?\s{0,3}[:=]\s{0,3}\S|-----BEGIN |\b[A-Za-z0-9+/=_-]{32,}\b"
)
_CONTROL = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": " "}


def mask(text: str) -> str:
    """Return a text with ``***`` for the user and password of URLs and for the values of names such as ``password``.

    Variables (``$http_authorization``, ``${TOKEN}``) stay: they are no secrets.
    """
    if "://" in text:
        text = _USERINFO.sub(r"\1***@", text)
    if "@" in text:
        text = _BARE.sub("***@", text)
    text = _SCHEME.sub(r"\1_***", text)
    text = _NAMED.sub(lambda found: found[1] + (found[2][0] if found[2][0] in "\"'" else "") + "***", text)
    return re.sub(r"\b(Bearer|Basic|Digest)_\*\*\*", r"\1 ***", text, flags=re.IGNORECASE)


def holds_secret(line: str) -> bool:
    """Whether a line of a foreign file may hold a secret: what ``mask`` would change, or any environment variable."""
    return mask(line) != line or _ENVIRONMENT.search(line) is not None


def printable(text: str) -> str:
    r"""Return a text in one line without control characters: they are shown as ``\x1b``, ``\n``, ``\u202e``."""
    return _CONTROL.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    char = found[0]
    code = ord(char)
    return _SHORT.get(char) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")
