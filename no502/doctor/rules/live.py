"""E: what the live probes report."""

from __future__ import annotations

from no502.doctor.registry import Rule

__all__ = ["RULES"]

RULES: tuple[Rule, ...] = ()
