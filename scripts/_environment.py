"""An environment in which the ladder has its defaults, for scripts that write them down."""

import os

from no502.ladder.settings import is_ours

__all__ = ["forget_settings"]


def forget_settings() -> None:
    """Remove this machine's settings from the environment, and go where there is no ``.env``."""
    for name in [name for name in os.environ if is_ours(name) or name.startswith("NGINX_")]:
        del os.environ[name]
    os.chdir("/")
