"""The catalogue of log messages: one Markdown file per message, in a folder per program.

``no502 doctor logs`` classifies with it, ``no502 doctor explain`` prints it, and the error pages of the documentation
are made from it.
"""

from no502.messages.catalogue import GROUPS, SYMPTOMS, by_name, messages, search
from no502.messages.causes import Cause, causes
from no502.messages.model import Message, Service, Severity, Shape

__all__ = [
    "GROUPS",
    "SYMPTOMS",
    "Cause",
    "Message",
    "Service",
    "Severity",
    "Shape",
    "by_name",
    "causes",
    "messages",
    "search",
]
