bind = "0.0.0.0:8000"
worker_class = "uvicorn_worker.UvicornWorker"
keep_alive = 75
forwarded_allow_ips = "*"
