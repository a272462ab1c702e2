"""Every known message: one table for the classifier and for the error index in the documentation."""

from no502.doctor.logs.app_messages import APPLICATION
from no502.doctor.logs.message import Message
from no502.doctor.logs.nginx_answering import ANSWERING
from no502.doctor.logs.nginx_clients import CLIENTS
from no502.doctor.logs.nginx_connecting import CONNECTING

__all__ = ["APPLICATION", "MESSAGES", "NGINX", "by_id"]

NGINX: tuple[Message, ...] = (*CONNECTING, *ANSWERING, *CLIENTS)
"""What nginx writes."""

MESSAGES: tuple[Message, ...] = tuple(sorted((*NGINX, *APPLICATION), key=lambda message: message.id))
"""All of them, by id."""


def by_id(wanted: str) -> Message | None:
    """Return the message of that id or slug, upper or lower case."""
    return next((m for m in MESSAGES if wanted.upper() == m.id or wanted.lower() == m.slug), None)
