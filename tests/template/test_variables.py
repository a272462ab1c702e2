"""``.env.example`` lists every variable with its default: those that are declared, each with what is declared."""

import ast
import re
from pathlib import Path

import pytest

import gunicorn_conf
from no502.ladder.rungs import RUNGS, value_of
from tests.support.template import bake

_LINE = re.compile(r"^(# )?([A-Z][A-Z0-9_]*)=(.*)$", re.MULTILINE)
_ELSEWHERE = {
    "PROMETHEUS_MULTIPROC_DIR",  # app/asgi/metrics.py
    "FASTAPI_OTEL_AUTO_CONFIGURE",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
}
_ANSWERS = pytest.mark.parametrize(
    "answers",
    [{}, {"database": "postgresql", "worker": "yes", "tls": "files", "deploy": "systemd"}],
    ids=["defaults", "everything"],
)


def _listed(project: Path) -> dict[str, tuple[bool, str]]:
    """Return each variable of .env.example: whether it is set there, and the value."""
    found = _LINE.findall((project / ".env.example").read_text(encoding="utf-8"))
    listed = {name: (not comment, value) for comment, name, value in found}
    assert len(listed) == len(found), "a variable is listed twice"
    return listed


def _of_gunicorn() -> dict[str, str]:
    defaults = {setting.variable: setting.default for setting in gunicorn_conf.SETTINGS}
    return {name: "" if default is None else str(default) for name, default in defaults.items()}


def _of_the_application(project: Path) -> dict[str, str]:
    """Return the fields of app/settings.py, which is not imported: it needs the service's own packages."""
    tree = ast.parse((project / "app" / "settings.py").read_text(encoding="utf-8"))
    (settings,) = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Settings"]
    found = {}
    for field in settings.body:
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            value = field.value
            options = {word.arg: word.value for word in value.keywords} if isinstance(value, ast.Call) else {}
            default = options.get("default") if isinstance(value, ast.Call) else value
            alias = options.get("validation_alias")
            name = f"APP_{field.target.id.upper()}" if alias is None else str(ast.literal_eval(alias))
            found[name] = "" if default is None else _written(ast.literal_eval(default))
    return found


def _written(value: object) -> str:
    """Return a default as it is written in the environment."""
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _of_compose(project: Path) -> dict[str, str]:
    text = (project / "compose.yaml").read_text(encoding="utf-8")
    found = re.findall(r"\$\{([A-Z_]+):([-?])([^}]*)\}", text)
    defaults = {name: default if how == "-" else "" for name, how, default in found}
    return defaults | {"NGINX_TRUSTED_PROXIES": ""}  # an address that nothing has stands for none


@_ANSWERS
def test_every_variable_is_listed_with_its_default(tmp_path: Path, answers: dict[str, str]) -> None:
    """What gunicorn_conf, the application and Compose declare is listed; a line that sets nothing shows the default."""
    project = bake(tmp_path, **answers)
    listed = _listed(project)
    declared = {**_of_compose(project), **_of_the_application(project), **_of_gunicorn()}
    assert declared.keys() | _ELSEWHERE == listed.keys()
    wrong = {name: value for name, (is_set, value) in listed.items() if not is_set and value != declared.get(name, "")}
    assert wrong == {}


def _numbers(environment: dict[str, str]) -> dict[str, int | None]:
    settings = gunicorn_conf.compute(environment, facts={"cpus": 2, "M": 0})
    return {rung.name: value_of(rung, settings) for rung in RUNGS}


@_ANSWERS
def test_its_lines_are_accepted_as_they_stand(tmp_path: Path, answers: dict[str, str]) -> None:
    """With every "# " taken away the ladder is the same: a default that is written down changes nothing."""
    project = bake(tmp_path, **answers)
    listed = _listed(project)
    every = {name: value for name, (_, value) in listed.items()}
    only_set = {name: value for name, (is_set, value) in listed.items() if is_set}
    assert _numbers(every) == _numbers(only_set)
