"""Whether a service answers its readiness endpoint, through nginx and at the worker's own socket."""

from pathlib import Path

import httpx

__all__ = ["READY_PATH", "ask_nginx", "ask_worker"]

READY_PATH = "/health/ready"
"""Where a service says that it is ready, unless another path is given."""
_ASK_SECONDS = 2.0


def ask_nginx(port: int, path: str, *, tls: bool = False) -> str:
    """Ask for a path through nginx; return ``200``, another status, or what went wrong.

    With ``tls`` the handshake asks for ``localhost``, and the certificate is not checked: it may be for other names.
    """
    # trust_env=False: a proxy from the environment must not come between this process and its own nginx.
    with httpx.Client(trust_env=False, timeout=_ASK_SECONDS, verify=not tls) as client:
        scheme = "https" if tls else "http"
        return _ask(client, f"{scheme}://127.0.0.1:{port}{path}", {"sni_hostname": "localhost"} if tls else None)


def ask_worker(socket: Path, path: str) -> str:
    """Ask for a path at the worker's unix socket; return as :func:`ask_nginx` does."""
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(socket)), timeout=_ASK_SECONDS) as client:
        return _ask(client, f"http://localhost{path}")


def _ask(client: httpx.Client, url: str, extensions: dict[str, str] | None = None) -> str:
    try:
        return str(client.get(url, extensions=extensions).status_code)
    except httpx.HTTPError as error:
        return f"no answer ({type(error).__name__}: {error})"
