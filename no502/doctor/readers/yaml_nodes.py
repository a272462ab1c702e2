"""YAML with line numbers, bounded: no tags are built, aliases cannot blow up, and nesting has an end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

__all__ = ["Node", "YamlProblem", "load_all", "yaml_pairs"]

_DEEPEST = 60
_MOST_NODES = 200_000


class YamlProblem(Exception):  # noqa: N818  it carries a message and a line for a report
    """The text is no YAML, or more than a deployment's file can be."""

    def __init__(self, message: str, line: int | None) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True)
class Node:
    """A value and the line on which it begins."""

    value: Any
    """A text, a list of nodes, a dictionary of nodes, or None."""
    line: int
    file: str = ""
    """The file that it stands in, as shown to the user."""

    def get(self, *path: str) -> Node | None:
        """Return the node at a path of keys."""
        node: Node | None = self
        for key in path:
            node = node.value.get(key) if node is not None and isinstance(node.value, dict) else None
        return node

    def items(self) -> Iterator[tuple[str, Node]]:
        """Yield the pairs of a mapping; nothing for anything else."""
        if isinstance(self.value, dict):
            yield from self.value.items()

    def elements(self) -> Iterator[Node]:
        """Yield the elements of a list; nothing for anything else."""
        if isinstance(self.value, list):
            yield from self.value

    @property
    def text(self) -> str | None:
        """The scalar's text; None for a list, a mapping or null."""
        return self.value if isinstance(self.value, str) else None


def load_all(text: str, shown: str = "") -> list[Node]:
    """Return the documents of a text; ``shown`` is its file's name.

    Raises:
        YamlProblem: It is no YAML, or too deep or too large.
    """
    budget = [_MOST_NODES]
    try:
        nodes: list[Any] = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
        return [_convert(node, shown, budget, 0) for node in nodes if node is not None]
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "not YAML"
        raise YamlProblem(str(problem), mark.line + 1 if mark is not None else None) from None
    except (RecursionError, ValueError):
        message = "too deeply nested"
        raise YamlProblem(message, None) from None


def _convert(node: Any, shown: str, budget: list[int], depth: int) -> Node:
    line = node.start_mark.line + 1
    budget[0] -= 1
    if budget[0] < 0 or depth > _DEEPEST:
        message = "more values than a deployment's file has" if budget[0] < 0 else "too deeply nested"
        raise YamlProblem(message, line)
    if isinstance(node, yaml.SequenceNode):
        return Node([_convert(item, shown, budget, depth + 1) for item in node.value], line, shown)
    if isinstance(node, yaml.MappingNode):
        return Node(_mapping(node, shown, budget, depth), line, shown)
    if node.tag == "tag:yaml.org,2002:null":
        return Node(None, line, shown)
    return Node(str(node.value), line, shown)


def _mapping(node: yaml.MappingNode, shown: str, budget: list[int], depth: int) -> dict[str, Node]:
    merged: dict[str, Node] = {}
    found: dict[str, Node] = {}
    for key, value in node.value:
        name = str(key.value) if isinstance(key, yaml.ScalarNode) else ""
        if name == "<<":
            sources = value.value if isinstance(value, yaml.SequenceNode) else [value]
            for source in sources:
                if isinstance(source, yaml.MappingNode):
                    inner = _mapping(source, shown, budget, depth + 1)
                    merged = {**inner, **merged}
        else:
            converted = _convert(value, shown, budget, depth + 1)
            # A scalar's own line is right; a block's first line is that of its key.
            found[name] = Node(converted.value, key.start_mark.line + 1, shown)
    return {**merged, **found}


def yaml_pairs(
    node: yaml.Node, seen: set[int] | None = None
) -> Iterator[tuple[yaml.MappingNode, yaml.Node, yaml.Node]]:
    """Yield every (mapping, key, value) below a node, once."""
    seen = set() if seen is None else seen
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield node, key, value
            yield from yaml_pairs(value, seen)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from yaml_pairs(item, seen)
