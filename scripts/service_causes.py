"""Write the causes of the catalogue of messages into the generated service's ``ops/diagnose`` and ``ops/runbook.md``.

Both keep what is no log line: a container that does not run, an endpoint that does not answer. With ``--check`` nothing
is written, and the exit code is 1 if a file is not what the catalogue gives.
"""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path

from no502.messages import Cause, Message, Shape, causes

__all__ = ["OPS", "diagnose", "runbook"]

ROOT = Path(__file__).resolve().parent.parent
(OPS,) = (ROOT / "template").glob("{{*}}/ops")

_BEGIN = "# ---------------------------------------------------------------- from no502's catalogue of log messages\n"
_END = "# ---------------------------------------------------------------------------- end of what is a copy\n"
_LIST = re.compile(r"(?<=^causes\(\) \{\n    cat <<'TEXT'\n)(?:[a-z-]+\|.*\n)+", re.MULTILINE)
_STATE = re.compile(r'\b(?:problem|warning) ([a-z]+(?:-[a-z]+)*) "')
_SECTION = re.compile(r"^## ([a-z]+(?:-[a-z]+)*)\n\n(?:(?!#).*\n)*", re.MULTILINE)
_NAME = re.compile(r"`([a-z]+(?:-[a-z]+)*)`")
_TEXTS = 2
"""Forms of one message that a section of the runbook shows."""
_WIDTH = 120
_UNDER_SYSTEMD = {
    "`docker compose exec nginx nginx -t`": "`nginx -t`",
    "`nginx -s reload`": "`systemctl reload nginx`",
    "`docker system df`": "`journalctl --disk-usage`",
    "`compose.yaml`": "the units",
    "`stop_grace_period`": "`TimeoutStopSec`",
    "`nginx/nginx.conf`": "`/etc/nginx/nginx.conf`",
    "`.env`": "`/etc/{{ cookiecutter.__project_slug }}/environment`",
}
"""What a service has instead that runs under systemd: its runbook is rendered with the answers of the template."""
_LEFT = "# More log lines\n\n"
"""Heading for the sections of causes that the runbook has put nowhere else."""


def diagnose(text: str, found: Iterable[Cause]) -> str:
    """Return ``ops/diagnose`` with the catalogue's classifier, and with its causes in the list.

    The list keeps its order, the likely root first; a new cause is put at its end.
    """
    by_name = {cause.name: cause for cause in found}
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    states = set(_STATE.findall(before + after))
    lines = [line.split("|", 1) for line in _only(_LIST, text).splitlines()]
    listed = [(name, by_name[name].says if name in by_name else says) for name, says in lines]
    kept = [one for one in listed if one[0] in by_name or one[0] in states]
    new = [(name, cause.says) for name, cause in by_name.items() if name not in dict(listed)]
    before = _LIST.sub(lambda _: "".join(f"{name}|{says}\n" for name, says in [*kept, *new]), before)
    return before + _BEGIN + _classifier(by_name.values()) + _END + after


def runbook(text: str, found: Iterable[Cause], states: set[str]) -> str:
    """Return ``ops/runbook.md`` with the sections of the catalogue's causes.

    Args:
        text: The present file. A section stays where it is; those of causes that are gone are left out.
        found: The causes.
        states: The causes of ``ops/diagnose`` that are no log lines: their sections are the runbook's own.
    """
    by_name = {cause.name: cause for cause in found}
    links = {*by_name, *states, *_SECTION.findall(text)}
    seen = set()

    def section(match: re.Match[str]) -> str:
        name = match[1]
        seen.add(name)
        return _section(by_name[name], links) if name in by_name else match[0] if name in states else ""

    text = _SECTION.sub(section, text)
    left = [_section(cause, links) for name, cause in by_name.items() if name not in seen]
    if not left:
        return text.rstrip("\n").removesuffix(_LEFT.strip()).rstrip("\n") + "\n"
    heading = "" if _LEFT in text else _LEFT
    return (text.rstrip("\n") + "\n\n" + heading + "".join(left)).rstrip("\n") + "\n"


def states_of(text: str) -> set[str]:
    """Return the causes that ``ops/diagnose`` finds by looking at something else than a log."""
    before, _, rest = text.partition(_BEGIN)
    return set(_STATE.findall(before + rest.partition(_END)[2]))


def _only(pattern: re.Pattern[str], text: str) -> str:
    (match,) = pattern.findall(text)
    return str(match)


def _classifier(found: Iterable[Cause]) -> str:
    found = list(found)
    lines = [
        "# The causes whose lines are worth a look but no failure of the service.",
        "is_mild() {",
        "    case $1 in",
        *_wrapped_names([cause.name for cause in found if cause.mild]),
        "    *) return 1 ;;",
        "    esac",
        "}",
        "",
        "# For awk: the cause that a message shows, empty for none. `text` is the message, `line` all of its line,",
        "# `number` and `phase` nginx's `(N: ...)` and `while ...`, `level` its level.",
        "classifier() {",
        "    cat <<'AWK'",
        "function starts(with) { return substr(text, 1, length(with)) == with }",
        "function ends(with,   at) { at = length(text) - length(with) + 1; return at > 0 && substr(text, at) == with }",
        "function has(part) { return index(text, part) > 0 }",
        "function line_has(part) { return index(line, part) > 0 }",
    ]
    shown = sorted(
        ((message, cause) for cause in found for message in cause.messages),
        key=lambda pair: (pair[0].last, pair[0].id),
    )
    for name, wanted in (("nginx", _by_nginx), ("app", _by_a_server), ("kernel", _by_the_kernel)):
        lines.append(f"function cause_of_{name}() {{")
        for message, cause in shown:
            if wanted(message):
                lines += [f'    if ({condition}) return "{cause.name}"' for condition in _conditions(message)]
        lines += ['    return ""', "}"]
    return "\n".join([*lines, "AWK", "}", ""])


def _wrapped_names(names: Iterable[str]) -> list[str]:
    """Return a pattern of ``case`` that fits any of the names."""
    text = " | ".join(names)
    return [f"    {line.removesuffix(' |')}) ;;" for line in textwrap.wrap(text, _WIDTH - 10, break_on_hyphens=False)]


def _by_nginx(message: Message) -> bool:
    return message.nginx


def _by_the_kernel(message: Message) -> bool:
    return "Linux" in message.programs


def _by_a_server(message: Message) -> bool:
    return not message.nginx and not _by_the_kernel(message)


def _conditions(message: Message) -> Iterator[str]:
    """Yield what ``Shape.fits`` says in awk; shapes that differ only in their first text share a condition."""
    grouped: dict[tuple[str, ...], list[str]] = {}
    for shape in message.shapes:
        parts = tuple(_parts(shape))
        grouped.setdefault(parts[1:], []).append(parts[0])
    for rest, firsts in grouped.items():
        either = " || ".join(firsts)
        yield " && ".join([f"({either})" if rest and len(firsts) > 1 else either, *rest])


def _parts(shape: Shape) -> Iterator[str]:
    has = "line_has" if shape.raw else "has"
    if shape.starts:
        yield f"starts({_quoted(shape.starts)})"
    yield from (f"{has}({_quoted(part)})" for part in shape.contains)
    if shape.ends:
        yield f"ends({_quoted(shape.ends)})"
    if shape.without:
        yield f"!{has}({_quoted(shape.without)})"
    if shape.errnos is not None:
        yield f"number ~ /^({'|'.join(map(str, sorted(shape.errnos)))})$/"
    for name, values in (("phase", shape.phases), ("level", shape.levels)):
        if values is not None:
            tests = " || ".join(f"{name} == {_quoted(value)}" for value in sorted(values))
            yield f"({tests})" if len(values) > 1 else tests


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _section(cause: Cause, links: set[str]) -> str:
    lines = ", ".join(
        f"{' or '.join(f'`{text}`' for text in message.texts[:_TEXTS])} ({message.id})" for message in cause.messages
    )
    items = {"Line": lines, "Means": cause.means, "Do": cause.do, "Verify": cause.verify}
    written = "\n".join(
        _wrapped(f"- **{name}:** {text if name == 'Line' else _linked(text, links)}") for name, text in items.items()
    )
    return _for_each_target(f"## {cause.name}\n\n{written}\n\n")


def _for_each_target(text: str) -> str:
    """Return the section with both forms of what differs under systemd, for cookiecutter to choose from."""
    for elsewhere, here in _UNDER_SYSTEMD.items():
        both = f"{{% if cookiecutter.deploy == 'systemd' %}}{here}{{% else %}}{elsewhere}{{% endif %}}"
        text = text.replace(elsewhere, both)
    return text


def _linked(text: str, links: set[str]) -> str:
    return _NAME.sub(lambda match: f"[{match[1]}](#{match[1]})" if match[1] in links else match[0], text)


def _wrapped(text: str) -> str:
    """Return an item of a list in lines; code is never broken."""
    return "\n".join(_lines(text))


def _lines(text: str) -> Iterator[str]:
    line = ""
    for word in re.findall(r"(?:`[^`]*`|\S)+", text):
        if line and len(line) + 1 + len(word) > _WIDTH:
            yield line
            line = f"  {word}"
        else:
            line = f"{line} {word}" if line else word
    yield line


def main() -> int:
    """Write or compare; return 1 if something is stale."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if a file is stale")
    check = parser.parse_args().check
    found = causes()
    script, book = OPS / "diagnose", OPS / "runbook.md"
    text = script.read_text(encoding="utf-8")
    made = {script: diagnose(text, found), book: runbook(book.read_text(encoding="utf-8"), found, states_of(text))}
    stale = [path for path, made_text in made.items() if path.read_text(encoding="utf-8") != made_text]
    for path in stale:
        if check:
            print(f"{path.relative_to(ROOT)} is not what no502/messages gives (make sync)", file=sys.stderr)
        else:
            path.write_text(made[path], encoding="utf-8")
            print(f"no502/messages -> {path.relative_to(ROOT)}")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
