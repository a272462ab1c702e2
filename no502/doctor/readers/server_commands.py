"""From what a container or a unit runs to the servers that this starts, entrypoints followed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from no502.doctor.model import Origin
from no502.doctor.readers.compose import ComposeService
from no502.doctor.readers.context import Context
from no502.doctor.readers.scripts import read_script
from no502.doctor.readers.shell_words import Command, find_commands

__all__ = ["server_commands"]


def server_commands(
    argv: Sequence[str], origin: Origin, one: ComposeService | None, environment: Mapping[str, str], context: Context
) -> Iterable[tuple[Command, Origin]]:
    """Return the commands in ``argv`` that start a server, and where each is written.

    An entrypoint that is among the project's files is followed, and what it is given if it starts no server itself.

    Args:
        argv: The command of a container or a unit.
        origin: Where it is written.
        one: The Compose service that runs it; None where it is not in a container.
        environment: The variables that are known there.
        context: The project.
    """
    found = [(command, origin) for command in find_commands(argv)]
    if found or not argv:
        return found
    words = [part for text in argv if not text.startswith("-") for part in text.split()]
    for word in words:
        path = _script(word, one, context)
        if path is not None:
            arguments = _after(word, argv)
            found = list(
                read_script(
                    path,
                    base=context.base,
                    environment=environment,
                    deployment=context.deployment,
                    arguments=arguments,
                )
            )
            return found or server_commands(arguments or (), origin, one, environment, context)
    # An entrypoint that is not among the files usually ends with exec "$@".
    first = argv[0].rsplit("/", 1)[-1]
    if "entrypoint" in first or "wait" in first or first.endswith(".sh"):
        rest = argv[argv.index("--") + 1 :] if "--" in argv else argv[1:]
        return [(command, origin) for command in find_commands(rest)]
    return []


def _script(word: str, one: ComposeService | None, context: Context) -> Path | None:
    """Return where an entrypoint of a container is here."""
    name = Path(word)
    if not name.name or name.name in {"sh", "bash", "python", "env"} or ("/" not in word and not name.suffix):
        return None
    candidates: list[Path] = []
    if one is not None:
        for inside, here in one.mounts.items():
            if word == inside or here.name == name.name:
                candidates.append(here)
            candidates.append(here / name.name)
        if one.context is not None:
            candidates += [one.context / word.lstrip("/"), one.context / name.name]
    candidates += [path for path in context.project.scripts if path.name == name.name]
    return next((path for path in candidates if context.deployment.reach.has(path)), None)


def _after(word: str, argv: Sequence[str]) -> list[str] | None:
    """Return the arguments of a script in an argument list; None if it stands inside of a shell's line."""
    if word not in argv:
        return None
    return list(argv[argv.index(word) + 1 :])
