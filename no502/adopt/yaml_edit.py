"""Lines that are added to a YAML file: nothing else of it changes."""

from __future__ import annotations

import json
from collections.abc import Sequence

import yaml

from no502.adopt.locate import yaml_documents
from no502.doctor.readers.yaml_nodes import yaml_pairs

__all__ = [
    "add_item",
    "add_key",
    "brought_in",
    "is_inside",
    "is_shared",
    "key_node",
    "mapping_at",
    "moved",
    "services_of",
    "value_of",
]


def value_of(node: yaml.Node | None, *path: str) -> yaml.Node | None:
    """Return the node at a path of keys, without what aliases and merges bring in."""
    for key in path:
        if not isinstance(node, yaml.MappingNode):
            return None
        node = next((value for name, value in node.value if name.value == key), None)
    return node


def key_node(mapping: yaml.MappingNode, key: str) -> yaml.Node | None:
    """Return the key itself."""
    return next((name for name, _ in mapping.value if name.value == key), None)


def services_of(text: str, name: str) -> yaml.MappingNode | None:
    """Return the mapping of a Compose service; None where it is an alias."""
    for document in yaml_documents(text):
        services = value_of(document, "services")
        node = value_of(services, name)
        if isinstance(services, yaml.MappingNode) and isinstance(node, yaml.MappingNode) and is_inside(services, node):
            return node
    return None


def is_inside(mapping: yaml.MappingNode, node: yaml.Node) -> bool:
    """Whether a node is written inside a mapping: an alias has the node of its anchor."""
    return mapping.start_mark.index <= node.start_mark.index < mapping.end_mark.index


def is_shared(text: str, mapping: yaml.MappingNode) -> bool:
    """Whether another mapping of the file takes over the keys of one, by ``<<`` or as an alias."""
    for document in yaml_documents(text):
        for _, key, value in yaml_pairs(document):
            for one in value.value if key.value == "<<" and isinstance(value, yaml.SequenceNode) else [value]:
                if one.start_mark.index == mapping.start_mark.index and key.start_mark.index > mapping.start_mark.index:
                    return isinstance(one, yaml.MappingNode)
    return False


def mapping_at(text: str, line: int, key: str = "name") -> tuple[yaml.MappingNode, yaml.Node] | None:
    """Return the mapping that has a key on a line, and the document around it."""
    for document in yaml_documents(text):
        for mapping, name, _ in yaml_pairs(document):
            if name.value == key and name.start_mark.line + 1 == line:
                return mapping, document
    return None


def moved(line: int, before: str, after: str) -> int:
    """Return where a line is after lines were added at one place of a text."""
    first = before.split("\n")[:line]
    same = after.split("\n")[:line] == first
    return line if same else line + after.count("\n") - before.count("\n")


def brought_in(mapping: yaml.MappingNode, key: str) -> yaml.Node | None:
    """Return the value that a mapping has from ``<<`` alone; None where it has its own, or none."""
    if value_of(mapping, key) is not None:
        return None
    for name, value in mapping.value:
        if name.value == "<<":
            for one in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                if isinstance(one, yaml.MappingNode):
                    found = value_of(one, key) or brought_in(one, key)
                    if found is not None:
                        return found
    return None


def add_key(text: str, mapping: yaml.MappingNode, lines: Sequence[str], *, after: str | None = None) -> str:
    """Add lines to a mapping, behind one of its keys, else behind its last one.

    Args:
        text: The file.
        mapping: One of its mappings.
        lines: What to add: YAML; they get the indentation of the mapping's keys. In braces they become pairs in braces.
        after: The key behind whose value they go.

    Raises:
        ValueError: It is empty.
    """
    if mapping.flow_style:
        nested = any(line.startswith(" ") for line in lines)
        return _in_brackets(text, mapping, _pairs(lines) if nested else lines)
    if not mapping.value:
        message = "it is empty"
        raise ValueError(message)
    names = [name.value for name, _ in mapping.value]
    at = names.index(after) if after in names else len(names) - 1
    limit = mapping.value[at + 1][0].start_mark.index if at + 1 < len(names) else mapping.end_mark.index
    indent = " " * mapping.value[0][0].start_mark.column
    return _insert_lines(text, _end_of_line(text, limit), [indent + line for line in lines])


def _pairs(lines: Sequence[str]) -> list[str]:
    """Return lines of YAML as pairs that can stand in braces."""
    return [f"{key}: {json.dumps(value)}" for key, value in yaml.safe_load("\n".join(lines)).items()]


def _contents(text: str) -> list[yaml.Token]:
    """Return the tokens of a text that have characters: aliases where they are written, no comments."""
    return [token for token in yaml.scan(text, Loader=yaml.SafeLoader) if token.end_mark.index > token.start_mark.index]


def _end_of_line(text: str, limit: int) -> int:
    """Return where the line of the last character of content before a place ends."""
    last = [token for token in _contents(text) if token.start_mark.index < limit][-1]
    end = last.end_mark.index
    while end > last.start_mark.index and text[end - 1] in " \t\n":
        end -= 1  # a block of text ends behind its line
    found = text.find("\n", end)
    return len(text) if found < 0 else found


def add_item(text: str, sequence: yaml.SequenceNode, lines: Sequence[str]) -> str:
    """Add an item to a list of blocks, behind its last one; the first of ``lines`` gets the dash.

    Raises:
        ValueError: The list is written in brackets, and the item is more than a text; or it is empty.
    """
    if sequence.flow_style and len(lines) == 1:
        return _in_brackets(text, sequence, [json.dumps(lines[0])])
    if sequence.flow_style or not sequence.value:
        message = "it is written in brackets"
        raise ValueError(message)
    inside = [token for token in _contents(text) if sequence.start_mark.index <= token.start_mark.index]
    at = next(index for index, token in enumerate(inside) if isinstance(token, yaml.BlockEntryToken))
    dash, item = inside[at].start_mark, inside[at + 1].start_mark
    gap = item.column - dash.column - 1 if item.line == dash.line else 1
    lead = " " * dash.column
    first, *others = lines
    added = [f"{lead}-{' ' * gap}{first}", *(f"{lead} {' ' * gap}{line}" for line in others)]
    return _insert_lines(text, _end_of_line(text, sequence.end_mark.index), added)


def _in_brackets(text: str, node: yaml.MappingNode | yaml.SequenceNode, items: Sequence[str]) -> str:
    """Add items behind the last one of a mapping in braces or a list in brackets."""
    close = node.end_mark.index - 1
    if not node.value:
        return text[:close] + ", ".join(items) + text[close:]
    inside = [token for token in _contents(text) if token.start_mark.index < close]
    last = next(token for token in reversed(inside) if not isinstance(token, yaml.FlowEntryToken))
    at = last.end_mark.index
    return text[:at] + "".join(f", {item}" for item in items) + text[at:]


def _insert_lines(text: str, at: int, lines: Sequence[str]) -> str:
    return text[:at] + "".join("\n" + line for line in lines) + text[at:]
