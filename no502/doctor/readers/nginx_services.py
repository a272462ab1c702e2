"""Which services run nginx, and which nginx."""

from __future__ import annotations

import re
from collections.abc import Sequence

from no502.doctor.model import Service
from no502.doctor.readers.compose import ComposeService
from no502.doctor.readers.nginx import find_versions

__all__ = ["is_nginx", "is_nginx_image", "nginx_versions"]

_NGINX_IMAGE = re.compile(r"(?:^|/)(?:nginx|nginx-unprivileged|openresty|nginx-alpine)(?::([^@]+))?(?:@.*)?$")


def is_nginx_image(service: Service) -> bool:
    """Whether the service's image is nginx's."""
    image = service.settings.get("image")
    return image is not None and bool(_NGINX_IMAGE.search(str(image.value or "")))


def is_nginx(one: ComposeService) -> bool:
    """Whether a service runs nginx, by its image or by what that is built from."""
    base = one.image.base if one.image is not None else ""
    return is_nginx_image(one.service) or bool(_NGINX_IMAGE.search(base))


def nginx_versions(
    stated: str | None, service: Service | None, front: ComposeService | None
) -> tuple[Sequence[tuple[int, int, int]], str]:
    """Return the versions that a service's nginx may have, and a note about them.

    Args:
        stated: What the user says.
        service: What runs it, if that is known.
        front: The same where it is Compose's.
    """
    if stated is not None:
        return find_versions(stated)
    image = service.settings.get("image") if service is not None else None
    name = str(image.value) if image is not None else front.image.base if front and front.image else ""
    found = _NGINX_IMAGE.search(name)
    return find_versions(found[1] or "latest" if found else None)
