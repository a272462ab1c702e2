"""The page "Why 502?" says what ``no502 doctor explain`` says, in a real browser."""

from __future__ import annotations

import ast
import html
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from _javascript_regex import translate
from _recorded import recorded
from why_page import javascript

from no502.doctor.logs.explain import recognise
from no502.doctor.logs.findings import classify
from no502.doctor.logs.parse import parse
from no502.messages import messages, search
from tests.doctor_logs.lines import written
from tests.support.browser import title_after
from tests.support.commands import ROOT

_SCRIPT = ROOT / "docs" / "javascripts" / "why.js"
_PREFIXES = (
    "",
    "app-1  | ",
    "web | 2026-11-30T14:02:11.123456789Z ",
    "[pod/app-7d9f/app] ",
    "2026-11-30T14:02:11.123456789Z stderr F ",
    "Nov 30 14:02:11 host-1 gunicorn[431]: ",
    "<14>Nov 30 14:02:11 web systemd[1]: ",
    "[1234567.890123] ",
    "\x1b[31m",
    "> ",
    "größe 漢字 ",
    "\u00a0\u2003",
)
_RANDOM = 200


def _of_the_tests() -> Iterator[str]:
    """Yield every text in the tests of the logs that stands in their source, line by line."""
    for file in sorted((ROOT / "tests" / "doctor_logs").glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
                value = node.value
                yield from (value.decode("utf-8", "replace") if isinstance(value, bytes) else value).splitlines()


def _of_the_lab() -> Iterator[str]:
    for result in recorded()["results"]:
        for side in ("wild", "no502"):
            yield from result[side]["log"]


def _known() -> list[str]:
    """Return lines of which most are messages: the catalogue's, the tests' and the lab's."""
    catalogue = [written(message, text).decode() for message in messages() for text in message.texts]
    alone = [text for message in messages() for text in message.texts]
    every = dict.fromkeys([*catalogue, *alone, *_of_the_tests(), *_of_the_lab()])
    return [line for line in every if line.strip()]


def _random(known: list[str]) -> Iterator[str]:
    """Yield lines that no author thought of: other prefixes, JSON around them, parts cut off or put in."""
    chance = random.Random(502)
    for _ in range(_RANDOM):
        line = chance.choice(known)
        for change in chance.sample(range(6), chance.randint(1, 3)):
            at = chance.randint(0, len(line))
            match change:
                case 0:
                    line = chance.choice(_PREFIXES) + line
                case 1:
                    line = json.dumps({chance.choice(["log", "message", "other"]): line, "stream": "stderr"})
                case 2:
                    line = line[:at] + chance.choice(["ä", "[error] ", "7", ", client: ", '"', " ", "]"]) + line[at:]
                case 3:
                    line = line[:at]
                case 4:
                    line = line[at:]
                case _:
                    line = re.sub(r"\[(error|crit|warn|info)\]", f"[{chance.choice(['warn', 'info', 'emerg'])}]", line)
        yield line


def _python(line: str) -> dict[str, Any]:
    found = recognise(line)
    raw = parse(line.strip().encode())
    serious = raw is not None and (raw.server or (raw.nginx and raw.level in {"error", "crit", "alert", "emerg"}))
    return {"id": found.id if found else None, "unknown": found is None and serious}


def _page(folder: Path) -> Path:
    """Return a page that has the scripts and nothing else."""
    page = folder / "page.html"
    scripts = f"<script>{javascript()}</script><script>{_SCRIPT.read_text(encoding='utf-8')}</script>"
    page.write_text(f'<html><head><meta charset="utf-8"><title></title></head><body>{scripts}</body></html>', "utf-8")
    return page


@pytest.fixture(name="compared", scope="module")
def _compared(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Each line with what Python and what the browser says of it."""
    known = _known()
    lines = [*known, *_random(known)]
    folder = tmp_path_factory.mktemp("why")
    given = json.dumps(lines).replace("<", "\\u003c")
    script = f"""
        const answers = {given}.map((line) => {{
            const {{ message, unknown }} = no502Why.recognise(line);
            return {{ id: message ? message.id : null, unknown }};
        }});
        document.title = JSON.stringify(answers);
    """
    answers = json.loads(html.unescape(title_after(_page(folder), script, profile=folder / "profile")))
    return list(zip(lines, map(_python, lines), answers, strict=True))


def test_the_browser_recognises_what_python_recognises(
    compared: list[tuple[str, dict[str, Any], dict[str, Any]]],
) -> None:
    """For the catalogue's lines, those of the tests and of the lab, and 200 random ones, both say the same."""
    assert len(compared) > 600
    assert [one for one in compared if one[1] != one[2]] == []


def test_the_comparison_reaches_every_message(compared: list[tuple[str, dict[str, Any], dict[str, Any]]]) -> None:
    """Each message of the catalogue is recognised at least once, and lines that are no message are among them."""
    found = {answer["id"] for _, _, answer in compared}
    assert found >= {message.id for message in messages()}
    assert None in found
    assert any(answer["unknown"] for _, _, answer in compared)


def test_line_alone_is_recognised_without_its_time() -> None:
    """A message as people copy it is the message; a line of an access log that quotes one is not."""
    text = "upstream timed out (110: Connection timed out) while reading response header from upstream"
    whole = parse(f"2026/11/30 14:00:00 [error] 1#1: *1 {text}, client: 10.0.0.1".encode())
    assert whole is not None
    assert recognise(text) == classify(whole)
    assert recognise(f'10.0.0.1 - - [30/Nov/2026:14:00:00 +0000] "GET / HTTP/1.1" 200 5 "{text}"') is None


def test_the_words_of_a_message_find_it_in_the_page(tmp_path: Path) -> None:
    """An id, a slug and words give the messages that ``no502 doctor explain`` gives."""
    phrases = [
        "prematurely closed",
        "WORKER TIMEOUT",
        "recv() failed (104",
        "no live",
        "exited with code 137",
        "while to",
        "502 Bad Gateway",
        "504 Gateway Time-out",
        "ALB 502",
        "mixed content",
    ]
    script = f"""
        const hits = {json.dumps(phrases)}.map((phrase) => no502Why.search(phrase).map((one) => one.id));
        hits.push(no502Why.search(" l911 ").map((one) => one.id));
        document.title = JSON.stringify(hits);
    """
    hits = json.loads(html.unescape(title_after(_page(tmp_path), script, profile=tmp_path / "profile")))
    assert hits == [*([one.id for one in search(phrase)] for phrase in phrases), ["L911"]]


_PASTE = """
    addEventListener("load", () => {
      const box = document.getElementById("why-log")
      box.value = %s
      box.dispatchEvent(new Event("input", { bubbles: true }))
      setTimeout(() => {
        const cards = [...document.querySelectorAll(".why-message")]
        document.title = JSON.stringify({
          ids: cards.map((one) => one.id),
          text: cards.map((one) => one.textContent).join(" "),
          links: cards.flatMap((one) => [...one.querySelectorAll("a")].map((link) => link.getAttribute("href"))),
          verdict: document.querySelector(".why-verdict").textContent,
          injected: document.querySelectorAll("#why-output img").length,
          fits: document.documentElement.scrollWidth <= innerWidth,
          fetched: performance.getEntriesByType("resource").map((one) => one.name),
        })
      }, 500)
    })
"""
_RESET = "recv() failed (104: Connection reset by peer) while reading response header from upstream, client: 10.0.0.7"
_PASTED = f"""2026/11/30 14:02:11 [error] 29#29: *4122 {_RESET}, server: , request: "POST /<img src=x> HTTP/1.1"
2026/11/30 14:02:12 [error] 29#29: *4123 {_RESET}
[2026-11-30 14:02:10 +0000] [7] [CRITICAL] WORKER TIMEOUT (pid:31)
10.0.0.7 - - [30/Nov/2026:14:02:11 +0000] "POST /orders HTTP/1.1" 502 157 "-" "curl"
"""


@pytest.fixture(name="pasted", scope="module")
def _pasted(site: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the built page shows, opened from a folder on a phone, after a paste."""
    profile = tmp_path_factory.mktemp("chromium")
    script = _PASTE % json.dumps(_PASTED).replace("<", "\\u003c")
    shown: dict[str, Any] = json.loads(
        html.unescape(title_after(site / "why-502.html", script, profile=profile, seconds=20))
    )
    return shown


def test_pasted_lines_are_explained_at_once(pasted: dict[str, Any]) -> None:
    """Each message is shown once, errors first, with count, what the client got and the fix."""
    assert pasted["ids"][0] == "found-L911"
    assert set(pasted["ids"]) == {"found-L911", "found-L951"}
    assert pasted["verdict"].startswith("4 lines: ")
    assert "2 lines, 2026-11-30 14:02:11 to 2026-11-30 14:02:12" in pasted["text"]
    assert "POST got: " in pasted["text"]
    assert "Immediate fix" in pasted["text"]


def test_each_hit_links_to_its_page(site: Path, pasted: dict[str, Any]) -> None:
    """Every link of a hit leads to a page of the site."""
    assert "errors/recv-failed-104-reading-response-header.html" in pasted["links"]
    assert [link for link in pasted["links"] if not (site / link).is_file()] == []


def test_pasted_markup_stays_text(pasted: dict[str, Any]) -> None:
    """A line is shown as text: what is in it makes no element."""
    assert pasted["injected"] == 0
    assert "<img src=x>" in pasted["text"]


def test_a_paste_fits_on_a_phone(pasted: dict[str, Any]) -> None:
    """Nothing sticks out at 390 pixels."""
    assert pasted["fits"]


def test_the_page_loads_and_sends_nothing_elsewhere(site: Path, pasted: dict[str, Any]) -> None:
    """All that the page loads is in the site's folder, and its policy forbids connections."""
    assert [one for one in pasted["fetched"] if not one.startswith((site.as_uri(), "blob:", "data:"))] == []
    head = (site / "why-502.html").read_text(encoding="utf-8").partition("</head>")[0]
    assert "connect-src 'none'; form-action 'none'" in head


@pytest.mark.parametrize("pattern", ["(?i)x", "(?P<a>x)", r"\Ax", "(?>x)", r"(x)\1", "(a)(?(1)b|c)", "a*+", "a{2}+"])
def test_pattern_that_is_not_translated_is_refused(pattern: str) -> None:
    """A new kind of expression fails here, not silently in the page."""
    with pytest.raises(ValueError, match="cannot be translated"):
        translate(re.compile(pattern))
