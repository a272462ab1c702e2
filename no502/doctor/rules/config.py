"""C: files that do not say what their author means. The readers report these; here they get their words."""

from __future__ import annotations

from no502.doctor.finding import Severity
from no502.doctor.registry import Rule, reported

__all__: list[str] = []

_GUNICORN = "https://gunicorn.org/configure/"


nginx_does_not_load = reported(
    "C001",
    "nginx-does-not-load",
    Severity.ERROR,
    "the nginx configuration does not load",
    source="https://nginx.org/en/docs/beginners_guide.html#conf_structure",
)
option_does_not_exist = reported(
    "C003",
    "option-does-not-exist",
    Severity.ERROR,
    "gunicorn or uvicorn does not start because an option or its value is invalid",
    source="https://gunicorn.org/reference/settings/",
)
setting_ignored = reported(
    "C004",
    "setting-ignored",
    Severity.WARNING,
    "gunicorn silently ignores an unknown setting in its configuration file",
    source=_GUNICORN,
)
configuration_not_loaded = reported(
    "C005",
    "configuration-not-loaded",
    Severity.WARNING,
    "no command loads the gunicorn configuration file",
    source=_GUNICORN,
)
setting_overridden = reported(
    "C006",
    "setting-overridden",
    Severity.WARNING,
    "a setting has no effect because the command line, GUNICORN_CMD_ARGS or ENTRYPOINT overrides it",
    source=_GUNICORN,
)
ladder_shadowed = reported(
    "C007",
    "ladder-shadowed",
    Severity.WARNING,
    "a gunicorn_conf.py of the project hides the one of no502",
    source="https://docs.python.org/3/library/sys_path_init.html",
)
unused_suppression = Rule(
    id="C099",
    slug="unused-suppression",
    severity=Severity.WARNING,
    summary="a suppression comment suppresses nothing or gives no reason",
    source="https://docs.astral.sh/ruff/rules/unused-noqa/",
)
"""About the comments, once everything else is found: see ``suppress``."""
