"""``gunicorn_conf`` for ``-c python:no502.gunicorn``, a name that a local ``gunicorn_conf.py`` cannot shadow."""

from no502.installed import load_gunicorn_conf

_module = load_gunicorn_conf("no502._gunicorn_conf")
globals().update({name: getattr(_module, name) for name in _module.__all__})
