keepalive = 75
