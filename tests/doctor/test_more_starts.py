"""Starts in other forms: scripts of pyproject.toml, here-documents, execline, included Compose files, Python."""

from pathlib import Path

import pytest

from tests.doctor.report import HEADERS, judge

SERVED = [("gunicorn", ["0.0.0.0:7000"])]
IMAGE = "FROM python:3.13\nWORKDIR /srv\nCOPY . .\n"
SITE = f"server {{ listen 80; location / {{ proxy_pass http://shop:8000; {HEADERS} }} }}\n"
WEB = 'web: {image: "nginx:1.28", volumes: ["./site.conf:/etc/nginx/conf.d/default.conf"]}'


@pytest.mark.parametrize(
    ("command", "project"),
    [
        ('["pdm", "run", "serve"]', "[tool.pdm.scripts]\nserve = 'gunicorn -b 0.0.0.0:7000 shop:app'\n"),
        (
            '["pdm", "run", "serve"]',
            "[tool.pdm.scripts.serve]\ncmd = ['gunicorn', '-b', '0.0.0.0:7000', 'shop:app']\n",
        ),
        ('["poe", "serve"]', "[tool.poe.tasks]\nserve = 'gunicorn -b 0.0.0.0:7000 shop:app'\n"),
        (
            '["poetry", "run", "poe", "serve"]',
            "[tool.poe.tasks.serve]\nshell = '''\nalembic upgrade\nexec gunicorn -b 0.0.0.0:7000 a:b\n'''\n",
        ),
        (
            '["poe", "up"]',
            "[tool.poe.tasks]\nserve = 'gunicorn -b 0.0.0.0:7000 a:b'\nup = {sequence = ['echo', 'poe serve']}\n",
        ),
        ('["hatch", "run", "live:serve"]', "[tool.hatch.envs.live.scripts]\nserve = 'gunicorn -b :7000 a:b'\n"),
        ('["hatch", "run", "live:gunicorn", "-b", "0.0.0.0:7000", "shop:app"]', "[tool.hatch]\n"),
        ("uv run task serve", "[tool.taskipy.tasks]\nserve = 'gunicorn -b 0.0.0.0:7000 shop:app'\n"),
    ],
)
def test_a_script_of_pyproject_is_followed(
    command: str, project: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runner starts what the project's own file says."""
    files = {"Dockerfile": f"{IMAGE}CMD {command}\n", "pyproject.toml": project}
    (server,) = judge(tmp_path, files, monkeypatch).servers()
    assert server[1] in (["0.0.0.0:7000"], ["*:7000"])


@pytest.mark.parametrize(
    ("command", "project"),
    [
        ("poe test", "[tool.poe.tasks]\nserve = 'gunicorn -b 0.0.0.0:7000 shop:app'\ntest = 'pytest'\n"),
        ("pdm run again", "[tool.pdm.scripts]\nagain = 'pdm run again'\n"),
        ("pdm run serve", "[tool.pdm.scripts\nserve = 'gunicorn shop:app'\n"),
        ("poe serve", "[tool.poe]\ntasks = 'gunicorn shop:app'\n"),
        ("pdm add gunicorn", "[tool.pdm.scripts]\n"),
    ],
)
def test_another_script_is_none(command: str, project: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not started, calls itself or is no TOML starts nothing."""
    files = {"Dockerfile": f"{IMAGE}CMD {command}\n", "pyproject.toml": project}
    assert judge(tmp_path, files, monkeypatch).servers() == []


@pytest.mark.parametrize(
    "dockerfile",
    [
        'FROM python:3\nCOPY <<"EOF" /start.sh\n#!/bin/sh\nexec gunicorn -b 0.0.0.0:7000 a:b\nEOF\nCMD ["/start.sh"]\n',
        'FROM python:3\nWORKDIR /a\nCOPY <<A <<B c/\nx\nA\nexec gunicorn -b 0.0.0.0:7000 a:b\nB\nCMD ["sh", "c/B"]\n',
        "FROM python:3.13\nWORKDIR /srv\nCOPY <<EOF gunicorn.conf.py\nbind = '0.0.0.0:7000'\nEOF\nCMD gunicorn a:b\n",
        "FROM python:3.13\nCOPY <<EOF /etc/g.py\nbind = '0.0.0.0:7000'\nEOF\nCMD gunicorn -c /etc/g.py shop:app\n",
        "FROM python:3.13\nRUN <<EOF\ngunicorn -b 0.0.0.0:1 other:app\nEOF\nCMD gunicorn -b 0.0.0.0:7000 shop:app\n",
    ],
)
def test_a_here_document_of_a_dockerfile_is_a_file(
    dockerfile: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """COPY writes it into the image; what RUN is fed starts nothing."""
    assert judge(tmp_path, {"Dockerfile": dockerfile}, monkeypatch).servers() == SERVED


def test_a_finding_names_the_line_of_the_here_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a line of the Dockerfile."""
    text = "FROM python:3.13\nCOPY <<EOF /start.sh\n#!/bin/sh\ngunicorn --no-such shop:app\nEOF\nCMD sh /start.sh\n"
    report = judge(tmp_path, {"Dockerfile": text}, monkeypatch)
    where = next(one["where"] for one in report.data["findings"] if one["rule"] == "C003")
    assert where["file"] == "Dockerfile"
    assert where["line"] == 4


def test_a_dockerfile_inside_a_compose_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``dockerfile_inline`` is the image."""
    compose = f"""services:
  {WEB}
  shop:
    build:
      dockerfile_inline: |
        FROM python:3.13
        CMD ["gunicorn", "-b", "0.0.0.0:7000", "shop:app"]
"""
    report = judge(tmp_path, {"compose.yaml": compose, "site.conf": SITE}, monkeypatch)
    assert report.servers() == SERVED
    assert "A101" in report.found()


@pytest.mark.parametrize(
    "include",
    [
        "include: [shop/compose.yaml]",
        "include:\n  - path: shop/compose.yaml",
        "include:\n  - path: [shop/compose.yaml, shop/times.yaml]\n    project_directory: shop",
    ],
)
def test_an_included_compose_file_is_a_part(include: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its services run beside the others, with the paths of its own folder, and are no project of their own."""
    files = {
        "compose.yaml": f"{include}\nservices:\n  {WEB}\n",
        "site.conf": SITE,
        "shop/compose.yaml": "services: {shop: {build: ., command: gunicorn shop:app}}\n",
        "shop/times.yaml": "services: {shop: {stop_grace_period: 60s}}\n",
        "shop/Dockerfile": "FROM python:3.13\nWORKDIR /srv\nCOPY gunicorn.conf.py .\n",
        "shop/gunicorn.conf.py": "bind = '0.0.0.0:7000'\n",
    }
    report = judge(tmp_path, files, monkeypatch)
    assert report.servers() == SERVED
    assert "A101" in report.found("site.conf")


def test_an_include_of_itself_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Included files are not followed further."""
    files = {"compose.yaml": "include: [compose.yaml, missing.yaml, '${X}.yaml']\nservices: {a: {image: a}}\n"}
    assert judge(tmp_path, files, monkeypatch).code == 0


@pytest.mark.parametrize(
    "run",
    [
        "#!/usr/bin/execlineb -P\ns6-setuidgid shop\ngunicorn -b 0.0.0.0:7000 shop:app\n",
        "#!/command/execlineb -P\n# as shop\ncd /srv\nfdmove -c 2 1\ns6-setuidgid shop\ngunicorn -b 0.0.0.0:7000\na:b",
    ],
)
def test_execline_is_one_command(run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each line of it runs the lines behind it."""
    files = {
        "Dockerfile": 'FROM python:3.13\nCOPY root/ /\nENTRYPOINT ["/init"]\n',
        "root/etc/services.d/shop/run": run,
    }
    assert judge(tmp_path, files, monkeypatch).servers() == SERVED


@pytest.mark.parametrize(
    ("script", "bind"),
    [
        ("import uvicorn\nuvicorn.Server(uvicorn.Config('a:app', host='0.0.0.0', port=7000)).run()\n", "0.0.0.0:7000"),
        ("from uvicorn import run\nrun('a:app', host='0.0.0.0', port=7000)\n", "0.0.0.0:7000"),
        ("from uvicorn import Config, Server\nServer(Config('a:app', port=7000)).run()\n", "127.0.0.1:7000"),
    ],
)
def test_python_starts_uvicorn(script: str, bind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its module or by the names that are imported from it."""
    files = {"Dockerfile": f"{IMAGE}CMD python main.py\n", "main.py": script}
    assert judge(tmp_path, files, monkeypatch).servers() == [("uvicorn", [bind])]


def test_another_run_is_not_uvicorns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``run`` of another module starts nothing that is judged."""
    script = "from uvicorn import Server\nfrom celery import run\nrun('a:app', port=7000)\n"
    files = {"Dockerfile": f"{IMAGE}CMD python main.py\n", "main.py": script}
    assert judge(tmp_path, files, monkeypatch).servers() == []


@pytest.mark.parametrize(("mode", "bind"), [("run", "0.0.0.0:8000"), ("dev", "127.0.0.1:8000")])
def test_only_fastapi_run_binds_every_address(
    mode: str, bind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``fastapi dev`` stays on the machine."""
    files = {"Dockerfile": f'FROM python:3.13\nCMD ["fastapi", "{mode}", "main.py"]\n'}
    assert judge(tmp_path, files, monkeypatch).servers() == [("uvicorn", [bind])]


@pytest.mark.parametrize(
    ("term", "port"), [("$((6000 + 1000))", 7000), ("$(( BASE + 2 * 500 ))", 7000), ("$((BASE-$STEP/2))", 5950)]
)
def test_a_shell_counts(term: str, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole numbers and names."""
    text = f"#!/bin/sh\nBASE=6000 STEP=100\nBASE=6000\nSTEP=100\nexec gunicorn -b 0.0.0.0:{term} shop:app\n"
    assert judge(tmp_path, {"start.sh": text}, monkeypatch).servers() == [("gunicorn", [f"0.0.0.0:{port}"])]


@pytest.mark.parametrize("term", ["$((BASE + 1))", "$((1 / 0))", "$((2 ** 9))", "$(( (1) ))", "$((0x10))"])
def test_a_sum_that_is_not_known_stays_open(term: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No address is made up."""
    text = f"#!/bin/sh\nexec gunicorn -b 0.0.0.0:{term} shop:app\n"
    assert judge(tmp_path, {"start.sh": text}, monkeypatch).servers() == [("gunicorn", None)]


WAIT = """#!/bin/sh
while [ $# -gt 0 ]; do
  case "$1" in
    --) shift; CLI="$*"; break ;;
    *) host="$1"; shift ;;
  esac
done
until nc -z "$host" 5432; do sleep 1; done
%s
"""


@pytest.mark.parametrize("end", ['exec "$@"', "exec $@", 'exec "${WAIT_CLI[@]}"', '"${cmd[@]}"'])
def test_a_script_that_waits_hands_the_command_on(end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """wait-for-it and its like often lie in the repository, and no reading tells what their loops leave."""
    files = {
        "compose.yaml": "services: {shop: {build: ., command: ./wait-for-it.sh db:5432 -- gunicorn -b :7000 a:b}}\n",
        "Dockerfile": IMAGE,
        "wait-for-it.sh": WAIT % end,
    }
    assert judge(tmp_path, files, monkeypatch).servers() == [("gunicorn", ["*:7000"])]


def test_a_script_that_runs_nothing_hands_nothing_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a command at its end, its arguments start nothing."""
    files = {
        "compose.yaml": "services: {shop: {build: ., command: ./wait-for-it.sh db:5432 -- gunicorn a:b}}\n",
        "Dockerfile": IMAGE,
        "wait-for-it.sh": WAIT % "echo done",
    }
    assert judge(tmp_path, files, monkeypatch).servers() == []


OWN = """from gunicorn.app.base import BaseApplication
class Shop(BaseApplication):
    pass
PORT = 7000
%s
"""


@pytest.mark.parametrize(
    "end",
    [
        "Shop({'bind': f'0.0.0.0:{PORT}', 'workers': 2, 'worker_class': 'uvicorn.workers.UvicornWorker'}).run()",
        "options = {'bind': ['0.0.0.0:7000'], 'timeout': 30}\nShop(options).run()",
    ],
)
def test_an_application_of_its_own_is_a_gunicorn(end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """gunicorn's class and a mapping of its settings."""
    files = {"Dockerfile": f"{IMAGE}CMD python main.py\n", "main.py": OWN % end}
    assert judge(tmp_path, files, monkeypatch).servers() == SERVED


def test_another_mapping_is_no_gunicorn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys that gunicorn does not have make it another program's."""
    files = {"Dockerfile": f"{IMAGE}CMD python main.py\n", "main.py": OWN % "X = {'bind': ':1', 'queue': 'mail'}"}
    assert judge(tmp_path, files, monkeypatch).servers() == []


def test_a_daemon_ends_its_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that Docker started is gone at once."""
    files = {"Dockerfile": 'FROM python:3.13\nCMD ["gunicorn", "--daemon", "-b", "0.0.0.0:7000", "shop:app"]\n'}
    assert "C003" in judge(tmp_path, files, monkeypatch).found()


@pytest.mark.parametrize(
    "files",
    [
        {"shop.service": "[Service]\nType=forking\nExecStart=/srv/bin/gunicorn -D -b :7000 shop:app\n"},
        {
            "Dockerfile": f"{IMAGE}CMD ./start.sh\n",
            "start.sh": "#!/bin/sh\ngunicorn -D -b 127.0.0.1:7000 shop:app\nexec nginx -g 'daemon off;'\n",
        },
    ],
)
def test_a_daemon_beside_something_else_is_right(
    files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """systemd follows a fork, and a script goes on."""
    assert "C003" not in judge(tmp_path, files, monkeypatch).found()


SUPERVISED = """[program:nginx]
command=nginx -g "daemon off;"
[program:shop]
command=gunicorn -b 127.0.0.1:7000 shop:app
"""


@pytest.mark.parametrize(("port", "wrong"), [(8000, True), (7000, False)])
def test_nginx_and_application_in_one_image(
    port: int,
    wrong: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Their loopback is the same one."""
    files = {
        "Dockerfile": "FROM python:3.13\nRUN apt-get install -y nginx supervisor\n"
        "COPY site.conf /etc/nginx/conf.d/\nCOPY s.conf /etc/supervisor/conf.d/s.conf\nCMD supervisord -n\n",
        "site.conf": SITE.replace("shop:8000", f"127.0.0.1:{port}"),
        "s.conf": SUPERVISED,
    }
    assert ("A101" in judge(tmp_path, files, monkeypatch).found()) is wrong


STARTED = "gunicorn shop:app -b 0.0.0.0:7000 &\nwait\n"


@pytest.mark.parametrize(
    ("script", "swallowed"),
    [
        ("trap 'kill -TERM $(jobs -p)' TERM INT\n" + STARTED, False),
        ('stop() {\n  kill "$pid"\n  wait\n}\ntrap stop SIGTERM\n' + STARTED, False),
        ("trap 'echo leaving' TERM\n" + STARTED, True),
        ("trap 'kill $!' EXIT\n" + STARTED, True),
        ("trap 'kill $!' TERM\n" + STARTED.replace(" &", ""), True),
        (STARTED, True),
    ],
)
def test_a_trap_that_sends_sigterm_on(
    script: str, swallowed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shell that waits with a trap passes the signal to what runs in the background; it cannot while it runs it."""
    files = {"Dockerfile": f'{IMAGE}CMD ["/srv/start.sh"]\n', "start.sh": "#!/bin/bash\n" + script}
    assert ("S502" in judge(tmp_path, files, monkeypatch).found()) is swallowed


@pytest.mark.parametrize(
    ("options", "meant"),
    [
        ("--bind 0.0.0.0:7000", "--host and --port"),
        ("-w 4", "--workers"),
        ("--max-requests=1000", "--limit-max-requests"),
        ("-k gthread", "one of gunicorn's"),
        ("--host 0.0.0.0 --log-level info --root-path /api --no-access-log --env-file .env", ""),
    ],
)
def test_uvicorn_refuses_gunicorns_options(
    options: str, meant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """uvicorn exits with "No such option"; its own options stay silent."""
    report = judge(tmp_path, {"Procfile": f"web: uvicorn shop:app {options}\n"}, monkeypatch)
    assert ("C003" in report.found()) is bool(meant)
    assert meant in report.text
