"""The certificate of ``no502 run --tls``: the user's own, or a throw-away one in the directory of the run."""

from __future__ import annotations

import re
import shlex
import socket
import ssl
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from no502.data import data_path
from no502.errors import FAILED, USAGE, UserError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["Certificate", "curl_options", "own_certificate", "throw_away_certificate"]

_CHAIN, _KEY = "fullchain.pem", "privkey.pem"
_SECONDS = 5
_MISMATCHES = {"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"}  # OpenSSL: the last, EC and RSA
_HOST_NAME = re.compile(r"(?:\*\.)?[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*")


@dataclass(frozen=True)
class Certificate:
    """A certificate with its intermediates, and its key: two files in PEM."""

    chain: Path
    key: Path

    def linked(self, directory: Path) -> Certificate:
        """Return the same files under paths in ``directory`` that need no quotes in nginx's configuration."""
        directory.mkdir()
        links = Certificate(directory / _CHAIN, directory / _KEY)
        links.chain.symlink_to(self.chain)
        links.key.symlink_to(self.key)
        return links


def own_certificate(certificate: Path | None, key: Path | None) -> Certificate | None:
    """Check the files of ``--certificate`` and ``--key``.

    Returns:
        Their absolute paths; None where neither was given.

    Raises:
        UserError: One of the two is missing, cannot be read, or the key belongs to another certificate.
    """
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        given, other = ("--certificate", "--key") if key is None else ("--key", "--certificate")
        message = f"{given} without {other}: both are needed"
        raise UserError(message, USAGE)
    problems = [
        f"{option} {path}: {problem}"
        for option, path in (("--certificate", certificate), ("--key", key))
        if (problem := _unreadable(path))
    ]
    if problems:
        raise UserError("; ".join(problems), USAGE)
    if problem := _mismatch(certificate, key):
        raise UserError(problem, USAGE)
    return Certificate(certificate.absolute(), key.absolute())


def throw_away_certificate(directory: Path, names: Iterable[str]) -> Certificate:
    """Make a certificate for these names with the program that a generated service has for it.

    Args:
        directory: Made where it does not exist.
        names: Host names, as in ``NGINX_SERVER_NAME``; what openssl could not take for one is left out.

    Raises:
        UserError: openssl is missing or fails.
    """
    [script] = data_path("template").glob("*/ops/certificate")
    hosts = [name for name in names if _HOST_NAME.fullmatch(name)]
    command = ["sh", str(script), str(directory), *hosts]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0:
        message = f"no throw-away certificate: {done.stderr.strip()}; --certificate and --key take your own"
        raise UserError(message, FAILED)
    return Certificate(directory / _CHAIN, directory / _KEY)


def curl_options(certificate: Certificate, port: int) -> str:
    """Return the options, with a space after them, with which curl accepts what is served for ``localhost``.

    ``--cacert`` where the file is enough to trust it, nothing where this machine does already, and ``-k`` for a
    certificate that is not for ``localhost``.
    """
    if _is_trusted(port):
        return ""
    if _is_trusted(port, certificate.chain):
        return f"--cacert {shlex.quote(str(certificate.chain))} "
    return "-k "


def _is_trusted(port: int, chain: Path | None = None) -> bool:
    """Return whether a handshake succeeds that trusts one file, or else the certificates of this machine."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # as curl
    try:
        if chain is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(chain)
        with socket.create_connection(("127.0.0.1", port), _SECONDS) as plain:
            context.wrap_socket(plain, server_hostname="localhost").close()
    except OSError:
        return False
    return True


def _unreadable(path: Path) -> str:
    try:
        path.read_bytes()
    except FileNotFoundError:
        return "no such file"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return ""


def _mismatch(certificate: Path, key: Path) -> str:
    """Return what is wrong with a pair of files that can be read; empty for nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_verify_locations(certificate)
    except ssl.SSLError:
        return f"--certificate {certificate}: no certificate in PEM"
    try:
        context.load_cert_chain(certificate, key, password=lambda: "")  # never ask on the terminal
    except ssl.SSLError as error:
        if error.reason in _MISMATCHES:
            return f"--key {key}: does not belong to the certificate {certificate}"
        return f"--key {key}: no private key in PEM without a passphrase"
    return ""
