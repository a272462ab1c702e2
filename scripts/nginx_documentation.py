"""Write nginx's directives with their defaults and first versions from a checkout of its documentation.

    scripts/nginx_documentation.py CHECKOUT > no502/nginx/directives.tsv

CHECKOUT is a work tree or a bare repository of github.com/nginx/nginx.org. One line for each directive of the modules
below and each context that its default applies to: module, directive, contexts, default, first version. An empty field:
the documentation names none.
"""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MODULES = (
    "ngx_core_module",
    "http/ngx_http_access_module",
    "http/ngx_http_core_module",
    "http/ngx_http_gzip_module",
    "http/ngx_http_headers_module",
    "http/ngx_http_limit_conn_module",
    "http/ngx_http_limit_req_module",
    "http/ngx_http_log_module",
    "http/ngx_http_map_module",
    "http/ngx_http_proxy_module",
    "http/ngx_http_realip_module",
    "http/ngx_http_rewrite_module",
    "http/ngx_http_ssl_module",
    "http/ngx_http_upstream_module",
    "http/ngx_http_v2_module",
)


def main() -> int:
    """Print the table."""
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    checkout = Path(sys.argv[1])
    for module in MODULES:
        for row in _rows(module, _text(checkout, f"xml/en/docs/{module}.xml")):
            print(*row, sep="\t")
    return 0


def _text(checkout: Path, name: str) -> str:
    command = ["git", "-C", str(checkout), "show", f"HEAD:{name}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    # The entities are those of nginx's own document type, which is not read: none is in a field of the table.
    return re.sub(r"<!DOCTYPE.*?>", "", re.sub(r"&(?!lt;|gt;|amp;|quot;|apos;)\w+;", " ", done.stdout), flags=re.DOTALL)


def _rows(module: str, text: str) -> Iterator[tuple[str, ...]]:
    for directive in ET.fromstring(text).iter("directive"):  # noqa: S314  nginx's own files, at the maintainer's desk
        contexts = ",".join(_words(one) for one in directive.findall("context"))
        default = directive.find("default")
        since = directive.find("appeared-in")
        words = "" if default is None else _words(default)
        yield (
            module.rpartition("/")[2],
            directive.get("name", ""),
            contexts,
            words,
            "" if since is None else _words(since),
        )


def _words(element: ET.Element) -> str:
    return " ".join("".join(element.itertext()).split())


if __name__ == "__main__":
    sys.exit(main())
