"""Certificates that are renewed: what is served, what is written, a load that counts failures, an ACME server."""

import json
import os
import re
import shutil
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import trustme

from tests.nginx.proxy import HOST
from tests.support.ports import free_port
from tests.support.processes import Running

__all__ = ["ACME_PROGRAMS", "CERTBOT", "HAS_ACME", "Load", "acme_server", "served", "written"]

ACME_PROGRAMS = ("certbot", "pebble", "pebble-challtestsrv")
HAS_ACME = all(map(shutil.which, ACME_PROGRAMS))
CERTBOT = ["--no-verify-ssl", "--non-interactive", "--agree-tos", "--register-unsafely-without-email"]
"""Options of certbot for a test."""


def served(port: int) -> bytes:
    """Return the certificate that is served."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), 10) as plain,
        context.wrap_socket(plain, server_hostname=HOST) as secure,
    ):
        return secure.getpeercert(binary_form=True) or b""


def written(directory: Path) -> bytes:
    """Return the first certificate of the file."""
    [first, *_] = re.findall(
        r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n",
        (directory / "fullchain.pem").read_text(encoding="ascii"),
        re.DOTALL,
    )
    return ssl.PEM_cert_to_DER_cert(first)


class Load(threading.Thread):
    """Requests over new TLS connections, one after the other; counts the answers and the failures."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.answered = 0
        self.failures: list[str] = []
        self.stop = threading.Event()
        self._port = port
        self._context = ssl.create_default_context()
        self._context.check_hostname, self._context.verify_mode = False, ssl.CERT_NONE

    def run(self) -> None:
        """Ask until told to stop."""
        request = f"GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode()
        while not self.stop.is_set():
            try:
                with (
                    socket.create_connection(("127.0.0.1", self._port), 20) as plain,
                    self._context.wrap_socket(plain, server_hostname=HOST) as secure,
                ):
                    secure.sendall(request)
                    answer = secure.recv(100)
            except OSError as error:
                self.failures.append(repr(error))
                continue
            if answer.startswith(b"HTTP/1.1 200 "):
                self.answered += 1
            else:
                self.failures.append(repr(answer))


@contextmanager
def acme_server(tree: Path, challenge: int) -> Iterator[str]:
    """Run Pebble, an ACME server for tests, which asks for the challenge on this port; return its directory's URL."""
    issued = trustme.CA().issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path(tree / "acme.pem")
    issued.private_key_pem.write_to_path(tree / "acme.key")
    names, listen = free_port(), free_port()
    configuration = {
        "listenAddress": f"127.0.0.1:{listen}",
        "managementListenAddress": f"127.0.0.1:{free_port()}",
        "certificate": str(tree / "acme.pem"),
        "privateKey": str(tree / "acme.key"),
        "httpPort": challenge,
        "tlsPort": free_port(),
        "ocspResponderURL": "",
        "externalAccountBindingRequired": False,
    }
    (tree / "pebble.json").write_text(json.dumps({"pebble": configuration}), encoding="utf-8")
    own = ["-dns01", f"127.0.0.1:{names}", "-management", f"127.0.0.1:{free_port()}", "-defaultIPv4", "127.0.0.1"]
    off = [word for name in ("-http01", "-https01", "-tlsalpn01", "-defaultIPv6") for word in (name, "")]
    with ExitStack() as stack:
        stack.enter_context(Running(["pebble-challtestsrv", *own, *off]))
        server = ["pebble", "-config", str(tree / "pebble.json"), "-dnsserver", f"127.0.0.1:{names}"]
        # By default it refuses some of the nonces, and certbot 2.1 fails on the second refusal.
        pebble = stack.enter_context(Running(server, env={**os.environ, "PEBBLE_WFE_NONCEREJECT": "0"}))
        pebble.wait_for_output("Listening on: 127.0.0.1")
        yield f"https://localhost:{listen}/dir"
