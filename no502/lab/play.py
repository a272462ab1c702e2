"""Playing scenarios: each side on a stage of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from no502.errors import USAGE, UserError
from no502.lab.scenario import Result, Scenario
from no502.lab.scenarios import SCENARIOS
from no502.lab.side import Side
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
    """Run both sides of a scenario: one after the other, or at the same time if it is quiet.

    Args:
        scenario: What to run.
        binary: The nginx program.
        release: Its version.
        step: Called with what is about to run.

    Raises:
        UserError: A server does not start.
    """
    runs = (scenario.wild, scenario.fixed)
    if scenario.quiet:
        step(f"{scenario.name}: in the wild and with no502")
        # Ctrl-C ends the servers first, and with them what waits for their answers.
        with ThreadPoolExecutor(len(runs)) as pool, ExitStack() as opened:
            stages = [opened.enter_context(_stage(binary, release)) for _ in runs]
            played = [pool.submit(run, stage) for run, stage in zip(runs, stages, strict=True)]
            wild, fixed = (side.result() for side in played)
    else:
        sides: list[Side] = []
        for run, words in zip(runs, ("in the wild", "with no502"), strict=True):
            step(f"{scenario.name}: {words}")
            with _stage(binary, release) as stage:
                sides.append(run(stage))
        wild, fixed = sides
    return Result(scenario=scenario, wild=wild, fixed=fixed)


@contextmanager
def _stage(binary: str, release: tuple[int, int, int]) -> Iterator[Stage]:
    """Open a stage in a directory of its own."""
    with tempfile.TemporaryDirectory(prefix="no502-lab-") as private, Stage(Path(private), binary, release) as stage:
        yield stage
