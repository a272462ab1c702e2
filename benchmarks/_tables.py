"""Rows of the reports: the repeats of a measurement pooled."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from _report import table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from _cell import Result

__all__ = ["Row", "details", "pool", "results_table"]

_HEADER = (
    *("server", "recycles every", "requests", "lost", "slowest ms", "p99 ms", "p50 ms", "answered/s"),
    *("workers booted", "handovers"),
)


@dataclass(frozen=True)
class Row:
    """The same measurement, taken once or several times.

    Counts are sums over the repeats, ``slowest_ms`` is the worst one; the others are medians.
    """

    peer: str
    mode: str
    max_requests: int
    requests: int
    lost: int
    slowest_ms: float
    median_slowest_ms: float
    p99_ms: float
    p50_ms: float
    rate: float
    booted: int
    handovers: int | None


def pool(results: Iterable[Result]) -> list[Row]:
    """Put the repeats together, in the order of their first appearance."""
    groups: dict[tuple[str, str, int], list[Result]] = {}
    for result in results:
        groups.setdefault((result.mode, result.peer, result.max_requests), []).append(result)
    return [_row(group) for group in groups.values()]


def _row(group: Sequence[Result]) -> Row:
    first, outcomes = group[0], [result.outcome for result in group]
    left = [sum(result.handovers.left.values()) for result in group if result.handovers is not None]
    return Row(
        peer=first.peer,
        mode=first.mode,
        max_requests=first.max_requests,
        requests=sum(outcome.requests for outcome in outcomes),
        lost=sum(outcome.lost for outcome in outcomes),
        slowest_ms=max(outcome.slowest_ms for outcome in outcomes),
        median_slowest_ms=median(outcome.slowest_ms for outcome in outcomes),
        p99_ms=median(outcome.p99_ms for outcome in outcomes),
        p50_ms=median(outcome.p50_ms for outcome in outcomes),
        rate=median(outcome.rate for outcome in outcomes),
        booted=sum(result.booted for result in group),
        handovers=sum(left) if left else None,
    )


def results_table(rows: Iterable[Row]) -> str:
    """Return the table of measurements."""
    return table(
        _HEADER,
        (
            (
                *(row.peer, f"{row.max_requests:,}" if row.max_requests else "never", f"{row.requests:,}"),
                *(f"**{row.lost:,}**" if row.lost else "0", f"{row.slowest_ms:,.0f}", f"{row.p99_ms:,.1f}"),
                *(f"{row.p50_ms:.1f}", f"{row.rate:,.0f}", str(row.booted)),
                "-" if row.handovers is None else str(row.handovers),
            )
            for row in rows
        ),
    )


def details(results: Iterable[Result]) -> str:
    """Return what the table has no room for: reasons of losses, nginx's lines, the peers' own complaints."""
    lines: list[str] = []
    for result in results:
        recycling = f"recycling every {result.max_requests:,}" if result.max_requests else "no recycling"
        found = [
            *_counted("lost", result.outcome.lost_by_reason),
            *_counted("nginx", result.nginx_errors),
            *_counted("log", result.server_trouble),
            *([f"  - handovers: {_handovers(result)}"] if result.handovers else []),
            *([f"  - reloads: {_reloads(result.reloads)}"] if result.reloads else []),
            *([f"  - lost while warming up: {result.warm_up_lost}"] if result.warm_up_lost else []),
            *([f"  - note: {result.note}"] if result.note else []),
        ]
        outcome = result.outcome
        others = "" if result.neighbours is None else f"; others on the machine: {result.neighbours:.2f} cores"
        generator = f"{outcome.generator_cpu:.2f} cores, at most {outcome.generator_late_ms:.1f} ms late"
        lines += [f"- {result.peer}, {result.mode}, {recycling} (load generator: {generator}{others})", *found]
    return "\n".join(lines)


def _counted(what: str, kinds: dict[str, int]) -> list[str]:
    return [f"  - {what}: {count:,} x `{kind}`" for kind, count in Counter(kinds).most_common()]


def _handovers(result: Result) -> str:
    found = result.handovers
    if found is None:
        return ""
    left = ", ".join(f"{count} {reason}" for reason, count in found.left.items()) or "none"
    return (
        f"finished {left}, one per {result.outcome.requests / max(1, sum(found.left.values())):,.0f} requests; "
        f"drain median {found.median_drain:.1f} s, longest {found.longest_drain:.1f} s; "
        f"from the order to the process's end median {found.median_gone:.1f} s, longest {found.longest_gone:.1f} s; "
        f"{found.served_while_draining:,} requests served while draining, {found.cancelled} cancelled, "
        f"{found.killed} killed, {found.boot_failures} boots failed"
    )


def _reloads(seconds: Sequence[float]) -> str:
    return (
        f"{len(seconds)}, median {median(seconds):.1f} s, longest {max(seconds):.1f} s until the old workers were gone"
    )
