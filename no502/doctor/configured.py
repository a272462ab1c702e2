"""What the configuration file says: ``doctor.toml``, or ``[tool.no502.doctor]`` of ``pyproject.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from no502.doctor.options import FailOn, Options
from no502.doctor.registry import Rule, find_rules, rules
from no502.errors import USAGE, UserError

__all__ = ["fails", "read_configured", "select_rules", "with_configuration"]

_KEYS: dict[str, type] = {
    "select": list,
    "ignore": list,
    "fail-on": str,
    "front": str,
    "nginx-version": str,
    "baseline": str,
}
_LARGEST = 1_000_000


def with_configuration(options: Options) -> Options:
    """Return the options with what the configuration file says where the command line says nothing."""
    directory = next((path for path in options.paths if path.is_dir()), Path())
    said = read_configured(directory)
    baseline = directory / said.baseline if options.baseline is None and said.baseline is not None else options.baseline
    return replace(
        options,
        select=options.select or said.select,
        ignore=options.ignore or said.ignore,
        fail_on=options.fail_on or said.fail_on or FailOn.ERROR,
        front=options.front or said.front,
        nginx_version=options.nginx_version or said.nginx_version,
        baseline=None if options.write_baseline else baseline,
    )


def read_configured(directory: Path) -> Options:
    """Return what ``doctor.toml``, else ``pyproject.toml``, in a directory says.

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
    return Options()


def _checked(table: Mapping[str, Any], file: str) -> Options:
    problems = []
    given: dict[str, Any] = {}
    for key, value in table.items():
        kind = _KEYS.get(key)
        if kind is None:
            problems.append(f"{file}: unknown key {key!r}; known: {', '.join(_KEYS)}")
        elif not _is(value, kind):
            problems.append(f"{file}: {key} must be a {'list of strings' if kind is list else 'string'}, not {value!r}")
        elif key == "fail-on" and value not in list(FailOn):
            problems.append(f"{file}: fail-on must be one of {', '.join(FailOn)}, not {value!r}")
        else:
            given[key.replace("-", "_")] = _typed(key, value)
    if problems:
        raise UserError("\n".join(problems), USAGE)
    return Options(**given)


def _is(value: object, kind: type) -> bool:
    if isinstance(value, list):
        return kind is list and all(isinstance(item, str) for item in value)
    return isinstance(value, kind)


def _typed(key: str, value: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    return {"fail-on": FailOn, "baseline": Path}.get(key, str)(value)


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


def fails(worst: object, fail_on: FailOn) -> bool:
    """Whether a run with that worst severity ends with exit code 1."""
    order = [str(one) for one in FailOn]
    return worst is not None and fail_on is not FailOn.NEVER and order.index(str(worst)) <= order.index(fail_on)
