"""The tests' environment."""

import os

# Not as many as this machine has CPUs: APP_DATABASE_CONNECTIONS would have to fit it.
os.environ["WEB_CONCURRENCY"] = "2"
