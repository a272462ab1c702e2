"""``gunicorn_conf`` for ``-c python:no502.gunicorn``, a name that a local ``gunicorn_conf.py`` cannot shadow."""

import importlib.util
import sys
from pathlib import Path

_path = Path(__file__).resolve().parent.parent / "gunicorn_conf.py"
_spec = importlib.util.spec_from_file_location("no502._gunicorn_conf", _path)
if _spec is None or _spec.loader is None:
    raise FileNotFoundError(_path)
_module = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = _module  # dataclasses look their module up
_spec.loader.exec_module(_module)
globals().update({name: getattr(_module, name) for name in _module.__all__})
