"""Waiting for a condition with a deadline, as the package does it."""

from no502.serve.waiting import wait_until

__all__ = ["wait_until"]
