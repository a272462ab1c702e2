"""C: files that do not say what their author means. The readers find these; here they get their words."""

from __future__ import annotations

from no502.doctor.finding import Severity
from no502.doctor.registry import Rule

__all__ = ["RULES"]

_GUNICORN = "https://gunicorn.org/configure/"

RULES = (
    Rule(
        id="C001",
        slug="nginx-does-not-load",
        severity=Severity.ERROR,
        summary="the nginx configuration does not load",
        source="https://nginx.org/en/docs/beginners_guide.html#conf_structure",
    ),
    Rule(
        id="C003",
        slug="option-does-not-exist",
        severity=Severity.ERROR,
        summary="gunicorn or uvicorn does not start: an option does not exist or its value is not accepted",
        source="https://gunicorn.org/reference/settings/",
    ),
    Rule(
        id="C004",
        slug="setting-ignored",
        severity=Severity.WARNING,
        summary="gunicorn silently ignores an unknown name in its configuration file",
        source=_GUNICORN,
    ),
    Rule(
        id="C005",
        slug="configuration-not-loaded",
        severity=Severity.WARNING,
        summary="nothing loads a gunicorn configuration file",
        source=_GUNICORN,
    ),
    Rule(
        id="C006",
        slug="setting-overridden",
        severity=Severity.WARNING,
        summary="a value is written and another place overrides it",
        source=_GUNICORN,
    ),
    Rule(
        id="C099",
        slug="unused-suppression",
        severity=Severity.WARNING,
        summary="a suppression comment suppresses nothing, or gives no reason",
        source="https://docs.astral.sh/ruff/rules/unused-noqa/",
    ),
)
