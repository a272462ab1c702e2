"""TCP ports for the servers that tests start, as the package chooses them."""

from no502.serve.ports import free_port

__all__ = ["free_port"]
