"""Results as JSON, and as Markdown for people, with what they were measured on."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import json
import os
import platform
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from no502.nginx.binary import nginx_version

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence

    from _outcome import Outcome

__all__ = ["Measured", "Report", "table"]

_PACKAGES = (
    *("gunicorn", "uvicorn", "uvicorn-worker", "hypercorn", "granian"),
    *("uvloop", "httptools", "fastapi", "pydantic-settings"),
)
_NOT_REPORTED = ("nginx", "out", "logs", "programs")  # paths


class Measured(Protocol):
    """A dataclass with the outcome of one load in it."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def outcome(self) -> Outcome:
        """What became of the load."""
        ...


class Report:
    """The results of one run of a benchmark.

    Args:
        name: The benchmark's name, which is the files' too.
        options: The parsed command line.
    """

    def __init__(self, name: str, options: argparse.Namespace) -> None:
        self._name = name
        self._out: Path = options.out
        given = {key: value for key, value in vars(options).items() if key not in _NOT_REPORTED}
        self._document: dict[str, Any] = {
            "benchmark": name,
            "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "machine": _machine(),
            "versions": {
                "python": platform.python_version(),
                "nginx": _nginx(options.nginx),
                **_versions(),
            },
            "options": given,
        }

    def write(
        self, *, sections: Sequence[tuple[str, str]], figures: dict[str, Any], results: Iterable[Measured]
    ) -> Path:
        """Write both files and return the Markdown one's path.

        Args:
            sections: Headings and Markdown below them; what matters most comes first.
            figures: The same for the JSON file.
            results: Every single measurement.
        """
        self._out.mkdir(parents=True, exist_ok=True)
        self._document["machine"]["load average at the end"] = _load_average()
        document = self._document | figures | {"results": [_plain(result) for result in results]}
        text = json.dumps(document, indent=1) + "\n"
        (self._out / f"{self._name}.json").write_text(text, encoding="utf-8")
        parts = [f"# {self._name}", *(f"## {heading}\n\n{body}" for heading, body in sections), self._conditions()]
        path = self._out / f"{self._name}.md"
        path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
        return path

    def _conditions(self) -> str:
        document = self._document
        lines = [f"- date: {document['date']}"]
        for key in ("machine", "versions", "options"):
            facts = ", ".join(f"{name} {value}" for name, value in document[key].items() if value not in (None, []))
            lines.append(f"- {key}: {facts}")
        return "## Measured on\n\n" + "\n".join(lines)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; all columns but the first are numbers."""
    marks = ["---", *("---:" for _ in header[1:])]
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, marks, *rows])


def conditions(nginx: str) -> str:
    """Return one line about the machine and the versions of everything that takes part.

    Args:
        nginx: The binary's path.
    """
    machine = {key: value for key, value in _machine().items() if "load" not in key}
    facts = machine | {"python": platform.python_version(), "nginx": _nginx(nginx), **_versions()}
    return ", ".join(f"{name} {value}" for name, value in facts.items())


def _plain(result: Measured) -> dict[str, Any]:
    derived = {"lost": result.outcome.lost, "rate": result.outcome.rate}
    return {key: _rounded(value) for key, value in (asdict(result) | derived).items()}


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list | tuple) else value


def _machine() -> dict[str, Any]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cores": cores,
        "processor": _processor(),
        "system": f"{platform.system()} {platform.release().split('-')[0]} {platform.machine()}",
        "load average at the start": _load_average(),
    }


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text(encoding="utf-8").splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _nginx(binary: str) -> str:
    return ".".join(map(str, nginx_version(binary)))


def _load_average() -> float:
    return round(os.getloadavg()[0], 2)


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
