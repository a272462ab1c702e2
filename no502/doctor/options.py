"""What the user wants of a run: command line over ``doctor.toml`` or ``[tool.no502.doctor]`` of ``pyproject.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from no502.doctor.registry import Rule, find_rules, rules
from no502.errors import USAGE, UserError

__all__ = ["FAIL_ON", "Configured", "fails", "read_configured", "select_rules"]

FAIL_ON = ("error", "warning", "info", "never")
_KEYS: dict[str, type] = {
    "select": list,
    "ignore": list,
    "fail-on": str,
    "front": str,
    "nginx-version": str,
    "baseline": str,
}
_LARGEST = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Configured:
    """What the configuration file says; None where it says nothing."""

    select: Sequence[str] | None = None
    ignore: Sequence[str] | None = None
    fail_on: str | None = None
    front: str | None = None
    nginx_version: str | None = None
    baseline: str | None = None
    file: str = ""


def read_configured(directory: Path) -> Configured:
    """Return the settings of ``doctor.toml``, else of ``pyproject.toml``, in a directory.

    Raises:
        UserError: The file is not TOML, or a key or value is not allowed; every problem is named.
    """
    for name in ("doctor.toml", "pyproject.toml"):
        path = directory / name
        if not path.is_file() or path.stat().st_size > _LARGEST:
            continue
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
            if name == "pyproject.toml":
                continue  # not the doctor's file to judge
            message = f"{path}: {error}"
            raise UserError(message, USAGE) from None
        table = content if name == "doctor.toml" else content.get("tool", {}).get("no502", {}).get("doctor")
        if isinstance(table, Mapping):
            return _checked(table, str(path))
    return Configured()


def _checked(table: Mapping[str, Any], file: str) -> Configured:
    problems = []
    given: dict[str, Any] = {}
    for key, value in table.items():
        kind = _KEYS.get(key)
        if kind is None:
            problems.append(f"{file}: unknown key {key!r}; known: {', '.join(_KEYS)}")
        elif not _is(value, kind):
            problems.append(f"{file}: {key} must be a {'list of strings' if kind is list else 'string'}, not {value!r}")
        else:
            given[key.replace("-", "_")] = value
    if given.get("fail_on", "error") not in FAIL_ON:
        problems.append(f"{file}: fail-on must be one of {', '.join(FAIL_ON)}, not {given['fail_on']!r}")
    if problems:
        raise UserError("\n".join(problems), USAGE)
    return Configured(file=file, **given)


def _is(value: object, kind: type) -> bool:
    if isinstance(value, list):
        return kind is list and all(isinstance(item, str) for item in value)
    return isinstance(value, kind)


def _split(words: Sequence[str]) -> list[str]:
    return [part.strip() for word in words for part in word.split(",") if part.strip()]


def select_rules(select: Sequence[str], ignore: Sequence[str]) -> list[Rule]:
    """Return the rules that are selected (all if none is) and not ignored.

    Raises:
        UserError: A word is no id, slug, letter of an area or ``all``.
    """
    try:
        chosen = list(find_rules(_split(select))) if _split(select) else list(rules().values())
        left_out = {rule.id for rule in find_rules(_split(ignore))}
    except ValueError as error:
        raise UserError(str(error), USAGE) from None
    return list({rule.id: rule for rule in chosen if rule.id not in left_out}.values())


def fails(worst: object, fail_on: str) -> bool:
    """Whether a run with that worst severity ends with exit code 1."""
    return worst is not None and fail_on != "never" and FAIL_ON.index(str(worst)) <= FAIL_ON.index(fail_on)
