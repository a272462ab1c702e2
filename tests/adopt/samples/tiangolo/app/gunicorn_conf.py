import json
import multiprocessing
import os

workers_per_core_str = os.getenv("WORKERS_PER_CORE", "1")
cores = multiprocessing.cpu_count()
workers_per_core = float(workers_per_core_str)
web_concurrency = max(int(workers_per_core * cores), 2)
use_bind = os.getenv("BIND", "0.0.0.0:80")

loglevel = os.getenv("LOG_LEVEL", "info")
workers = web_concurrency
bind = use_bind
errorlog = "-"
worker_tmp_dir = "/dev/shm"
graceful_timeout = int(os.getenv("GRACEFUL_TIMEOUT", "120"))
timeout = int(os.getenv("TIMEOUT", "120"))
keepalive = int(os.getenv("KEEP_ALIVE", "5"))

print(json.dumps({"workers": workers, "bind": bind, "timeout": timeout}))
