"""Hosts that were not set up for the doctor: what systemd does with a command, and what a template fills in."""

from pathlib import Path

import pytest

from tests.doctor.report import HEADERS, judge

SITE = f"server {{ listen 80; location / {{ proxy_pass http://127.0.0.1:8000; {HEADERS} }} }}\n"
SERVED = [("gunicorn", ["127.0.0.1:7000"])]


@pytest.mark.parametrize(
    "target",
    [
        "unix:/run/${SHOP}/web.sock",
        "unix:/run/${SHOP:-shop}/web.sock:/v1/",
        "unix:/run/{{ shop }}/web.sock",
        "unix:/srv/{{shop}}.sock",
        "unix:/srv/__SHOP__.sock",
        "unix:/srv/@SHOP@.sock",
    ],
)
def test_a_socket_with_a_placeholder_is_not_compared(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever in the path the placeholder stands, the socket is unknown."""
    files = {
        "shop.conf.template": SITE.replace("127.0.0.1:8000", target),
        "shop.service": "[Service]\nExecStart=/srv/bin/gunicorn -b unix:/run/shop/web.sock shop:app\n",
    }
    report = judge(tmp_path, files, monkeypatch)
    assert "A101" not in report.found()
    assert "the address to which nginx connects" in report.gaps()


def test_a_placeholder_behind_the_socket_hides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The colon ends the socket's path, and the URI may be anything."""
    files = {
        "shop.conf.template": SITE.replace("127.0.0.1:8000", "unix:/run/other.sock:/${PREFIX}/"),
        "shop.service": "[Service]\nExecStart=/srv/bin/gunicorn -b unix:/run/shop.sock shop:app\n",
    }
    assert "A101" in judge(tmp_path, files, monkeypatch).found()


@pytest.mark.parametrize(
    "lines",
    [
        'Environment="OPTIONS=--bind 127.0.0.1:7000 --timeout 40"\nExecStart=/srv/bin/gunicorn $OPTIONS shop:app',
        "Environment=PORT=7000\nExecStart=/srv/bin/gunicorn -b 127.0.0.1:${PORT} shop:app",
        "EnvironmentFile=/etc/default/shop\nExecStart=/srv/bin/gunicorn $OPTIONS shop:app",
        "Environment=PORT=7000\nExecStart=/bin/sh -c 'exec gunicorn -b 127.0.0.1:${PORT:-8000} shop:app'",
        "ExecStart=/bin/sh -c 'exec gunicorn -b 127.0.0.1:$${PORT:-7000} shop:app'",
    ],
)
def test_systemd_fills_in_variables(lines: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``$NAME`` alone becomes several words, ``${NAME}`` is a part of one, and a shell does the rest."""
    files = {
        "shop.service": f"[Service]\n{lines}\n",
        "etc/default/shop": 'OPTIONS="-b 127.0.0.1:7000 --timeout 20"\n',
        "nginx.conf": SITE,
    }
    report = judge(tmp_path, files, monkeypatch)
    assert report.servers() == SERVED
    assert "C003" not in report.found()


def test_systemd_knows_no_defaults_of_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """gunicorn gets ``${PORT:-8000}`` as it is written, and refuses it."""
    unit = "[Service]\nExecStart=/srv/bin/gunicorn -b 127.0.0.1:${PORT:-8000} shop:app\n"
    assert "C003" in judge(tmp_path, {"shop.service": unit}, monkeypatch).found()


@pytest.mark.parametrize("option", ["$OPTIONS", "${OPTIONS}"])
def test_options_from_elsewhere_are_not_taken_for_defaults(
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a variable that is not among the files says may be the address."""
    files = {"shop.service": f"[Service]\nExecStart=/srv/bin/gunicorn {option} shop:app\n", "nginx.conf": SITE}
    report = judge(tmp_path, files, monkeypatch)
    assert report.servers() == [("gunicorn", None)]
    assert f"{option} may say otherwise" in report.gaps()


def test_options_from_a_mapping_of_python_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line names the expression of which the options come."""
    main = "import uvicorn\nfrom conf import settings\nuvicorn.run('shop:app', **settings.server)\n"
    report = judge(tmp_path, {"Procfile": "web: python main.py\n", "main.py": main}, monkeypatch)
    assert "**settings.server may say otherwise" in report.gaps()
