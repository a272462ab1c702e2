"""What the readers of one project share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from no502.doctor.model import Deployment, Service
from no502.doctor.options import Options
from no502.doctor.readers.discovery import Project

__all__ = ["Context", "known_environment"]


@dataclass(frozen=True, kw_only=True)
class Context:
    """One project while it is read."""

    project: Project
    options: Options
    deployment: Deployment
    """The model that the readers fill."""
    values: Mapping[str, str]
    """The project's ``.env``."""

    @property
    def base(self) -> Path:
        """What paths are shown relative to."""
        return self.options.base or Path()


def known_environment(service: Service) -> dict[str, str]:
    """Return the variables of a service whose values the files tell."""
    return {name: fact.value for name, fact in service.environment.items() if fact.known and fact.value is not None}
