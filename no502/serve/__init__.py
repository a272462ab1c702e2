"""gunicorn and nginx as a pair of processes on this machine: ``no502 run`` and what it is made of."""
