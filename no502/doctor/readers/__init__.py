"""Readers: each fills the model from one kind of file and executes nothing."""

__all__: list[str] = []
