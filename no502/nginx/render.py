"""Rendering the nginx files for a plain host: what the official image's envsubst does, and the fitting variants."""

from __future__ import annotations

import contextlib
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from no502.data import data_path
from no502.errors import FAILED, USAGE, UserError
from no502.ladder.fronts import CLIENT_IDLE
from no502.nginx.variables import (
    MAY_BE_EMPTY,
    TRUSTED_PROXIES,
    UPSTREAM,
    VARIABLES,
    is_one_address,
    problems_of,
    unknown_names,
)
from no502.nginx.versions import HTTP2_DIRECTIVE, OLDEST, UPSTREAM_RESOLVER, dotted

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "CLIENTS_SHARE",
    "for_version",
    "render",
    "substitute",
]

CLIENTS_SHARE = 16
"""One client may have this part of the requests in flight."""
CLIENT_NEEDS = 32
"""But not fewer: a browser has dozens of requests in flight over HTTP/2."""

_DEFAULTS = {
    "NGINX_KEEPALIVE_TIMEOUT": str(CLIENT_IDLE),
    "NGINX_ACCESS_LOG": "/var/log/nginx/access.log",
    "NGINX_TLS_PORT": "443",
}
_USER = Path("conf.d/main/user.conf")
_USER_REASON = """\
# The user of nginx's workers, as the installed nginx has it: a socket's mode may let in that group only.
# Default: user nobody nogroup, or what nginx was built with
# https://nginx.org/en/docs/ngx_core_module.html#user
"""
_SINCE = re.compile(r";\s+# since (\d+\.\d+\.\d+)$", re.MULTILINE)
_TEMPLATE = ".template"
_PLACEHOLDER = re.compile(r"\$\{([A-Z][A-Z0-9_]*)\}")


def render(
    out: Path,
    settings: Mapping[str, str],
    *,
    nginx_version: tuple[int, int, int],
    tls: bool = False,
    standalone: bool = False,
    user: str | None = None,
) -> list[Path]:
    """Write the nginx configuration below ``out``; ``out/nginx.conf`` is the file to start.

    Everything is checked before anything is written. An ``out`` that exists is updated: files of another variant go,
    files that are not from here stay. A file that is not from here and has the name of one that is to be written is
    refused: the directory of a distribution's nginx, which serves other sites, is never changed.

    Args:
        out: The directory, made when its parent exists.
        settings: The variables of ``nginx/example.env``; names with other prefixes than ``NGINX_`` and ``PROXY_``
            are passed over, so a whole environment will do. ``NGINX_TRUSTED_PROXIES`` may be a comma list of networks.
        nginx_version: The nginx that will read the files.
        tls: Serve TLS; needs ``NGINX_TLS_LISTEN``, ``NGINX_TLS_CERTIFICATE`` and ``NGINX_TLS_CERTIFICATE_KEY``.
        standalone: Make a tree that ``nginx -e stderr -p OUT -c nginx.conf`` runs by itself, in the foreground, as
            root or not: pid and temporary files below ``out``, access log to standard output.
        user: The user, and after a space the group, of nginx's workers; None: as nginx was built.

    Returns:
        The files written.

    Raises:
        UserError: All problems at once, one a line; nothing has been written.
    """
    problems = list(unknown_names(settings))
    if nginx_version < OLDEST:
        problems.append(f"nginx {dotted(nginx_version)}: too old; the files need {dotted(OLDEST)} or newer")
    settings = _complete(settings, standalone=standalone)
    variants = _variants(settings, nginx_version=nginx_version, tls=tls, standalone=standalone)
    texts = {name: for_version(text, nginx_version) for name, text in _texts(variants).items()}
    needed = {name for text in texts.values() for name in _PLACEHOLDER.findall(text)}
    problems.extend(problems_of(settings, needed))
    if out.exists() and not out.is_dir():
        problems.append(f"{out}: exists and is not a directory")
    elif not out.absolute().parent.is_dir():
        parent = out.absolute().parent
        problems.append(f"{out}: no directory {parent} to make it in; mkdir -p {parent} makes it")
    values = {name: settings[name] for name in VARIABLES if settings.get(name) or name in MAY_BE_EMPTY}
    if tls and nginx_version < HTTP2_DIRECTIVE:
        values["NGINX_TLS_LISTEN"] = f"{values.get('NGINX_TLS_LISTEN')} http2"
    if user and not standalone:
        texts[_USER] = f"{_USER_REASON}user {user};\n"
    problems.extend(f"{out / name}: not written by no502, and never overwritten" for name in _foreign(out, texts))
    if problems:
        raise UserError("\n".join(["no nginx configuration written:", *(f"  {line}" for line in problems)]), USAGE)
    return _write(out, {name: substitute(text, values) for name, text in texts.items()})


def for_version(text: str, nginx_version: tuple[int, int, int]) -> str:
    """Leave out the directives that an older nginx does not know: lines that end in ``# since 1.27.4``."""
    kept = []
    for line in text.splitlines(keepends=True):
        since = _SINCE.search(line)
        if since is None or tuple(map(int, since[1].split("."))) <= nginx_version:
            kept.append(line)
    return "".join(kept)


def _complete(settings: Mapping[str, str], *, standalone: bool) -> dict[str, str]:
    """Add the values that follow from others or have a default."""
    complete = {**dict.fromkeys(MAY_BE_EMPTY, ""), **_DEFAULTS, **settings}
    bound = complete.get("NGINX_REQUESTS_IN_FLIGHT", "")
    if not complete.get("NGINX_REQUESTS_IN_FLIGHT_PER_CLIENT"):
        number = int(bound) if bound.isdecimal() else CLIENT_NEEDS
        complete["NGINX_REQUESTS_IN_FLIGHT_PER_CLIENT"] = str(
            max(number // CLIENTS_SHARE, min(number, CLIENT_NEEDS), 1)
        )
    if standalone:
        complete["NGINX_ACCESS_LOG"] = "/dev/stdout"
    return complete


def substitute(text: str, values: Mapping[str, str]) -> str:
    """Fill in every ``${NAME}`` of a template.

    A line with ``${NGINX_TRUSTED_PROXIES}`` is repeated for each item of its comma list.

    Raises:
        KeyError: A name has no value.
    """
    networks = [item.strip() for item in values.get(TRUSTED_PROXIES, "").split(",")]
    lines = []
    for line in text.splitlines(keepends=True):
        copies = networks if f"${{{TRUSTED_PROXIES}}}" in line else [""]
        lines += [_fill(line, {**values, TRUSTED_PROXIES: network}) for network in copies]
    return "".join(lines)


def _fill(line: str, values: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda found: values[found[1]], line)


def _variants(
    settings: Mapping[str, str], *, nginx_version: tuple[int, int, int], tls: bool, standalone: bool
) -> list[str]:
    """Name the directories below ``variants`` whose files replace the ones of the same name in ``templates``."""
    chosen = []
    if is_one_address(settings.get(UPSTREAM, "")) or nginx_version < UPSTREAM_RESOLVER:
        chosen.append("static-upstream")
    if tls:
        chosen.append("tls")
    if settings.get(TRUSTED_PROXIES):
        chosen.append("trusted-proxies")
    if standalone:
        chosen.append("standalone")
    return chosen


def _texts(variants: list[str]) -> dict[Path, str]:
    """Return the unrendered text of every file, by its path in the output."""
    source = data_path("nginx")
    files = {Path("nginx.conf"): source / "nginx.conf"}
    files |= {path.relative_to(source): path for path in sorted(source.glob("snippets/*.conf"))}
    for layer in [source / "templates", *(source / "variants" / name for name in variants)]:
        files |= {_output_name(path, layer): path for path in sorted(layer.rglob(f"*{_TEMPLATE}"))}
    return {name: path.read_text(encoding="utf-8") for name, path in files.items()}


def _output_name(template: Path, layer: Path) -> Path:
    return Path("conf.d") / template.relative_to(layer).with_suffix("")


def _foreign(out: Path, texts: Mapping[Path, str]) -> list[Path]:
    """Return which of these files exist and begin in another way than ours do."""
    return [name for name in sorted(texts) if (out / name).is_file() and not _is_ours(out / name, name)]


def _is_ours(path: Path, name: Path) -> bool:
    with path.open(encoding="utf-8", errors="replace") as file:
        first = file.readline()
    return first in {text.partition("\n")[0] + "\n" for text in _every_text(name)}


def _every_text(name: Path) -> list[str]:
    """Return the texts that a file of this name can have: the template's and those of its variants."""
    if name == _USER:
        return [_USER_REASON]
    return [
        texts[name] for variant in (None, *_every_variant()) if name in (texts := _texts([variant] if variant else []))
    ]


def _every_variant() -> list[str]:
    return sorted(path.name for path in (data_path("nginx") / "variants").iterdir())


def _write(out: Path, files: Mapping[Path, str]) -> list[Path]:
    is_new = not out.exists()
    try:
        for name in {*_texts(_every_variant()), _USER} - files.keys():
            if (out / name).is_file() and _is_ours(out / name, name):
                (out / name).unlink()
        for name, text in files.items():
            target = out / name
            target.parent.mkdir(parents=True, exist_ok=True)
            fresh = target.with_name(f".{target.name}.new")
            fresh.write_text(text, encoding="utf-8")
            fresh.replace(target)
    except OSError as error:
        if is_new:
            with contextlib.suppress(OSError):
                shutil.rmtree(out)
        message = f"the nginx configuration cannot be written: {error}"
        raise UserError(message, FAILED) from None
    return [out / name for name in files]
