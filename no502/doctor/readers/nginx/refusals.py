"""What nginx would refuse when it loads a configuration that parses: C001 before it is deployed.

Only what no version that is judged and no module of nginx accepts: names that are nearly those of directives, wrong
numbers of arguments, directives in the wrong place, those that may stand once, and what ``arguments`` knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from no502.doctor.model import Version
from no502.doctor.readers.nginx.arguments import check_arguments
from no502.doctor.readers.nginx.effective import SCALARS
from no502.doctor.readers.nginx.masks import TEMPLATE_MARK
from no502.doctor.readers.nginx.syntax import Directive
from no502.doctor.readers.nginx.table import closest, forms
from no502.doctor.readers.nginx.tree import Tree

__all__ = ["ONCE", "check_tree"]

ONCE = (SCALARS.keys() - {"proxy_next_upstream"}) | {"proxy_pass", "root", "alias", "keepalive", "worker_connections"}
"""Directives that nginx accepts once in a block."""

_FREE = {"map", "geo", "types", "split_clients", "charset_map", "match", "stream", "mail", "rtmp"}
"""Blocks that contain something else than nginx's HTTP directives."""
_HTTP = {"http", "server", "location", "upstream", "limit_except", "server-if", "location-if"}
_LONGEST = 80


def check_tree(tree: Tree, versions: Sequence[Version]) -> Iterator[tuple[Directive, str, str]]:
    """Yield (directive, message, fix) for everything that keeps nginx from loading the files.

    Args:
        tree: All directives.
        versions: What to judge by: a refusal is one of all of them.
    """
    yield from _block(tree.directives, "", tree.branches, versions)


def _block(
    block: Sequence[Directive], context: str, branches: set[str], versions: Sequence[Version], kind: str = ""
) -> Iterator[tuple[Directive, str, str]]:
    seen: dict[tuple[str, ...], Directive] = {}
    for one in block:
        if TEMPLATE_MARK in one.name or "$" in one.name:
            continue
        refused = list(_name(one, context))
        yield from refused
        if not refused and context in _HTTP | {"", "events"}:
            yield from ((one, message, fix) for message, fix in check_arguments(one, kind or context, versions))
        key = _once(one, context)
        if key is not None and one.file not in branches:
            first = seen.setdefault(key, one)
            if first is not one:
                shown = " ".join(key)
                yield one, f"{shown} is duplicate: it stands in {first.file}:{first.line} already", "remove one of them"
        if one.block is not None and one.name not in _FREE and not one.name.endswith("_by_lua_block"):
            inner = f"{context}-if" if one.name == "if" and context in {"server", "location"} else one.name
            yield from _block(one.block, inner, branches, versions, _kind(one, inner))


def _kind(one: Directive, inner: str) -> str:
    """Return ``location-regex`` or ``location-named`` for such a location."""
    first = one.args[0] if one.name == "location" and one.args else ""
    return "location-regex" if first.startswith("~") else "location-named" if first.startswith("@") else inner


def _once(one: Directive, context: str) -> tuple[str, ...] | None:
    """Return what may stand once in a block."""
    if any(TEMPLATE_MARK in argument for argument in one.args):
        return None
    if one.name in ONCE and context in _HTTP | {"events"}:
        return (one.name,)
    if one.name == "upstream":
        return ("upstream", *(argument.lower() for argument in one.args))
    if one.name == "location" and one.args and one.args[0] not in {"~", "~*"}:
        return ("location", *one.args)
    return None


def _name(one: Directive, context: str) -> Iterator[tuple[Directive, str, str]]:
    known = forms(one.name)
    if not known:
        meant = closest(one.name) if context in _HTTP | {""} else None
        if meant is not None:
            yield one, f'unknown directive "{one.name[:_LONGEST]}": nginx has {meant}', f"write {meant}"
        return
    here = [form for form in known if context in form.contexts]
    if not here and context in _HTTP:
        places = sorted({place for form in known for place in form.contexts} & (_HTTP | {"main", "events"}))
        if places and "any" not in {place for form in known for place in form.contexts}:
            yield (
                one,
                f"{one.name} is not allowed in {_words(context)}",
                f"it belongs in {', '.join(map(_words, places))}",
            )
        return
    if any(TEMPLATE_MARK in argument for argument in one.args):
        return
    if one.block is not None and not any(form.block for form in here or known):
        following = next((argument for argument in one.args if forms(argument)), "{")
        yield one, f'{one.name} has no ";" before {following}', f"end {one.name} with ;"
        return
    if one.block is None and all(form.block for form in here or known):
        yield one, f'{one.name} has no opening "{{"', f"write the block of {one.name} in braces"
        return
    if not any(form.takes(len(one.args)) for form in here or known):
        swallowed = next((argument for argument in one.args[1:] if forms(argument)), None)
        if swallowed is not None:
            yield one, f'{one.name} has no ";" before {swallowed}', f"end {one.name} with ;"
        else:
            yield one, f"{one.name} does not take {len(one.args)} arguments", ""


def _words(context: str) -> str:
    return {"server-if": "if in server", "location-if": "if in location"}.get(context, context)
