"""The walks of CONTRIBUTING.md, each done in a copy: how many files a new scenario, question and variable touch."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.commands import ROOT, clean_environment

_MOST = 5


class Checkout:
    """A copy of what the command is made from, and the files of it that were written by hand."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.touched: set[str] = set()
        ignored = shutil.ignore_patterns("__pycache__")
        for name in ("no502", "template", "nginx"):
            shutil.copytree(ROOT / name, path / name, ignore=ignored)
        for file in ROOT.glob("gunicorn_*.py"):
            shutil.copy(file, path)

    def write(self, name: str, text: str) -> None:
        """Write a file as a person would."""
        self.touched.add(name)
        (self.path / name).parent.mkdir(parents=True, exist_ok=True)
        (self.path / name).write_text(text, encoding="utf-8")

    def change(self, name: str, old: str, new: str) -> None:
        """Replace a text that occurs once."""
        text = (self.path / name).read_text(encoding="utf-8")
        assert text.count(old) == 1, (name, old)
        self.write(name, text.replace(old, new))

    def no502(self, *words: str) -> str:
        """Run the command of the copy in a directory beside it."""
        here = self.path / "here"
        here.mkdir(exist_ok=True)
        environment = {**clean_environment(self.path / "home"), "PYTHONPATH": str(self.path)}
        done = subprocess.run(
            [sys.executable, "-m", "no502", *words],
            cwd=here,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(name="checkout")
def _checkout(tmp_path: Path) -> Iterator[Checkout]:
    """A copy; afterwards the number of files that were touched is compared with what the walks promise."""
    checkout = Checkout(tmp_path)
    yield checkout
    assert 0 < len(checkout.touched) <= _MOST, checkout.touched


def test_a_scenario_of_the_lab(checkout: Checkout) -> None:
    """A module and its name in the list; the recording is made by the command."""
    scenarios = "no502/lab/scenarios"
    text = (ROOT / scenarios / "big_header.py").read_text(encoding="utf-8")
    checkout.write(f"{scenarios}/dummy.py", text.replace('name="big-header"', 'name="dummy-scenario"'))
    listed = (ROOT / scenarios / "__init__.py").read_text(encoding="utf-8")
    changed = listed.replace("    cut_stream,\n", "    cut_stream,\n    dummy,\n", 1)
    changed = changed.replace("    cut_stream.SCENARIO,\n", "    cut_stream.SCENARIO,\n    dummy.SCENARIO,\n", 1)
    checkout.write(f"{scenarios}/__init__.py", changed)
    assert "dummy-scenario" in checkout.no502("lab", "--list")


def test_a_question_of_the_template(checkout: Checkout) -> None:
    """The question, the paths that belong to its answer, and these paths: the command asks and generates it."""
    questions = json.loads((ROOT / "template" / "cookiecutter.json").read_text(encoding="utf-8"))
    private = {name: value for name, value in questions.items() if name.startswith("_")}
    public = {name: value for name, value in questions.items() if not name.startswith("_")}
    private["__prompts__"]["dummy"] = {"__prompt__": "A dummy", "none": "none", "yes": "one file more"}
    text = json.dumps({**public, "dummy": ["none", "yes"], **private}, indent=4)
    checkout.write("template/cookiecutter.json", text)
    begin = "BELONGS = {\n"
    checkout.change("template/hooks/post_gen_project.py", begin, begin + '    ("dummy", "yes"): ["ops/dummy"],\n')
    checkout.write("template/{{cookiecutter.__project_slug}}/ops/dummy", "a dummy\n")
    assert "dummy" in checkout.no502("new", "--help")
    checkout.no502("new", "--no-input", "project_name=with", "dummy=yes")
    checkout.no502("new", "--no-input", "project_name=without")
    assert (checkout.path / "here" / "with" / "ops" / "dummy").is_file()
    assert not (checkout.path / "here" / "without" / "ops" / "dummy").exists()


def test_a_variable_of_nginx(checkout: Checkout) -> None:
    """The line, an example, what it may hold, and the table of the README: rendered, and checked by the command."""
    line = "send_timeout ${NGINX_DUMMY}s;\n"
    template = "nginx/templates/app/numbers.conf.template"
    text = (ROOT / template).read_text(encoding="utf-8")
    checkout.write(template, text + line)
    example = (ROOT / "nginx" / "example.env").read_text(encoding="utf-8")
    checkout.write("nginx/example.env", example.replace("NGINX_LISTEN=80\n", "NGINX_LISTEN=80\nNGINX_DUMMY=7\n", 1))
    begin = "VARIABLES = {\n"
    variable = '    "NGINX_DUMMY": Variable(r"[1-9]\\d{0,4}", _SECONDS),\n'
    checkout.change("no502/nginx/variables.py", begin, begin + variable)
    begin = "| variable | example | |\n|---|---|---|\n"
    checkout.change("nginx/README.md", begin, begin + "| `NGINX_DUMMY` | `7` | seconds |\n")
    checkout.no502("nginx", "--out", "nginx", "--nginx-version", "1.30.0", "--upstream", "127.0.0.1:8000")
    rendered = (checkout.path / "here" / "nginx").rglob("*.conf")
    assert any("send_timeout 7s;" in file.read_text(encoding="utf-8") for file in rendered)
