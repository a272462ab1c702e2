"""The scenarios in the order in which ``no502 lab`` plays them: from the incident's own cause to the rarer ones."""

from no502.lab.scenario import Scenario
from no502.lab.scenarios import (
    big_header,
    blocked_loop,
    cut_stream,
    forged_address,
    idle_race,
    no_live_upstreams,
    recycle,
    reload,
    restart,
    slow_upstream,
    stale_address,
    websocket,
)

__all__ = ["SCENARIOS"]

SCENARIOS: tuple[Scenario, ...] = (
    idle_race.SCENARIO,
    recycle.SCENARIO,
    reload.SCENARIO,
    restart.SCENARIO,
    blocked_loop.SCENARIO,
    slow_upstream.SCENARIO,
    cut_stream.SCENARIO,
    no_live_upstreams.SCENARIO,
    stale_address.SCENARIO,
    big_header.SCENARIO,
    websocket.SCENARIO,
    forged_address.SCENARIO,
)
