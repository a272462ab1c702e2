"""The causes that a generated service's ``ops/diagnose`` finds in logs, made from the messages that show them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from no502.messages.catalogue import messages
from no502.messages.model import Message, Service

__all__ = ["Cause", "causes"]


@dataclass(frozen=True, kw_only=True)
class Cause:
    """One cause: a line in the list of ``ops/diagnose`` and a section of ``ops/runbook.md``."""

    name: str
    says: str
    """The cause in one line."""
    mild: bool
    messages: Sequence[Message]
    """The messages that show it, in the order of the catalogue."""
    means: str
    do: str
    verify: str


def causes() -> tuple[Cause, ...]:
    """Return every cause, in the order of the first message that shows it.

    Raises:
        ValueError: Two messages say what the same cause is.
    """
    found: dict[str, list[tuple[Message, Service]]] = {}
    for message in messages():
        if message.service is not None:
            found.setdefault(message.service.cause, []).append((message, message.service))
    return tuple(_cause(name, shown) for name, shown in found.items())


def _cause(name: str, shown: Sequence[tuple[Message, Service]]) -> Cause:
    speakers = [pair for pair in shown if pair[1].says]
    if len(speakers) > 1:
        where = ", ".join(message.source_path for message, _ in speakers)
        problem = f"the cause {name} has `says` in more than one message: {where}"
        raise ValueError(problem)
    message, service = speakers[0] if speakers else shown[0]
    sections = message.sections
    fixes = (*sections.get("Immediate fix", ()), *sections.get("Permanent fix", ()))
    return Cause(
        name=name,
        says=service.says or message.title,
        mild=service.mild,
        messages=[one for one, _ in shown],
        means=service.section.get("Means", message.cause),
        do=service.section.get("Do", " ".join(fixes)),
        verify=service.section.get("Verify", " ".join(sections.get("Check", ())[:1])),
    )
