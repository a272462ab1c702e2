"""The files of the catalogue, read once and checked."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from no502.messages.model import Message, Service, Severity, Shape
from no502.messages.phrases import phrase_of

__all__ = ["GROUPS", "STOP_WORDS", "SYMPTOMS", "by_name", "messages", "read", "search"]

GROUPS: Mapping[str, str] = {
    "nginx": "nginx",
    "server": "gunicorn, uvicorn and the application",
    "system": "Linux, systemd, containers, supervisord",
    "front": "Load balancers, CDNs, platforms and other proxies",
}
"""Folder -> who writes the messages in it."""

SYMPTOMS: Mapping[str, str] = {
    "502": "502 Bad Gateway",
    "504": "504 Gateway Timeout",
    "503": "503 Service Unavailable",
    "500": "500 Internal Server Error",
    "499": "499 in nginx's access log",
    "4xx": "400, 403, 404, 413",
    "52x": "520 to 526 (Cloudflare)",
    "cut": "A response that is cut off",
    "websocket": "A WebSocket that fails or closes",
    "start": "The server does not start",
    "slow": "Slow responses",
    "stop": "A stop, restart or replacement of a process",
    "none": "Nothing that a client notices",
}
"""Key -> what a client or operator sees."""

SECTIONS = ("Causes", "Check", "Immediate fix", "Permanent fix")
"""Headings that a message may have."""

SERVICE = "In a generated service"
"""One more heading, for a message with ``service`` in its front matter; its items begin with ``**Means:**`` ..."""

STOP_WORDS = frozenset({"a", "an", "and", "at", "by", "failed", "from", "in", "is", "of", "on", "the", "to", "while"})
"""Words of a phrase that decide nothing."""

_FOLDER = Path(__file__).parent
_FRONT = re.compile(r"---\n(.*?\n)---\n\n(.*)", re.DOTALL)
_HEADING = re.compile(r"^## (.+)\n", re.MULTILINE)
_ITEM = re.compile(r"^(?:- |\d+\. )", re.MULTILINE)
_KEYS = {
    *("id", "program", "level", "severity", "title", "text", "match", "symptom", "get", "post"),
    *("rules", "scenario", "versions", "source", "frequent", "also", "last", "service", "decided"),
}
_SERVICE_KEYS = {"cause", "says", "mild"}
_SERVICE_ITEM = re.compile(r"\*\*(Means|Do|Verify):\*\* (.+)")
_SHAPE_KEYS = {"starts", "contains", "ends", "without", "errno", "phase", "level", "raw"}
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@cache
def messages() -> tuple[Message, ...]:
    """Return every message in the order in which they are tried: by id, general forms last.

    Raises:
        ValueError: A file is damaged; the text names it and says what is wrong.
    """
    found = [read(file) for group in GROUPS for file in sorted((_FOLDER / group).glob("*.md"))]
    return tuple(sorted(found, key=lambda message: (message.last, message.id)))


def find(slug: str) -> Message:
    """Return the message of a slug without reading the others.

    Raises:
        LookupError: There is none.
    """
    for group in GROUPS:
        file = _FOLDER / group / f"{slug}.md"
        if file.is_file():
            return read(file)
    text = f"{slug}: no such message"
    raise LookupError(text)


def by_name(wanted: str) -> Message | None:
    """Return the message of that id or slug, upper or lower case."""
    return next((m for m in messages() if wanted.upper() == m.id or wanted.lower() == m.slug), None)


def search(phrase: str) -> list[Message]:
    """Return the messages that a phrase means, at most 10.

    First those of a status code or another error that people name without a line of a log, then those whose text has
    every word: the ones with the phrase as it stands before the others.
    """
    meant = phrase_of(phrase)
    first = [one for one in map(by_name, meant.messages if meant else ()) if one is not None]
    wanted = phrase.lower().strip()
    words = [word for word in re.findall(r"\w+", wanted) if word not in STOP_WORDS]
    ranked: list[tuple[int, Message]] = []
    for message in messages():
        texts = " ".join((message.title, *message.names, *message.texts)).lower()
        known = set(re.findall(r"\w+", texts))
        if words and all(word in known for word in words):
            ranked.append((0 if wanted in texts else 1, message))
    others = [message for _rank, message in sorted(ranked, key=lambda pair: (pair[0], pair[1].id))]
    return [*first, *(message for message in others if message not in first)][:10]


def read(file: Path) -> Message:
    """Return the message in a file.

    Raises:
        ValueError: The file is not a message; the text says why.
    """
    parts = _FRONT.fullmatch(file.read_text(encoding="utf-8"))
    if parts is None:
        raise _problem(file, "needs front matter between two lines of ---, an empty line, and a text")
    front: Any = yaml.load(parts[1], Loader=_LOADER)  # noqa: S506  a safe loader, whichever of the two it is
    if not isinstance(front, dict):
        raise _problem(file, "the front matter is not a mapping")
    wrong = sorted(set(front) - _KEYS) + sorted({"id", "program", "severity", "text", "match", "source"} - set(front))
    if wrong:
        raise _problem(file, f"unknown or missing in the front matter: {', '.join(wrong)}")
    cause, sections = _body(file, parts[2])
    service = _service(file, front.get("service"), sections.pop(SERVICE, ()))
    unknown = sorted(set(map(str, _listed(front.get("symptom")))) - set(SYMPTOMS))
    if unknown:
        raise _problem(file, f"unknown symptom: {', '.join(unknown)}; there are: {', '.join(SYMPTOMS)}")
    return Message(
        id=str(front["id"]),
        slug=file.stem,
        programs=_texts(front["program"]),
        levels=_texts(front.get("level")),
        severity=Severity(front["severity"]),
        shapes=tuple(_shape(file, one) for one in _listed(front["match"])),
        title=str(front.get("title", _texts(front["text"])[0])),
        texts=_texts(front["text"]),
        symptoms=_texts(front.get("symptom")),
        cause=cause,
        sections=sections,
        get=str(front.get("get", "")),
        post=str(front.get("post", front.get("get", ""))),
        rules=_texts(front.get("rules")),
        scenarios=_texts(front.get("scenario")),
        versions=str(front.get("versions", "")),
        source=str(front["source"]),
        file=file,
        names=_texts(front.get("also")),
        frequent=bool(front.get("frequent", False)),
        last=bool(front.get("last", False)),
        service=service,
        decided=_decided(file, front.get("decided"), sections),
    )


def _problem(file: Path, what: str) -> ValueError:
    return ValueError(f"{file}: {what}")


def _body(file: Path, text: str) -> tuple[str, dict[str, Sequence[str]]]:
    cause, *rest = _HEADING.split(text)
    headings = rest[::2]
    if not cause.strip() or set(headings) - {*SECTIONS, SERVICE} or len(set(headings)) != len(headings):
        raise _problem(file, f"needs a text and then any of the headings {', '.join(SECTIONS)}, each once")
    sections: dict[str, Sequence[str]] = {}
    for heading, body in zip(headings, rest[1::2], strict=True):
        lead, *items = _ITEM.split(body)
        if lead.strip() or not items:
            raise _problem(file, f"{heading}: needs a list and nothing else")
        sections[heading] = tuple(_joined(item) for item in items)
    return _joined(cause), sections


def _service(file: Path, found: Any, items: Sequence[str]) -> Service | None:
    said = [_SERVICE_ITEM.fullmatch(item) for item in items]
    if not all(said):
        raise _problem(file, f"{SERVICE}: each item needs **Means:**, **Do:** or **Verify:** and a text")
    if found is None and not items:
        return None
    if not isinstance(found, dict) or "cause" not in found or set(found) - _SERVICE_KEYS:
        raise _problem(file, f"service: needs a mapping with cause and perhaps {', '.join(sorted(_SERVICE_KEYS))}")
    return Service(
        cause=str(found["cause"]),
        says=str(found.get("says", "")),
        mild=bool(found.get("mild", False)),
        section={one[1]: one[2] for one in said if one is not None},
    )


def _decided(
    file: Path,
    found: Any,
    sections: Mapping[str, Sequence[str]],
) -> Mapping[str, Mapping[str, Sequence[int]]]:
    decided = {
        str(reason): {str(h): tuple(_listed(n)) for h, n in left.items()} for reason, left in (found or {}).items()
    }
    for reason, left in decided.items():
        for heading, numbers in left.items():
            if not set(numbers) <= set(range(1, len(sections.get(heading, ())) + 1)):
                raise _problem(file, f"decided: {reason}: {heading} has no items {numbers}")
    return decided


def _joined(text: str) -> str:
    """Return a text with its line breaks as spaces."""
    return " ".join(text.split())


def _listed(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(map(str, _listed(value)))


def _shape(file: Path, found: Any) -> Shape:
    if not isinstance(found, dict) or not found or set(found) - _SHAPE_KEYS:
        raise _problem(file, f"match: needs mappings with some of {', '.join(sorted(_SHAPE_KEYS))}")
    return Shape(
        starts=str(found.get("starts", "")),
        contains=_texts(found.get("contains")),
        ends=str(found.get("ends", "")),
        without=str(found.get("without", "")),
        errnos=frozenset(map(int, _listed(found["errno"]))) if "errno" in found else None,
        phases=frozenset(_texts(found["phase"])) if "phase" in found else None,
        levels=frozenset(_texts(found["level"])) if "level" in found else None,
        raw=bool(found.get("raw", False)),
    )
