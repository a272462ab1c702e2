"""How findings are printed: one module for each format."""

__all__: list[str] = []
