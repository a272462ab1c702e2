"""Proxies other than nginx in front of the application: what the files say of them."""

from __future__ import annotations

from no502.doctor.readers.context import Context

__all__ = ["read_proxies"]


def read_proxies(context: Context) -> None:
    """Name the proxies whose configuration is among the files."""
    del context
