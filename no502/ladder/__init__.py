"""The ladder for people: its rungs, ``no502 explain``, the picture, and flags for servers without gunicorn."""

import importlib.util
import sys
from pathlib import Path

_path = Path(__file__).resolve().parents[2] / "gunicorn_conf.py"
if "gunicorn_conf" not in sys.modules and _path.is_file():
    # `python -m no502` would import a gunicorn_conf.py of the working directory, which may be anybody's.
    _spec = importlib.util.spec_from_file_location("gunicorn_conf", _path)
    if _spec is not None and _spec.loader is not None:
        sys.modules["gunicorn_conf"] = _module = importlib.util.module_from_spec(_spec)
        _spec.loader.exec_module(_module)
