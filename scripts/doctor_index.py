"""Write what follows from the declarations of the doctor's rules: index, navigation, and two parts of each page.

The title of a page is the rule's id and summary; how to verify a repair follows from the messages of the catalogue that
name the rule. ``--check`` writes nothing and exits with 1 if a file is not what the
rules give, or a rule has no page.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from no502.doctor.registry import AREAS, Rule, rules
from no502.messages.catalogue import messages

ROOT = Path(__file__).resolve().parent.parent
INDEX = ROOT / "docs" / "doctor" / "index.md"
SITE = ROOT / "mkdocs.yml"
_HEAD = """# Rules of no502 doctor: nginx, gunicorn and uvicorn misconfigurations that cause 502

`no502 doctor` compares nginx, gunicorn, uvicorn, Compose, systemd and Kubernetes files with each other. Each rule has a
page with an example that fails and one that passes; the tests run both. `no502 doctor explain K201` prints a page.

- Error: requests fail in normal operation, the race for an idle connection included, or a process does not start.
- Warning: requests fail under load or at a deployment, or the application receives wrong data.
- Info: a risk that depends on more than the files.
"""
_VERIFY = "## How to verify"
_MOST_LINES = 3
_BEGIN = "      - All rules: doctor/index.md\n"


def _areas() -> Iterator[tuple[str, list[Rule]]]:
    """Yield each area with its rules, in the order of the report."""
    for letter, title in AREAS.items():
        yield title, [rule for rule in rules().values() if rule.id[0] == letter]


def index() -> str:
    """Return the page of all rules."""
    parts = [_HEAD]
    for title, found in _areas():
        rows = [f"| [{one.id}]({one.id}.md) `{one.slug}` | {one.severity} | {one.summary} |" for one in found]
        parts.append("\n".join([f"## {title}\n", "| Rule | Severity | Problem |", "|---|---|---|", *rows]) + "\n")
    return "\n".join(parts)


def head(rule: Rule) -> str:
    """Return the first lines of a rule's page: its title and how it is named elsewhere."""
    names = f"- Name in `--select`, `--ignore` and suppression comments: `{rule.id}` or `{rule.slug}`"
    return f"# {rule.id}: {rule.summary}\n\n- Severity: {rule.severity}\n{names}\n"


def with_head(rule: Rule, page: str) -> str:
    """Return a rule's page with the head that the rule gives.

    Args:
        rule: The rule.
        page: Its page: a title, a block that is replaced, and the rest.
    """
    _, _, rest = page.partition("\n\n")[2].partition("\n\n")
    return f"{head(rule)}\n{rest}" if rest else head(rule)


def verify(rule: Rule) -> str:
    """Return the section that says how to see that a repair works."""
    named = sorted((one for one in messages() if rule.id in one.rules), key=lambda one: (not one.nginx, one.id))
    again = f"`no502 doctor --select {rule.id} .` reports nothing and exits with 0."
    if rule.id[0] == "E":
        again = f"The same command as before, with `--live` or `--docker`, no longer reports {rule.id}."
    steps = [again]
    if named:
        links = ", ".join(
            f"[{one.id}](../../no502/messages/{Path(one.file).parent.name}/{one.slug}.md)"
            for one in named[:_MOST_LINES]
        )
        steps.append(f"After the deployment `no502 doctor logs` with the new log no longer lists {links}.")
    if scenarios := sorted({name for one in named for name in one.scenarios}):
        shown = " ".join(scenarios[:_MOST_LINES])
        steps.append(f"`no502 lab {shown}` shows the failure and its cure on your own machine.")
    return "\n".join([_VERIFY, "", *(f"{number}. {step}" for number, step in enumerate(steps, 1))]) + "\n"


def with_verify(rule: Rule, page: str) -> str:
    """Return a rule's page with that section, before the examples or at the end."""
    before, mark, old = page.partition(f"{_VERIFY}\n")
    rest = f"\n## {old.partition(chr(10) + '## ')[2]}" if mark and "\n## " in old else ""
    text = (before.rstrip("\n") + "\n" + rest) if mark else page
    above, examples, below = text.partition("\n## Fails\n")
    return above.rstrip("\n") + "\n\n" + verify(rule) + examples + below


def navigation(text: str) -> str:
    """Return mkdocs.yml with the rules' part of the navigation as the rules give it."""
    before, _, after = text.partition(_BEGIN)
    lines = [line for title, found in _areas() for line in (f"      - {title}:", *_pages(found))]
    rest = after.split("\n")
    while rest and rest[0].startswith("      "):
        rest.pop(0)
    return before + _BEGIN + "\n".join([*lines, *rest])


def _pages(found: list[Rule]) -> list[str]:
    return [f"          - doctor/{one.id}.md" for one in found]


def main() -> int:
    """Write or compare; return 1 if something is stale or missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    site = SITE.read_text(encoding="utf-8")
    wrong: list[str] = []
    made = {INDEX: index(), SITE: navigation(site)}
    for one in rules().values():
        path = INDEX.with_name(f"{one.id}.md")
        if path.is_file():
            made[path] = with_verify(one, with_head(one, path.read_text(encoding="utf-8")))
        else:
            wrong.append(f"docs/doctor/{one.id}.md is missing")
    for path, text in made.items():
        if not check:
            path.write_text(text, encoding="utf-8")
        elif path.read_text(encoding="utf-8") != text:
            wrong.append(f"{path.relative_to(ROOT)} is not what the rules give (make docs)")
    print("\n".join(wrong), end="\n" if wrong else "", file=sys.stderr)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
