"""Ten projects as they are found: each gets a patch, after which doctor finds nothing that it should have solved."""

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from no502.adopt.diagnosis import diagnose
from no502.adopt.starts import Start, find_start, is_adopted
from no502.adopt.workspace import workspace
from tests.adopt.conftest import SAMPLES
from tests.adopt.support import adopt, digests

pytestmark = pytest.mark.xdist_group("adopted samples")

SOLVED = {
    *("K201", "K202", "T301", "T303", "R402", "R404", "S501", "S502", "S503", "S504", "S505", "S506", "S507", "S508"),
    *("S509", "P601", "C001", "C003", "C004", "C005"),
}
"""What an adoption solves, and what it must not break."""

EXPECTED = {
    "compose": [
        'CMD ["gunicorn", "-c", "gunicorn_conf.py", "-w", "4", "-b", "0.0.0.0:8000", "app.main:app"]',
        "stop_grace_period: 130s",
        'PROXY_READ_TIMEOUT: "180"',
        "keepalive_timeout 15s;",
        "depends_on: {backend: {condition: service_healthy}}",
        "uvicorn[standard]>=0.36  # pinned in spring",
    ],
    "django": [
        "gunicorn -c gunicorn_conf.py --workers=3 --bind=unix:/run/mysite.sock mysite.asgi",
        "Environment=PROXY_READ_TIMEOUT=60",
        "TimeoutStopSec=50",
        'uvicorn = {extras = ["standard"], version = ">=0.36"}',
    ],
    "entrypoint": [
        "exec gunicorn -c gunicorn_conf.py service.main:app \\",
        "COPY gunicorn_conf.py gunicorn_handover.py gunicorn_arbiter.py ./",
        "python-dotenv>=1.0",
    ],
    "factory": [
        "exec gunicorn -c gunicorn_conf.py 'orders:create_app()' --bind 0.0.0.0:9000 --log-level warning\"",
        "!gunicorn_conf.py",
        "proxy_next_upstream error timeout;",
        "condition: service_healthy",
    ],
    "kubernetes": [
        'command: ["gunicorn", "-c", "gunicorn_conf.py"]',
        '"0.0.0.0:8080"',
        "terminationGracePeriodSeconds: 140",
        "path: /healthz",
        "RUN pip install fastapi 'uvicorn[standard]>=0.36' 'gunicorn>=22'",
    ],
    "own-conf": [
        "from gunicorn_conf import *",
        "    gunicorn_conf.on_starting(server)",
        "Environment=PROXY_READ_TIMEOUT=120 PROXY_KEEPALIVE_TIMEOUT=30",
        "TimeoutStopSec=90",
        "proxy_next_upstream error timeout;",
    ],
    "procfile": ["web: gunicorn -c gunicorn_conf.py web.api:api --bind 0.0.0.0:$PORT", "gunicorn>=22"],
    "systemd": [
        "ExecStart=/srv/shop/venv/bin/gunicorn -c gunicorn_conf.py shop.asgi:app \\",
        "    --bind unix:/run/shop/shop.sock \\",
        "ExecReload=/bin/kill -HUP $MAINPID",
        "KillMode=mixed",
    ],
    "tiangolo": [
        'CMD ["gunicorn", "-c", "gunicorn_conf.py", "main:app"]',
        "from ladder.gunicorn_conf import *",
        "- PROXY_READ_TIMEOUT=300",
        "stop_grace_period: 210s",
    ],
    "uvicorn": [
        "CMD exec gunicorn -c gunicorn_conf.py main:app --bind 0.0.0.0:${PORT:-8000} --workers 2 --forwarded-allow-ips",
        "location /api/ { proxy_pass http://api:8000/; proxy_read_timeout 60s; }",
        "uvicorn>=0.36",
    ],
}


COPIES = {"gunicorn_conf.py", "gunicorn_handover.py", "gunicorn_arbiter.py"}


@dataclass(frozen=True)
class Adopted:
    """One sample: as it is, printed, written, and asked again."""

    original: Path
    project: Path
    printed: str
    after_printing: dict[str, str]
    written: dict[str, str]
    second: str
    after_second: dict[str, str]


@pytest.fixture(name="adopted", scope="module", params=sorted(EXPECTED))
def _adopted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Adopted:
    """Run the command three times on a copy of a sample."""
    original = SAMPLES / request.param
    project = tmp_path_factory.mktemp("adopted") / request.param
    shutil.copytree(original, project, ignore=shutil.ignore_patterns("__pycache__"))
    printed = adopt(project)
    after_printing = digests(project)
    adopt(project, "--write")
    written = digests(project)
    second = adopt(project, "--write")
    return Adopted(original, project, printed, after_printing, written, second, digests(project))


def test_every_sample_is_expected() -> None:
    """No sample is left out of the tests below."""
    assert sorted(EXPECTED) == sorted(path.name for path in SAMPLES.iterdir())


def test_patch_has_the_lines(adopted: Adopted) -> None:
    """The patch adds the lines that the project needs."""
    added = [line[1:] for line in adopted.printed.splitlines() if line.startswith("+")]
    wanted = EXPECTED[adopted.project.name]
    assert [text for text in wanted if not any(text in line for line in added)] == []


def test_every_changed_file_has_a_reason(adopted: Adopted) -> None:
    """Each file of the patch is named before it, with the reason for its changes."""
    changed = re.findall(r"^\+\+\+ b/(.*)$", adopted.printed, re.MULTILINE)
    reasons = re.findall(r"^(\S.*):\n  - ", adopted.printed, re.MULTILINE)
    assert changed
    assert set(changed) <= set(reasons)


def test_written_project_is_adopted(adopted: Adopted) -> None:
    """After --write every start has the ladder."""
    seen = diagnose(adopted.project)
    with workspace(adopted.project) as space:
        assert [is_adopted(space, server) for _, server in seen.servers()].count(False) == 0
    assert seen.servers()


def test_doctor_finds_nothing_that_was_to_be_solved(adopted: Adopted) -> None:
    """After --write doctor has no finding of the rules that an adoption answers."""
    found = diagnose(adopted.project).findings
    assert [f"{one.where}: {one.rule} {one.message}" for one in found if one.rule in SOLVED] == []


def test_second_run_has_nothing_to_change(adopted: Adopted) -> None:
    """An adopted project stays as it is, byte for byte."""
    assert adopted.second.startswith("nothing to change\n")
    assert adopted.after_second == adopted.written


def test_without_write_nothing_changes(adopted: Adopted) -> None:
    """Printing the patch leaves the project untouched."""
    assert adopted.after_printing == digests(adopted.original)


def test_printed_patch_is_the_one_that_is_written(adopted: Adopted, tmp_path: Path) -> None:
    """``patch`` takes what is printed, and the result is what --write writes, the copies aside."""
    by_hand = tmp_path / "by-hand"
    shutil.copytree(adopted.original, by_hand, ignore=shutil.ignore_patterns("__pycache__"))
    command = ["patch", "-p1", "--no-backup-if-mismatch"]
    done = subprocess.run(command, cwd=by_hand, input=adopted.printed, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    of_the_project = digests(by_hand)
    assert {name: adopted.written[name] for name in of_the_project} == of_the_project
    assert {name.rsplit("/", 1)[-1] for name in set(adopted.written) - set(of_the_project)} == COPIES


def test_untouched_lines_stay(adopted: Adopted) -> None:
    """Every line that the patch does not take out is in the file still, comments and indentation included, in order."""
    removed = [line[1:] for line in adopted.printed.splitlines() if line.startswith("-") and not line.startswith("---")]
    lost = []
    for name in re.findall(r"^\+\+\+ b/(.*)$", adopted.printed, re.MULTILINE):
        before = (adopted.original / name).read_text(encoding="utf-8").splitlines()
        after = iter((adopted.project / name).read_text(encoding="utf-8").splitlines())
        lost += [line for line in before if line not in removed and line not in after]
    assert lost == []


def test_same_command_is_found_by_gunicorn(adopted: Adopted) -> None:
    """gunicorn accepts each adopted configuration and its own options, as the command has them."""
    for _, server in diagnose(adopted.project).servers():
        with workspace(adopted.project) as space:
            start = find_start(
                space, *next(pair for pair in diagnose(space.root).servers() if pair[1].origin == server.origin)
            )
        assert isinstance(start, Start)
        words = [re.sub(r"\W\{?PORT.*", ":8000", word) for word in (server.command.value or ())[1:]]
        done = subprocess.run(
            [sys.executable, "-m", "gunicorn", "--print-config", *words],
            cwd=adopted.project / start.home,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert re.search(r"^worker_class\s+= .*HandoverWorker", done.stdout, re.MULTILINE)


def test_what_doctor_still_finds_is_left_to_you(adopted: Adopted) -> None:
    """Each finding after --write is listed with its severity, warnings and notes like errors."""
    left = adopted.printed.partition("\nleft to you:\n")[2]
    found = diagnose(adopted.project).findings
    assert [one.message for one in found if f"{one.rule} ({one.severity}): {one.message}" not in left] == []


def test_a_warning_is_left_to_you(tmp_path: Path) -> None:
    """A worker behind another container's nginx that does not trust its headers (H803) is named, and stays."""
    project = tmp_path / "compose"
    shutil.copytree(SAMPLES / "compose", project)
    conf = project / "nginx.conf"
    text = conf.read_text(encoding="utf-8")
    headers = "proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;"
    conf.write_text(text.replace("proxy_pass ", f"{headers}\n        proxy_pass ", 1), encoding="utf-8")
    left = adopt(project, "--write").partition("\nleft to you:\n")[2]
    assert [finding.rule for finding in diagnose(project).of("H803")] == ["H803"]
    assert "still reports H803 (warning)" in left
