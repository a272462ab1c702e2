"""systemd, supervisord and gunicorn's configuration files: working directories, sockets, times to stop."""

from pathlib import Path

import pytest

from tests.doctor.report import HEADERS, judge

SITE = f"server {{ listen 80; location / {{ proxy_pass http://%s; {HEADERS} }} }}\n"


@pytest.mark.parametrize(
    ("option", "name"),
    [
        ("gunicorn.conf", "gunicorn.conf"),
        ("./gunicorn.ini", "gunicorn.ini"),
        ("ops/server_settings", "ops/server_settings"),
        ("file:cfg/web.py", "cfg/web.py"),
        ("python:cfg.web", "cfg/web.py"),
        ("/srv/shop/cfg/web.conf", "cfg/web.conf"),
    ],
)
def test_a_configuration_file_has_any_name(
    option: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """gunicorn loads whatever -c names."""
    files = {"Procfile": f"web: gunicorn -c {option} shop:app\n", name: "bind = '0.0.0.0:9000'\n"}
    report = judge(tmp_path, files | {"nginx.conf": SITE % "127.0.0.1:8000"}, monkeypatch)
    assert "A101" in report.found("nginx.conf")
    assert "is not among the files" not in report.gaps()


def test_a_missing_configuration_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One cause, one line, with the settings that depend on it."""
    files = {"Procfile": "web: gunicorn -c /etc/shop/gunicorn.py shop:app\n", "nginx.conf": SITE % "127.0.0.1:8000"}
    gaps = judge(tmp_path, files, monkeypatch).gaps()
    assert gaps.count("/etc/shop/gunicorn.py is not among the files") == 1
    assert "keepalive" in gaps


def test_a_configuration_in_a_config_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file that a ConfigMap mounts is read where it is written."""
    text = """apiVersion: v1
kind: ConfigMap
metadata: {name: conf}
data:
  settings.py: |
    bind = "127.0.0.1:8000"
    keep_alive = 75
---
apiVersion: v1
kind: Pod
metadata: {name: shop}
spec:
  containers:
    - name: shop
      image: acme/shop:3
      command: [gunicorn, -c, /conf/settings.py, "shop:app"]
      volumeMounts: [{name: c, mountPath: /conf}]
  volumes: [{name: c, configMap: {name: conf}}]
"""
    report = judge(tmp_path, {"pod.yaml": text}, monkeypatch)
    assert report.servers() == [("gunicorn", ["127.0.0.1:8000"])]
    [finding] = [one for one in report.data["findings"] if one["rule"] == "C004"]
    assert finding["where"]["file"] == "pod.yaml"
    assert finding["where"]["line"] == 7


UNIT = "[Service]\n{directory}TimeoutStopSec={stop}\nExecStart=/srv/venv/bin/gunicorn {options} shop:app\n"


def test_a_working_directory_leads_to_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """./gunicorn.conf.py, and what -c names, are looked for where the unit runs."""
    conf = {"backend/gunicorn.conf.py": "bind = 'unix:/run/shop.sock'\n"}
    for number, options in enumerate(("", "-c gunicorn.conf.py")):
        unit = UNIT.format(directory="WorkingDirectory=/srv/shop/backend\n", stop=90, options=options)
        report = judge(tmp_path / str(number), conf | {"deploy/shop.service": unit}, monkeypatch)
        assert report.servers() == [("gunicorn", ["unix:/run/shop.sock"])]
        assert report.found() == set()


def test_an_unknown_working_directory_decides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file may be loaded or not: no finding, a line that says so."""
    unit = UNIT.format(directory="", stop=90, options="")
    files = {"backend/gunicorn.conf.py": "bind = 'unix:/run/shop.sock'\n", "deploy/shop.service": unit}
    report = judge(tmp_path, files, monkeypatch)
    assert "C005" not in report.found()
    assert "whether gunicorn runs in backend/" in report.gaps()


@pytest.mark.parametrize(
    ("socket", "found", "said"),
    [
        ("[Socket]\nListenStream=/run/shop.sock\n", set(), ""),
        ("[Socket]\nListenStream=%t/shop.sock\n", set(), ""),
        ("[Socket]\nListenStream=/run/other.sock\n", {"A101"}, ""),
        (None, set(), "shop.socket is not among the files"),
    ],
)
def test_socket_units(
    socket: str | None, found: set[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """systemd listens for the service; where its unit is not here the address is not known."""
    unit = "[Unit]\nRequires=shop.socket\n" + UNIT.format(directory="", stop=90, options="")
    files = {"shop.service": unit, "nginx.conf": SITE % "unix:/run/shop.sock"}
    files |= {"shop.socket": socket} if socket else {}
    report = judge(tmp_path, files, monkeypatch)
    assert report.found() & {"A101"} == found
    assert said in report.gaps()


def test_a_template_of_a_unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not depend on a placeholder is judged."""
    unit = (
        "[Service]\nUser={{ user }}\nTimeoutStopSec=3\nExecStart={{ venv }}/bin/gunicorn -b unix:/run/a.sock shop:app\n"
    )
    files = {"templates/shop.service.j2": unit, "templates/site.conf.j2": SITE % "unix:/run/b.sock"}
    report = judge(tmp_path, files, monkeypatch)
    assert "S503" in report.found("templates/shop.service.j2")
    assert "A101" in report.found("templates/site.conf.j2")


PROGRAM = "[supervisord]\nnodaemon=true\n[program:shop]\ncommand=gunicorn -b 127.0.0.1:%(ENV_P)s shop:app\n{more}\n"


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ("environment=P=8000\nstopwaitsecs=60", set()),
        ("environment=P=8000", {"S503"}),
        ("environment=P=8000\nstopwaitsecs=60\nstopsignal=QUIT", {"S504"}),
        ("environment=P=9000,X='1,2'\nstopwaitsecs=60", {"A101"}),
    ],
)
def test_programs_of_supervisord(more: str, found: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its environment, its signal and the time that it waits count."""
    files = {"supervisord.conf": PROGRAM.format(more=more), "nginx.conf": SITE % "127.0.0.1:8000"}
    assert judge(tmp_path, files, monkeypatch).found() & {"A101", "S503", "S504"} == found


@pytest.mark.parametrize(("socket", "found"), [("unix:///run/shop.sock", False), ("unix:///run/other.sock", True)])
def test_sockets_of_supervisord(socket: str, found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An fcgi-program gets its socket as descriptor 0."""
    text = f"[fcgi-program:shop]\nsocket={socket}\ncommand=uvicorn --fd 0 shop:app\n"
    files = {"supervisord.conf": text, "nginx.conf": SITE % "unix:/run/shop.sock"}
    report = judge(tmp_path, files, monkeypatch)
    assert ("A101" in report.found()) is found
    assert "--fd" not in report.gaps()


def test_supervisord_in_a_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its programs run in that container, which is killed after Compose's time."""
    files = {
        "compose.yaml": "services:\n  shop:\n    build: .\n",
        "Dockerfile": 'FROM python:3.13\nCOPY s.conf /etc/s.conf\nCMD ["supervisord", "-c", "/etc/s.conf"]\n',
        "s.conf": "[program:shop]\ncommand=gunicorn -b 127.0.0.1:8000 shop:app\nstopwaitsecs=60\n",
    }
    report = judge(tmp_path, files, monkeypatch)
    assert "S501" in report.found("compose.yaml")
    assert "S503" not in report.found()


def test_helper_variables_and_names_that_were_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that the file reads itself is no misspelt setting; preload is preload_app, and nothing proposes reload."""
    text = (
        "import os\ndefault_workers = 2\nworkers = int(os.getenv('W', default_workers))\npreload = True\nrelod_x = 1\n"
    )
    report = judge(tmp_path, {"gunicorn.conf.py": text}, monkeypatch)
    messages = [one["message"] for one in report.data["findings"] if one["rule"] == "C004"]
    assert len(messages) == 1
    assert messages[0].endswith("did you mean preload_app?")
