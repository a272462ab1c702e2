"""Render every variant of the nginx configuration, and let nginx and gixy judge each: every nginx that is installed."""

import socket
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path

import trustme

from no502.data import data_path
from no502.errors import UserError
from no502.nginx.binary import check_configuration, find_nginx, nginx_version
from no502.nginx.command import render

GIXY = Path(sys.executable).with_name("gixy")
SYSTEM_NGINX = "/usr/sbin/nginx"
GIXY_IGNORED: dict[str, str] = {}

UPSTREAMS = {
    "socket": "unix:/run/no502/gunicorn.sock",
    "address": "127.0.0.1:8000",
    "name": f"{socket.gethostname()}:8000",
}
TRUSTED = {"edge": None, "behind-a-proxy": "10.0.0.0/8,192.0.2.1"}


def variables(directory: Path, upstream: str, trusted: str | None) -> dict[str, str]:
    """Return the values of the example, with a certificate made for this run."""
    lines = (data_path("nginx") / "example.env").read_text(encoding="utf-8").splitlines()
    example = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    own = {
        "NGINX_LISTEN": "127.0.0.1:8080",
        "NGINX_UPSTREAM": upstream,
        "NGINX_TLS_LISTEN": "127.0.0.1:8443",
        "NGINX_TLS_CERTIFICATE": str(directory / "certificate.pem"),
        "NGINX_TLS_CERTIFICATE_KEY": str(directory / "key.pem"),
    }
    return {**example, **own} | ({"NGINX_TRUSTED_PROXIES": trusted} if trusted else {})


def check(binary: str, directory: Path) -> list[str]:
    """Check every variant with one nginx; return the problems."""
    release = nginx_version(binary)
    name = ".".join(map(str, release))
    problems = []
    for upstream, trusted, tls in product(UPSTREAMS, TRUSTED, (False, True)):
        variant = f"nginx {name}, {upstream}, {trusted}, {'TLS' if tls else 'plain'}"
        tree = directory / f"{name}-{upstream}-{trusted}-{tls}"
        given = variables(directory, UPSTREAMS[upstream], TRUSTED[trusted])
        try:
            render(tree, given, nginx_version=release, tls=tls, standalone=True)
            check_configuration(binary, ["-p", str(tree), "-c", str(tree / "nginx.conf"), "-e", "stderr"])
        except UserError as error:
            problems.append(f"{variant}: {error}")
            continue
        skips = [f"--skips={','.join(GIXY_IGNORED)}"] if GIXY_IGNORED else []
        command = [str(GIXY), *skips, str(tree / "nginx.conf")]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tree)
        if done.returncode != 0:
            problems.append(f"{variant}: gixy\n{done.stdout}{done.stderr}")
        print("." if done.returncode == 0 else "F", end="", flush=True)
    return problems


def main() -> int:
    """Return 1 if any nginx or gixy objects."""
    binaries = [find_nginx(None), *([SYSTEM_NGINX] if Path(SYSTEM_NGINX).is_file() else [])]
    with tempfile.TemporaryDirectory(prefix="no502-check-") as name:
        directory = Path(name)
        certificate = trustme.CA().issue_cert("localhost")
        certificate.cert_chain_pems[0].write_to_path(str(directory / "certificate.pem"))
        certificate.private_key_pem.write_to_path(str(directory / "key.pem"))
        problems = [problem for binary in binaries for problem in check(binary, directory)]
    print(f" {len(binaries)} nginx, {2 * len(UPSTREAMS) * len(TRUSTED)} variants each")
    print("\n".join(problems), end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
