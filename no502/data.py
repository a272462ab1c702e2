"""Where the files that are not Python live: the nginx configuration and the project template."""

from pathlib import Path

__all__ = ["data_path"]

_PACKAGE = Path(__file__).resolve().parent


def data_path(name: str) -> Path:
    """Return the directory of packaged data called ``name`` (``nginx``, ``template`` or ``doctor``).

    An installed wheel has it inside the package (``no502/_data/NAME``); a checkout has it beside the package.

    Raises:
        FileNotFoundError: Neither place has it: the installation is damaged.
    """
    candidates = (_PACKAGE / "_data" / name, _PACKAGE.parent / name)
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    message = f"no502's data directory {name!r} is missing; looked at {' and '.join(map(str, candidates))}"
    raise FileNotFoundError(message)
