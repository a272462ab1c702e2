"""Workers that leave, with real gunicorn and real sockets."""
