"""The ladder for people: its rungs, ``no502 explain``, the picture, and flags for servers without gunicorn."""

import sys

from no502.installed import GUNICORN_CONF, load_gunicorn_conf

if "gunicorn_conf" not in sys.modules and GUNICORN_CONF.is_file():
    load_gunicorn_conf("gunicorn_conf")
