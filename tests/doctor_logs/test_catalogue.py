"""The catalogue of messages: every file says everything, and what it says is recognised."""

import re
import shutil
from pathlib import Path

import pytest

from no502.doctor.logs import parse as parsing
from no502.doctor.logs.findings import classify
from no502.doctor.logs.parse import parse
from no502.doctor.logs.report import describe
from no502.doctor.registry import rules
from no502.lab.scenarios import SCENARIOS
from no502.messages import GROUPS, SYMPTOMS, Message, Shape, by_name, catalogue, messages, search
from no502.messages.catalogue import read
from no502.messages.phrases import PHRASES, Phrase
from tests.doctor_logs.lines import written
from tests.support.commands import ROOT

_ALL = [(message, text) for message in messages() for text in message.texts]
_IDS = [message.id for message in messages()]


def test_ids_are_unique() -> None:
    """No two messages share an id."""
    assert len(set(_IDS)) == len(_IDS)


def test_slugs_are_unique() -> None:
    """No two messages share a page, in whichever folder they are."""
    assert len({message.slug for message in messages()}) == len(_IDS)


@pytest.mark.parametrize("message", messages(), ids=_IDS)
def test_message_is_found_by_id_and_slug(message: Message) -> None:
    """Both names lead to it."""
    assert by_name(message.id.lower()) is message
    assert by_name(message.slug.upper()) is message


@pytest.mark.parametrize("message", messages(), ids=_IDS)
def test_message_says_what_the_client_gets(message: Message) -> None:
    """What a client gets is never left out (a POST the same as a GET unless stated); it has a symptom for the index."""
    assert message.get
    assert message.symptoms


@pytest.mark.parametrize("message", [one for one in messages() if "retries a GET" in one.get], ids=lambda one: one.id)
def test_message_with_a_retry_says_what_a_post_gets(message: Message) -> None:
    """Where nginx retries a GET, a POST gets something else, and the message states it."""
    assert message.post != message.get


@pytest.mark.parametrize("message", messages(), ids=_IDS)
def test_message_says_how_to_tell_and_what_to_do(message: Message) -> None:
    """Each has a way to tell causes apart, and each that a client suffers from has a fix or a place to look."""
    assert {"Causes", "Check"} & set(message.sections)


@pytest.mark.parametrize("message", [one for one in messages() if one.nginx], ids=lambda one: one.id)
def test_nginx_message_has_its_level(message: Message) -> None:
    """nginx's level is stated for each of its messages: a log at level error hides warn and info."""
    assert set(message.levels) <= {"info", "notice", "warn", "error", "crit", "alert", "emerg"}
    assert message.levels


@pytest.mark.parametrize("message", messages(), ids=_IDS)
def test_rules_exist(message: Message) -> None:
    """Every rule that a message names is one of doctor's."""
    assert set(message.rules) <= set(rules())


@pytest.mark.parametrize("message", messages(), ids=_IDS)
def test_scenarios_exist(message: Message) -> None:
    """Every scenario that a message names is one of the lab's."""
    assert set(message.scenarios) <= {scenario.name for scenario in SCENARIOS}


@pytest.mark.parametrize("message", messages(), ids=_IDS)
def test_messages_that_are_mentioned_exist(message: Message) -> None:
    """An id in a text leads somewhere."""
    everything = message.file.read_text(encoding="utf-8").replace(",", " ").replace(")", " ").split()
    mentioned = {word.strip("(.:;") for word in everything if word.strip("(.:;")[:1] == "L"}
    assert {one for one in mentioned if len(one) == 4 and one[1:].isdigit()} <= set(_IDS)


_SHAPES = [(message, shape) for message in messages() if not message.nginx for shape in message.shapes]


@pytest.mark.parametrize(
    ("message", "shape"), _SHAPES, ids=[f"{message.id}-{number}" for number, (message, _) in enumerate(_SHAPES)]
)
def test_each_shape_is_looked_at(message: Message, shape: Shape) -> None:
    """A line that is nothing but the parts of a shape is recognised: no fast path drops it."""
    middle = " ".join(part for part in shape.contains if part not in shape.starts)
    level = f"[7] [{min(shape.levels)}] " if shape.levels else ""
    line = parse(f"{level}{shape.starts or 'x '}{middle}{shape.ends or ' x'}".encode())
    assert line is not None
    found = classify(line)
    assert found is not None
    assert found.id == message.id or any(other.fits(line.text, None, "", line.level) for other in found.shapes)


@pytest.mark.parametrize(("message", "text"), _ALL, ids=[f"{message.id}-{text[:40]}" for message, text in _ALL])
def test_text_of_the_catalogue_is_recognised(message: Message, text: str) -> None:
    """A line with a text of a message is classified as that message and as no other."""
    line = parse(written(message, text))
    assert line is not None
    found = classify(line)
    assert found is not None
    assert found.id == message.id


@pytest.mark.parametrize(
    ("phrase", "expected"),
    [
        ("prematurely closed", "L911"),
        ("recv() failed (104", "L911"),
        ("WORKER TIMEOUT", "L951"),
        ("no live upstreams", "L908"),
        ("exited with code 137", "L821"),
    ],
)
def test_phrase_finds_the_message(phrase: str, expected: str) -> None:
    """Words of a message find it, in any case."""
    assert expected in [message.id for message in search(phrase.upper())]


@pytest.mark.parametrize(
    ("phrase", "expected"),
    [
        ("502", ["L911", "L901"]),
        ("502 Bad Gateway", ["L911", "L901"]),
        ("nginx error 502", ["L911", "L901"]),
        ("504 Gateway Timeout", ["L913", "L905"]),
        ("504 Gateway Time-out", ["L913", "L905"]),
        ("499", ["L922"]),
        ("413 Request Entity Too Large", ["L923"]),
        ("WebSocket closed with code 1006", ["L916", "L940"]),
        ("[Errno -3] Temporary failure in name resolution", ["L924", "L925"]),
    ],
)
def test_status_is_nginxs_before_a_vendors(phrase: str, expected: list[str]) -> None:
    """A bare code and its standard words are those of nginx; what vendors write follows."""
    assert [message.id for message in search(phrase)][: len(expected)] == expected


@pytest.mark.parametrize(("phrase", "expected"), [("ALB 502", "L711"), ("Traefik 502 Bad Gateway", "L752")])
def test_vendors_name_beside_a_status_decides(phrase: str, expected: str) -> None:
    """With a vendor's name the vendor's message comes first."""
    assert search(phrase)[0].id == expected


@pytest.mark.parametrize("phrase", PHRASES, ids=lambda phrase: phrase.page)
def test_page_of_a_phrase_exists(phrase: Phrase) -> None:
    """Its page is there, its heading too, and so are its messages."""
    page, _, anchor = phrase.page.partition("#")
    headings = re.findall("^#+ (.+)$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    assert not anchor or anchor in {re.sub(r"[^\w]+", "-", heading.lower()).strip("-") for heading in headings}
    assert all(by_name(one) for one in phrase.messages)


def test_phrase_without_meaning_finds_nothing() -> None:
    """Words that every message has are not a search."""
    assert search("failed while to the") == []


_GOOD = """---
id: L000
program: [nginx]
severity: error
text: a text
match: {starts: a text}
source: seen
---

It happened.

## Check

1. Look.
"""


def test_good_file_is_read(tmp_path: Path) -> None:
    """The example that the next test damages is right."""
    (tmp_path / "good.md").write_text(_GOOD, encoding="utf-8")
    assert read(tmp_path / "good.md").slug == "good"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("---\nid", "id", "front matter"),
        ("source: seen\n", "", "missing in the front matter: source"),
        ("source:", "sauce: x\nsource:", "sauce"),
        ("match: {starts: a text}", "match: {begins: a text}", "match:"),
        ("match: {starts: a text}", "match: [a text]", "match:"),
        ("It happened.\n", "", "needs a text"),
        ("## Check", "## Checks", "headings"),
        ("1. Look.", "Look.", "Check: needs a list"),
        ("source:", "symptom: 599\nsource:", "unknown symptom: 599"),
    ],
)
def test_damaged_file_is_refused_with_the_reason(tmp_path: Path, old: str, new: str, problem: str) -> None:
    """The error names the file and what is wrong in it."""
    assert old in _GOOD
    file = tmp_path / "damaged.md"
    file.write_text(_GOOD.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ValueError, match=r"damaged\.md: ") as raised:
        read(file)
    assert problem in str(raised.value)


def test_groups_and_symptoms_are_used() -> None:
    """No folder and no symptom of the index is empty."""
    assert {message.file.parent.name for message in messages()} == set(GROUPS)
    assert {symptom for message in messages() for symptom in message.symptoms} == set(SYMPTOMS)


_SOURCES = ("gunicorn_handover.py", "gunicorn_arbiter.py")
_OWN = re.compile(r"""log\.(?:warning|error|exception|critical)\(\s*"(handover: [^"]*)\"""")


@pytest.mark.parametrize("text", [text for name in _SOURCES for text in _OWN.findall((ROOT / name).read_text("utf-8"))])
def test_handovers_own_warnings_are_known(text: str) -> None:
    """What the handover writes at level warning or above has a page."""
    filled = re.sub(r"%[.\d]*[dsrf]", "7", text)
    line = parse(f"[2026-11-26 12:00:00 +0000] [1] [ERROR] {filled}".encode())
    assert line is not None
    assert classify(line) is not None


def test_one_file_makes_a_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new file is all that a new message needs: it is recognised, found by a phrase and explained."""
    shutil.copytree(catalogue._FOLDER, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.py"))
    new = _GOOD.replace("L000", "L999").replace("[nginx]", "[gunicorn]").replace("a text", "a wholly new text")
    (tmp_path / "server" / "wholly-new.md").write_text(new, encoding="utf-8")
    monkeypatch.setattr(catalogue, "_FOLDER", tmp_path)
    caches = (catalogue.messages, parsing._triggers)
    for cache in caches:
        cache.cache_clear()
    try:
        line = parse(b"[2026-11-26 12:00:00 +0000] [1] [WARNING] a wholly new text, and more")
        assert line is not None
        found = classify(line)
        assert found is not None
        assert found.id == "L999"
        assert [message.id for message in search("wholly new")] == ["L999"]
        assert "It happened." in describe(found)
    finally:
        for cache in caches:
            cache.cache_clear()
