"""Python files: gunicorn's configuration files, read or executed, and ``uvicorn.run`` in applications."""
