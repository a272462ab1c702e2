"""``no502 doctor``: find the 502 in a deployment's own files before it happens.

``readers`` fill one ``model.Deployment`` with facts, each with the file and line that it comes from; ``rules`` are pure
functions on it; ``reports`` print what they found. Nothing here opens a connection or runs what it reads.
"""

__all__: list[str] = []
