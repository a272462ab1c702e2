"""``no502 lab``: each failure between nginx and gunicorn made to happen on this machine, and then not.

A *scenario* (``scenarios``, one module each) runs twice on a *stage* (``stage``: real nginx, real gunicorn, loopback):
as it is found in the wild and with no502. What the client got, what nginx logged and when workers came and went is one
``Side``; ``verdict`` compares the two; ``text`` and ``html`` print them.
"""

__all__: list[str] = []
