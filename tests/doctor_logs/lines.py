"""Lines of logs, made from the catalogue."""

from no502.messages import Message

__all__ = ["written"]


def written(message: Message, text: str) -> bytes:
    """Return a line of a log with the text of a message, as its program writes it."""
    filled = text.replace("(pid:N)", "(pid:7)").replace("[N]", "[7]").replace("= ...", "= x")
    if message.nginx:
        level = message.levels[0]
        return f"2026/11/26 12:00:00 [{level}] 1#1: *7 {filled}, client: 10.0.0.1".encode()
    return filled.encode()
