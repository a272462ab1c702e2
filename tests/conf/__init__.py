"""gunicorn_conf under a real gunicorn."""
