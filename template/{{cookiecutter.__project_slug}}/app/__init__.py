"""The service."""

__all__ = ["DESCRIPTION", "TITLE", "VERSION"]

TITLE = "{{ cookiecutter.project_name }}"
DESCRIPTION = "{{ cookiecutter.description }}"
VERSION = "0.1.0"
