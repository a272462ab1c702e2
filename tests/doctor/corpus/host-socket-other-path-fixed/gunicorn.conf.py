"""gunicorn of the shop."""

bind = "unix:/run/shop/gunicorn.sock"
worker_class = "uvicorn_worker.UvicornWorker"
workers = 4
keepalive = 35
forwarded_allow_ips = "*"
