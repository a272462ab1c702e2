"""The two nginx programs, as the tests of the nginx configuration use them."""

from tests.nginx.conftest import nginx, tree

__all__ = ["nginx", "tree"]
