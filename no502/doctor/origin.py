"""A value and where it comes from, and the address of a server."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

__all__ = ["Address", "Fact", "Origin", "Source"]

T_co = TypeVar("T_co", covariant=True)


class Source(StrEnum):
    """How a value came to be."""

    WRITTEN = "written"
    """It stands in the file."""
    DEFAULT = "default"
    """Nothing sets it; it is the default of the software in that version."""
    TEMPLATE = "template"
    """A placeholder such as ``${PORT}`` whose value is not among the files."""
    UNKNOWN = "unknown"
    """Something sets it in a way that only running it would tell."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a value comes from."""

    file: str
    """Path as the user gave it or relative to the directory that was given."""
    line: int | None = None
    """1-based; None for a whole file."""
    source: Source = Source.WRITTEN
    note: str = ""
    """What a reader should know: ``default of nginx 1.31``, ``GUNICORN_CMD_ARGS``, ``inside an if``."""
    variable: str = ""
    """The environment variable that holds it, where a server takes it from one."""
    expression: str = ""
    """What computes it, in the language of the file, where only running it would tell."""

    def __str__(self) -> str:
        """``file:line (note)``."""
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place} ({self.note})" if self.note else place


@dataclass(frozen=True)
class Fact(Generic[T_co]):
    """A value and its origin; ``value`` is None when it is unset or not known (source ``template`` or ``unknown``)."""

    value: T_co | None
    origin: Origin

    @property
    def known(self) -> bool:
        """Whether rules may rely on the value (a default is known)."""
        return self.value is not None and self.origin.source in (Source.WRITTEN, Source.DEFAULT)


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where something listens or connects to: ``host`` and ``port``, or ``socket`` for a unix path."""

    host: str | None = None
    """None in a bind for "any address"; lower case; IPv6 without brackets."""
    port: int | None = None
    """None when it is not known."""
    socket: str | None = None

    def __str__(self) -> str:
        """The address as nginx would write it."""
        if self.socket is not None:
            return f"unix:{self.socket}"
        host = f"[{self.host}]" if self.host and ":" in self.host else self.host or "*"
        return host if self.port is None else f"{host}:{self.port}"
