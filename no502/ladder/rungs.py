"""The ladder's declarations, as ``gunicorn_conf`` has them, and what ``explain`` and the pictures ask of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gunicorn_conf import GROUPS, RUNGS, Rung

if TYPE_CHECKING:
    from gunicorn_conf import ServerSettings

__all__ = ["GROUPS", "RUNGS", "Rung", "computed", "is_overridden", "rung_of", "symbols", "value_of"]


def computed(symbol: str, **known: float) -> int:
    """Return what a rung's formula proposes for other people's numbers: at least its least value, in whole units.

    Args:
        symbol: The rung, such as ``T``.
        known: The symbols that its formula names, such as ``P=180``.

    Raises:
        KeyError: There is no such rung.
    """
    rung = next((rung for rung in RUNGS if rung.symbol == symbol), None)
    if rung is None:
        raise KeyError(symbol)
    return max(rung.low or 0, int(rung.compute({name: int(value) for name, value in known.items()})))


def rung_of(variable: str) -> Rung:
    """Return the rung that a variable sets.

    Raises:
        KeyError: There is none.
    """
    for rung in RUNGS:
        if rung.variable == variable:
            return rung
    raise KeyError(variable)


def value_of(rung: Rung, settings: ServerSettings) -> int | None:
    """Return the number in force; None where it is unset (only ``front_read_timeout`` can be)."""
    value: int | None = getattr(settings, rung.name)
    return value


def is_overridden(rung: Rung, settings: ServerSettings) -> bool:
    """Return whether the user's own variable replaces what would have been computed."""
    return rung.formula is not None and settings.is_set(rung)


def symbols(settings: ServerSettings) -> dict[str, Any]:
    """Return what the formulas speak of: the value of every symbol, and the facts of this machine."""
    return settings.symbols()
