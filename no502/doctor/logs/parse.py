"""One line of any of the logs: which program wrote it, when, and what it says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from no502.doctor.logs.reading import MAX_LINE
from no502.messages import messages

__all__ = [
    "Line",
    "Spoken",
    "is_access_line",
    "is_record",
    "parse",
    "printable",
    "shown",
    "spoken",
    "tables",
    "time_of",
    "with_text",
]

_NGINX = re.compile(
    rb"\[(emerg|alert|crit|error|warn|notice|info)\] \d+#\d+: (?:\*(\d+) )?([^\r\n]+)",
)
_NGINX_START = re.compile(rb"nginx: \[(emerg|alert|crit|error|warn)\] (?:\*(\d+) )?([^\r\n]+)")
"""What nginx writes to standard error before it has its log."""
_TIME = re.compile(rb"(\d{4})[-/](\d\d)[-/](\d\d)[T ](\d\d:\d\d:\d\d)")
_ACCESS_TIME = re.compile(rb"\[(\d\d)/(\w{3})/(\d{4}):(\d\d:\d\d:\d\d)")
_SYSLOG_TIME = re.compile(rb"(?:^|[^\w])(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) +(\d{1,2}) (\d\d:\d\d:\d\d)")
_NAMES = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")
_MONTHS = {name: number for number, name in enumerate(_NAMES, start=1)}
_TIME_WITHIN = 400
_FIELD_START = re.compile(r", (?:client|server|request|upstream|host|subrequest|referrer): ")
_REQUEST = re.compile(r', request: "([A-Z]{1,20}) (\S+)')
_UPSTREAM = re.compile(r', upstream: "([^"]*)"')
_ERRNO = re.compile(r"\((\d{1,5}): ")
_PHASE = re.compile(r" while (.+)$")
_ROUTER = re.compile(r'method=([A-Z]{1,20}) path="([^"]*)"|"([A-Z]{3,20}) (\S+) HTTP/')
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_PREFIXES = re.compile(
    r"(?:> "
    r"|[\w.-]{1,80} +\| ?"  # docker compose
    r"|\[pod/[^\]]{1,200}\] "  # kubectl logs --prefix
    r"|\[ *\d+\.\d+\] "  # dmesg
    r"|\d{4}-\d\d-\d\dT[\d:.,]+(?:Z|[+-]\d\d:?\d\d) (?:std(?:out|err) [FP] )?"  # containerd; kubectl --timestamps
    r"|(?:<\d+>)?[A-Z][a-z]{2} +\d{1,2} \d\d:\d\d:\d\d [\w.-]+ (?=\S+: )"  # syslog and journald
    r"|[\w.-]{1,80} (?=(?:systemd|kernel|gunicorn|uvicorn|supervisord|dockerd)(?:\[\d+\])?: )"  # the host's name
    r"|[\w./@-]{1,80}\[[\w.-]+\]: "
    r"|kernel: "
    r")"
)
_ACCESS = re.compile(rb' HTTP/[\d.]+\\?"')
_MOST_PREFIXES = 5
_LEVEL = re.compile(
    r"(?:^|[\s\[|:\"-])(DEBUG|INFO|WARN|WARNING|ERROR|CRITICAL)"
    r"(?::[\w.]+:(?=\S)"  # logging.basicConfig: ERROR:name:message
    r"|[\]:|\s-]+(?:[\w.]+:[\w.<>]+:\d+ +- +"  # loguru: ERROR | name:function:line - message
    r"|(?:gunicorn|uvicorn)(?:\.\w+)?[\]:|\s-]+)?(?=\S))"
    r"|\[(?:debug|info|warning|error|critical) *\] +"  # structlog
)
_LEVEL_WITHIN = 160
_GUNICORN = re.compile(r"\[\d+\] \[(?:ERROR|CRITICAL)\] ")
_WRITER = re.compile(r"\] \[(\d+)\] \[")
_UVICORN = re.compile(r"(?:ERROR: {4}|CRITICAL: )\S")
_ANY_ERROR = ("[ERROR] ", "[CRITICAL] ", "ERROR:    ", "CRITICAL: ", "ERROR\x1b[0m:", "CRITICAL\x1b[0m:")
_SEPARATED = bytes(code if chr(code).isalnum() and code < 128 else 32 for code in range(256))
_COMMON = frozenset(b"code error failed from in level method process request status timeout upstream with".split())
"""Words of ordinary lines: they decide nothing unless a message has no other."""
_SPOKEN = re.compile(
    rb"\] \[\d+\] \[(?P<gunicorn>DEBUG|INFO|WARNING|ERROR|CRITICAL) *\] "
    rb"|(?:^|[ |])(?:\x1b\[\d+m)?(?:(?P<uvicorn>DEBUG|INFO)|WARNING|ERROR)(?:\x1b\[0m)?: {2,5}\S"
    rb"|(?P<json>gunicorn|uvicorn)\.error\b"
)
_QUOTED = re.compile(r'"[^"]*"')
_BOUND = re.compile(rb"(?:Listening at:|Uvicorn running on) (?:\x1b\[\d+m)?https?://([\w.:\[\]-]+)")
_PID = re.compile(r"\(pid: ?(\d+)\)|[Pp]id (\d+)|process \[(\d+)\]|[Kk]illed process (\d+)|worker (\d+) |pid=(\d+)")
_BYTES = re.compile(rb'"MESSAGE"\s*+:\s*+\[([\d,\s]*+)(\]?)')
_RECORD = re.compile(
    rb"\d\d:\d\d:\d\d"
    rb"|\b(?:TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|CRITICAL|FATAL)\b"
    rb"|\b(?:level|lvl|severity)="
    rb"|\{\s*+\".*\}\s*+$"
    rb"|\[ *\d+\.\d{6}\] "
)
"""What a line of any log may have: a time of day, a level, a JSON object, or the seconds of dmesg."""
_LOGFMT = re.compile(
    rb"(?:^|[ \t])(?:level|lvl|severity|levelname)=[^\n]*?[ \t](?:msg|message|event)=(\"(?:[^\"\\]|\\.)*\")"
    rb"|(?:^|[ \t])(?:msg|message|event)=(\"(?:[^\"\\]|\\.)*\")[^\n]*?[ \t](?:level|lvl|severity|levelname)="
)
_JSON_MESSAGES = ("log", "message", "MESSAGE", "msg", "event", "error", "textPayload")


@dataclass(frozen=True, slots=True)
class Line:
    """One message."""

    nginx: bool
    time: str | None
    """``YYYY-MM-DD HH:MM:SS`` as written in the line (no time zone is applied); None where the line has none."""
    level: str
    text: str
    """The message without its fields."""
    connection: str = ""
    """nginx's ``*N``."""
    method: str = ""
    uri: str = ""
    upstream: str = ""
    errno: int | None = None
    phase: str = ""
    terminal: bool = False
    """Whether nginx wrote it to standard error before it had its log."""
    record: str = ""
    """The whole line, where a message of the catalogue is recognised by it."""
    server: bool = False
    """Whether gunicorn or uvicorn wrote it at level ERROR or CRITICAL."""
    pid: int | None = None
    """The process that the message is about."""
    writer: int | None = None
    """The process that wrote it, where gunicorn's format says so."""


def parse(raw: bytes) -> Line | None:
    """Return what a line says; None for one that is certainly no message of the catalogue and no error."""
    if b"] " in raw and b"#" in raw:
        match = _NGINX.search(raw, 0, MAX_LINE)
        if match:
            unwrapped = _unwrap(raw) if b'\\"' in raw else raw
            match = _NGINX.search(unwrapped, 0, MAX_LINE)
            return _nginx_line(unwrapped, match) if match else None
    if b"nginx: [" in raw and (match := _NGINX_START.search(raw, 0, MAX_LINE)):
        return _nginx_line(raw, match, terminal=True)
    of_record, of_text = _triggers()
    words = raw.translate(_SEPARATED).split()
    if not of_record.keys().isdisjoint(words) and _stands_in(raw, of_record, words):
        return _server_line(raw, record=True)
    if of_text.keys().isdisjoint(words) or is_access_line(raw) or not _stands_in(raw, of_text, words):
        return None
    return _server_line(raw, record=False)


@dataclass(frozen=True, slots=True)
class Spoken:
    """What any line of gunicorn or uvicorn tells about its log, whether the catalogue has the line or not."""

    program: str
    """``gunicorn`` or ``uvicorn``."""
    informs: bool
    """Whether it is of level INFO or DEBUG: the log hides no event."""
    bound: str
    """The address at which the server says it listens; empty: it is not such a line."""


def spoken(raw: bytes) -> Spoken | None:
    """Return what a line tells about a server's log; None where neither gunicorn nor uvicorn wrote it."""
    if b"] [" not in raw and b":  " not in raw and b"icorn.error" not in raw:
        return None
    match = _SPOKEN.search(raw, 0, MAX_LINE)
    if match is None:
        return None
    program = match["json"].decode() if match["json"] else "uvicorn" if match["gunicorn"] is None else "gunicorn"
    level = match["gunicorn"] or match["uvicorn"] or (raw.upper() if match["json"] else b"")
    informs = b"INFO" in level or b"DEBUG" in level
    bound = _BOUND.search(raw, 0, MAX_LINE)
    return Spoken(program, informs, bound[1].decode() if bound else "")


def is_access_line(raw: bytes) -> bool:
    """Return whether a line is about one request: an access log of nginx, gunicorn or uvicorn, or a JSON one."""
    return (
        _ACCESS.search(raw) is not None or b'"upstream_status"' in raw or b'"logger":"http.log.access' in raw  # Caddy's
    )


def printable(text: str, limit: int = 200) -> str:
    """Return text that cannot steer a terminal, shortened to ``limit`` characters."""
    shown = text[: limit + 1]
    if not shown.isprintable():
        shown = "".join(character if character.isprintable() else "?" for character in shown)
    return shown if len(shown) <= limit else f"{shown[: limit - 3]}..."


def shown(text: str) -> str:
    """Return a message as it stands in the log, without what is in quotation marks: that may be a secret."""
    return printable(_QUOTED.sub('"..."', text), 160)


@cache
def _triggers() -> tuple[dict[bytes, tuple[bytes, ...]], dict[bytes, tuple[bytes, ...]]]:
    """Return the words that start a closer look, for records and for other lines, each with the texts to look for.

    Every message that is not nginx's has one word that decides: a line without any of the words costs two microseconds,
    however many messages there are.
    """
    shapes = [shape for message in messages() if not message.nginx for shape in message.shapes]
    records = [(shape.starts, *shape.contains, shape.ends) for shape in shapes if shape.raw]
    texts = [(shape.starts, *shape.contains, shape.ends) for shape in shapes if not shape.raw]
    return _by_word(records), _by_word([*texts, *((error,) for error in _ANY_ERROR)])


def _by_word(shapes: Iterable[Sequence[str]]) -> dict[bytes, tuple[bytes, ...]]:
    found: dict[bytes, dict[bytes, None]] = {}
    for parts in shapes:
        word, text = max((_best_word(part.encode()), part.encode()) for part in parts if part)
        found.setdefault(word[-1], {})[text] = None
    return {word: tuple(texts) for word, texts in found.items()}


def _best_word(text: bytes) -> tuple[bool, bool, int, bytes]:
    """Return the word of a text that decides best: a whole one, not one of every log, and a long one."""
    separated = text.translate(_SEPARATED)
    words = separated.split()
    ranked = [
        (
            (position > 0 or separated[:1] == b" ") and (position < len(words) - 1 or separated[-1:] == b" "),
            word not in _COMMON,
            len(word),
            word,
        )
        for position, word in enumerate(words)
    ]
    return max(ranked, default=(False, False, 0, b""))


def _stands_in(raw: bytes, by_word: dict[bytes, tuple[bytes, ...]], words: Iterable[bytes]) -> bool:
    return any(text in raw for word in words for text in by_word.get(word, ()))


def time_of(raw: bytes) -> str | None:
    """Return the time in a line as ``YYYY-MM-DD HH:MM:SS``, None where it has none.

    A line of syslog has no year: it is this year's, or the last year's if that would be in the future.
    """
    if match := _TIME.search(raw, 0, _TIME_WITHIN):
        return b"%s-%s-%s %s".__mod__(match.groups()).decode("ascii")
    if (match := _ACCESS_TIME.search(raw, 0, _TIME_WITHIN)) and match[2] in _MONTHS:
        return f"{match[3].decode()}-{_MONTHS[match[2]]:02}-{match[1].decode()} {match[4].decode()}"
    if match := _SYSLOG_TIME.search(raw, 0, _TIME_WITHIN):
        now = datetime.now().astimezone()
        month, day = _MONTHS[match[1]], int(match[2])
        year = now.year - ((month, day) > (now.month, now.day + 1))
        return f"{year}-{month:02}-{day:02} {match[3].decode()}"
    return None


def is_record(raw: bytes) -> bool:
    """Whether a line looks like one of a log, whatever program wrote it."""
    return _RECORD.search(raw, 0, MAX_LINE) is not None or time_of(raw) is not None


def with_text(raw: bytes) -> bytes:
    """Return a line of ``journalctl -o json`` whose MESSAGE is an array of bytes with that message as text.

    journald writes an array where a message has control characters, such as uvicorn's colours, or is not UTF-8. Every
    other line is returned as it is. https://systemd.io/JOURNAL_EXPORT_FORMATS/
    """
    if b'"MESSAGE"' not in raw or (match := _BYTES.search(raw)) is None:
        return raw
    text = bytes(int(one) for one in match[1].split(b",") if one.strip().isdigit() and len(one) < 5 and int(one) < 256)
    message = json.dumps(_COLOURS.sub("", text.decode("utf-8", "replace")), ensure_ascii=False).encode()
    if not match[2]:  # cut off within the array: the rest of the object is lost
        return b'{"MESSAGE":' + message + b"}"
    return raw[: match.start()] + b'"MESSAGE":' + message + raw[match.end() :]


def tables() -> dict[str, Any]:
    """Return what this module recognises lines with, by name, for the page that does the same in JavaScript.

    ``patterns`` are compiled expressions; everything else is data that JSON can hold.
    """
    records, texts = _triggers()
    return {
        "patterns": {
            "nginx": _NGINX,
            "nginxStart": _NGINX_START,
            "fieldStart": _FIELD_START,
            "errno": _ERRNO,
            "phase": _PHASE,
            "logfmt": _LOGFMT,
            "colours": _COLOURS,
            "prefixes": _PREFIXES,
            "level": _LEVEL,
            "gunicorn": _GUNICORN,
            "uvicorn": _UVICORN,
            "access": _ACCESS,
            "time": _TIME,
            "accessTime": _ACCESS_TIME,
        },
        "maxLine": MAX_LINE,
        "mostPrefixes": _MOST_PREFIXES,
        "levelWithin": _LEVEL_WITHIN,
        "timeWithin": _TIME_WITHIN,
        "jsonKeys": _JSON_MESSAGES,
        "months": [name.decode() for name in _NAMES],
        "records": {word.decode(): [text.decode() for text in found] for word, found in records.items()},
        "texts": {word.decode(): [text.decode() for text in found] for word, found in texts.items()},
    }


def _nginx_line(raw: bytes, match: re.Match[bytes], *, terminal: bool = False) -> Line:
    text = match[3].decode("utf-8", "replace")
    start = _FIELD_START.search(text)
    head, fields = (text, "") if start is None else (text[: start.start()], text[start.start() :])
    request = _REQUEST.search(fields)
    upstream = _UPSTREAM.search(fields)
    errno = _ERRNO.search(head)
    phase = _PHASE.search(head)
    return Line(
        nginx=True,
        time=time_of(raw),
        level=match[1].decode("ascii"),
        text=head,
        connection=(match[2] or b"").decode("ascii"),
        method=request[1] if request else "",
        uri=request[2] if request else "",
        upstream=upstream[1] if upstream else "",
        errno=int(errno[1]) if errno else None,
        phase=phase[1] if phase else "",
        terminal=terminal,
    )


def _unwrap(raw: bytes) -> bytes:
    """Return the text inside a line of JSON (Docker's json-file, a JSON formatter) or logfmt; else the line itself."""
    if b'="' in raw and (match := _LOGFMT.search(raw, 0, MAX_LINE)):
        return _unquoted(match[1] or match[2], raw)
    start = raw.find(b"{")
    if start < 0 or (start and raw[:start].strip()[-1:] not in (b"|", b"F", b"P", b"]")):
        return raw
    try:
        found = json.loads(raw[start:])
    except (ValueError, RecursionError):
        return raw
    if not isinstance(found, dict):
        return raw
    inner = found.get("jsonPayload")
    for source in (found, inner if isinstance(inner, dict) else {}):
        for key in _JSON_MESSAGES:
            value = source.get(key)
            if isinstance(value, str):
                return value.encode("utf-8", "replace")
    return raw


def _unquoted(quoted: bytes, raw: bytes) -> bytes:
    try:
        return str(json.loads(quoted)).encode("utf-8", "replace")
    except ValueError:
        return raw


def _server_line(raw: bytes, *, record: bool) -> Line:
    inner = _unwrap(raw)
    whole = raw.decode("utf-8", "replace")
    text = _stripped(inner.decode("utf-8", "replace"))
    server = _GUNICORN.search(text) is not None or _UVICORN.match(text) is not None
    level = _LEVEL.search(text, 0, _LEVEL_WITHIN)
    said = text[level.end() :] if level else text
    request = _ROUTER.search(whole) if record else None
    pid = _PID.search(said)
    writer = _WRITER.search(text)
    return Line(
        nginx=False,
        time=time_of(inner) or time_of(raw),
        level=(level[1] or "") if level else "",
        text=said,
        method=(request[1] or request[3]) if request else "",
        uri=(request[2] or request[4]) if request else "",
        record=whole if record else "",
        server=server,
        pid=int(next(number for number in pid.groups() if number)) if pid else None,
        writer=int(writer[1]) if writer else None,
    )


def _stripped(text: str) -> str:
    """Return a line without colours and without what Docker, Kubernetes, journald or syslog put in front."""
    if "\x1b[" in text:
        text = _COLOURS.sub("", text)
    text = text.strip()
    for _ in range(_MOST_PREFIXES):
        match = _PREFIXES.match(text)
        if match is None or match.end() == 0:
            break
        text = text[match.end() :]
    return text.lstrip()
