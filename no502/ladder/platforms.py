"""Hosting platforms whose own proxy speaks to the application: what each documents, and the ladder that fits.

None was available for a run. The figures are the vendors' documentation as of ``AS_OF``; the numbers are computed from
them like any others: what the environment or ``.env`` says wins.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, TypeAlias

from no502.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from gunicorn_conf import ServerSettings

    _Ladder: TypeAlias = "Callable[..., ServerSettings]"
    """Computes the ladder of one platform; its argument replaces the read timeout."""

__all__ = ["AS_OF", "PLATFORMS", "Hosting", "Platform", "settings_for", "to_text"]

AS_OF = "November 2026"

_READ, _IDLE = "PROXY_READ_TIMEOUT", "PROXY_KEEPALIVE_TIMEOUT"


class Platform(StrEnum):
    """A hosting platform."""

    AZURE_APP_SERVICE = "azure-app-service"
    AZURE_CONTAINER_APPS = "azure-container-apps"
    CLOUD_RUN = "cloud-run"
    ECS = "ecs"
    FLY = "fly"
    HEROKU = "heroku"
    RAILWAY = "railway"
    RENDER = "render"


@dataclass(frozen=True, kw_only=True)
class Hosting:
    """What one vendor documents, and the variables that fit."""

    title: str
    waits: str
    """How long its proxy waits for a response, in words."""
    longest: int | None = None
    """The longest that it can wait for a response, in seconds; None: not known."""
    idle: str
    """How long its proxy keeps an idle connection to the application, in words."""
    idle_seconds: int | None = None
    """The same in seconds; None: not known."""
    one_timeout: bool = False
    """Whether one setting of the platform is both: how long it waits and how long it keeps idle connections."""
    signal: str = "SIGTERM"
    """What it sends first when an instance has to stop."""
    grace: int
    """Seconds from there to SIGKILL, unless a setting says more."""
    grace_limit: int | None
    """The most that the setting may say; None: no limit is documented."""
    grace_setting: str
    """The name of that setting; empty: there is none."""
    variables: Mapping[str, str]
    """What ``gunicorn_conf`` reads, where neither the environment nor ``.env`` says otherwise."""
    file: str
    """In ``platform_files/``: what to set there, with $read, $idle, $keepalive, $deadline and $stop_grace."""
    gunicorn: bool = True
    """Whether gunicorn's drain fits into the time to stop; False: the file is for uvicorn alone."""
    source: str


PLATFORMS: Mapping[Platform, Hosting] = {
    Platform.AZURE_APP_SERVICE: Hosting(
        title="Azure App Service",
        waits="230 s without a byte",
        longest=230,
        idle="240 s, the load balancer's",
        idle_seconds=240,
        grace=5,
        grace_limit=120,
        grace_setting="WEBSITES_CONTAINER_STOP_TIME_LIMIT",
        variables={"PROXY_READ_TIMEOUT": "160", "PROXY_KEEPALIVE_TIMEOUT": "5", "GUNICORN_KEEPALIVE": "250"},
        file="azure-app-service.env",
        source="https://learn.microsoft.com/en-us/azure/app-service/reference-app-settings",
    ),
    Platform.AZURE_CONTAINER_APPS: Hosting(
        title="Azure Container Apps",
        waits="240 s without a byte; 4 to 30 minutes with premium ingress",
        idle="not documented",
        grace=30,
        grace_limit=None,
        grace_setting="terminationGracePeriodSeconds",
        variables={"PROXY_READ_TIMEOUT": "230", "PROXY_KEEPALIVE_TIMEOUT": "5", "GUNICORN_KEEPALIVE": "250"},
        file="azure-container-apps.yaml",
        source="https://learn.microsoft.com/en-us/azure/container-apps/ingress-overview",
    ),
    Platform.CLOUD_RUN: Hosting(
        title="Cloud Run",
        waits="300 s, up to 3600",
        idle="not documented; 600 s at Google's load balancers",
        longest=3600,
        grace=10,
        grace_limit=10,
        grace_setting="",
        variables={"PROXY_READ_TIMEOUT": "300"},
        file="cloud-run.sh",
        gunicorn=False,
        source="https://cloud.google.com/run/docs/container-contract",
    ),
    Platform.ECS: Hosting(
        title="ECS and Fargate behind an ALB",
        waits="60 s without a byte, up to 4000",
        idle="the same",
        longest=4000,
        one_timeout=True,
        grace=30,
        grace_limit=120,
        grace_setting="stopTimeout",
        variables={"PROXY_READ_TIMEOUT": "60", "PROXY_KEEPALIVE_TIMEOUT": "60"},
        file="ecs.json",
        source="https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html",
    ),
    Platform.FLY: Hosting(
        title="Fly.io",
        waits="not documented",
        idle="not documented",
        signal="SIGINT",
        grace=5,
        grace_limit=300,
        grace_setting="kill_timeout",
        variables={"PROXY_READ_TIMEOUT": "60", "PROXY_KEEPALIVE_TIMEOUT": "60"},
        file="fly.toml",
        source="https://fly.io/docs/reference/configuration/",
    ),
    Platform.HEROKU: Hosting(
        title="Heroku",
        waits="30 s to the first byte, then 55 s between bytes",
        idle="90 s",
        longest=30,
        idle_seconds=90,
        grace=30,
        grace_limit=30,
        grace_setting="",
        variables={"PROXY_READ_TIMEOUT": "28", "PROXY_KEEPALIVE_TIMEOUT": "5", "GUNICORN_KEEPALIVE": "95"},
        file="heroku.env",
        source="https://devcenter.heroku.com/articles/request-timeout",
    ),
    Platform.RAILWAY: Hosting(
        title="Railway",
        waits="15 minutes",
        idle="60 s",
        longest=900,
        idle_seconds=60,
        grace=0,
        grace_limit=None,
        grace_setting="RAILWAY_DEPLOYMENT_DRAINING_SECONDS",
        variables={"PROXY_READ_TIMEOUT": "60", "PROXY_KEEPALIVE_TIMEOUT": "60"},
        file="railway.env",
        source="https://docs.railway.com/guides/deployment-teardown",
    ),
    Platform.RENDER: Hosting(
        title="Render",
        waits="100 minutes (reported)",
        idle="not documented",
        longest=6000,
        grace=30,
        grace_limit=300,
        grace_setting="maxShutdownDelaySeconds",
        variables={"PROXY_READ_TIMEOUT": "60", "PROXY_KEEPALIVE_TIMEOUT": "60"},
        file="render.yaml",
        source="https://render.com/articles/how-render-handles-zero-downtime-deploys",
    ),
}


def settings_for(platform: Platform) -> ServerSettings:
    """Compute the ladder from the environment, ``.env`` here, and for the rest what fits the platform.

    Raises:
        UserError: Bad settings, or settings that do not fit the platform; one line per problem.
    """
    from gunicorn_conf import LadderError, read_dotenv

    hosting = PLATFORMS[platform]
    try:
        dotenv = {name: value for name, value in read_dotenv(".env").items() if value}
        ladder = partial(_computed, hosting, dotenv)
        current = ladder()
    except LadderError as error:
        raise UserError("\n".join(error.problems)) from None
    if problems := list(_problems(hosting, current, ladder)):
        raise UserError("\n".join(problems))
    return current


def _computed(hosting: Hosting, dotenv: Mapping[str, str], read: int | None = None) -> ServerSettings:
    """Compute with the platform's variables below ``.env`` and the environment; ``read`` replaces the read timeout."""
    from gunicorn_conf import compute

    environ = dict(os.environ)
    if read is not None:
        environ |= {_READ: str(read)} | ({_IDLE: str(read)} if hosting.one_timeout else {})
    own = dict(hosting.variables)
    if hosting.one_timeout:
        own[_IDLE] = environ.get(_READ) or dotenv.get(_READ) or own[_READ]
    return compute(environ, {**own, **dotenv})


def _problems(hosting: Hosting, current: ServerSettings, ladder: _Ladder) -> Iterator[str]:
    """Yield what does not fit the platform, each with what to change."""
    read, title = current.proxy_read_timeout, hosting.title
    if hosting.longest is not None and read > hosting.longest:
        yield f"{_READ}={read}: {title} waits {hosting.longest} s at most; lower it to {hosting.longest}"
    idle = read if hosting.one_timeout else hosting.idle_seconds
    if hosting.gunicorn and idle is not None and current.keepalive <= idle:
        cure = f"leave out {_IDLE}: it follows {_READ}" if hosting.one_timeout else f"raise {_IDLE} to {idle}"
        yield (
            f"{_IDLE}={current.proxy_keepalive_timeout}: {title} uses idle connections for up to {idle} s, and "
            f"gunicorn closes them after {current.keepalive} s, which costs requests; {cure}"
        )
    limit = hosting.grace_limit
    if hosting.gunicorn and limit is not None and current.stop_grace > limit:
        yield (
            f"{title} sends SIGKILL {limit} s after the stop signal at the latest, and a drain may take "
            f"{current.stop_grace} s: {_shorter_drain(hosting, current, limit, ladder)}"
        )


def _shorter_drain(hosting: Hosting, current: ServerSettings, limit: int, ladder: _Ladder) -> str:
    """Return what to change so that the drain is over in time: the longest read timeout, else the idle time."""
    from gunicorn_conf import LadderError

    def grace(read: int) -> int | None:
        try:
            return ladder(read).stop_grace
        except LadderError:  # too short for the other numbers, and so is everything below
            return None

    longest = min(current.proxy_read_timeout - 1, hosting.longest or current.proxy_read_timeout)
    reads = range(longest, 0, -1)
    at = bisect_left(reads, True, key=lambda read: (found := grace(read)) is None or found <= limit)
    if at < len(reads) and grace(reads[at]) is not None:
        return f"lower {_READ} from {current.proxy_read_timeout} to {reads[at]}"
    return (
        f"lower {_IDLE} from {current.proxy_keepalive_timeout}, and set GUNICORN_KEEPALIVE to {current.keepalive} "
        "where the platform stops sending before it sends the signal"
    )


def to_text(platform: Platform, current: ServerSettings) -> str:
    """Return what to set on the platform, with the numbers written in."""
    text = (Path(__file__).parent / "platform_files" / PLATFORMS[platform].file).read_text(encoding="utf-8")
    return Template(text).substitute(
        read=current.proxy_read_timeout,
        idle=current.proxy_keepalive_timeout,
        keepalive=current.keepalive,
        deadline=current.request_deadline,
        stop_grace=current.stop_grace,
    )
