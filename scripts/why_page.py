"""A hook of mkdocs: what the page "Why 502?" works with, made from the catalogue and from doctor's own patterns.

``javascripts/messages.js`` exists only in the built site. It has the patterns of ``no502.doctor.logs`` translated to
JavaScript, and every message of ``no502/messages``: there is no second list of either. Where Pyodide has been fetched
(``browser_python.py``, ``make docs``) the site has it and doctor's own files too, and the page takes files.
"""

from __future__ import annotations

import json
from typing import Any

from _javascript_regex import translate
from browser_python import built, packages
from mkdocs.structure.files import File

from no502.doctor.logs.access import COMBINED_STATUS, JSON_STATUS
from no502.doctor.logs.parse import tables
from no502.ladder.fronts import FRONTS
from no502.messages import Message, Severity, Shape, messages
from no502.messages.catalogue import STOP_WORDS
from no502.messages.phrases import COMMON, PHRASES, Phrase

__all__ = ["javascript", "on_files", "on_page_markdown", "on_post_page"]

PAGE = "why-502.md"
DATA = "javascripts/messages.js"
PYTHON = "javascripts/pyodide.js"
PACKAGES = "javascripts/doctor-packages.js"

_OWN = "'self' file: data: blob: 'unsafe-inline' 'wasm-unsafe-eval'"
_RULES = f"default-src {_OWN}; connect-src 'none'; form-action 'none'; base-uri 'none'"
POLICY = f'<meta http-equiv="Content-Security-Policy" content="{_RULES}">'
"""No fetch, beacon, WebSocket, form, picture or script of the page reaches another address; what it needs comes by
script elements. ``file:`` is this site's own folder."""


def on_files(files: Any, *, config: Any, **_: object) -> Any:
    """Add the data."""
    files.append(File.generated(config, DATA, content=javascript()))
    pyodide = built()
    if pyodide is not None:
        files.append(File.generated(config, PYTHON, content=pyodide.read_bytes()))
        files.append(File.generated(config, PACKAGES, content=packages()))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: object) -> str:
    """Say what dropping files loads, or that this copy of the site cannot do it; list the front proxies."""
    if page.file.src_uri != PAGE:
        return markdown
    fronts = "".join(f"<option>{name}</option>" for name in FRONTS)
    return markdown.replace("<!-- files -->", _files_line()).replace("<!-- fronts -->", fronts)


def _files_line() -> str:
    pyodide = built()
    if pyodide is None:
        words = "it was built without npm. Run <code>make docs</code> where npm is installed."
        return f'<p id="why-weight" data-python="">This copy of the site takes no files: {words}</p>'
    weight = (pyodide.stat().st_size + len(packages())) / 1e6
    words = (
        f"The first file loads Python for the browser from this site, {weight:.1f} MB; nothing is loaded before. "
        "The first finding comes after about 6 seconds of CPU time, the next ones at once."
    )
    return f'<p id="why-weight" data-python="yes">{words}</p>'


def on_post_page(output: str, *, page: Any, **_: object) -> str:
    """Let the browser itself keep the promise that the page sends nothing."""
    if page.file.src_uri != PAGE:
        return output
    return output.replace("<head>", f"<head>\n{POLICY}", 1)


def javascript() -> str:
    """Return the data as a script that sets ``window.no502Messages``; a page from a folder cannot fetch JSON."""
    known = tables()
    patterns = {**known["patterns"], "status": COMBINED_STATUS, "jsonStatus": JSON_STATUS}
    data = {
        **known,
        "patterns": {name: translate(pattern) for name, pattern in patterns.items()},
        "stopWords": sorted(STOP_WORDS),
        "commonWords": sorted(COMMON),
        "phrases": [_phrase(phrase) for phrase in PHRASES],
        "severities": [severity.value for severity in Severity],
        "messages": [_message(message) for message in messages()],
    }
    return f"// Made from no502/messages when the site is built.\nwindow.no502Messages = {json.dumps(data)};\n"


def _message(message: Message) -> dict[str, Any]:
    return {
        "id": message.id,
        "slug": message.slug,
        "title": message.title,
        "programs": message.programs,
        "levels": message.levels,
        "severity": message.severity.value,
        "nginx": message.nginx,
        "shapes": [_shape(shape) for shape in message.shapes],
        "words": " ".join((message.title, *message.names, *message.texts)).lower(),
        "cause": message.cause,
        "get": message.get,
        "post": message.post,
        "sections": {heading: list(items) for heading, items in message.sections.items()},
        "rules": message.rules,
    }


def _phrase(phrase: Phrase) -> dict[str, Any]:
    words = {*phrase.allows, *(word for needed in phrase.needs for word in needed)}
    return {"needs": [list(needed) for needed in phrase.needs], "words": sorted(words), "messages": phrase.messages}


def _shape(shape: Shape) -> dict[str, Any]:
    """Return a shape without what is empty in it."""
    every = {
        "starts": shape.starts,
        "contains": list(shape.contains),
        "ends": shape.ends,
        "without": shape.without,
        "errnos": None if shape.errnos is None else sorted(shape.errnos),
        "phases": None if shape.phases is None else sorted(shape.phases),
        "levels": None if shape.levels is None else sorted(shape.levels),
        "raw": shape.raw,
    }
    return {name: value for name, value in every.items() if value not in ("", [], None, False)}
