"""``no502 new``: scaffold a service from the packaged template."""

import errno
import json
import logging
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from no502.data import data_path
from no502.errors import USAGE, UserError
from no502.near import closest, did_you_mean

__all__ = ["new", "scaffold"]

_CODE = re.compile(r"\{[{%#]")
_NO_CODE = "must not contain {{, {% or {#, which cookiecutter would read as code"


def _keys() -> str:
    """Return the questions of the template, for the help text."""
    try:
        questions = json.loads((data_path("template") / "cookiecutter.json").read_text(encoding="utf-8"))
    except OSError:
        return ""
    return ", ".join(name for name in questions if not name.startswith("_"))


def new(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DEST] [KEY=VALUE]...",
            help="DEST: the directory in which the project's directory is created, default here. "
            f"KEY=VALUE: answers to the template's questions: {_keys()}.",
        ),
    ] = None,
    no_input: Annotated[bool, typer.Option("--no-input", help="Ask nothing: answers given, else defaults.")] = False,
) -> None:
    """Create a FastAPI service with its gunicorn and nginx configuration."""
    destination, answers = _split(words or [])
    if not no_input and not sys.stdin.isatty():
        message = "standard input is not a terminal, so nothing can be asked: add --no-input"
        raise UserError(message, USAGE)
    if not no_input:
        answers = _ask(answers)
    project = scaffold(destination, answers)
    typer.echo(f"created {project}")
    if not no_input:
        typer.echo(f"again without questions: {_command_line(destination, answers)}")
    if sys.stdout.isatty():
        typer.echo(f"next: cd {shlex.quote(str(project))} && make dev")


def _ask(given: Mapping[str, str]) -> dict[str, str]:
    """Ask the template's questions that have no answer yet, each until its answer is accepted."""
    template = data_path("template")
    questions = json.loads((template / "cookiecutter.json").read_text(encoding="utf-8"))
    _check(template, given, questions)
    prompts = questions["__prompts__"]
    answers = dict(given)
    names = [name for name in questions if not name.startswith("_") and name not in answers]
    for number, name in enumerate(names, 1):
        default = questions[name]
        choices = default if isinstance(default, list) else None
        text = prompts[name]["__prompt__"] if isinstance(prompts[name], dict) else prompts[name]
        shown = f"[{number}/{len(names)}] {text}" + (f" ({', '.join(choices)})" if choices else "")
        preset = _filled(str(choices[0] if choices else default), answers)
        while True:
            answer = typer.prompt(shown, default=preset).strip()
            problem = _problem(template, questions, {**answers, name: answer}, name)
            if problem is None:
                break
            typer.echo(f"  {problem}", err=True)
        answers[name] = answer
    return answers


def _filled(default: str, answers: Mapping[str, str]) -> str:
    return re.sub(r"\{\{ *cookiecutter\.(\w+) *\}\}", lambda found: answers.get(found[1], ""), default)


def _problem(template: Path, questions: Mapping[str, Any], answers: Mapping[str, str], name: str) -> str | None:
    """Return why one answer is refused, by the rules of the template's own hook; None: it is accepted."""
    choices = questions[name]
    if isinstance(choices, list) and answers[name] not in choices:
        return f"must be one of {', '.join(choices)}"
    if _CODE.search(answers[name]):
        return _NO_CODE
    mine = [line for line in _refused(template, questions, answers) if line.startswith(f"{name}=")]
    return mine[0].partition(": ")[2] if mine else None


def _refused(template: Path, questions: Mapping[str, Any], answers: Mapping[str, str]) -> list[str]:
    """Return what the template's own hook refuses, one line each; questions without an answer have their defaults."""
    defaults = {
        key: value[0] if isinstance(value, list) else value
        for key, value in questions.items()
        if not key.startswith("_")
    }
    complete = {**{key: _filled(value, defaults) for key, value in defaults.items()}, **answers}
    complete["__project_slug"] = _slug(complete["project_name"])
    source = (template / "hooks" / "pre_gen_project.py").read_text(encoding="utf-8")
    code = source.replace('r"""{{ cookiecutter | tojson }}"""', repr(json.dumps(complete)))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return [line for line in done.stderr.splitlines() if re.match(r"\w+='", line)]


def _slug(name: str) -> str:
    from slugify import slugify

    return slugify(name) or "-"


def _command_line(destination: Path, answers: Mapping[str, str]) -> str:
    words = [
        *([] if destination == Path() else [str(destination)]),
        *(f"{key}={value}" for key, value in answers.items()),
    ]
    return shlex.join(["no502", "new", "--no-input", *words])


def scaffold(destination: Path, answers: Mapping[str, str], *, no_input: bool = True) -> Path:
    """Generate the project below ``destination`` and return its directory.

    The project is generated aside and moved into place when it is complete, so a failure leaves nothing behind.

    Args:
        destination: Where the project's directory is created; made when its parent exists.
        answers: Answers to the template's questions, by name.
        no_input: Use defaults for the other questions instead of asking them.

    Raises:
        UserError: Unknown or refused answers, or a place that cannot be written or is taken.
    """
    template = data_path("template")
    _check(template, answers, json.loads((template / "cookiecutter.json").read_text(encoding="utf-8")))
    created = _make(destination)
    try:
        with tempfile.TemporaryDirectory(prefix=".no502-", dir=destination) as aside:
            generated = _generate(template, Path(aside).resolve(), answers, no_input=no_input)
            project = _move(generated, destination)
    except BaseException:
        if created:
            destination.rmdir()
        raise
    return project


def _split(words: Sequence[str]) -> tuple[Path, dict[str, str]]:
    """Split the answers (``key=value``) from the destination; ``./a=b`` is a directory."""
    pairs = [word for word in words if re.match(r"\w+=", word)]
    places = [word for word in words if word not in pairs]
    if len(places) > 1:
        message = f"one DEST at most, answers as key=value; got {', '.join(places)}"
        raise UserError(message, USAGE)
    return Path(places[0] if places else "."), dict(pair.split("=", 1) for pair in pairs)


def _check(template: Path, answers: Mapping[str, str], questions: Mapping[str, Any]) -> None:
    """Refuse answers that cookiecutter would ignore or refuse with a traceback; all problems at once."""
    public = [name for name in questions if not name.startswith("_")]
    problems = []
    for name, answer in answers.items():
        if name not in public:
            near = closest(name, public, cutoff=0.0)
            problems.append(f"{name}: no such question; did you mean {near}? There are {', '.join(public)}")
        elif isinstance(questions[name], list) and answer not in questions[name]:
            near = did_you_mean(answer, questions[name])
            problems.append(f"{name}={answer}: must be one of {', '.join(questions[name])}{near}")
        elif _CODE.search(answer):
            problems.append(f"{name}={answer}: {_NO_CODE}")
    problems += _refused(template, questions, answers)
    if problems:
        raise UserError("\n".join(problems), USAGE)


def _make(destination: Path) -> bool:
    """Create the destination where it is missing; return whether that was necessary."""
    if destination.is_dir():
        if not os.access(destination, os.W_OK | os.X_OK):
            message = f"cannot write to the directory {destination}: {os.strerror(errno.EACCES)}"
            raise UserError(message)
        return False
    try:
        destination.mkdir()
    except OSError as error:
        message = f"cannot create the directory {destination}: {error.strerror}"
        raise UserError(message) from None
    return True


def _move(generated: Path, destination: Path) -> Path:
    project = destination / generated.name
    if project.exists():
        message = f"{project} exists already: remove it, or choose another project_name or DEST"
        raise UserError(message)
    for compiled in generated.rglob("__pycache__"):
        shutil.rmtree(compiled)  # an installer compiles the Python files of the package's data as well
    return generated.rename(project)


def _generate(template: Path, aside: Path, answers: Mapping[str, str], *, no_input: bool) -> Path:
    # Imported here because it costs a quarter of a second that the other commands need not pay.
    from cookiecutter.config import get_user_config
    from cookiecutter.exceptions import CookiecutterException, FailedHookException
    from cookiecutter.main import cookiecutter
    from jinja2 import TemplateError

    # The hook has told the user what is wrong by then; cookiecutter's own log line would only repeat that it did.
    logging.getLogger("cookiecutter").addHandler(logging.NullHandler())
    # The user's own defaults count, but the answers are not written to a replay file in the home directory.
    config = {**get_user_config(), "replay_dir": str(aside / "replay")}
    before, tempfile.tempdir = tempfile.tempdir, str(aside)  # cookiecutter leaves the rendered hook in there
    try:
        project = cookiecutter(
            str(template),
            no_input=no_input,
            extra_context={**answers, "_next_steps": "no"},  # this command has its own
            output_dir=str(aside),
            default_config=config,
        )
    except FailedHookException:
        message = "nothing was created, see above"
        raise UserError(message) from None
    except (CookiecutterException, TemplateError) as error:
        message = f"the template cannot be rendered: {str(error).partition(' Context: ')[0]}"
        raise UserError(message) from None
    finally:
        tempfile.tempdir = before
    return Path(project)
