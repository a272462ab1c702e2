"""Which known name a wrong one may stand for."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from no502.cli import app
from no502.near import did_you_mean, near
from no502.serve.named import meant

_KNOWN = ["azure-app-service", "azure-container-apps", "cloud-run", "ecs", "fly", "heroku"]


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("azure", ["azure-app-service", "azure-container-apps"]),
        ("Cloud", ["cloud-run"]),
        ("herku", ["heroku"]),
        ("zzz", []),
        ("e", []),
        ("", []),
    ],
)
def test_names_that_contain_the_word_or_are_close(word: str, found: list[str]) -> None:
    """A part of a name finds all that have it, a typing error the closest; a letter alone finds none."""
    assert near(word, _KNOWN) == found


def test_the_end_of_a_message() -> None:
    """Nothing is asked where nothing is near."""
    assert did_you_mean("azure", _KNOWN) == "; did you mean azure-app-service or azure-container-apps?"
    assert did_you_mean("zzz", _KNOWN) == ""


@pytest.mark.parametrize(
    ("words", "end"),
    [
        (["explain", "--platform", "azure"], "; did you mean azure-app-service or azure-container-apps?"),
        (["explain", "--proxy", "ngnx"], "; did you mean nginx?"),
        (["doctor", "--format", "jsn", "."], "; did you mean json?"),
        (["doctor", "--front", "cludflare", "."], "; did you mean cloudflare?"),
        (["nginx", "--front", "cloud", "--out", "x"], "; did you mean cloudflare or cloudfront?"),
    ],
)
def test_every_choice_of_the_command_line_offers_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], end: str
) -> None:
    """A value that is none of the choices ends with what was perhaps meant."""
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, words)
    assert end in (str(done.exception) + done.output).replace("\n", " ")


def test_a_choice_like_no_other_is_only_refused() -> None:
    """The choices are listed, and nothing is offered."""
    done = CliRunner().invoke(app, ["explain", "--platform", "zzz"])
    assert done.exit_code == 2
    assert "is not one of 'azure-app-service'" in done.output
    assert "did you mean" not in done.output


@pytest.mark.parametrize(
    ("source", "wanted", "right"),
    [
        ("from fastapi import FastAPI\napplication = FastAPI()\n", "applicatoin", "application"),
        ("import fastapi\napi: fastapi.FastAPI = fastapi.FastAPI()\n", "app", "api"),
        ("from factory import app\n", "ap", "app"),
        ("def create_app(): ...\n", "createapp", "create_app"),
        ("x = 1\n", "nothing", "app"),
        ("this is no Python", "nothing", "app"),
    ],
)
def test_the_application_that_is_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, wanted: str, right: str
) -> None:
    """What a FastAPI is assigned to comes first, then a close name; ``app`` where the module tells nothing."""
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "api.py").write_text(source, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert meant("pack.api", wanted) == right
