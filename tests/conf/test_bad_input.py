"""What gunicorn_conf refuses, and how it says so."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.ports import free_port
from tests.support.processes import Running

_P = "must be a whole number from 10 to 86400"


@pytest.mark.parametrize(
    ("variables", "lines"),
    [
        ({"PROXY_READ_TIMEOUT": "abc"}, [f"PROXY_READ_TIMEOUT=abc (environment): {_P}"]),
        ({"PROXY_READ_TIMEOUT": "-180"}, [f"PROXY_READ_TIMEOUT=-180 (environment): {_P}"]),
        ({"PROXY_READ_TIMEOUT": "0"}, [f"PROXY_READ_TIMEOUT=0 (environment): {_P}"]),
        ({"PROXY_READ_TIMEOUT": "5"}, [f"PROXY_READ_TIMEOUT=5 (environment): {_P}"]),
        ({"PROXY_READ_TIMEOUT": "1000000000"}, [f"PROXY_READ_TIMEOUT=1000000000 (environment): {_P}"]),
        ({"PROXY_READ_TIMEOUT": "180.0"}, [f"PROXY_READ_TIMEOUT=180.0 (environment): {_P}"]),
        ({"PROXY_READ_TIMEOUT": "3m"}, [f"PROXY_READ_TIMEOUT=3m (environment): {_P}"]),
        ({"WEB_CONCURRENCY": "0"}, ["WEB_CONCURRENCY=0 (environment): must be a whole number from 1 to 512"]),
        (
            {"LOG_LEVEL": "verbos"},
            ["LOG_LEVEL=verbos (environment): must be one of debug, info, warning, error, critical"],
        ),
        (
            {"GUNICORN_BIND": "localhost"},
            [
                "GUNICORN_BIND=localhost (environment): must be a comma list of host:port, [ipv6]:port, unix:/path or fd://N"
            ],
        ),
        (
            {"GUNICORN_TIMEOT": "60"},
            ["GUNICORN_TIMEOT (environment): unknown variable; did you mean GUNICORN_TIMEOUT?"],
        ),
        ({"GUNICORN_WORKERS": "4"}, ["GUNICORN_WORKERS (environment): unknown variable; use WEB_CONCURRENCY"]),
        (
            {"GUNICORN_TIMEOUT": "300"},
            [
                (
                    "GUNICORN_TIMEOUT=300 (environment): must be at most 179, or raise PROXY_READ_TIMEOUT to 450, "
                    "or drop GUNICORN_TIMEOUT; GUNICORN_TIMEOUT < PROXY_READ_TIMEOUT does not hold"
                )
            ],
        ),
        (
            {"FRONT_READ_TIMEOUT": "60"},
            [
                (
                    "FRONT_READ_TIMEOUT=60 (environment): must be at least 185, or lower PROXY_READ_TIMEOUT to 55, "
                    "or drop FRONT_READ_TIMEOUT; "
                    "2 * PROXY_CONNECT_TIMEOUT + PROXY_READ_TIMEOUT < FRONT_READ_TIMEOUT does not hold"
                )
            ],
        ),
        (
            {"GUNICORN_TIMEOT": "1", "PROXY_READ_TIMEOUT": "x", "LOG_LEVEL": "loud", "WEB_CONCURRENCY": "0"},
            [
                "GUNICORN_TIMEOT (environment): unknown variable; did you mean GUNICORN_TIMEOUT?",
                f"PROXY_READ_TIMEOUT=x (environment): {_P}",
                "WEB_CONCURRENCY=0 (environment): must be a whole number from 1 to 512",
                "LOG_LEVEL=loud (environment): must be one of debug, info, warning, error, critical",
            ],
        ),
        (
            {"GUNICORN_TIMEOUT": "300", "GUNICORN_KEEPALIVE": "10"},
            [
                (
                    "GUNICORN_TIMEOUT=300 (environment): must be at most 179, or raise PROXY_READ_TIMEOUT to 450, "
                    "or drop GUNICORN_TIMEOUT; GUNICORN_TIMEOUT < PROXY_READ_TIMEOUT does not hold"
                ),
                (
                    "GUNICORN_KEEPALIVE=10 (environment): must be at least 16, or drop GUNICORN_KEEPALIVE; "
                    "PROXY_KEEPALIVE_TIMEOUT < GUNICORN_KEEPALIVE does not hold"
                ),
            ],
        ),
    ],
)
def test_gunicorn_does_not_start_and_says_everything_that_is_wrong(
    project: Path, gunicorn: list[str], environment: dict[str, str], variables: dict[str, str], lines: list[str]
) -> None:
    """One line per problem with variable, value and what is allowed; exit status 1; no traceback; nothing listens."""
    done = subprocess.run(
        gunicorn, cwd=project, env=environment | variables, capture_output=True, text=True, check=False, timeout=30
    )

    assert done.returncode == 1
    assert done.stderr.splitlines() == [f"gunicorn_conf: {line}" for line in lines]
    assert done.stdout == ""


def test_a_bad_line_in_dotenv_is_found_as_well(project: Path, gunicorn: list[str], environment: dict[str, str]) -> None:
    """An unknown name in .env is an error like one in the environment."""
    (project / ".env").write_text("GUNICORN_KEEPALIV=30\nAPP_NAME=fine\n")

    done = subprocess.run(
        gunicorn, cwd=project, env=environment, capture_output=True, text=True, check=False, timeout=30
    )

    assert done.returncode == 1
    assert (
        done.stderr == "gunicorn_conf: GUNICORN_KEEPALIV (.env): unknown variable; did you mean GUNICORN_KEEPALIVE?\n"
    )


@pytest.mark.parametrize("by", ["command line", "GUNICORN_CMD_ARGS"])
def test_a_command_line_that_breaks_the_ladder_is_refused(
    project: Path, gunicorn: list[str], environment: dict[str, str], by: str
) -> None:
    """Flags override the file, so they are held against the ladder when gunicorn starts."""
    command = [*gunicorn, "--timeout", "180"] if by == "command line" else gunicorn
    variables = environment | ({"GUNICORN_CMD_ARGS": "--timeout=180"} if by == "GUNICORN_CMD_ARGS" else {})

    done = subprocess.run(command, cwd=project, env=variables, capture_output=True, text=True, check=False, timeout=30)

    assert done.returncode == 1
    assert (
        f"gunicorn_conf: --timeout 180 ({by}): must be at most 179, or raise PROXY_READ_TIMEOUT to 270, "
        "or drop --timeout" in done.stderr
    )
    assert "Traceback" not in done.stderr


def test_a_command_line_that_keeps_the_ladder_is_accepted(
    project: Path, gunicorn: list[str], environment: dict[str, str]
) -> None:
    """A flag may move a rung within its bounds, and the log shows the ladder as it is then."""
    command = [*gunicorn, "--timeout", "150", "--bind", f"127.0.0.1:{free_port()}"]

    with Running(command, cwd=project, env=environment) as server:
        output = server.wait_for_output("is ready")

    assert "deadline 125 < timeout 150 < proxy_read 180" in output


@pytest.mark.parametrize(("bind", "warned"), [("0.0.0.0:0", True), ("127.0.0.1:0", False)])
def test_trusting_everybody_on_an_open_address_is_said_aloud(
    project: Path, gunicorn: list[str], environment: dict[str, str], bind: str, warned: bool
) -> None:
    """FORWARDED_ALLOW_IPS=* is taken when asked for, with a warning unless the address is loopback."""
    variables = {"FORWARDED_ALLOW_IPS": "*", "GUNICORN_BIND": bind}

    with Running(gunicorn, cwd=project, env=environment | variables) as server:
        output = server.wait_for_output("is ready")

    assert ("can forge client addresses" in output) is warned


def test_a_dotenv_that_is_no_text_is_one_line(project: Path, gunicorn: list[str], environment: dict[str, str]) -> None:
    """A .env in another encoding is named, without a traceback."""
    (project / ".env").write_bytes("APP_NAME=Pr\u00fcfung\n".encode("latin-1"))

    done = subprocess.run(
        gunicorn, cwd=project, env=environment, capture_output=True, text=True, check=False, timeout=30
    )

    assert done.returncode == 1
    assert done.stderr.startswith("gunicorn_conf: .env: cannot be read as UTF-8 text: ")
    assert len(done.stderr.splitlines()) == 1


def test_variables_of_others_do_not_stop_gunicorn(
    project: Path, gunicorn: list[str], environment: dict[str, str]
) -> None:
    """Kubernetes' service links and an application's own names are left alone."""
    others = {"PROXY_PORT": "tcp://10.0.0.1:80", "GUNICORN_SERVICE_HOST": "10.0.0.1", "PROXY_URL": "http://proxy"}
    variables = environment | others | {"GUNICORN_BIND": f"127.0.0.1:{free_port()}"}

    with Running(gunicorn, cwd=project, env=variables) as server:
        server.wait_for_output("is ready")


def test_computing_is_not_stopped_by_the_own_environment(project: Path, environment: dict[str, str]) -> None:
    """With a broken environment ``compute`` can be imported and used; who asks for ``settings`` is told and stopped."""
    code = "from gunicorn_conf import compute; print(compute({}).timeout); from gunicorn_conf import settings"

    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=project,
        env=environment | {"PROXY_READ_TIMEOUT": "never"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout == "120\n"
    assert done.returncode == 1
    assert done.stderr == f"gunicorn_conf: PROXY_READ_TIMEOUT=never (environment): {_P}\n"
