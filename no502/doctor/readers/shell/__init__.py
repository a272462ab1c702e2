"""Shell command lines and scripts: their grammar, what a run of them starts, and which words are a server."""

__all__: list[str] = []
