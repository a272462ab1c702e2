"""``no502 doctor logs``: known messages of nginx, gunicorn and uvicorn, each with cause, proof and fix.

``table`` has the messages, ``parse`` takes lines apart, ``findings`` counts, ``access`` pairs with the access log,
``report`` prints.
"""

from no502.doctor.logs.cli import command

__all__ = ["command"]
