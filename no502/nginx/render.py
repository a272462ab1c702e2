"""Rendering the nginx files for a plain host: what the official image's envsubst does, and the fitting variants."""

from __future__ import annotations

import contextlib
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from no502.data import data_path
from no502.errors import FAILED, USAGE, UserError
from no502.nginx.variables import TRUSTED_PROXIES, UPSTREAM, VARIABLES, is_one_address, problems_of, unknown_names

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["HTTP2_DIRECTIVE", "KEEPALIVE_MIN_TIMEOUT", "OLDEST", "RESOLVE", "render", "substitute"]

OLDEST = (1, 22, 0)
"""The oldest nginx that the files are written for."""
HTTP2_DIRECTIVE = (1, 25, 1)
"""``http2 on`` instead of a parameter of ``listen``. https://nginx.org/en/docs/http/ngx_http_v2_module.html#http2"""
RESOLVE = (1, 27, 3)
"""``server NAME resolve``. https://nginx.org/en/docs/http/ngx_http_upstream_module.html#resolve"""
KEEPALIVE_MIN_TIMEOUT = (1, 27, 4)
"""Idle clients and reloads. https://nginx.org/en/docs/http/ngx_http_core_module.html#keepalive_min_timeout"""

_TEMPLATE = ".template"
_PLACEHOLDER = re.compile(r"\$\{([A-Z][A-Z0-9_]*)\}")


def render(
    out: Path,
    settings: Mapping[str, str],
    *,
    nginx_version: tuple[int, int, int],
    tls: bool = False,
    standalone: bool = False,
) -> list[Path]:
    """Write the nginx configuration below ``out``; ``out/nginx.conf`` is the file to start.

    Everything is checked before anything is written. An ``out`` that exists is updated: files of another variant go,
    files that are not from here stay.

    Args:
        out: The directory, made when its parent exists.
        settings: The variables of ``nginx/example.env``; names with other prefixes than ``NGINX_`` and ``PROXY_``
            are passed over, so a whole environment will do. ``NGINX_TRUSTED_PROXIES`` may be a comma list of networks.
        nginx_version: The nginx that will read the files.
        tls: Serve TLS; needs ``NGINX_TLS_LISTEN``, ``NGINX_TLS_CERTIFICATE`` and ``NGINX_TLS_CERTIFICATE_KEY``.
        standalone: Make a tree that ``nginx -e stderr -p OUT -c nginx.conf`` runs by itself, in the foreground, as
            root or not: pid and temporary files below ``out``, access log to standard output.

    Returns:
        The files written.

    Raises:
        UserError: All problems at once, one a line; nothing has been written.
    """
    problems = list(unknown_names(settings))
    if nginx_version < OLDEST:
        problems.append(f"nginx {_dotted(nginx_version)}: too old; the files need {_dotted(OLDEST)} or newer")
    variants = _variants(settings, nginx_version=nginx_version, tls=tls, standalone=standalone)
    texts = _texts(variants)
    needed = {name for text in texts.values() for name in _PLACEHOLDER.findall(text)}
    problems.extend(problems_of(settings, needed))
    if out.exists() and not out.is_dir():
        problems.append(f"{out}: exists and is not a directory")
    elif not out.absolute().parent.is_dir():
        problems.append(f"{out}: no directory {out.absolute().parent} to make it in")
    if problems:
        raise UserError("\n".join(["no nginx configuration written:", *(f"  {line}" for line in problems)]), USAGE)
    values = {name: settings[name] for name in VARIABLES if settings.get(name)}
    return _write(out, {name: substitute(text, values) for name, text in texts.items()})


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
    if is_one_address(settings.get(UPSTREAM, "")):
        chosen.append("local-upstream")
    elif nginx_version < RESOLVE:
        chosen.append("static-upstream")
    if nginx_version < KEEPALIVE_MIN_TIMEOUT:
        chosen.append("nginx-1.22")
    if tls:
        chosen.append("tls" if nginx_version >= HTTP2_DIRECTIVE else "tls-nginx-1.22")
    if settings.get(TRUSTED_PROXIES):
        chosen.append("trusted-proxies")
    if standalone:
        chosen.append("standalone")
    return chosen


def _texts(variants: list[str]) -> dict[Path, str]:
    """Return the unrendered text of every file, by its path in the output."""
    source = data_path("nginx")
    files = {Path("nginx.conf"): source / "nginx.conf"}
    files |= {path.relative_to(source): path for path in sorted(source.glob("snippets/*/*.conf"))}
    for layer in [source / "templates", *(source / "variants" / name for name in variants)]:
        files |= {_output_name(path, layer): path for path in sorted(layer.rglob(f"*{_TEMPLATE}"))}
    return {name: path.read_text(encoding="utf-8") for name, path in files.items()}


def _output_name(template: Path, layer: Path) -> Path:
    return Path("conf.d") / template.relative_to(layer).with_suffix("")


def _write(out: Path, files: Mapping[Path, str]) -> list[Path]:
    every_variant = sorted(path.name for path in (data_path("nginx") / "variants").iterdir())
    is_new = not out.exists()
    try:
        for name in _texts(every_variant).keys() - files.keys():
            (out / name).unlink(missing_ok=True)
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


def _dotted(version: tuple[int, int, int]) -> str:
    return ".".join(map(str, version))
