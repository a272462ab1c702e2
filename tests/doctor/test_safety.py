"""Directories that want to hang the doctor, make it tell secrets or write into a terminal end in a plain report."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from no502.cli import app
from no502.doctor.secrets import holds_secret, mask, printable
from tests.doctor.report import write

FORMATS = ("text", "concise", "json", "sarif", "github")
UNIT = "[Service]\nExecStart=/srv/venv/bin/gunicorn -b 127.0.0.1:8000 app:app\n"
COMPOSE = """services:
  app:
    image: acme/app:1
    stop_grace_period: 5s
    environment:
      POSTGRES_PASSWORD: correct-horse
      API_KEY: battery-staple
      DATABASE_URL: postgres://app:hunter2@db/app
    command: gunicorn app:app -b 0.0.0.0:8000 -k uvicorn_worker.UvicornWorker
"""


def run(*arguments: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """Return the exit code and everything that is printed."""
    monkeypatch.chdir(folder)
    done = CliRunner().invoke(app, ["doctor", *arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit) or done.exit_code == 1, done.exception
    return done.exit_code, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["blank.conf", "table.csv", "nginx.conf", "start.sh", "values.yaml", "site", "a.py"])
@pytest.mark.parametrize(
    "text",
    [
        "\n" * 900_000,
        " " * 900_000,
        "location " * 100_000,
        "location" + " " * 800_000,
        "upstream\t" * 100_000,
        "server\n" * 100_000,
    ],
    ids=["newlines", "spaces", "locations", "one location", "upstreams", "servers"],
)
def test_a_large_file_of_nothing_is_passed_in_a_second(
    name: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it is called and whatever it repeats."""
    write(tmp_path, {"app.service": UNIT, name: text})
    began = time.process_time()
    run(".", folder=tmp_path, monkeypatch=monkeypatch)
    assert time.process_time() - began < 5


@pytest.mark.parametrize("name", ["compose.yaml", "Dockerfile", "app.service", "nginx.conf", "Procfile", "site"])
@pytest.mark.parametrize("what", ["pipe", "zero", "folder", "loop"])
def test_what_is_no_file_is_not_waited_for(
    name: str, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A named pipe, a link to an endless device, a folder and a link to itself are passed or named."""
    write(tmp_path, {"other.service": UNIT})
    path = tmp_path / name
    if what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero" if what == "zero" else path)
    code, shown = run(".", folder=tmp_path, monkeypatch=monkeypatch)
    assert "Traceback" not in shown
    assert code in {0, 2}


def test_a_pipe_beside_other_files_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration that is a pipe is not waited for, and the report says that it was not read."""
    write(tmp_path, {"shop.service": UNIT})
    os.mkfifo(tmp_path / "nginx.conf")
    _, shown = run(".", folder=tmp_path, monkeypatch=monkeypatch)
    assert "nginx.conf: is not a regular file" in " ".join(shown.split())


@pytest.mark.parametrize("output_format", FORMATS)
def test_nothing_outside_of_the_given_folder_is_printed(
    output_format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither what an include names, nor what a link leads to, nor an environment file."""
    write(tmp_path, {"outside.txt": "root:SECRETHASH:19000:0\n", "outside.conf": "proxy_read_timeout SECRETTIME;\n"})
    inside = write(
        tmp_path / "repository",
        {
            "app.service": UNIT,
            "nginx/nginx.conf": "events {}\nhttp { include ../../outside.txt; include /etc/nginx/../../outside.txt;\n"
            " server { include linked.conf; location / { proxy_pass http://127.0.0.1:8000; } } }\n",
        },
    )
    (inside / "nginx" / "linked.conf").symlink_to(tmp_path / "outside.conf")
    (inside / "compose.yaml").symlink_to(tmp_path / "outside.txt")
    _, shown = run("--format", output_format, ".", folder=inside, monkeypatch=monkeypatch)
    assert "SECRET" not in shown


def test_outside_is_read_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --outside an include of a shared file beside the project counts."""
    write(tmp_path, {"shared.conf": "proxy_read_timeout 300s;\n"})
    inside = write(
        tmp_path / "repository",
        {
            "app.service": UNIT,
            "nginx.conf": "server { include ../shared.conf; location / { proxy_pass http://127.0.0.1:8000; } }\n",
        },
    )
    assert "T303" not in run(".", folder=inside, monkeypatch=monkeypatch)[1]
    assert "T303" in run("--outside", ".", folder=inside, monkeypatch=monkeypatch)[1]


@pytest.mark.parametrize("output_format", FORMATS)
def test_passwords_in_addresses_are_masked(output_format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """User and password of a proxy_pass stand in no format and not among the values in force."""
    text = "server { location / { proxy_pass http://user:hunter2@192.0.2.1:8000;\n"
    text += " proxy_set_header X-Auth-Token hunter2; } }\n"
    write(tmp_path, {"nginx.conf": text, "app.service": UNIT})
    for arguments in (["--format", output_format], ["--show", "effective"]):
        assert "hunter2" not in run(*arguments, ".", folder=tmp_path, monkeypatch=monkeypatch)[1]


def test_a_patch_holds_no_secret_beside_its_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The context of an edit leaves out lines with values of variables, and the patch still fits."""
    write(tmp_path, {"compose.yaml": COMPOSE})
    monkeypatch.chdir(tmp_path)
    patch = CliRunner().invoke(app, ["doctor", "--diff", "."]).stdout
    assert "+    stop_grace_period: 40s" in patch
    for secret in ("correct-horse", "battery-staple", "hunter2"):
        assert secret not in patch
    git = shutil.which("git") or "git"
    subprocess.run([git, "apply", "--unidiff-zero", "-p1", "-"], cwd=tmp_path, input=patch, text=True, check=True)
    assert "stop_grace_period: 40s" in (tmp_path / "compose.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("output_format", ["text", "concise", "github"])
def test_control_characters_are_shown_escaped(
    output_format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither an escape sequence nor a line of its own comes out of a file's text or name."""
    unit = UNIT.replace("app:app", "app:app --bi\x1b[31md x --no-such\u202eoption y")
    text = "server { location /a\x1b]0;title\x07 { proxy_pass http://127.0.0.1:9\x1b; } }\n"
    write(tmp_path, {"app.service": unit, "x\n::warning::nginx.conf": text, "nginx\x1b[2J.conf": text})
    _, shown = run("--format", output_format, ".", folder=tmp_path, monkeypatch=monkeypatch)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", shown)
    assert not re.search(r"^::warning::nginx", shown, re.MULTILINE)


def test_a_name_with_a_newline_begins_no_line_of_the_effective_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a CI obeys at the beginning of a line stays in the line of the location that has it."""
    text = 'server { location "/a\n::warning::owned" { proxy_pass http://127.0.0.1:9; } }\n'
    write(tmp_path, {"nginx.conf": text})
    for arguments in (["."], ["--location", "/none", "."]):
        _, shown = run("--show", "effective", *arguments, folder=tmp_path, monkeypatch=monkeypatch)
        assert not re.search(r"^::", shown, re.MULTILINE)
        assert "/a\\n::warning::owned" in shown


def test_a_directory_that_is_too_large_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than 20,000 files are a line of the report, not a silent end."""
    many = tmp_path / "a"
    many.mkdir()
    for number in range(20_001):
        (many / f"{number}.png").touch()
    write(tmp_path, {"deploy/nginx.conf": "server { location / { proxy_pass http://127.0.0.1:8000; } }\n"})
    code, shown = run(".", folder=tmp_path, monkeypatch=monkeypatch)
    assert "stopped after 20,000 files" in " ".join(shown.split())
    assert code == 0


def test_folders_with_other_peoples_code_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """vendor/ is passed over with a word; build/ and dist/ are read."""
    text = "server { location / { proxy_pass http://127.0.0.1:8000; } }\n"
    write(tmp_path, {"vendor/nginx.conf": text, "build/nginx.conf": text, "dist/app.service": UNIT})
    report = json.loads(run("--format", "json", ".", folder=tmp_path, monkeypatch=monkeypatch)[1])
    assert report["inputs"] == ["dist/app.service", "build/nginx.conf"]
    assert [gap["what"] for gap in report["not_checked"] if "other people" in gap["why"]] == ["vendor/"]


@pytest.mark.skipif(os.geteuid() == 0 and shutil.which("setpriv") is None, reason="root reads every file")
def test_a_file_that_cannot_be_read_is_no_success(tmp_path: Path) -> None:
    """Exit code 2 and the file's name."""
    write(
        tmp_path, {"nginx.conf": "server { location / { proxy_pass http://127.0.0.1:8000; } }\n", "app.service": UNIT}
    )
    (tmp_path / "nginx.conf").chmod(0)
    tmp_path.chmod(0o755)
    # root reads every file: the run gives that ability up
    drop = ["setpriv", "--inh-caps=-all", "--bounding-set=-all", "--"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*drop, sys.executable, "-m", "no502", "doctor", "."], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "nginx.conf: cannot be read" in done.stdout
    assert done.returncode == 2


def test_what_is_masked() -> None:
    """Values of names that mean secrets, and userinfo; variables and ordinary numbers stay."""
    assert mask("http://user:pw@host/x") == "http://***@host/x"
    assert mask("Authorization: Bearer abcdef123456") == "Authorization: ***"
    assert mask("--password=hunter2 --timeout 30") == "--password=*** --timeout 30"
    assert (
        mask("proxy_set_header Authorization $http_authorization;")
        == "proxy_set_header Authorization $http_authorization;"
    )
    assert (
        mask("keepalive_timeout 65; proxy_pass http://app:8000") == "keepalive_timeout 65; proxy_pass http://app:8000"
    )


@pytest.mark.parametrize(
    "line", ["  - SMTP_PASS=x", "  SENTRY_DSN: https://1@x", '"AWS_SECRET_ACCESS_KEY": "x"', "-----BEGIN KEY"]
)
def test_lines_that_may_be_secrets(line: str) -> None:
    """Values of environment variables are none of the report's business."""
    assert holds_secret(line)


@pytest.mark.parametrize(
    "line", ["    stop_grace_period: 5s", "    image: acme/app:1", "workers = 4", "  location / {"]
)
def test_lines_that_are_none(line: str) -> None:
    """Ordinary lines stay as context."""
    assert not holds_secret(line)


def test_one_line_stays_one_line() -> None:
    """Line ends, escapes, direction marks and separators are written as escapes."""
    assert printable("a\nb\x1bc\u202ed\u2028") == "a\\nb\\x1bc\\u202ed\\u2028"


@pytest.mark.parametrize("char", ["\x0b", "\x0c", "\x1c", "\x1f", "\x85", "\xa0", "\u2028", "\u3000", "\ufeff", "\x00"])
def test_what_only_looks_like_a_blank_is_no_end_of_a_word(
    char: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shell's words end at blanks, tabs and line ends; nothing else makes the reader stand still."""
    text = f"web: circusd{char}acme.ini {char} && gunicorn{char} shop:app\n{char}\n"
    write(tmp_path, {"Procfile": text, "start.sh": f"#!/bin/sh\n{text}", "shop.service": UNIT})
    began = time.process_time()
    run(".", folder=tmp_path, monkeypatch=monkeypatch)
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    "makefile",
    [
        "a" + " " * 300_000 + "\n",
        "a: " + "b " * 100_000 + "\n\tgunicorn x:y\n",
        "\n".join(f"t{n}: " + " ".join(f"t{m}" for m in range(300)) for n in range(300)) + "\n",
        "\n".join(f"t{n}: t{n + 1}\n\techo" for n in range(4_000)) + "\n",
        "A = $(A)$(A)\nt0:\n\t$(A)\n",
    ],
)
def test_a_makefile_is_followed_in_bounded_time(makefile: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Long lines, targets that need each other, chains without an end."""
    write(tmp_path, {"Procfile": "web: make t0\nworker: make a\n", "Makefile": makefile})
    began = time.process_time()
    run(".", folder=tmp_path, monkeypatch=monkeypatch)
    assert time.process_time() - began < 5


def test_two_thousand_servers_take_four_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CPU time of a whole run over one nginx configuration of that size."""
    servers = "\n".join(
        f"upstream u{number} {{ server 127.0.0.1:{8000 + number % 3}; }}\n"
        f"server {{ listen 80; server_name s{number}.example.com; location / {{ proxy_pass http://u{number}; }} }}"
        for number in range(2000)
    )
    write(tmp_path, {"nginx.conf": f"events {{}}\nhttp {{\n{servers}\n}}\n", "app.service": UNIT})
    began = time.process_time()
    _, shown = run(".", folder=tmp_path, monkeypatch=monkeypatch)
    assert time.process_time() - began < 4
    assert "2000 proxied locations" in shown


def test_five_thousand_files_take_five_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CPU time of a run over a repository with code, manifests and texts, of which one file is a deployment's."""
    texts = {".py": "import os\nx = {'a': 1}\n" * 60, ".yaml": "services:\n  a: 1\n" * 50, ".txt": "server {\n" * 50}
    for number in range(5000):
        folder = tmp_path / f"package{number % 50}"
        folder.mkdir(exist_ok=True)
        suffix = list(texts)[number % 3]
        (folder / f"file{number}{suffix}").write_text(texts[suffix], encoding="utf-8")
    write(tmp_path, {"app.service": UNIT})
    began = time.process_time()
    _, shown = run(".", folder=tmp_path, monkeypatch=monkeypatch)
    assert time.process_time() - began < 5
    assert "gunicorn of app" in shown


def test_a_patch_on_a_terminal_has_no_control_characters(tmp_path: Path) -> None:
    """Piped, it has every byte for ``git apply``."""
    servers = "server 127.0.0.1:8000; # \x1b[31mred\nserver 127.0.0.1:8001;\n"
    site = "server { listen 80; location / { proxy_pass http://app; } }"
    write(tmp_path, {"site.conf": f"upstream app {{\n{servers}}}\n{site}\n", "app.service": UNIT})
    command = [sys.executable, "-m", "no502", "doctor", "--diff", "."]
    piped = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).stdout
    assert b"\x1b[31m" in piped
    master, slave = os.openpty()
    subprocess.run(command, cwd=tmp_path, stdout=slave, stderr=subprocess.DEVNULL, check=False)
    os.close(slave)
    shown = os.read(master, 65536)
    os.close(master)
    assert b"\\x1b[31m" in shown
    assert b"\x1b[31m" not in shown
