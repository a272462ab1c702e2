"""A hook of mkdocs: one page per message of the catalogue, their index and their part of the navigation.

The pages exist only in the built site: ``no502/messages`` is what people edit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from _recorded import anchor, counted, message_of, recorded
from mkdocs.structure.files import File

from no502.messages import GROUPS, SYMPTOMS, Message, Severity, by_name, messages

__all__ = ["by_program", "by_symptom", "on_config", "on_files", "on_page_markdown", "page"]

INDEX = "errors/index.md"
TAB = "Errors"

_HIDDEN = {"info", "notice", "warn", "debug"}
"""Levels of nginx that a log at its default level, error, does not contain."""
_ID = re.compile(r"(?<![`\w/])L[6-9]\d\d\b")
_FILE = re.compile(r"\]\((?:\.\./)+no502/messages/[a-z]+/([a-z0-9.-]+)\.md(#[^)]*)?\)")
"""A link from a page's source to a file of the catalogue."""
_HEADINGS = {
    "Causes": "Causes, the most likely first",
    "Check": "Check",
    "Immediate fix": "Immediate fix",
    "Permanent fix": "Permanent fix",
}
_BOOST = {Severity.ERROR: 1.5, Severity.WARNING: 1.3, Severity.INFO: 1.3}
_FREQUENT = 2.6
"""Weights in the search; search_boost.py has those of other pages."""
_NUMBERED = {"Causes", "Check"}


def on_config(config: Any) -> Any:
    """Put the pages below the tab, grouped by program."""
    for entry in config.nav or []:
        if TAB in entry:
            entry[TAB] = [
                INDEX,
                *({title: [{one.title: one.page} for one in _sorted(_of(group))]} for group, title in GROUPS.items()),
            ]
    return config


def on_files(files: Any, *, config: Any, **_: object) -> Any:
    """Add the pages."""
    results = recorded()["results"]
    for message in messages():
        files.append(File.generated(config, message.page, content=page(message, results)))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: object) -> str:
    """Fill the index, and let links to files of the catalogue lead to their pages.

    The sources link to the files, so that the links also work where nothing was built: in a checkout, on a forge.
    """
    up = "../" * page.file.src_uri.count("/")
    markdown = _FILE.sub(rf"]({up}errors/\1.md\2)", markdown)
    if page.file.src_uri != INDEX:
        return markdown
    return markdown.replace("<!-- by symptom -->", by_symptom()).replace("<!-- by program -->", by_program())


def page(message: Message, results: list[dict[str, Any]]) -> str:
    """Return the page of a message as Markdown.

    Args:
        message: Of the catalogue.
        results: Recorded results of the lab, whose lines are shown with the message.
    """
    lines = [
        "---",
        f"title: {_quoted(message.title)}",
        f"description: {_quoted(_plain(message.cause))}",
        f"search: {{boost: {_FREQUENT if message.frequent else _BOOST[message.severity]}}}",
        "---",
        "",
        f"# {_escaped(message.title)}",
        "",
        "```text",
        *message.texts,
        "```",
        "",
        _linked(message.cause),
        "",
        *_note(message),
        "| request | what the client gets |",
        "|---|---|",
        *_client(message),
        "",
    ]
    for heading, title in _HEADINGS.items():
        items = message.sections.get(heading, ())
        if items:
            lines += [f"## {title}", ""]
            lines += [
                f"{f'{number}.' if heading in _NUMBERED else '-'} {_linked(item)}"
                for number, item in enumerate(items, 1)
            ]
            lines.append("")
    lines += [*_service(message), *_facts(message), *_lab(message, results), *_forms(message)]
    return "\n".join(lines)


def by_symptom() -> str:
    """Return the messages below what a client or operator sees."""
    lines: list[str] = []
    for key, title in SYMPTOMS.items():
        lines += [f"### {title}", ""]
        lines += [f"- [{_escaped(one.title)}]({one.slug}.md)" for one in _sorted(messages()) if key in one.symptoms]
        lines.append("")
    return "\n".join(lines)


def by_program() -> str:
    """Return the messages below the programs that write them."""
    lines: list[str] = []
    for group, title in GROUPS.items():
        lines += [f"### {title}", ""]
        lines += ["| message | program | level | id |", "|---|---|---|---|"]
        for one in _sorted(_of(group)):
            level = ", ".join(one.levels) or "none"
            link = f"[{_cell(_escaped(one.title))}]({one.slug}.md)"
            lines.append(f"| {link} | {', '.join(one.programs)} | {level} | {one.id} |")
        lines.append("")
    return "\n".join(lines)


def _of(group: str) -> list[Message]:
    return [one for one in messages() if one.file.parent.name == group]


def _sorted(found: Any) -> list[Message]:
    order = list(GROUPS)
    return sorted(found, key=lambda one: (order.index(one.file.parent.name), one.id))


def _note(message: Message) -> Iterator[str]:
    programs = ", ".join(f"**{name}**" for name in message.programs)
    if not message.levels:
        yield f"Written by {programs}."
    else:
        yield f"Written by {programs} at level **{'** or **'.join(message.levels)}**."
    if message.nginx and set(message.levels) <= _HIDDEN:
        yield (
            "A log at nginx's default level (`error_log ... error`) does not contain it: "
            f"set `error_log /var/log/nginx/error.log {message.levels[0]};` to see it."
        )
    yield ""


def _client(message: Message) -> Iterator[str]:
    if message.get == message.post:
        yield f"| any | {_cell(_linked(message.get))} |"
    else:
        yield f"| GET, HEAD, PUT, DELETE | {_cell(_linked(message.get))} |"
        yield f"| POST, PATCH | {_cell(_linked(message.post))} |"


def _service(message: Message) -> Iterator[str]:
    """Yield what the message means in a generated service, where its ``ops/diagnose`` looks for it."""
    if message.service is None:
        return
    yield from ("## In a service that `no502 new` generated", "")
    yield f"`sh ops/diagnose` counts these lines as `{message.service.cause}`, a section of `ops/runbook.md`."
    yield ""
    yield from (f"- **{name}:** {_linked(text)}" for name, text in message.service.section.items())
    yield ""


def _facts(message: Message) -> Iterator[str]:
    yield from ("## Facts", "", "| fact | value |", "|---|---|")
    yield f"| id | {message.id} (`no502 doctor explain {message.id}`) |"
    if message.versions:
        yield f"| versions | {_cell(_linked(message.versions))} |"
    if message.rules:
        rules = ", ".join(f"[{rule}](../doctor/{rule}.md)" for rule in message.rules)
        yield f"| found in files by | {rules} |"
    yield f"| seen or written in | {_cell(_linked(message.source))} |"
    yield ""


def _lab(message: Message, results: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the lab's scenarios in which the message appears, each with the recorded lines."""
    head = ["## In the lab", ""]
    for result in results:
        wild, fixed = result["wild"], result["no502"]
        own = [line for line in wild["log"] if message_of(line) == message.id]
        if own:
            name = f"[`no502 lab {result['scenario']}`](../lab.md#{anchor(result['title'])})"
            got = f"in the wild {counted(wild)}; with no502 {counted(fixed)}"
            yield from (*head, f"{name} recorded, {got}:", "", "```text", *own, "```", "")
            head = []


def _forms(message: Message) -> Iterator[str]:
    """Yield the other forms as headings of their own, so that the search finds each of them."""
    for name in message.names:
        yield from (f"## {_escaped(name)}", "", "Another name for what this page explains.", "")
    others = [text for text in message.texts if text != message.title]
    if others:
        yield from ("## Other forms of the message", "")
        for text in others:
            yield from (f"### {_escaped(text)}", "", "The same message in another form: all of this page applies.", "")


def _linked(text: str) -> str:
    """Return a text with links at the ids of messages."""

    def link(match: re.Match[str]) -> str:
        found = by_name(match[0])
        return f"[{match[0]}]({found.slug}.md)" if found else match[0]

    return _ID.sub(link, text)


def _escaped(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>#|])", r"\\\1", text)


def _cell(text: str) -> str:
    return re.sub(r"(?<!\\)\|", r"\\|", text)


def _plain(text: str) -> str:
    return text.replace("`", "").replace("**", "")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
