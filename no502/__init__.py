"""no502: FastAPI behind nginx without dropping a request."""

__all__ = ["__version__"]

__version__ = "0.1.0"
