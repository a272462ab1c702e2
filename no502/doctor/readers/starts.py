"""The servers that the commands of a project start, with its scripts and Python files looked up."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from no502.doctor.model import Origin
from no502.doctor.readers.compose.project import ComposeService
from no502.doctor.readers.context import Context
from no502.doctor.readers.python.start import read_python_start
from no502.doctor.readers.shell.commands import Command, Script, Started, follow, follow_text
from no502.doctor.readers.texts import read_text, shown_path

__all__ = ["Starts", "as_shell", "inside_paths"]

_EXECLINE = re.compile(r"#![^\n]*\bexeclineb\b")


class Starts:
    """Follows the commands of one project."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def of_argv(
        self,
        argv: Sequence[str],
        origin: Origin,
        *,
        one: ComposeService | None = None,
        environment: Mapping[str, str] | None = None,
        literal: bool = True,
        directory: str = "",
    ) -> Started:
        """Return what an argument list starts.

        Args:
            argv: The command of a container or a unit.
            origin: Where it is written.
            one: The container that runs it; None where it is not in one.
            environment: The variables that are known there.
            literal: Nothing expands variables in the words any more.
            directory: The working directory inside.
        """
        return follow(
            argv,
            origin,
            environment=environment,
            literal=literal,
            directory=directory,
            find=lambda word, folder: self._script(word, folder, one, origin),
            run=self._python,
        )

    def of_text(
        self,
        text: str,
        origin: Origin,
        *,
        environment: Mapping[str, str] | None = None,
        script: str = "",
        directory: str = "",
    ) -> Started:
        """Return what a shell text starts.

        Args:
            text: A line of a Procfile, or a script.
            origin: Where it begins.
            environment: The variables that are known there.
            script: The script's name.
            directory: The working directory inside.
        """
        return follow_text(
            text,
            origin,
            environment=environment,
            script=script,
            directory=directory,
            find=lambda word, folder: self._script(word, folder, None, origin),
            run=self._python,
        )

    def of_python(self, text: str, shown: str, environment: Mapping[str, str]) -> list[tuple[Command, Origin]]:
        """Return the servers that a Python file starts itself."""
        return read_python_start(text, shown, environment)

    def _script(self, word: str, folder: str, one: ComposeService | None, origin: Origin) -> Script | None:
        """Return a script by the path that it has in a container or on a host."""
        if not word or "\0" in word:
            return None
        context = self._context
        inside = str(PurePosixPath(folder or (one.workdir if one is not None else "") or "/") / word)
        written = one.inline.get(inside) if one is not None else None
        if written is not None:
            python = word.endswith(".py") or written.text.startswith("#!/usr/bin/env python")
            return Script(text="\n" * written.before + as_shell(written.text), shown=written.shown, python=python)
        for path in self._candidates(word, folder, one, origin):
            if context.deployment.reach.has(path):
                text = read_text(path, context.base, context.deployment)
                if text is None:
                    return None
                text = as_shell(text)
                python = path.suffix == ".py" or text.startswith("#!/usr/bin/env python")
                return Script(text=text, shown=shown_path(path, context.base), python=python)
        return None

    def _candidates(self, word: str, folder: str, one: ComposeService | None, origin: Origin) -> list[Path]:
        name = PurePosixPath(word)
        found: list[Path] = []
        if one is not None:
            found += inside_paths(word, folder, one)
            if one.context is not None:
                found += [one.context / word.lstrip("/"), one.context / name.name]
        else:
            beside = (self._context.base / origin.file).parent
            roots = [beside, self._context.project.folder]
            if folder:
                # The folder of a host is not here, but its end often is.
                parts = PurePosixPath(folder.lstrip("/")).parts
                found += [root.joinpath(*parts[at:], word.lstrip("/")) for root in roots for at in range(len(parts))]
            found += [root / word.lstrip("/") for root in roots]
        if "/" in word or name.suffix:
            listed = [*self._context.project.scripts, *self._context.project.python]
            # Every service has a main.py: a relative path to one means that of its folder.
            exact = name.suffix == ".py" and not word.startswith("/") and name.parent.name
            found += [path for path in listed if path.name == name.name and (not exact or path.parent.name == exact)]
        return found

    def _python(self, script: Script, environment: Mapping[str, str]) -> list[tuple[Command, Origin]]:
        return read_python_start(script.text, script.shown, environment)


def as_shell(text: str) -> str:
    """Return a script as a shell would have to have it: in execline one command goes on over all lines.

    https://skarnet.org/software/execline/grammar.html
    """
    if not _EXECLINE.match(text):
        return text
    lines = ["" if line.lstrip().startswith("#") else line for line in text.rstrip().split("\n")[1:]]
    return "exec \\\n" + " \\\n".join(lines)


def inside_paths(word: str, folder: str, one: ComposeService) -> list[Path]:
    """Return where a path inside a container is here: by its volumes, by what its image copies."""
    inside = word if word.startswith("/") else str(PurePosixPath(folder or one.workdir or "/") / word)
    inside = str(PurePosixPath("/" + "/".join(part for part in inside.split("/") if part not in {"", "."})))
    found: list[Path] = []
    for target, here in sorted(one.mounts.items(), key=lambda item: -len(item[0])):
        whole = target if target.startswith("/") else str(PurePosixPath(one.workdir or "/") / target)
        root = whole.rstrip("/").removesuffix("/.") or "/"
        if inside == root:
            found += [here, here / PurePosixPath(inside).name]
        elif inside.startswith(root.rstrip("/") + "/"):
            rest = inside[len(root.rstrip("/")) + 1 :]
            found += [here / rest, here] if here.name == PurePosixPath(inside).name else [here / rest]
        elif here.name == PurePosixPath(inside).name:
            found.append(here)
    return found
