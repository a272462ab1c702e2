"""One module for each area; each lists its rules in ``RULES``."""

__all__: list[str] = []
