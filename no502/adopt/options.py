"""The words of a start command by what they set, and what becomes of each under the ladder."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from no502.adopt.written import Word
from no502.doctor.readers.gunicorn_defaults import UVICORN, gunicorn_options

__all__ = ["COMPUTED", "Option", "gunicorn_words", "uvicorn_words"]

COMPUTED: Mapping[str, str] = {
    "worker_class": "HandoverWorker has a replacement before it drains; the class comes from gunicorn_conf",
    "timeout": "computed from PROXY_READ_TIMEOUT",
    "graceful_timeout": "computed from PROXY_READ_TIMEOUT and PROXY_KEEPALIVE_TIMEOUT",
    "keepalive": "computed from PROXY_KEEPALIVE_TIMEOUT: longer than nginx keeps an idle connection",
    "max_requests": "GUNICORN_MAX_REQUESTS, 1000 unless it is set",
    "max_requests_jitter": "computed from max_requests and the number of workers",
    "threads": "an ASGI worker has no use for it",
    "reuse_port": "a worker that drains would lose its own accept queue",
}
"""gunicorn's settings that a configuration of one's own and a command line leave to the ladder, each with why."""


@cache
def _without_value() -> frozenset[str]:
    """Return uvicorn's options that take no value, and those of ``fastapi run`` beside them."""
    from uvicorn.main import main

    flags = [one for one in main.params if getattr(one, "is_flag", False)]
    return frozenset(word for one in flags for word in (*one.opts, *one.secondary_opts)) | {"--help"}


@dataclass(frozen=True)
class Option:
    """One option as it is written."""

    name: str
    """gunicorn's setting, or uvicorn's flag; ``application`` for the words that are no option."""
    value: str | None
    """Its value with quotes and variables; None for a flag."""
    first: int
    last: int
    """Indices of its words."""


def _options(
    words: Sequence[Word], raw: Sequence[str], begin: int, takes: Mapping[str, tuple[str, bool]]
) -> Iterator[Option]:
    index = begin
    while index < len(words):
        word = words[index].text
        flag, equals, _ = word.partition("=")
        if not word.startswith("-") or word in {"-", "--"}:
            yield Option("application", raw[index], index, index)
        elif not word.startswith("--") and word[:2] in takes and takes[word[:2]][1] and len(word) > 2:
            yield Option(takes[word[:2]][0], word[2:], index, index)
        else:
            name, value = takes.get(flag, (flag, False))
            if equals:
                yield Option(name, raw[index].partition("=")[2].strip("\"'"), index, index)
            elif value and index + 1 < len(words):
                yield Option(name, raw[index + 1], index, index + 1)
                index += 1
            else:
                yield Option(name, None, index, index)
        index += 1


def gunicorn_words(words: Sequence[Word], raw: Sequence[str]) -> list[Option]:
    """Return gunicorn's options by setting; unambiguous abbreviations count, as argparse has it."""
    known = dict(gunicorn_options())
    for word in words:
        flag = word.text.partition("=")[0]
        if flag.startswith("--") and flag not in known:
            close = {known[name] for name in known if name.startswith(flag)}
            if len(close) == 1:
                known[flag] = close.pop()
    return list(_options(words, raw, 1, known))


def uvicorn_words(words: Sequence[Word], raw: Sequence[str]) -> list[Option]:
    """Return uvicorn's options, or those of ``fastapi run``, by flag."""
    begin = 2 if words[0].text.rsplit("/", 1)[-1] == "fastapi" else 1
    flags = {word.text.partition("=")[0] for word in words if word.text.startswith("--")} | set(UVICORN)
    takes = {flag: (flag, flag not in _without_value() and not re.match(r"--no-", flag)) for flag in flags}
    return list(_options(words, raw, begin, takes))
