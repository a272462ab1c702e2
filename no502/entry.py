"""The console script: says what is missing where the package was installed without the command's own requirements."""

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line; exit code 1 with one line where its packages are not installed, 130 after Ctrl-C."""
    try:
        from no502.cli import main as run
    except KeyboardInterrupt:
        sys.exit(130)  # during the half second that the imports take
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "no502":
            raise
        sys.exit(
            f"no502: the command needs the packages of the extra cli ({error.name} is missing): "
            "pip install '.[cli,nginx]' in a checkout"
        )
    run()
