"""What can be set: environment variables that start with ``APP_``, {% if cookiecutter.database == 'postgresql' %}DATABASE_URL, and LOG_LEVEL (gunicorn reads it too){% else %}and ``LOG_LEVEL``, which gunicorn reads too{% endif %}.

The server's numbers (timeouts, workers) are not here: ``gunicorn_conf.ServerSettings`` computes them.
"""

import difflib
import os
import sys
from typing import Annotated, Literal

from dotenv import dotenv_values
{%- if cookiecutter.database == 'postgresql' %}
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from app.asgi import placeholders
from app.asgi.root_path import checked
from gunicorn_conf import settings as ladder
{%- else %}
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.asgi import placeholders
from app.asgi.root_path import checked
{%- endif %}

__all__ = ["Settings", "load"]

_PREFIX = "APP_"


def _split(value: object) -> object:
    return [item.strip() for item in value.split(",") if item.strip()] if isinstance(value, str) else value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value
{%- if cookiecutter.database == 'postgresql' %}


def _postgresql(value: SecretStr) -> SecretStr:
    try:
        name = make_url(value.get_secret_value()).drivername
    except (ArgumentError, ValueError):  # ValueError: a port that is no number
        name = ""
    if name not in {"postgresql", "postgres", "postgresql+psycopg"}:
        msg = "must be postgresql://USER:PASSWORD@HOST:PORT/DATABASE (special characters as %XX)"
        raise ValueError(msg)
    return value
{%- endif %}


CommaList = Annotated[list[str], NoDecode, BeforeValidator(_split)]
"""A list that is written ``a,b,c`` in the environment."""


class Settings(BaseSettings):
    """The service's settings, read once at start.

    Keep secrets in ``SecretStr`` fields: they print as stars, and messages about bad values never repeat a value.
    """

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",  # the variables of gunicorn and nginx are in the same file; unknown APP_ ones: see load()
        frozen=True,
        hide_input_in_errors=True,
        populate_by_name=True,
    )

    environment: Literal["production", "development"] = "production"
    """``production`` does not start with a placeholder for a secret; see app/asgi/placeholders.py."""

    docs: bool = False
    """Whether /docs and /openapi.json exist. Off unless asked for."""

    log_format: Literal["auto", "json", "console"] = "auto"
    """One JSON object a line, or text for people; ``auto`` is text on a terminal, else JSON."""

    log_level: Annotated[Literal["debug", "info", "warning", "error", "critical"], BeforeValidator(_lower)] = Field(
        default="info", validation_alias="LOG_LEVEL"
    )
    """From which level on lines are written."""

    allowed_hosts: CommaList = ["{{ cookiecutter.domain }}"]
    """Values of the Host header that are answered, without port; ``*.example.com`` and ``*`` work too.

    localhost and 127.0.0.1 always are: probes on this host need them.
    """

    cors_origins: CommaList = []
    """Origins such as ``https://app.example.com`` whose pages may call the service from a browser."""

    cors_credentials: bool = False
    """Whether those pages may send cookies (``fetch`` with ``credentials: "include"``)."""

    metrics: bool = False
    """Whether /metrics exists, for Prometheus and for callers inside only. See app/asgi/metrics.py."""

    demo: bool = False
    """Whether ``/`` shows the ladder and a button that reloads the workers; always in development."""

    requests_in_flight: int = Field(default=100, ge=0, le=100_000)
    """How many requests one worker serves at a time; more get 503 with Retry-After at once. 0: no bound.

    Choose it from what a worker answers within the deadline: requests per second times seconds. See
    app/asgi/overload.py.
    """
{%- if cookiecutter.worker == 'yes' %}

    worker_interval: float = Field(default=60, gt=0, le=86_400)
    """Seconds between two jobs of app/worker.py."""
{%- endif %}

    root_path: Annotated[str, AfterValidator(checked)] = ""
    """The path that a proxy strips, such as ``/billing``, when the service does not live at the root of its host."""
{%- if cookiecutter.database == 'postgresql' %}

    database_url: Annotated[SecretStr, AfterValidator(_postgresql)] = Field(validation_alias="DATABASE_URL")
    """``postgresql://USER:PASSWORD@HOST:PORT/DATABASE``; the rest comes from libpq's variables (PGPASSWORD)."""

    database_connections: int = Field(default=80, ge=1, le=10_000)
    """How many connections all workers of this instance may open together, a reload included.

    The numbers of all instances and what else uses the server must fit into its ``max_connections`` (100 by default, 3
    of them for superusers). What one worker gets of it: ``app.database.pool_size``.
    """
{%- endif %}

    @property
    def welcome(self) -> bool:
        """Whether ``/`` has the page with the ladder; in production ``/`` is yours."""
        return self.demo or self.environment == "development"


def load() -> Settings:
    """Read the settings from the environment and from ``.env``.

    A value that does not fit or an ``APP_`` variable that is not known ends the process: all problems at once, one line
    each on standard error, no values. Exit code 3 tells gunicorn and uvicorn that starting it again will not help.
    """
    problems = _unknown([*os.environ, *dotenv_values(".env")])
    try:
        settings = Settings()
    except ValidationError as error:
        problems += [f"{_variable(str(item['loc'][0]))}: {item['msg']}" for item in error.errors()]
{%- if cookiecutter.database == 'postgresql' %}
    else:
        if settings.environment == "production":
            problems += [f"{_variable(name)}: {problem}" for name, problem in placeholders.problems(_secrets(settings))]
        needed = 2 * (2 * ladder.workers + 1)
        if settings.database_connections < needed:
            why = f"2 for each of 2 * {ladder.workers} + 1 workers; WEB_CONCURRENCY={ladder.workers}"
            problems.append(f"APP_DATABASE_CONNECTIONS: Input should be at least {needed} ({why})")
{%- else %}
    else:
        if settings.environment == "production":
            problems += [f"{_variable(name)}: {problem}" for name, problem in placeholders.problems(_secrets(settings))]
{%- endif %}
    if problems:
        sys.stderr.write("".join(f"settings: {problem}\n" for problem in problems))
        raise SystemExit(3)
    return settings


def _secrets(settings: Settings) -> dict[str, str]:
    """Return the fields that are ``SecretStr``."""
    values = {name: getattr(settings, name) for name in Settings.model_fields}
    return {name: value.get_secret_value() for name, value in values.items() if isinstance(value, SecretStr)}


def _variable(name: str) -> str:
    """Return the environment variable of a field, which pydantic names by its alias where it has one."""
    field = Settings.model_fields.get(name)
    return name if field is None else str(field.validation_alias or f"{_PREFIX}{name.upper()}")


def _unknown(names: list[str]) -> list[str]:
    known = sorted(_variable(name) for name in Settings.model_fields)
    suspects = sorted({name.upper() for name in names if name.upper().startswith(_PREFIX)} - set(known))
    problems = []
    for name in suspects:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
        problems.append(f"{name}: unknown variable; {hint}")
    return problems
