"""Check what the template has for systemd and Kubernetes: units, manifests, and that they fit together.

``check_deploy.py [PROJECT]...``: generated services; without any, every combination is generated and checked.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import yaml
from _kustomize import build
from _manifests import VERSIONS, disagreements, violations

from no502.new import scaffold

_EXPOSURE = "20"  # of 100; 14 as it is
_SECONDS = 60


def _run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=_SECONDS, check=False)


def _units(directory: Path) -> Iterator[str]:
    """Have systemd judge the units, with a program that exists in place of the service's own."""
    if shutil.which("systemd-analyze") is None:
        print("systemd-analyze is not installed: units not checked")
        return
    with tempfile.TemporaryDirectory(prefix="no502-check-") as temporary:
        units = [Path(temporary) / unit.name for unit in sorted(directory.glob("*.s*")) if unit.is_file()]
        for unit in units:
            text = (directory / unit.name).read_text(encoding="utf-8")
            unit.write_text(
                re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", text, flags=re.MULTILINE), encoding="utf-8"
            )
        done = _run("systemd-analyze", "verify", "--man=no", *units)
        if done.returncode != 0 or done.stdout + done.stderr:
            yield f"systemd-analyze verify: {done.stdout}{done.stderr}"
        for unit in units:
            if unit.suffix == ".service":
                done = _run("systemd-analyze", "security", "--offline=true", f"--threshold={_EXPOSURE}", unit)
                if done.returncode != 0:
                    yield f"systemd-analyze security: {(done.stdout + done.stderr)[-200:].strip()}"


def _manifests(directory: Path) -> Iterator[str]:
    """Build base and overlays, here and by kustomize where there is one, and hold the results against the schemas."""
    for place in sorted(path.parent for path in directory.glob("*/kustomization.yaml")):
        documents, problems = build(place)
        problems += [problem for document in documents for problem in violations(document)]
        yield from problems or disagreements(documents)
        if command := _kustomize():
            done = _run(*command, place)
            if done.returncode != 0:
                yield f"{place}: {done.stderr.strip()}"
            for document in yaml.safe_load_all(done.stdout):
                yield from violations(document)


def _kustomize() -> list[str] | None:
    if shutil.which("kustomize"):
        return ["kustomize", "build"]
    return ["kubectl", "kustomize"] if shutil.which("kubectl") else None


def check(project: Path) -> list[str]:
    """Return the problems of one generated service; having nothing to check is one."""
    found = list(dict.fromkeys(_of(project)))
    return [f"{project.name}: {' '.join(problem.split())}" for problem in found]


def _of(project: Path) -> Iterator[str]:
    systemd, kubernetes = project / "deploy" / "systemd", project / "deploy" / "kubernetes"
    if not systemd.is_dir() and not kubernetes.is_dir():
        yield "no deploy/systemd and no deploy/kubernetes"
    if systemd.is_dir():
        yield from _units(systemd)
    if kubernetes.is_dir():
        yield from _manifests(kubernetes)


def main(arguments: list[str]) -> int:
    """Return 1 if there is any problem."""
    with tempfile.TemporaryDirectory(prefix="no502-check-") as temporary:
        projects = [Path(argument) for argument in arguments] or list(_every(Path(temporary)))
        problems = [problem for project in projects for problem in check(project)]
    print("\n".join([*problems, f"{len(projects)} services, Kubernetes {' and '.join(VERSIONS)}"]))
    return 1 if problems else 0


def _every(directory: Path) -> Iterator[Path]:
    for target, database, seconds in product(("systemd", "kubernetes"), ("none", "postgresql"), ("10", "180", "86400")):
        worker = "none" if seconds == "180" else "yes"
        tls = {"10": "none", "180": "files", "86400": "acme"}[seconds]
        answers = {"deploy": target, "database": database, "proxy_read_timeout": seconds, "worker": worker, "tls": tls}
        yield scaffold(directory, {**answers, "project_name": f"Service {target} {database} {seconds}"})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
