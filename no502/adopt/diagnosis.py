"""What doctor says about a folder: the only place of this package that asks its rules and what they share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from no502.doctor.check import check
from no502.doctor.configured import select_rules
from no502.doctor.faces import directly_behind
from no502.doctor.facts import number, text, written
from no502.doctor.finding import Finding, Severity
from no502.doctor.links import Link, links
from no502.doctor.model import AppServer, Deployment, Location, NotChecked, Service, Upstream
from no502.doctor.options import Options
from no502.doctor.patch import make_patch
from no502.doctor.readers.deployment import read_deployments
from no502.doctor.readers.proxies import TITLES

__all__ = [
    "Diagnosis",
    "Front",
    "apply_edits",
    "diagnose",
    "front_of",
    "is_error",
    "proxy_of",
    "seconds_of",
    "setting",
    "upstream_is_set",
]


@dataclass(frozen=True)
class Diagnosis:
    """The deployments of a folder and what doctor finds in them."""

    deployments: list[Deployment]
    findings: list[Finding]
    gaps: list[NotChecked]

    def of(self, *rules: str) -> list[Finding]:
        """Return the findings of some rules."""
        return [finding for finding in self.findings if finding.rule in rules]

    def servers(self) -> list[tuple[Deployment, AppServer]]:
        """Return every server with its deployment, each place of a command once."""
        found: dict[tuple[str, int | None, str], tuple[Deployment, AppServer]] = {}
        for deployment in self.deployments:
            for server in deployment.servers:
                runner = deployment.runner(server)
                key = (server.origin.file, server.origin.line, runner.name if runner is not None else "")
                found.setdefault(key, (deployment, server))
        return list(found.values())


def diagnose(folder: Path) -> Diagnosis:
    """Read a folder and check it with every rule; names of files are relative to it."""
    deployments = read_deployments([folder], Options(base=folder, paths=(folder,)))
    rules = select_rules([], [])
    results = [check(deployment, rules) for deployment in deployments]
    return Diagnosis(
        deployments,
        [finding for result in results for finding in result.findings],
        [gap for result in results for gap in result.not_checked],
    )


def apply_edits(
    findings: Iterable[Finding], text_of: Callable[[str], str | None]
) -> tuple[dict[str, str], list[Finding]]:
    """Return the files that the findings' own edits change, whole, and the findings whose edits fit."""
    patch = make_patch(findings, text_of)
    return patch.texts, patch.fixed


@dataclass(frozen=True)
class Front:
    """What nginx does in front of one server."""

    locations: list[Location]
    upstreams: list[Upstream]
    services: list[Service]
    """The services that run nginx."""
    oldest: tuple[int, int, int]
    """The lowest version that it may be; (0, 0, 0) where there is no nginx."""

    @property
    def exists(self) -> bool:
        """Whether some nginx among the files passes requests to the server."""
        return bool(self.locations)


def front_of(deployment: Deployment, server: AppServer) -> Front:
    """Return the locations and upstreams that lead to a server."""
    found: list[Link] = [link for link in links(deployment) if link.server is server]
    locations = list({id(link.location): link.location for link in found}.values())
    upstreams = list({id(link.upstream): link.upstream for link in found}.values())
    runners = [deployment.runner(link.nginx) for link in found]
    services = list({id(one): one for one in runners if one is not None}.values())
    versions = [version for link in found for version in link.nginx.versions]
    return Front(locations, upstreams, services, min(versions, default=(0, 0, 0)))


def proxy_of(deployment: Deployment, server: AppServer) -> tuple[str, float | None] | None:
    """Return the proxy directly before a server that is no nginx of the project, and for how long it keeps connections.

    None where there is no such proxy; seconds, None where they are not known.
    """
    found = (one for one in directly_behind(deployment) if one[0] is server)
    return next(((TITLES.get(name, name), times.idle) for _, name, times, _, _ in found), None)


def seconds_of(location: Location, name: str) -> tuple[float | None, bool]:
    """Return a time of a location, and whether a file sets it."""
    return number(location.settings.fact(name)), written(location.settings.fact(name))


def upstream_is_set(upstream: Upstream, name: str) -> float | None:
    """Return a number that a file sets in an upstream; None where nothing does."""
    return number(upstream.settings.fact(name)) if written(upstream.settings.fact(name)) else None


def setting(server: AppServer, name: str) -> str | None:
    """Return a known setting of a server as text."""
    return text(server.settings.fact(name))


def is_error(finding: Finding) -> bool:
    """Whether requests fail in normal operation."""
    return finding.severity is Severity.ERROR
