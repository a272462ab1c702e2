"""How a command tells the user that it could not do what was asked."""

__all__ = ["FAILED", "USAGE", "UserError"]

FAILED = 1
"""Exit code: what was asked for did not work out."""
USAGE = 2
"""Exit code: the command line itself is wrong."""


class UserError(Exception):
    """A problem that the user can do something about; ``no502.cli`` prints it without a traceback.

    It is not a ``click.ClickException``: typer carries its own copy of click and would not catch that one.

    Args:
        message: What is wrong, where, what is allowed and what to do; may have several lines.
        exit_code: ``FAILED`` or ``USAGE``.
    """

    def __init__(self, message: str, exit_code: int = FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code
