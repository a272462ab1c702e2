"""Generate services and let linters judge what Docker reads: schema, Dockerfile, the times of the ladder, workflows."""

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from gunicorn_conf import ServerSettings

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
DATABASES = ("none", "postgresql")
SECONDS = (10, 37, 180, 86400)
WORKERS = {180: "none", 37: "none"}
"""The answer ``worker`` for some of them; ``yes`` for the others."""
TLS = {10: "files", 37: "acme"}
"""The answer ``tls`` for some of them; ``none`` for the others."""
NOT_EVERYWHERE = re.compile(r"#\s*syntax=|start_interval|--start-interval|COPY --link|RUN --mount|<<[A-Z]")
"""What engines and Compose versions still in use refuse."""


def linted(*command: str | Path) -> str | None:
    """Run a linter and return what it complains about."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, cwd=ROOT)
    return None if done.returncode == 0 else f"{Path(command[0]).name}: {done.stdout}{done.stderr}".rstrip()


def generate(directory: Path, database: str, seconds: int) -> Path:
    """Generate a service."""
    directory.mkdir()
    worker = WORKERS.get(seconds, "yes")
    answers = [f"database={database}", f"proxy_read_timeout={seconds}", f"worker={worker}"]
    answers.append(f"tls={TLS.get(seconds, 'none')}")
    command = [sys.executable, "-m", "cookiecutter", "--no-input", "--output-dir", directory, ROOT]
    subprocess.run([*map(str, command), "--directory", "template", *answers], check=True, capture_output=True)
    (project,) = directory.iterdir()
    return project


def ladder_problems(services: dict[str, dict[str, Any]], seconds: int) -> Iterable[str]:
    """Yield each time in compose.yaml that is not the ladder's for a ``PROXY_READ_TIMEOUT``."""
    ladder = ServerSettings(_env_file=None, proxy_read_timeout=seconds, web_concurrency=1)
    for name in ("backend", "nginx", *({"worker"} & services.keys())):
        found = services[name]["stop_grace_period"]
        if found != f"{ladder.stop_grace}s":
            yield f"{name}: stop_grace_period is {found}, the ladder says {ladder.stop_grace}s"
        if name == "worker":
            continue
        environment = services[name]["environment"]
        expected = {
            "PROXY_READ_TIMEOUT": f"${{PROXY_READ_TIMEOUT:-{ladder.proxy_read_timeout}}}",
            "PROXY_KEEPALIVE_TIMEOUT": f"${{PROXY_KEEPALIVE_TIMEOUT:-{ladder.proxy_keepalive_timeout}}}",
            "PROXY_CONNECT_TIMEOUT": f"${{PROXY_CONNECT_TIMEOUT:-{ladder.proxy_connect_timeout}}}",
        }
        for variable, value in expected.items():
            if environment.get(variable) != value:
                yield f"{name}: {variable} is {environment.get(variable)}, not {value}"


def check(project: Path, seconds: int) -> Iterable[str]:
    """Yield what is wrong with one service."""
    compose, dockerfile = project / "compose.yaml", project / "Dockerfile"
    schema: tuple[str | Path, str] = (BIN / "check-jsonschema", "--builtin-schema")
    complaints = [
        linted(*schema, "vendor.compose-spec", compose),
        linted(*schema, "vendor.github-workflows", *(project / ".github" / "workflows").glob("*.yml")),
        linted(BIN / "hadolint", "--no-color", dockerfile),
    ]
    yield from filter(None, complaints)
    for path in (compose, dockerfile):
        if found := NOT_EVERYWHERE.search(path.read_text(encoding="utf-8")):
            yield f"{path.name}: {found[0]} is not known everywhere"
    services = yaml.safe_load(compose.read_text(encoding="utf-8"))["services"]
    yield from ladder_problems(services, seconds)


def main() -> int:
    """Return 1 if anything is wrong, with every problem on standard error."""
    problems = []
    with tempfile.TemporaryDirectory(prefix="no502-check-") as name:
        for database, seconds in product(DATABASES, SECONDS):
            project = generate(Path(name) / f"{database}-{seconds}", database, seconds)
            problems += [f"{database}, {seconds} s: {problem}" for problem in check(project, seconds)]
            print("." if not problems else "F", end="", flush=True)
    workflows = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
    own = linted(BIN / "check-jsonschema", "--builtin-schema", "vendor.github-workflows", *workflows)
    problems += [own] if own else []
    print(f" {len(DATABASES) * len(SECONDS)} compose.yaml and Dockerfile, {len(workflows)} workflows")
    print("\n".join(problems), end="\n" if problems else "", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
