"""The real programs behind ``no502 explain --proxy``. Nothing here is collected by a plain ``pytest``."""
