"""The plan as text: each change with its reason, then the patch, then what is left to a person."""

from __future__ import annotations

from no502.adopt.plan import Plan
from no502.adopt.workspace import Workspace
from no502.doctor.patch import diff_of
from no502.doctor.secrets import mask, printable

__all__ = ["show_plan"]


def show_plan(space: Workspace, plan: Plan) -> str:
    """Return the whole text; ``patch -p1`` and ``git apply`` skip the text around the patch."""
    lines: list[str] = []
    if not space.changes and not space.copies:
        lines.append("nothing to change")
    for name in dict.fromkeys(change.file for change in space.changes):
        lines.append(f"{name}:")
        lines += [f"  - {printable(mask(change.why))}" for change in space.changes if change.file == name]
    if space.copies:
        lines.append(f"copies of no502's files: {', '.join(space.copies)}")
    text = "\n".join(lines) + "\n"
    patch = "".join(
        diff_of(name, _text(old), _text(new)) for name, old, new in space.changed() if name not in space.copies
    )
    if patch:
        text += "\n" + patch
    if plan.notes:
        text += "\nleft to you:\n" + "".join(f"  - {printable(mask(note))}\n" for note in plan.notes)
    return text


def _text(content: bytes | None) -> str:
    return (content or b"").decode("utf-8", "surrogateescape")
