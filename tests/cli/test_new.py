"""``no502 new``."""

import json
import os
import pty
import select
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.commands import NO502, ROOT, no502

CTRL_C = b"\x03"

QUESTIONS = [
    name
    for name in json.loads((ROOT / "template" / "cookiecutter.json").read_text(encoding="utf-8"))
    if not name.startswith("_")
]


@pytest.fixture(name="work")
def _work(tmp_path: Path) -> Path:
    """An empty directory to scaffold in."""
    work = tmp_path / "work"
    work.mkdir()
    return work


def everything(directory: Path) -> list[str]:
    """Return the names of what is in a directory, hidden entries included."""
    return sorted(entry.name for entry in directory.iterdir())


def test_project_is_created_here(work: Path, environment: dict[str, str]) -> None:
    """Without DEST the project's directory is created in the working directory, and nothing else."""
    done = no502("new", "--no-input", "project_name=Order Desk", cwd=work, env=environment)
    assert done.returncode == 0
    assert done.stdout == "created order-desk\n"
    assert done.stderr == ""
    assert everything(work) == ["order-desk"]
    assert (work / "order-desk" / "app" / "main.py").is_file()
    assert (work / "order-desk" / "gunicorn_conf.py").read_bytes() == (ROOT / "gunicorn_conf.py").read_bytes()


def test_home_and_temporary_directory_stay_empty(work: Path, home: Path, environment: dict[str, str]) -> None:
    """Scaffolding writes no replay file, no cache and no temporary file outside the destination."""
    done = no502("new", "--no-input", cwd=work, env=environment)
    assert done.returncode == 0, done.stderr
    assert everything(home) == ["tmp"]
    assert everything(home / "tmp") == []


def test_project_is_created_in_dest(work: Path, environment: dict[str, str]) -> None:
    """DEST is where the project's directory is created; it is made when it is missing."""
    done = no502("new", "services", "--no-input", "project_name=Billing", cwd=work, env=environment)
    assert done.returncode == 0
    assert done.stdout == "created services/billing\n"
    assert done.stderr == ""
    assert everything(work / "services") == ["billing"]


def test_user_defaults_of_cookiecutter_count(work: Path, home: Path, environment: dict[str, str]) -> None:
    """Answers from the user's own cookiecutter configuration are the defaults."""
    (home / ".cookiecutterrc").write_text('default_context:\n  author: "Ada Example"\n', encoding="utf-8")
    done = no502("new", "--no-input", "project_name=Billing", cwd=work, env=environment)
    assert done.returncode == 0, done.stderr
    assert "Ada Example" in (work / "billing" / "pyproject.toml").read_text(encoding="utf-8")


def test_existing_project_is_not_touched(work: Path, environment: dict[str, str]) -> None:
    """A directory with the project's name is refused and left as it is."""
    (work / "billing").mkdir()
    (work / "billing" / "mine").write_text("mine", encoding="utf-8")
    done = no502("new", "--no-input", "project_name=Billing", cwd=work, env=environment)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == "no502: billing exists already: remove it, or choose another project_name or DEST\n"
    assert everything(work) == ["billing"]
    assert everything(work / "billing") == ["mine"]


def test_bad_values_are_named_and_nothing_is_left(work: Path, environment: dict[str, str]) -> None:
    """Values that the template refuses are named one line each, and not even DEST is left behind."""
    bad = ["proxy_read_timeout=5", "domain=https://example.com"]
    done = no502("new", "services", "--no-input", *bad, cwd=work, env=environment)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        "no502: domain='https://example.com': must be a host name in lower case such as api.example.com: "
        "no scheme, port, path or wildcard\n"
        "proxy_read_timeout='5': must be whole seconds from 10 to 86400\n"
    )
    assert everything(work) == []


@pytest.mark.parametrize("text", ["a {{ x }}", "a {% x", "a {# x", "{{ cookiecutter }}"])
def test_code_in_an_answer_is_refused(work: Path, environment: dict[str, str], text: str) -> None:
    """What cookiecutter would run as a template ends in one line, without its context or a traceback."""
    done = no502("new", "--no-input", f"description={text}", cwd=work, env=environment)
    assert done.returncode == 2
    assert done.stderr == (
        f"no502: description={text}: must not contain {{{{, {{% or {{#, which cookiecutter would read as code\n"
    )
    assert everything(work) == []


def test_braces_that_are_no_code_are_kept(work: Path, environment: dict[str, str]) -> None:
    """A single brace and a percent sign are text."""
    done = no502("new", "--no-input", "description=100 % {of} it }}", cwd=work, env=environment)
    assert done.returncode == 0, done.stderr
    assert "100 % {of} it }}" in (work / "my-service" / "README.md").read_text(encoding="utf-8")


def test_code_in_the_users_own_defaults_shows_no_context(work: Path, home: Path, environment: dict[str, str]) -> None:
    """The same in cookiecutter's own configuration file: one line."""
    (home / ".cookiecutterrc").write_text("default_context:\n  description: 'a {{ x }}'\n", encoding="utf-8")
    done = no502("new", "--no-input", cwd=work, env=environment)
    assert done.returncode == 1
    assert done.stderr.startswith("no502: the template cannot be rendered: ")
    assert "Context" not in done.stderr


@pytest.mark.parametrize(
    ("answer", "end"), [("postgres", "; did you mean postgresql?"), ("x", "must be one of none, postgresql")]
)
def test_a_wrong_choice_names_what_is_close(work: Path, environment: dict[str, str], answer: str, end: str) -> None:
    """What an answer contains or resembles is offered; nothing where nothing is near."""
    done = no502("new", "--no-input", f"database={answer}", cwd=work, env=environment)
    assert done.returncode == 2
    assert done.stderr.endswith(f"{end}\n")


def test_unknown_questions_are_refused(work: Path, environment: dict[str, str]) -> None:
    """Answers to questions that the template does not ask are named, all of them, with the closest question."""
    done = no502("new", "--no-input", "project_nam=x", "__project_slug=y", cwd=work, env=environment)
    known = ", ".join(QUESTIONS)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        f"no502: project_nam: no such question; did you mean project_name? There are {known}\n"
        f"__project_slug: no such question; did you mean project_name? There are {known}\n"
    )
    assert everything(work) == []


def test_two_destinations_are_refused(work: Path, environment: dict[str, str]) -> None:
    """More than one word without a = is a wrong command line."""
    done = no502("new", "one", "two", "--no-input", cwd=work, env=environment)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "no502: one DEST at most, answers as key=value; got one, two\n"


def test_destination_that_can_not_be_made_is_refused(work: Path, environment: dict[str, str]) -> None:
    """A DEST whose parent is missing or is a file is named with the system's reason."""
    (work / "file").touch()
    missing = no502("new", "a/b", "--no-input", cwd=work, env=environment)
    blocked = no502("new", "file", "--no-input", cwd=work, env=environment)
    assert missing.returncode == 1
    assert blocked.returncode == 1
    assert missing.stderr == "no502: cannot create the directory a/b: No such file or directory\n"
    assert blocked.stderr == "no502: cannot create the directory file: File exists\n"


def test_nothing_is_asked_without_a_terminal(work: Path, environment: dict[str, str]) -> None:
    """Without a terminal and without --no-input the command says what is missing instead of waiting."""
    done = no502("new", cwd=work, env=environment)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "no502: standard input is not a terminal, so nothing can be asked: add --no-input\n"


def on_a_terminal(typed: bytes, work: Path, environment: dict[str, str], *, after: bytes = b"") -> tuple[int, str]:
    """Run ``no502 new`` on a pseudo-terminal, type once ``after`` is shown; return the exit code and all output."""
    controller, terminal = pty.openpty()
    with subprocess.Popen(
        [*NO502, "new"],
        cwd=work,
        env=environment,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
        preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)),  # noqa: PLW1509  its controlling terminal
    ) as process:
        os.close(terminal)
        shown = b""
        while after not in shown and select.select([controller], [], [], 60)[0]:
            shown += os.read(controller, 65536)
        os.write(controller, typed)
        deadline = time.monotonic() + 60
        try:
            while time.monotonic() < deadline:
                if select.select([controller], [], [], 5)[0]:
                    shown += os.read(controller, 65536)
                elif typed == CTRL_C:
                    os.write(controller, typed)  # the first came after the prompt, and before Python waited for a line
        except OSError:
            pass  # EIO: the last process on the terminal has gone
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:  # it asks for more than was typed
            process.kill()
            message = f"still asks: {shown.decode()[-300:]}"
            raise AssertionError(message) from None
    os.close(controller)
    return process.returncode, shown.decode()


def test_questions_are_asked_on_a_terminal(work: Path, environment: dict[str, str]) -> None:
    """On a terminal each question is asked; an empty line takes the default."""
    code, shown = on_a_terminal(b"Typed Name\n" + b"\n" * (len(QUESTIONS) - 1), work, environment)
    assert code == 0, shown
    assert f"[1/{len(QUESTIONS)}]" in shown
    assert "created typed-name" in shown
    assert everything(work) == ["typed-name"]


def test_a_bad_answer_is_told_at_once(work: Path, environment: dict[str, str]) -> None:
    """Each answer is checked when it is given; the end says how to do the same without questions."""
    typed = b"Typed Name\n\n\n3.10\n3.13\nhttp://x\napi.example.org\nsoon\n60\nmysql\nnone\n"
    typed += b"\n" * (len(QUESTIONS) - 7)  # the rest: their defaults
    code, shown = on_a_terminal(typed, work, environment)
    assert code == 0, shown
    for message in (
        "must be one of 3.14, 3.15, 3.13, 3.12, 3.11",
        "must be a host name in lower case",
        "must be whole seconds from 10 to 86400",
        "must be one of none, postgresql",
    ):
        assert message in shown
    assert "no502 new --no-input 'project_name=Typed Name'" in shown
    assert "domain=api.example.org proxy_read_timeout=60 database=none deploy=compose" in shown
    assert "next: cd typed-name && make dev" in shown


def test_an_answer_that_does_not_go_with_another_is_told_at_once(work: Path, environment: dict[str, str]) -> None:
    """A certificate that certbot renews is refused for a swarm when it is chosen, and asked for again."""
    typed = b"Typed Name\n" + b"\n" * 6 + b"swarm\nacme\nfiles\n" + b"\n" * (len(QUESTIONS) - 9)
    code, shown = on_a_terminal(typed, work, environment)
    assert code == 0, shown
    assert "must be none or files with deploy=swarm" in shown
    assert "deploy=swarm tls=files" in shown


def test_the_help_lists_the_questions(work: Path, environment: dict[str, str]) -> None:
    """Every KEY is in --help."""
    shown = " ".join(no502("new", "--help", cwd=work, env=environment).stdout.split())
    assert [name for name in QUESTIONS if name not in shown] == []


def test_interrupted_questions_leave_nothing(work: Path, environment: dict[str, str]) -> None:
    """Ctrl-C at a question ends the command and leaves nothing behind."""
    code, shown = on_a_terminal(CTRL_C, work, environment, after=b"[1/")
    assert code != 0
    assert "Traceback" not in shown
    assert everything(work) == []
