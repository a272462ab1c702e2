"""Rows of the reports: the repeats of a measurement pooled."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from _report import table
from _result import recycling

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from _outcome import Outcome
    from _result import Result

__all__ = ["Row", "details", "lost", "pool", "results_table", "spread"]

_HEADER = (
    *("server", "recycles every", "requests", "lost", "slowest ms", "p99 ms", "p50 ms", "answered/s"),
    *("workers booted", "handovers"),
)


@dataclass(frozen=True)
class Row:
    """The same measurement, taken once or several times: every repeat, in their order."""

    results: Sequence[Result]

    @property
    def first(self) -> Result:
        """The first repeat; the others have the same peer and load."""
        return self.results[0]

    @property
    def outcomes(self) -> list[Outcome]:
        """What became of the requests of each repeat."""
        return [result.outcome for result in self.results]

    @property
    def booted(self) -> int:
        """Workers booted in all repeats."""
        return sum(result.booted for result in self.results)

    @property
    def handovers(self) -> int | None:
        """Workers that drained to the end and left; None if the server knows no handover."""
        left = [sum(result.handovers.left.values()) for result in self.results if result.handovers is not None]
        return sum(left) if left else None

    @property
    def server(self) -> str:
        """The peer, and what is unusual between it and nginx."""
        return ", ".join(filter(None, (self.first.server, self.first.note)))

    @property
    def requests(self) -> int:
        """Requests of all repeats."""
        return sum(outcome.requests for outcome in self.outcomes)

    @property
    def lost(self) -> int:
        """Requests lost in all repeats."""
        return sum(outcome.lost for outcome in self.outcomes)

    @property
    def slowest_ms(self) -> list[float]:
        """The slowest request of each repeat."""
        return [outcome.slowest_ms for outcome in self.outcomes]

    @property
    def rates(self) -> list[float]:
        """Requests answered per second in each repeat."""
        return [outcome.rate for outcome in self.outcomes]


def pool(results: Iterable[Result]) -> list[Row]:
    """Put the repeats together, in the order of their first appearance."""
    groups: dict[tuple[object, ...], list[Result]] = {}
    for result in results:
        key = (result.mode, result.peer, result.max_requests, result.upstream, result.note)
        groups.setdefault(key, []).append(result)
    return [Row(group) for group in groups.values()]


def spread(values: Iterable[float], form: str = ",.0f") -> str:
    """Return the median, and the least and the greatest where there are several."""
    all_ = list(values)
    text = format(median(all_), form)
    return text if len(all_) == 1 else f"{text} ({format(min(all_), form)} to {format(max(all_), form)})"


def lost(row: Row) -> str:
    """Return how many were lost, in bold if any, and in which repeats."""
    if not row.lost:
        return "0"
    each = f" ({' + '.join(f'{outcome.lost:,}' for outcome in row.outcomes)})" if len(row.outcomes) > 1 else ""
    return f"**{row.lost:,}**{each}"


def results_table(rows: Iterable[Row]) -> str:
    """Return the table of measurements."""
    return table(
        _HEADER,
        (
            (
                row.server,
                f"{row.first.max_requests:,}" if row.first.max_requests else "never",
                f"{row.requests:,}",
                lost(row),
                spread(row.slowest_ms),
                spread((outcome.p99_ms for outcome in row.outcomes), ",.1f"),
                spread((outcome.p50_ms for outcome in row.outcomes), ".1f"),
                spread(row.rates),
                str(row.booted),
                "-" if row.handovers is None else str(row.handovers),
            )
            for row in rows
        ),
    )


def details(results: Iterable[Result]) -> str:
    """Return what the table has no room for: reasons of losses, nginx's lines, the peers' own complaints."""
    lines: list[str] = []
    for result in results:
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
        lines += [
            f"- {result.server}, {result.mode}, {recycling(result.max_requests)} (load generator: {generator}{others})",
            *found,
        ]
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
