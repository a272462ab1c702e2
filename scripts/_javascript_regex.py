r"""Regular expressions of Python as those of JavaScript that match the same text.

Only what the log patterns use is translated; anything else is refused, so that a new construct fails the build and not
silently in the page. Differences that matter: ``\d``, ``\w`` and ``\s`` of a ``str`` pattern know Unicode, of a
``bytes`` pattern only ASCII; ``.`` is everything but a line feed; ``$`` also matches before a last line feed.
"""

from __future__ import annotations

import re

__all__ = ["translate"]

_ASCII = {"d": "0-9", "w": "A-Za-z0-9_", "s": r" \t\n\r\f\v"}
_UNICODE = {
    "d": r"\p{Nd}",
    "w": r"\p{L}\p{N}_",
    "s": r"\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000",
}
_SYNTAX = set("^$\\.*+?()[]{}|/")
_IN_CLASS = set("^\\]-[")
_TOKENS = re.compile(
    r"(?P<escape>\\x[0-9a-f]{2}|\\.)"
    r"|(?P<refused>\(\?(?!:|=|!|<=|<!)|(?:[*+?]|\{\d+(?:,\d*)?\})\+)"  # (?P<...>, a*+ ...
    r"|(?P<whole>\((?:\?(?::|=|!|<=|<!))?|\{\d+(?:,\d*)?\})"
    r"|(?P<plain>.)",
    re.DOTALL,
)
_CONTROL = {"r": r"\r", "n": r"\n", "t": r"\t", "f": r"\f", "v": r"\v"}


def translate(pattern: re.Pattern[str] | re.Pattern[bytes]) -> str:
    """Return the source of an equal JavaScript expression for the flag ``u``.

    Raises:
        ValueError: The pattern has something that is not translated.
    """
    raw = pattern.pattern
    source = raw.decode("ascii") if isinstance(raw, bytes) else raw
    if pattern.flags & ~(re.UNICODE | re.DOTALL):
        raise _problem(source, "a flag other than DOTALL")
    classes = _ASCII if isinstance(raw, bytes) else _UNICODE
    dot = "[^]" if pattern.flags & re.DOTALL else r"[^\n]"
    found: list[str] = []
    inside = False  # a class
    for token in _TOKENS.finditer(source):
        text = token[0]
        if inside:
            part, inside = _in_class(token, classes, source)
        elif token["escape"]:
            part = _escape(text, classes, source)
        elif token["refused"]:
            raise _problem(source, text)
        elif text == "[":
            part, inside = text, True
        else:
            part = {".": dot, "$": r"(?=\n?$)", "/": r"\/"}.get(text, text)
        found.append(part)
    return "".join(found)


def _in_class(token: re.Match[str], classes: dict[str, str], source: str) -> tuple[str, bool]:
    """Return what a token inside [...] becomes, and whether the class goes on."""
    text = token[0]
    if token["escape"]:
        if text[1] in classes:
            return classes[text[1]], True
        return _escape(text, classes, source, special=_IN_CLASS), True
    if text == "]":
        return text, False
    if text == "[":
        return r"\[", True
    return re.sub(r"[(){}/|]", r"\\\g<0>", text), True


def _escape(text: str, classes: dict[str, str], source: str, special: set[str] = _SYNTAX) -> str:
    letter = text[1]
    if letter in _CONTROL:
        return _CONTROL[letter]
    if letter == "x":
        return text
    if letter in classes and special is _SYNTAX:
        return f"[{classes[letter]}]"
    if letter.lower() in classes and special is _SYNTAX:
        return f"[^{classes[letter.lower()]}]"
    if letter.isalnum():
        if letter == "b" and special is _SYNTAX:
            word = classes["w"]
            return f"(?:(?<=[{word}])(?![{word}])|(?<![{word}])(?=[{word}]))"
        raise _problem(source, text)
    return f"\\{letter}" if letter in special or letter in _SYNTAX else letter


def _problem(source: str, what: str) -> ValueError:
    return ValueError(f"{source}: cannot be translated to JavaScript: {what}")
