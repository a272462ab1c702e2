"""Command lines and scripts: what starts a server, what only names one, and what cannot start."""

import shlex
import time
from pathlib import Path

import pytest

from no502.doctor.model import Origin
from no502.doctor.readers.shell.commands import Command, follow, follow_text
from no502.doctor.readers.shell.trace import trace
from tests.doctor.report import judge

SITE = "server { listen 80; location / { proxy_pass http://127.0.0.1:8000; proxy_read_timeout 300s; } }\n"


def started(text: str) -> list[Command]:
    """Return the servers that a shell text starts."""
    return [command for command, _ in follow_text(text, Origin(file="start.sh")).servers]


@pytest.mark.parametrize(
    "text",
    [
        "sudo systemctl reload gunicorn",
        "service gunicorn restart",
        "rye add gunicorn uvicorn",
        "uv add 'gunicorn>=22'",
        "conda install -y gunicorn uvicorn",
        "python -m pip install --no-cache-dir gunicorn uvicorn",
        "command -v uvicorn >/dev/null || exit 1",
        "if ! pgrep -x gunicorn >/dev/null; then echo gone; fi",
        'if [ "$1" = gunicorn ]; then ./migrate; fi',
        'if [[ -n "$X" && "$1" == uvicorn ]]; then echo; fi',
        "kill -HUP $(cat /run/gunicorn.pid)",
        "multitail /var/log/gunicorn/error.log",
        "cat <<EOF > /etc/systemd/system/shop.service\nExecStart=/venv/bin/gunicorn shop:app\nEOF",
        "# gunicorn shop:app",
        "echo gunicorn shop:app",
        "useradd --system gunicorn -s /usr/sbin/nologin",
        "docker run --rm acme gunicorn shop:app -b 0.0.0.0",
        "serve() { gunicorn shop:app; }\necho defined",
        "exit 0\ngunicorn shop:app",
        'case "$1" in help) gunicorn --help;; esac',
    ],
)
def test_a_name_is_no_start(text: str) -> None:
    """Only the place of a command starts a server, in lines that run."""
    commands = [command for command in started(text) if "--help" not in command.words]
    assert commands == []


@pytest.mark.parametrize(
    ("text", "likely"),
    [
        ("gunicorn shop:app", False),
        ("exec env A=1 gunicorn shop:app", False),
        ("sudo -u gunicorn gunicorn shop:app", False),
        ("python3.13 -X dev -m gunicorn shop:app", False),
        ("uv run --frozen gunicorn shop:app", False),
        ("tini -- gosu www gunicorn shop:app", False),
        ("migrate && gunicorn shop:app", False),
        ("while ! nc -z db 5432; do sleep 1; done; gunicorn shop:app", False),
        ("serve() { gunicorn shop:app; }\nserve", False),
        ('set -- gunicorn shop:app\nexec "$@"', False),
        ("SERVER=gunicorn; $SERVER shop:app", False),
        ("(cd /srv && exec gunicorn shop:app)", False),
        ("su www -c 'gunicorn shop:app'", True),
        ("acme-launcher --profile x gunicorn shop:app", True),
        ("$WRAPPER gunicorn shop:app", True),
        ("./wait-for-database.sh db:5432 -- gunicorn shop:app", True),
        ("numactl -N0 nice -n 5 /venv/bin/gunicorn shop:app", True),
    ],
)
def test_a_server_is_found_behind_any_wrapper(text: str, likely: bool) -> None:
    """Known wrappers are certain; after an unknown word it is likely, if its arguments are a server's."""
    [command] = started(text)
    assert command.program == "gunicorn"
    assert command.words == ("shop:app",)
    assert command.likely == likely


def test_an_empty_list_is_no_word() -> None:
    """``"${wrap[@]}"`` of an empty array leaves the server in the command's place."""
    [command] = started('wrap=()\n"${wrap[@]}" gunicorn shop:app')
    assert not command.likely


def test_branches_follow_what_is_known() -> None:
    """Arguments decide ``case`` and ``if``; an unset variable gets its default; ``--reload`` is for developers."""
    script = (
        'if [ -z "$PORT" ]; then PORT=8000; fi\n'
        'case "${1:-web}" in\n  web) exec gunicorn -b ":$PORT" shop:app ;;\n  task) exec celery worker ;;\nesac\n'
    )
    ran = [one.words for one in trace(script, {}, ["web"])]
    assert ran == [("gunicorn", "-b", ":8000", "shop:app")]
    assert [one.words[0] for one in trace(script, {}, ["task"])] == ["celery"]
    both = started('if [ "$ENV" = dev ]; then uvicorn shop:app --reload; else uvicorn shop:app --port 9; fi')
    assert [command.words[-1] for command in both] == ["9"]


def test_single_quotes_keep_a_dollar() -> None:
    """Nothing expands between single quotes; double quotes and bare words are expanded."""
    ran = [one.words for one in trace("P=1\nx '$P' \"$P\" $P ${P:-2} ${Q:-3} \\$P", {})]
    assert ran == [("x", "$P", "1", "1", "1", "3", "$P")]


@pytest.mark.parametrize(
    ("text", "shell"),
    [
        ("sh -c 'gunicorn shop:app'", "sh -c without exec"),
        ("sh -c 'exec gunicorn shop:app'", ""),
        ("bash -c 'gunicorn shop:app'", ""),
        ("bash -c 'gunicorn shop:app | tee log'", "bash -c without exec"),
        ("bash -c 'gunicorn shop:app & wait'", "bash -c without exec"),
    ],
)
def test_a_shell_that_stays(text: str, shell: str) -> None:
    """A shell stays in front unless exec, or bash at its last command, replaces it."""
    [(command, _)] = follow(shlex.split(text), Origin(file="x")).servers
    assert command.shell == shell


@pytest.mark.parametrize(
    "text",
    [
        *("gunicorn a:b;" * 20_000, "(" * 50_000, "if " * 50_000, '"$(' * 30_000, "${" * 50_000, "$" * 100_000),
        *("x() { x; x; x; }; x", "'" * 99_999, "<<E" * 30_000, "case x in " * 20_000, "`" * 50_001, "\\" * 99_999),
    ],
    ids=range(12),
)
def test_no_script_takes_long(text: str) -> None:
    """Whatever stands in a script: an answer within seconds."""
    began = time.process_time()
    started(text)
    assert time.process_time() - began < 8


# --- forms without a shell ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cmd",
    [
        '["gunicorn", "-b", "0.0.0.0:$PORT", "shop:app"]',
        '["gunicorn", "-b", "0.0.0.0:${PORT:-80}", "shop:app"]',
        '["gunicorn", "--workers", "$(nproc)", "shop:app"]',
        '["uvicorn", "shop:app", "--host", "$HOST"]',
        "['gunicorn', 'shop:app']",
        '["gunicorn" "shop:app"]',
        '["gunicorn", "shop:app",]',
        "[gunicorn, shop:app]",
        '["gunicorn -b 0.0.0.0:80 shop:app"]',
        '["gunicorn", "--bind 0.0.0.0:80", "shop:app"]',
        '["uvicorn", "shop:app", "--port 80"]',
        '["gunicorn", "--workers", "auto", "shop:app"]',
    ],
)
def test_a_command_that_cannot_start(cmd: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exec form expands nothing, has to be JSON, and has one word for each argument."""
    report = judge(tmp_path, {"Dockerfile": f"FROM python:3.13-slim\nENV PORT=80\nCMD {cmd}\n"}, monkeypatch)
    assert "C003" in report.found("Dockerfile")
    assert not report.found() & {"A101", "A102"}


@pytest.mark.parametrize(
    "cmd",
    [
        "gunicorn -b 0.0.0.0:$PORT shop:app",
        '["sh", "-c", "exec gunicorn -b 0.0.0.0:${PORT} shop:app"]',
        '["gunicorn", "-b 0.0.0.0:80", "shop:app"]',
        '["gunicorn", "-n", "$NAME", "shop:app"]',
        "[ -f /ready ] && exec gunicorn -b 0.0.0.0:80 shop:app",
    ],
)
def test_a_command_that_starts(cmd: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell expands; a short option takes its value in the same word; a name may hold a dollar sign."""
    report = judge(tmp_path, {"Dockerfile": f"FROM python:3.13-slim\nENV PORT=80\nCMD {cmd}\n"}, monkeypatch)
    assert "C003" not in report.found()
    assert [server[0] for server in report.servers()] == ["gunicorn"]


@pytest.mark.parametrize(
    ("command", "starts"),
    [
        ('["gunicorn", "-b", ":$$PORT", "shop:app"]', False),
        ("gunicorn -b :$$PORT shop:app", False),
        ("sh -c 'exec gunicorn -b :$${PORT:-80} shop:app'", True),
        ("gunicorn -b :${UNKNOWN} shop:app", True),
        ("gunicorn -b :${UNKNOWN:-80} shop:app", True),
    ],
)
def test_dollars_of_compose(command: str, starts: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``$$`` is one dollar sign for the program; what Compose itself would fill in is not known, and no mistake."""
    compose = f"services:\n  shop:\n    image: acme/shop:3\n    command: {command}\n"
    assert ("C003" not in judge(tmp_path, {"compose.yaml": compose}, monkeypatch).found()) is starts


@pytest.mark.parametrize(("word", "bind"), [("$(PORT)", "0.0.0.0:8000"), ("$PORT", None), ("${PORT}", None)])
def test_dollars_of_kubernetes(word: str, bind: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``$(NAME)`` is filled in; what a shell would expand is not."""
    pod = (
        "apiVersion: v1\nkind: Pod\nmetadata: {name: shop}\nspec:\n  containers:\n    - name: shop\n      "
        "image: acme/shop:3\n"
        f'      command: [uvicorn, "shop:app", --host, 0.0.0.0, --port, "{word}"]\n'
        '      env: [{name: PORT, value: "8000"}]\n'
    )
    report = judge(tmp_path, {"pod.yaml": pod}, monkeypatch)
    assert ("C003" in report.found()) is (bind is None)
    assert bind is None or report.servers() == [("uvicorn", [bind])]


def test_a_shell_entrypoint_takes_no_cmd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CMD behind ENTRYPOINT in shell form has no effect, unless the line says "$@" itself."""
    dockerfile = 'FROM python:3.13-slim\nENTRYPOINT gunicorn -b :80 shop:app {}\nCMD ["-w", "4"]\n'
    assert "C006" in judge(tmp_path / "a", {"Dockerfile": dockerfile.format("")}, monkeypatch).found("Dockerfile")
    assert "C006" not in judge(tmp_path / "b", {"Dockerfile": dockerfile.format('"$@"')}, monkeypatch).found()


def test_options_given_twice_and_quotes_in_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last one wins; quotes that belong to the value make one word of option and value, which is ignored."""
    twice = judge(tmp_path / "a", {"Procfile": "web: gunicorn -w 2 -w 8 shop:app\n"}, monkeypatch)
    assert "C006" in twice.found("Procfile")
    once = judge(tmp_path / "b", {"Procfile": "web: gunicorn -b :1 -b :2 -w 8 shop:app\n"}, monkeypatch)
    assert "C006" not in once.found()
    compose = (
        "services:\n  shop:\n    image: x\n    command: gunicorn shop:app\n    environment: [GUNICORN_CMD_ARGS={}]\n"
    )
    quoted = judge(tmp_path / "c", {"compose.yaml": compose.format("'--timeout 90'")}, monkeypatch)
    assert quoted.severity("C004") == "warning"
    assert "C003" not in quoted.found()
    plain = judge(tmp_path / "d", {"compose.yaml": compose.format("--timeout 90")}, monkeypatch)
    assert not plain.found() & {"C003", "C004"}


def test_a_script_of_python_starts_uvicorn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``uvicorn.run(...)`` counts with its arguments; what only running tells stays open."""
    files = {
        "Dockerfile": 'FROM python:3.13-slim\nCOPY serve.py /srv/serve.py\nWORKDIR /srv\nCMD ["python", "serve.py"]\n',
        "serve.py": 'import os, uvicorn\nPORT = int(os.getenv("PORT", "8080"))\n'
        'if __name__ == "__main__":\n    uvicorn.run("shop:app", host="0.0.0.0", port=PORT, timeout_keep_alive=75)\n',
    }
    report = judge(tmp_path, files, monkeypatch)
    assert report.servers() == [("uvicorn", ["0.0.0.0:8080"])]


def test_a_background_server_gets_no_exec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """exec before ``&`` would replace a subshell only: two containers or an init are the way."""
    files = {
        "Dockerfile": 'FROM python:3.13-slim\nCOPY boot.sh /boot.sh\nCMD ["/boot.sh"]\n',
        "boot.sh": "#!/bin/bash\nuvicorn shop:app --port 8000 &\nnginx -g 'daemon off;'\n",
    }
    report = judge(tmp_path, files, monkeypatch)
    assert "S502" in report.found("boot.sh")
    assert "exec uvicorn" not in report.text


@pytest.mark.parametrize(
    "command",
    [
        "conda install gunicorn -c conda-forge --yes",
        "conda -q install gunicorn -c conda-forge",
        "mamba install gunicorn --channel conda-forge",
        "mamba update gunicorn -c conda-forge gunicorn",
        "watch -n 5 gunicorn",
        "micromamba install -y -n base gunicorn -c conda-forge",
        "pylint gunicorn -c setup.cfg",
        "pytest -k gunicorn -c pytest.ini",
        "pip-compile -P gunicorn -c constraints.txt",
        "snap install gunicorn -c x",
        "scanner gunicorn -c rules.yaml",
        "scanner -k gunicorn -w report.json",
        "uv run --with gunicorn pytest",
        "uvx --from gunicorn pylint -c setup.cfg",
    ],
)
def test_a_package_or_a_pattern_of_that_name_starts_nothing(command: str) -> None:
    """Options that every program has are no sign of a server."""
    assert follow(shlex.split(command), Origin(file="ci.sh")).servers == []


@pytest.mark.parametrize(
    "command",
    [
        "conda run -n shop gunicorn -b :8000 shop:app",
        "unheard-of gunicorn -w 4",
        "unheard-of upgrade gunicorn -b :8000 shop:app",
        "unheard-of --once gunicorn -c gunicorn.conf.py",
        "unheard-of gunicorn -kgthread",
        "unheard-of gunicorn -b unix:/run/shop.sock",
        "unheard-of gunicorn shop.wsgi",
        "uvx --from gunicorn gunicorn shop:app",
        "uv run --with gunicorn gunicorn shop:app",
    ],
)
def test_a_server_behind_an_unknown_word_is_known_by_its_arguments(command: str) -> None:
    """Its options with values as it takes them, or an application."""
    assert [one.program for one, _ in follow(shlex.split(command), Origin(file="start.sh")).servers] == ["gunicorn"]


@pytest.mark.parametrize("again", ['su-exec shop "$0" "$@"', 'gosu shop "${BASH_SOURCE[0]}" "$@"', '"$0" "$@"'])
def test_a_script_that_starts_itself_again_is_one_server(
    again: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As another user it comes to its last line."""
    files = {
        "Dockerfile": 'FROM python:3.13\nCOPY run.sh /\nENTRYPOINT ["/run.sh"]\nCMD ["gunicorn", "a:b"]\n',
        "run.sh": f'#!/bin/sh\nif [ "$(id -u)" = 0 ]; then\n  exec {again}\nfi\nexec "$@"\n',
    }
    assert judge(tmp_path, files, monkeypatch).servers() == [("gunicorn", ["127.0.0.1:8000"])]
