"""Find phrases that this project does not use, and name what to write instead.

``python scripts/check_words.py [PATH ...]``: all text files that git tracks, or those below the paths. One line per
phrase: file, line, phrase, replacement. Exit code 0: none found; 1: some found; 2: a path is not there.

Why: the field's own terms are what people type into a search box.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

__all__ = ["Finding", "findings", "main"]

ROOT = Path(__file__).resolve().parent.parent
OWN = {"no502/nginx/directives.tsv", "scripts/check_words.py", "tests/docs/test_words.py"}
"""Files that have to contain the phrases: nginx's own words, the list, and its tests."""

PHRASES = {
    r"(?<![`/=:-])nobody(?![`'\":-])(?!\s+user|\s+nogroup)": 'name the actor, or write "nothing", "no client"',
    r"somebody|someone": "name the actor",
    r"whoever|whomever": "name the actor",
    r"anybody|anyone": "name the actor, such as any client",
    r"(?:makes?|making) (?:a )?502s?": "causes 502s, or answers 502",
    r"nginx (?:silently )?repeats": "nginx retries",
    r"repeats? (?:a |the )?(?:GET|POST|PUT|requests?)": "retries",
    r"(?:waits?|waited) less": "has the shorter timeout",
    r"for no client": "although the client has disconnected",
    r"(?:one|worker) that leaves": "a draining worker, or a recycled worker",
    r"can not(?! only)": "cannot",
    r"inside of": "inside, or in",
    r"what stands (?:before|in front)(?: of)?": 'load balancer or CDN in front of nginx, or "front proxy"',
    r"serves? on(?=[,.;:]|\s+(?:until|while|meanwhile|and|with|as|after|before|when|if|for))": "keeps serving",
    r"(?<!in\s)orders? to (?:leave|stop)": "SIGTERM, or shutdown signal",
    r"killed for (?:its|their) memory|(?<!out-of-)memory killer": "OOM-killed",
    r"control groups?": "cgroup",
    r"passe?s? (?:the )?requests on": "proxies requests, or a location that proxies",
    r"second attempts?": "retry, retries",
    r"poke(?:s|d)? the arbiter": "wake the arbiter",
    r"event loop (?:that )?(?:stands|stood) still": "blocked event loop",
    r"takes? (?:it|them|both|all)(?: of them)? out for": "marks as unavailable for",
    r"leaves (?:it|them|both|all)(?: of them)? out": "marks as unavailable",
    r"entitled to": "should get",
    r"(?:;|and) tells? whether": "return whether",
    r"slips? of the pen": "misspelling",
    r"(?:a|the) mistake of the (?:doctor|program|tool) itself": "an internal error (please report)",
}


class Finding(NamedTuple):
    """A phrase where it is."""

    file: str
    line: int
    phrase: str
    instead: str

    def __str__(self) -> str:
        """Return the line that is printed."""
        return f"{self.file}:{self.line}: {self.phrase!r}: write {self.instead}"


def _compiled(phrase: str) -> re.Pattern[str]:
    """Let a space of the phrase be a line break too, with the mark of a comment or a quotation after it."""
    return re.compile(rf"(?<!\w)(?:{phrase})(?!\w)".replace(" ", r"\s+(?:[#>*]+\s+)?"), re.IGNORECASE)


_PATTERNS = [(_compiled(phrase), instead) for phrase, instead in PHRASES.items()]


def findings(name: str, text: str) -> Iterator[Finding]:
    """Yield the phrases of a text in the order of the list.

    Args:
        name: How the file is called in a finding.
        text: Its content.
    """
    for pattern, instead in _PATTERNS:
        for match in pattern.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            yield Finding(name, line, " ".join(match[0].split()), instead)


def _tracked(paths: Sequence[str]) -> list[str]:
    command = ["git", "ls-files", "-z", "--", *paths]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return sorted(name for name in done.stdout.split("\0") if name and name not in OWN)


def main(paths: Sequence[str]) -> int:
    """Check the files and print what was found; return the exit code."""
    if missing := [path for path in paths if not (ROOT / path).exists()]:
        print("no such file or directory:", *missing, file=sys.stderr)
        return 2
    count = 0
    for name in _tracked(paths):
        try:
            text = (ROOT / name).read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
            continue  # a picture; deleted but not committed; a submodule
        for finding in sorted(findings(name, text), key=lambda one: one.line):
            print(finding)
            count += 1
    if count:
        print(f"{count} phrases to replace", file=sys.stderr)
    return int(count > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
