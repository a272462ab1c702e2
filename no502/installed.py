"""The ``gunicorn_conf.py`` that was installed with this package: beside it, in a checkout as in site-packages."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

__all__ = ["GUNICORN_CONF", "load_gunicorn_conf"]

GUNICORN_CONF = Path(__file__).resolve().parent.parent / "gunicorn_conf.py"


def load_gunicorn_conf(name: str) -> ModuleType:
    """Run it as the module ``name``, which ``sys.modules`` then has, and return it.

    An import would find a ``gunicorn_conf.py`` of the working directory first, which may be any file.

    Raises:
        FileNotFoundError: The installation is damaged.
    """
    spec = importlib.util.spec_from_file_location(name, GUNICORN_CONF)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(GUNICORN_CONF)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
