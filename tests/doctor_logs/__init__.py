"""``no502 doctor logs``."""
