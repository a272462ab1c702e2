"""Playing scenarios: each side on a stage of its own, one after the other."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from no502.errors import USAGE, UserError
from no502.lab.scenario import Result, Scenario, Side
from no502.lab.scenarios import SCENARIOS
from no502.lab.stage import Stage

__all__ = ["choose", "play"]


def choose(names: Sequence[str]) -> list[Scenario]:
    """Return the scenarios of these names, all of them for none.

    Raises:
        UserError: There is no such scenario.
    """
    known = {scenario.name: scenario for scenario in SCENARIOS}
    unknown = [name for name in names if name not in known]
    if unknown:
        message = f"no such scenario: {', '.join(unknown)}; there are: {', '.join(known)}"
        raise UserError(message, USAGE)
    return [known[name] for name in dict.fromkeys(names)] if names else list(SCENARIOS)


def play(scenario: Scenario, binary: str, release: tuple[int, int, int], *, step: Callable[[str], None]) -> Result:
    """Run both sides of a scenario.

    Args:
        scenario: What to run.
        binary: The nginx program.
        release: Its version.
        step: Called before each side with what is about to run.

    Raises:
        UserError: A server does not start.
    """
    sides: list[Side] = []
    for run, words in ((scenario.wild, "as found in the wild"), (scenario.fixed, "with no502")):
        step(f"{scenario.name}: {words}")
        with (
            tempfile.TemporaryDirectory(prefix="no502-lab-") as private,
            Stage(Path(private), binary, release) as stage,
        ):
            sides.append(run(stage))
    return Result(scenario=scenario, wild=sides[0], fixed=sides[1])
