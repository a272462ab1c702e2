"""What happened, in order: the lines of nginx, the application server and the system, joined by time and process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from no502.doctor.logs.parse import Line
from no502.messages import Message, Severity

__all__ = ["EPOCH", "MOST_EVENTS", "MOST_LOST", "Episode", "Timeline"]

MOST_EVENTS = 20_000
"""Events of processes that are kept; further ones are only counted, and the report says so."""
MOST_LOST = 100_000
"""Lines about lost requests that are kept (about 20 MB)."""

_JOINED = 2
"""Seconds between an event and the lines of nginx that it explains."""
_SAME = 3
"""Seconds within which the lines of one process are one event."""
_STOPPING = 90
"""Seconds after a signal in which a SIGKILL is taken for the end of its grace."""
_LOST = {"502", "504", "cut"}
_FORMAT = "%Y-%m-%d %H:%M:%S"
EPOCH = datetime(2000, 1, 1)  # noqa: DTZ001  times are compared as they stand in the lines
"""Where the seconds of a timeline begin."""

_TIMEOUT, _KILLED, _CRASHED, _SIGNAL = "L951", "L952", "L953", "L961"
_RECYCLED = {"L956", "L606"}
_ENDED = "L957"
_MACHINE, _CGROUP = "L801", "L802"
_OUT_OF_MEMORY = (_MACHINE, _CGROUP)
_CLOSED = "L911"


@dataclass(frozen=True, slots=True)
class _Event:
    at: int
    """Seconds, only to be compared."""
    time: str
    message: Message
    pid: int | None
    text: str


@dataclass(frozen=True, slots=True)
class _Request:
    at: int
    time: str
    message: Message
    request: str
    server: str


@dataclass
class Episode:
    """One thing that happened, with the requests that it cost."""

    time: str
    verdict: str
    """What happened, in one sentence without a full stop."""
    kind: str
    """Episodes of one kind have the same cause."""
    ids: list[str]
    """The messages that say so."""
    pid: int | None = None
    lost: int = 0
    """Lines of nginx about requests that ended with an error at that time."""
    requests: Counter[str] = field(default_factory=Counter)
    """Method and path of them."""
    servers: Counter[str] = field(default_factory=Counter)

    def text(self) -> str:
        """Return the episode in one line, without its time."""
        parts = [self.verdict]
        if self.lost:
            busiest = ", ".join(
                f"{name} x {count}" if count > 1 else name for name, count in self.requests.most_common(3)
            )
            more = ", ..." if len(self.requests) > _SHOWN else ""
            parts.append(
                f"{self.lost} request{'s' * (self.lost != 1)} lost" + (f": {busiest}{more}" if busiest else "")
            )
        return f"{'; '.join(parts)} [{', '.join(self.ids)}]"


_SHOWN = 3


class Timeline:
    """Collects events and lost requests; ``episodes`` joins them."""

    def __init__(self) -> None:
        self._events: list[_Event] = []
        self._lost: list[_Request] = []
        self.forgotten = 0
        """Lines beyond the limits: they are in no episode."""

    def add(self, line: Line, message: Message, request: str, server: str) -> None:
        """Take in a recognised line; one without a time is in no episode."""
        at = _seconds(line.time)
        if at is None or line.time is None:
            return
        if message.nginx:
            if message.severity is not Severity.INFO and _LOST & set(message.symptoms) and line.method:
                if len(self._lost) < MOST_LOST:
                    self._lost.append(_Request(at, line.time, message, request, server))
                else:
                    self.forgotten += 1
        elif _is_event(message):
            if len(self._events) < MOST_EVENTS:
                pid = line.writer if message.id in _RECYCLED and line.pid is None else line.pid
                self._events.append(_Event(at, line.time, message, pid, line.text))
            else:
                self.forgotten += 1

    @property
    def joined(self) -> bool:
        """Whether both sides were read: lines about lost requests and lines about processes."""
        return bool(self._events and self._lost)

    @property
    def losses(self) -> list[int]:
        """The seconds since ``EPOCH`` of every lost request."""
        return [one.at for one in self._lost]

    def episodes(self) -> list[Episode]:
        """Return what happened, in the order of time."""
        clusters = _clusters(sorted(self._events, key=lambda event: event.at))
        signals = [event for event in self._events if event.message.id == _SIGNAL]
        episodes = [_episode(cluster, signals) for cluster in clusters]
        spans = [(cluster[0].at - _JOINED, cluster[-1].at + _JOINED) for cluster in clusters]
        left: list[_Request] = []
        order = sorted(range(len(episodes)), key=lambda number: _RANK.get(episodes[number].kind, 9))
        windows: dict[int, int] = {}
        for number in reversed(order):  # the strongest explanation is written last and stays
            start, end = spans[number]
            windows.update(dict.fromkeys(range(start, end + 1), number))
        for request in sorted(self._lost, key=lambda one: one.at):
            owner = windows.get(request.at)
            if owner is None or not _explains(episodes[owner], request):
                left.append(request)
            else:
                _charge(episodes[owner], request)
        both = bool(self._events)
        quiet = [e for e in episodes if e.lost or e.kind not in _QUIET]
        return sorted([*quiet, *_alone(left, heard=both)], key=lambda episode: episode.time)


_RANK = {"out of memory": 0, "blocked": 1, "killed": 2, "crashed": 3, "recycled": 4, "signal": 5}
_QUIET = {"recycled", "signal", "ended"}
"""Kinds that are shown only if they cost a request."""


def _seconds(time: str | None) -> int | None:
    if time is None:
        return None
    try:
        return int((datetime.strptime(time, _FORMAT) - EPOCH).total_seconds())  # noqa: DTZ007
    except ValueError:  # such as the 31st of February
        return None


def _is_event(message: Message) -> bool:
    symptoms = set(message.symptoms)
    group = message.file.parent.name
    return group in {"server", "system"} and (
        bool(symptoms & {"stop", "start"}) or ("502" in symptoms and message.severity is Severity.ERROR)
    )


def _clusters(events: Sequence[_Event]) -> list[list[_Event]]:
    """Return the events that belong together: of one process within seconds, or of one message in the same second."""
    clusters: list[list[_Event]] = []
    latest: dict[tuple[str, object], list[_Event]] = {}
    for event in events:
        key: tuple[str, object] = ("pid", event.pid) if event.pid is not None else ("id", event.message.id)
        found = latest.get(key)
        if found is not None and event.at - found[-1].at <= _SAME:
            found.append(event)
        else:
            latest[key] = [event]
            clusters.append(latest[key])
    return clusters


def _episode(cluster: Sequence[_Event], signals: Sequence[_Event]) -> Episode:
    ids = list(dict.fromkeys(event.message.id for event in cluster))
    pid = cluster[0].pid
    who = f"worker {pid}" if pid is not None else "a process"
    kind, verdict = "other", ""
    if set(ids) & set(_OUT_OF_MEMORY):
        who = who if pid is None or _KILLED in ids else f"process {pid}"
        whose = "the limit of its cgroup" if _CGROUP in ids else "the memory of the machine"
        kind, verdict = "out of memory", f"{who} OOM-killed by the kernel at {whose}"
    elif _TIMEOUT in ids:
        kind, verdict = (
            "blocked",
            f"{who} blocked for longer than gunicorn's timeout and killed by gunicorn, not memory",
        )
    elif _KILLED in ids:
        kind, verdict = "killed", _killed(who, cluster[0], signals)
    elif _CRASHED in ids:
        kind, verdict = "crashed", f"{who} crashed or exited: {cluster[0].text}"
    elif _RECYCLED & set(ids):
        kind, verdict = "recycled", f"{who if pid is not None else 'a worker'} recycled by max_requests"
    elif _SIGNAL in ids:
        kind, verdict = "signal", f"stop or reload: {cluster[0].text}"
    elif _ENDED in ids:
        kind, verdict = "ended", f"{who} stopped by the arbiter"
    else:
        times = f" (x {len(cluster)})" if len(cluster) > 1 else ""
        kind, verdict = cluster[0].message.slug, f"{cluster[0].text}{times}"
    return Episode(cluster[0].time, verdict, kind, ids, pid)


def _killed(who: str, event: _Event, signals: Sequence[_Event]) -> str:
    before = [one for one in signals if 0 <= event.at - one.at <= _STOPPING]
    if before:
        return (
            f'{who} killed by SIGKILL {event.at - before[-1].at} s after "{before[-1].text}": it did not finish in time'
        )
    return f"{who} killed by SIGKILL without a timeout: check the kernel log for an out-of-memory kill"


def _explains(episode: Episode, request: _Request) -> bool:
    """Return whether the event can be the reason: a worker that dies closes connections, it makes nothing time out."""
    timed_out = request.message.symptoms[:1] == ("504",)
    return not timed_out or episode.kind in {"blocked", "out of memory"}


def _charge(episode: Episode, request: _Request) -> None:
    episode.lost += 1
    if request.request:
        episode.requests[request.request] += 1
    if request.server:
        episode.servers[request.server] += 1
    if request.message.id not in episode.ids:
        episode.ids.append(request.message.id)


def _alone(requests: Sequence[_Request], *, heard: bool) -> Iterator[Episode]:
    """Yield the requests that no event explains: runs of one message with pauses of at most a minute."""
    latest: dict[str, tuple[Episode, int]] = {}
    for request in requests:
        message = request.message
        found = latest.get(message.id)
        if found is None or request.at - found[1] > _PAUSE:
            verdict = message.title
            if message.id == _CLOSED:
                verdict = (
                    "connections closed with no event of a worker near: the keep-alive race, or gunicorn's log level "
                    "is above info"
                    if heard
                    else "connections closed by the application; add its own log to see why"
                )
            episode = Episode(request.time, verdict, message.slug, [message.id])
            latest[message.id] = episode, request.at
            _charge(episode, request)
            yield episode
        else:
            _charge(found[0], request)
            latest[message.id] = found[0], request.at


_PAUSE = 60
