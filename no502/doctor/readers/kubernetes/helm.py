"""Helm charts: what ``helm template`` makes of one, as manifests whose lines are those of the templates.

helm renders on this machine, with the chart's own values and without a cluster. https://helm.sh/docs/helm/helm_template/
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from no502.doctor.reach import Reach
from no502.doctor.readers.texts import shown_path
from no502.doctor.readers.yaml_nodes import Node, YamlProblem, load_all

__all__ = ["Rendered", "render"]

_SECONDS = 30
_LARGEST = 20_000_000
_SOURCE = re.compile(r"^# Source: [^/\n]+/(\S+)[ \t]*$", re.MULTILINE)
_MOST_WORDS = 200


@dataclass(kw_only=True)
class Rendered:
    """What helm made of a chart."""

    documents: Sequence[tuple[Node, str]] = ()
    """Each manifest with the name of its template, as shown to the user."""
    templates: Mapping[str, Path] = field(default_factory=dict)
    """The templates by these names."""
    problem: str = ""
    """Why there are none; empty where helm is not installed."""
    installed: bool = True


def render(chart: Path, base: Path, reach: Reach) -> Rendered:
    """Return the manifests of a chart.

    Args:
        chart: Its ``Chart.yaml``.
        base: Paths are shown relative to it.
        reach: Which files may be opened.
    """
    program = shutil.which("helm")
    if program is None:
        return Rendered(installed=False)
    folder = chart.parent
    try:
        done = subprocess.run(
            [program, "template", "release-name", "."],
            cwd=folder,
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Rendered(problem=f"`helm template` did not end within {_SECONDS} s")
    except OSError as error:
        return Rendered(problem=f"`helm template` cannot be run: {error.strerror}")
    if done.returncode != 0:
        said = " ".join(done.stderr.split())[:_MOST_WORDS] or f"exit code {done.returncode}"
        return Rendered(problem=f"`helm template` failed: {said}")
    if len(done.stdout) > _LARGEST:
        return Rendered(problem=f"`helm template` gives more than {_LARGEST:,} characters")
    return _documents(done.stdout, folder, base, reach)


def _documents(text: str, folder: Path, base: Path, reach: Reach) -> Rendered:
    found: list[tuple[Node, str]] = []
    templates: dict[str, Path] = {}
    parts = _SOURCE.split(text)
    for name, body in zip(parts[1::2], parts[2::2], strict=True):
        path = folder / name
        shown = shown_path(path, base)
        if reach.has(path):
            templates[shown] = path
        try:
            nodes = load_all(body, shown)
        except YamlProblem as problem:
            return Rendered(problem=f"`helm template` makes no YAML of {shown}: {problem}")
        lines = _lines(body, (reach.read(path)[0] or b"").decode("utf-8", "replace"))
        found += [(_moved(node, lines), shown) for node in nodes]
    return Rendered(documents=found, templates=templates, problem="" if found else "`helm template` gives no manifest")


def _lines(body: str, template: str) -> list[int]:
    """Return for each line of a rendered body the template's line: that of the same text, else of the last one."""
    places: dict[str, list[int]] = {}
    for number, line in enumerate(template.split("\n"), 1):
        for text in {line.strip(), line.partition("{{")[0].strip()} - {""}:
            places.setdefault(text, []).append(number)
    found, last = [1], 1
    for line in body.split("\n"):
        text = line.strip()
        key = text.partition(":")[0] + ":"
        after = [one for one in places.get(text, places.get(key, ())) if one >= last]
        last = after[0] if after else last
        found.append(last)
    return found


def _moved(node: Node, lines: Sequence[int]) -> Node:
    line = lines[min(node.line, len(lines) - 1)]
    if isinstance(node.value, dict):
        return replace(node, value={key: _moved(one, lines) for key, one in node.value.items()}, line=line)
    if isinstance(node.value, list):
        return replace(node, value=[_moved(one, lines) for one in node.value], line=line)
    return replace(node, line=line)
