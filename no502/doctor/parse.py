"""Whether a file can still be read: what a change must not end."""

from __future__ import annotations

import ast
import json
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from no502.doctor.readers.nginx.syntax import parse_text
from no502.doctor.readers.yaml_nodes import YamlProblem, load_all, yaml_pairs

__all__ = ["Unreadable", "breaks", "unreadable"]


@dataclass(frozen=True)
class Unreadable:
    """Where a file cannot be read, and why."""

    line: int | None
    """1-based."""
    why: str


def unreadable(name: str, text: str) -> Unreadable | None:
    """Return why a file of that name cannot be read; None where it can, or where its format has no parser here.

    Args:
        name: The file's name: its ending tells the format.
        text: What it holds.
    """
    base = name.rsplit("/", 1)[-1].lower()
    suffix = base.rpartition(".")[2]
    if suffix in {"yaml", "yml"}:
        return _yaml(text)
    if suffix == "toml":
        return _toml(text)
    if suffix == "json":
        return _json(text)
    if suffix == "py":
        return _python(text)
    if (suffix == "conf" and "[" not in text[:1]) or "nginx" in base:
        return _nginx(text, name)
    return None


def breaks(name: str, before: str, after: str) -> Unreadable | None:
    """Return why a changed file cannot be read where it could before; None where the change is sound.

    A template that is no YAML by itself, for example, cannot be judged: its changes count as sound.
    """
    found = unreadable(name, after)
    return found if found is not None and unreadable(name, before) is None else None


def _yaml(text: str) -> Unreadable | None:
    try:
        load_all(text)
        for document in yaml.compose_all(text, Loader=yaml.SafeLoader):
            for key in _twice(document):
                return Unreadable(key.start_mark.line + 1, f"the key {key.value} is there twice")
    except YamlProblem as problem:
        return Unreadable(problem.line, str(problem))
    except yaml.YAMLError as error:
        return Unreadable(None, str(getattr(error, "problem", None) or "not YAML"))
    return None


def _twice(document: yaml.Node | None) -> Iterator[yaml.ScalarNode]:
    """Yield the keys that one mapping has twice: PyYAML takes the last one, Compose and Kubernetes refuse the file."""
    names: set[tuple[int, str]] = set()
    for mapping, key, _ in yaml_pairs(document) if document is not None else ():
        if isinstance(key, yaml.ScalarNode) and key.value != "<<":
            if (id(mapping), key.value) in names:
                yield key
            names.add((id(mapping), key.value))


def _toml(text: str) -> Unreadable | None:
    try:
        tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        return Unreadable(None, str(error))
    return None


def _json(text: str) -> Unreadable | None:
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return Unreadable(error.lineno, error.msg)
    except RecursionError:
        return Unreadable(None, "too deeply nested")
    return None


def _python(text: str) -> Unreadable | None:
    try:
        ast.parse(text)
    except SyntaxError as error:
        return Unreadable(error.lineno, error.msg)
    except (ValueError, RecursionError, MemoryError) as error:
        return Unreadable(None, str(error))
    return None


def _nginx(text: str, name: str) -> Unreadable | None:
    problems = parse_text(text, name).problems
    return Unreadable(*problems[0]) if problems else None
