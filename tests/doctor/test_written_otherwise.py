"""One thing written in two ways is one thing: socket paths, systemd's specifiers, Dockerfile's escape character."""

from pathlib import Path

import pytest

from tests.doctor.report import HEADERS, judge

NGINX = f"events {{}}\nhttp {{ server {{ location / {{ proxy_pass http://%s; {HEADERS} }} }} }}\n"


@pytest.mark.parametrize("path", ["/run//shop.sock", "/run/./shop.sock", "/run/shop/../shop.sock"])
def test_a_path_with_extra_slashes_is_the_same_file(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel finds one socket by all of them."""
    files = {"nginx.conf": NGINX % "unix:/run/shop.sock", "Procfile": f"web: gunicorn -b unix:{path} shop:app\n"}
    assert "A101" not in judge(tmp_path, files, monkeypatch).found()


@pytest.mark.parametrize(
    ("unit", "bind"),
    [
        ("shop.service", "unix:%t/shop.sock"),
        ("shop.service", "unix:/run/%p.sock"),
        ("shop.service", "unix:/run/%N.sock"),
        ("shop@.service", "unix:/run/%p.sock"),
        ("any@shop.service", "unix:/run/%i.sock"),
    ],
)
def test_specifiers_of_systemd_are_filled_in(
    unit: str, bind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What does not depend on the machine is known."""
    files = {unit: f"[Service]\nExecStart=/srv/bin/gunicorn -b {bind} shop:app\n"}
    assert judge(tmp_path, files, monkeypatch).servers() == [("gunicorn", ["unix:/run/shop.sock"])]


def test_an_instance_without_a_name_is_not_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``%i`` of a template unit is no part of a path."""
    files = {
        "nginx.conf": NGINX % "unix:/run/shop-blue.sock",
        "shop@.service": "[Service]\nExecStart=/srv/bin/gunicorn -b unix:/run/shop-%i.sock shop:app\n",
    }
    report = judge(tmp_path, files, monkeypatch)
    assert "A101" not in report.found()
    assert "%i" in report.gaps()


def test_a_doubled_percent_sign_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An access log format in a unit is no specifier."""
    files = {
        "shop.service": "[Service]\nExecStart=/srv/bin/gunicorn --access-logformat '%%(h)s %%(t)s' -b :7000 shop:app\n"
    }
    report = judge(tmp_path, files, monkeypatch)
    assert report.servers() == [("gunicorn", ["*:7000"])]


@pytest.mark.parametrize("head", ["# escape=`\n", "# syntax=docker/dockerfile:1\n# Escape = `\n"])
def test_a_dockerfile_may_choose_its_escape_character(
    head: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The directive stands before everything else."""
    files = {"Dockerfile": head + 'FROM python:3.13\nCMD ["gunicorn", `\n  "-b", "0.0.0.0:7000", "shop:app"]\n'}
    report = judge(tmp_path, files, monkeypatch)
    assert report.servers() == [("gunicorn", ["0.0.0.0:7000"])]


def test_a_comment_further_down_chooses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind FROM ``# escape=`` is a comment."""
    files = {"Dockerfile": 'FROM python:3.13\n# escape=`\nCMD ["gunicorn", \\\n "-b", "0.0.0.0:7000", "shop:app"]\n'}
    assert judge(tmp_path, files, monkeypatch).servers() == [("gunicorn", ["0.0.0.0:7000"])]
