"""Which services run nginx, and which nginx."""

from __future__ import annotations

import re
from collections.abc import Sequence

from no502.doctor.model import Service, Version
from no502.doctor.readers.compose.project import ComposeService
from no502.doctor.readers.dockerfile import installs_nginx
from no502.doctor.readers.nginx.configuration import find_versions

__all__ = ["is_nginx", "is_nginx_image", "is_stock", "nginx_versions"]

_NGINX_IMAGE = re.compile(
    r"(?:^|/)(?P<name>[\w.-]*(?:(?<![a-z])nginx(?![a-z])|openresty)[\w.-]*)(?::(?P<tag>[^@]+))?(?:@.*)?$", re.IGNORECASE
)
_NO_NGINX = re.compile(
    r"exporter|prometheus|nginx-proxy|proxy-manager|ingress|companion|amplify|agent|unit|docker-gen|certbot|log|ui",
    re.IGNORECASE,
)
_OWN_TAGS = re.compile(r"(?:^|/)(?:library/)?(?:nginx|nginx-unprivileged|openresty)(?::[^@]+)?(?:@.*)?$")


def _image(name: str) -> re.Match[str] | None:
    found = _NGINX_IMAGE.search(name)
    return None if found is None or _NO_NGINX.search(found["name"]) else found


def is_nginx_image(service: Service) -> bool:
    """Whether the service's image is nginx's."""
    image = service.settings.image
    return image is not None and _image(str(image.value or "")) is not None


def is_nginx(one: ComposeService) -> bool:
    """Whether a service runs nginx: by its image or what that is built from, its files, or its command."""
    base = one.image.base if one.image is not None else ""
    if is_nginx_image(one.service) or _image(base) is not None or installs_nginx(one.image):
        return True
    image = one.service.settings.image
    if image is not None and re.search(r"nginx-?proxy|proxy-manager|ingress", str(image.value or "")):
        return False
    inside = any(target.startswith(("/etc/nginx", "/usr/local/openresty/nginx/conf")) for target in one.mounts)
    return inside or any(word.rsplit("/", 1)[-1] in {"nginx", "openresty"} for word in one.argv[:1])


def is_stock(one: ComposeService) -> bool:
    """Whether a service is the official image as it is: its files are all here, and none of them is nginx's.

    Another image, and one that is built, may bring a configuration along.
    """
    image = one.service.settings.image
    official = one.image is None and image is not None and _OWN_TAGS.search(str(image.value or "")) is not None
    inside = [target for _, target in one.service.volumes] + list(one.mounts)
    return official and bool(inside) and not one.inline and not any("nginx" in _folder(target) for target in inside)


def _folder(inside: str) -> str:
    """Return a path in a container, without the folder of nginx's pages."""
    return inside.replace("/usr/share/nginx/html", "")


def nginx_versions(
    stated: str | None, service: Service | None, front: ComposeService | None
) -> tuple[Sequence[Version], str]:
    """Return the versions that a service's nginx may have, and a note about them.

    Args:
        stated: What the user says.
        service: What runs it, if that is known.
        front: The same where it is Compose's.
    """
    if stated is not None:
        return find_versions(stated)
    image = service.settings.image if service is not None else None
    name = str(image.value) if image is not None else front.image.base if front and front.image else ""
    found = _image(name)
    if found is None:
        return find_versions(None)
    digits = re.search(r"nginx-?(\d)(\d\d)(?!\d)", found["name"])
    if digits is not None:
        return find_versions(f"{digits[1]}.{int(digits[2])}")  # nginx-122 of a vendor's registry
    if _OWN_TAGS.search(name):
        return find_versions(found["tag"] or "latest")
    numbered = re.match(r"\d+\.\d+", found["tag"] or "")
    return find_versions(found["tag"] if numbered else None)
