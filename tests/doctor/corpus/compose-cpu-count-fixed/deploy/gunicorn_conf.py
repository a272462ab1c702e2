bind = "0.0.0.0:8000"
worker_class = "uvicorn_worker.UvicornWorker"
workers = 3
forwarded_allow_ips = "*"
