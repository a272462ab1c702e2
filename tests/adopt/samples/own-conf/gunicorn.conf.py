"""gunicorn's settings of the reports service."""

import logging
import multiprocessing

bind = "127.0.0.1:8000"
workers = multiprocessing.cpu_count() * 2 + 1
worker_class = "uvicorn.workers.UvicornWorker"
timeout = 120
graceful_timeout = 30
keepalive = 5  # seconds
accesslog = "-"
proc_name = "reports"


def on_starting(server):
    """Say hello."""
    logging.getLogger("reports").info("starting")


def post_fork(server, worker):
    server.log.info("worker %s forked", worker.pid)
