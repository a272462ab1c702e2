"""``no502 adopt``."""
