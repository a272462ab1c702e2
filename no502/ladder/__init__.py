"""The ladder for people: its rungs, ``no502 explain``, the picture, and flags for servers without gunicorn."""
