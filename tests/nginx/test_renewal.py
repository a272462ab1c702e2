"""A renewed certificate: the deploy hook loads it without losing a request, from files and from an ACME server."""

import os
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest
import trustme

from tests.nginx.certificates import CERTBOT, HAS_ACME, Load, acme_server, served, written
from tests.nginx.proxy import HOST, Nginx, Proxy, ProxyFactory, command
from tests.support.backend import Backend
from tests.support.commands import ROOT
from tests.support.polling import wait_until

_HOOK = ROOT / "docs" / "examples" / "tls" / "deploy-hook"
_RENEWALS = 5


def _issue(authority: trustme.CA, lineage: Path) -> None:
    """Write a new certificate as certbot names its files."""
    lineage.mkdir(exist_ok=True)
    issued = authority.issue_cert(HOST)
    (lineage / "fullchain.pem").write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(lineage / "privkey.pem")


def _variables(directory: Path) -> dict[str, str]:
    return {
        "NGINX_TLS_CERTIFICATE": str(directory / "fullchain.pem"),
        "NGINX_TLS_CERTIFICATE_KEY": str(directory / "privkey.pem"),
    }


def _environment(nginx: Nginx, proxy: Proxy, **more: str) -> dict[str, str]:
    return {**os.environ, "NGINX": " ".join(command(nginx, proxy.directory)), **more}


def test_a_renewal_loses_nothing(nginx: Nginx, start: ProxyFactory, tree: Path) -> None:
    """Under load each new certificate is served after the hook, and no request fails."""
    authority, live, lineage = trustme.CA(), tree / "tls", tree / "lineage"
    _issue(authority, live)
    with Backend() as backend:
        proxy = start(backend.upstream, tls=True, **_variables(live))
        load = Load(proxy.tls_port)
        load.start()
        try:
            for _ in range(_RENEWALS):
                before, answered = served(proxy.tls_port), load.answered
                _issue(authority, lineage)
                environment = _environment(nginx, proxy, RENEWED_LINEAGE=str(lineage), TLS_DIRECTORY=str(live))
                done = subprocess.run([_HOOK], env=environment, capture_output=True, text=True, check=False)
                assert done.returncode == 0, done.stderr
                wait_until(lambda: served(proxy.tls_port) == written(lineage), what="the new certificate")
                assert before != written(lineage)
                wait_until(lambda seen=answered: load.answered > seen + 20, what="answers")  # type: ignore[misc]
        finally:
            load.stop.set()
            load.join()
    assert load.failures == []


def test_a_certificate_that_does_not_fit_changes_nothing(nginx: Nginx, start: ProxyFactory, tree: Path) -> None:
    """Nginx refuses a certificate with the key of another: the hook fails, and the previous one is served."""
    authority, live = trustme.CA(), tree / "tls"
    _issue(authority, live)
    with Backend() as backend:
        proxy = start(backend.upstream, tls=True, **_variables(live))
        before = served(proxy.tls_port)
        authority.issue_cert(HOST).private_key_pem.write_to_path(live / "privkey.pem")
        environment = _environment(nginx, proxy, RENEWED_LINEAGE=str(live))
        done = subprocess.run([_HOOK], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode != 0
        assert "key values mismatch" in done.stderr
        assert served(proxy.tls_port) == before


@pytest.mark.skipif(not HAS_ACME, reason="needs Debian's packages certbot and pebble")
def test_certbot_gets_a_certificate_through_nginx_and_the_hook_loads_it(
    nginx: Nginx, start: ProxyFactory, tree: Path
) -> None:
    """The challenge is answered by nginx on the plain port, beside the redirect; renewed, another one is served."""
    live, webroot = tree / "tls", tree / "acme"
    webroot.mkdir()
    _issue(trustme.CA(), live)
    with Backend() as backend, ExitStack() as stack:
        proxy = start(backend.upstream, tls=True, **_variables(live))
        own = proxy.directory / "conf.d" / "plain" / "acme.conf"
        own.parent.mkdir()
        own.write_text(f"location /.well-known/acme-challenge/ {{\n    root {webroot};\n}}\n", encoding="utf-8")
        subprocess.run([*command(nginx, proxy.directory), "-s", "reload"], check=True, capture_output=True)
        url = stack.enter_context(acme_server(tree, proxy.port))
        places = [word for name in ("config", "work", "logs") for word in (f"--{name}-dir", str(tree / name))]
        certbot = ["certbot", "certonly", "--webroot", "-w", str(webroot), "-d", HOST, "--server", url, *places]
        certbot += CERTBOT
        environment = _environment(nginx, proxy, TLS_DIRECTORY=str(live), PYTHONWARNINGS="ignore")
        for _ in range(2):
            before = served(proxy.tls_port)
            done = subprocess.run(
                [*certbot, "--force-renewal", "--deploy-hook", str(_HOOK)],
                env=environment,
                capture_output=True,
                text=True,
                timeout=100,
                check=False,
            )
            assert done.returncode == 0, done.stdout + done.stderr
            wait_until(lambda: served(proxy.tls_port) == written(live), what="the new certificate")
            assert served(proxy.tls_port) != before
