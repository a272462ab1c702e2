"""What happened, in order: the lines of nginx, the application server and the system, joined by time and process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from no502.doctor.logs.parse import Line, Spoken, shown
from no502.messages import Message, Severity

__all__ = ["EPOCH", "MOST_EVENTS", "MOST_LOST", "RACE", "Episode", "Heard", "Timeline"]

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
_SLOW_TO_STOP = "slow to stop"
RACE = "idle race"
"""The reason of closed connections that no event explains."""
_MOST_BOUND = 50
_MOST_TEXTS = 1000


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
    text: str


@dataclass
class Heard:
    """The log of an application server: what of it was given, whether or not the catalogue has its lines."""

    program: str
    first: str | None = None
    """Time of its first line; None: its lines have no times."""
    last: str | None = None
    informs: bool = False
    """Whether it has lines of level INFO, so that it hides no event."""
    events: int = 0
    """Stops, recycles and failures without a time, which could not be joined."""
    bound: set[str] = field(default_factory=set)
    """The addresses at which the server says that it listens."""


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
    until: str = ""
    """The time of its last line."""
    reason: str = ""
    """What it decides about the causes of its messages (``Message.decided``); empty: nothing."""
    lost: int = 0
    """Lines of nginx about requests that ended with an error at that time."""
    late: bool = False
    """Whether nginx gave up waiting."""
    of_process: bool = False
    """Whether a line of a process or of the system says so, and not only nginx."""
    requests: Counter[str] = field(default_factory=Counter)
    """Method and path of them."""
    servers: Counter[str] = field(default_factory=Counter)

    def span(self) -> str:
        """Return its times of day, such as ``22:14:02 to 22:14:09``; one where it took no second."""
        if self.until <= self.time:
            return self.time[11:]
        return f"{self.time[11:]} to {self.until[11:] if self.until[:10] == self.time[:10] else self.until}"

    def text(self) -> str:
        """Return the episode in one line, without its time."""
        parts = [self.verdict]
        if self.lost:
            busiest = ", ".join(
                f"{name} x {count}" if count > 1 else name for name, count in self.requests.most_common(3)
            )
            hidden = sum(self.requests.values()) - sum(count for _name, count in self.requests.most_common(_SHOWN))
            more = f" and {hidden} more" if hidden else ""
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
        self._waited: list[_Event] = []
        self._texts: dict[str, str] = {}
        self.heard: dict[str, Heard] = {}
        """The application servers whose logs were given, by program."""
        self.forgotten = 0
        """Lines beyond the limits: they are in no episode."""

    def hear(self, said: Spoken, time: str | None) -> None:
        """Take in that a server wrote a line, whatever it says."""
        heard = self.heard.setdefault(said.program, Heard(said.program))
        heard.informs = heard.informs or said.informs
        if said.bound and len(heard.bound) < _MOST_BOUND:
            heard.bound.add(said.bound)
        if time is not None:
            heard.first = time if heard.first is None else min(heard.first, time)
            heard.last = time if heard.last is None else max(heard.last, time)

    def add(self, line: Line, message: Message, request: str, server: str) -> None:
        """Take in a recognised line; one without a time is in no episode."""
        at = _seconds(line.time)
        if at is None or line.time is None:
            if message.programs[0] in self.heard and _is_event(message):
                self.heard[message.programs[0]].events += 1
            elif "uvicorn" in self.heard and _is_event(message) and "uvicorn" in message.programs:
                self.heard["uvicorn"].events += 1
            return
        if message.nginx:
            if message.severity is not Severity.INFO and _LOST & set(message.symptoms) and line.method:
                if len(self._lost) < MOST_LOST:
                    self._lost.append(_Request(at, line.time, message, request, server, self._once(line.text)))
                else:
                    self.forgotten += 1
        elif (kept := self._kept(message)) is not None:
            if len(kept) < MOST_EVENTS:
                pid = line.writer if message.id in _RECYCLED and line.pid is None else line.pid
                kept.append(_Event(at, line.time, message, pid, line.text))
            else:
                self.forgotten += 1

    def _kept(self, message: Message) -> list[_Event] | None:
        """Return where an event of a process or of the system belongs; None for what explains nothing."""
        if _is_event(message):
            return self._events
        return self._waited if message.file.parent.name == "server" and "504" in message.symptoms else None

    def _once(self, text: str) -> str:
        """Return the same string for the same text, so that a hundred thousand lines cost one."""
        if len(self._texts) >= _MOST_TEXTS:
            self._texts.clear()
        return self._texts.setdefault(text, text)

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
        quiet = [e for e in episodes if e.lost or e.kind not in _QUIET]
        alone = list(_alone(left, self._server()))
        for episode in alone:
            self._add_what_waited(episode)
        return sorted([*quiet, *alone], key=lambda episode: episode.time)

    def _server(self) -> Heard | None:
        """Return the log that tells about workers: gunicorn's before that of uvicorn in it."""
        return self.heard.get("gunicorn") or self.heard.get("uvicorn")

    def _add_what_waited(self, episode: Episode) -> None:
        """Name what the application waited for, where its own log says so around a response that came too late."""
        at = _seconds(episode.time)
        if at is None or not episode.late:
            return
        near = [one for one in self._waited if abs(one.at - at) <= _PAUSE]
        for event in {event.message.id: event for event in near}.values():
            episode.verdict += f"; the application's log within a minute: {event.message.title}"
            episode.ids.append(event.message.id)


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
    kind, verdict, reason = "other", "", ""
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
        reason = _SLOW_TO_STOP if _stopped(cluster[0], signals) else ""
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
    return Episode(
        cluster[0].time, verdict, kind, ids, pid, until=cluster[-1].time, reason=reason or kind, of_process=True
    )


def _killed(who: str, event: _Event, signals: Sequence[_Event]) -> str:
    before = _stopped(event, signals)
    if before:
        return (
            f'{who} killed by SIGKILL {event.at - before[-1].at} s after "{before[-1].text}": it did not finish in time'
        )
    return f"{who} killed by SIGKILL without a timeout: check the kernel log for an out-of-memory kill"


def _stopped(event: _Event, signals: Sequence[_Event]) -> list[_Event]:
    """Return the signals whose grace a SIGKILL can be the end of."""
    return [one for one in signals if 0 <= event.at - one.at <= _STOPPING]


def _explains(episode: Episode, request: _Request) -> bool:
    """Return whether the event can be the reason: a worker that dies closes connections, it makes nothing time out."""
    timed_out = request.message.symptoms[:1] == ("504",)
    return not timed_out or episode.kind in {"blocked", "out of memory"}


def _charge(episode: Episode, request: _Request) -> None:
    episode.lost += 1
    episode.until = max(episode.until, request.time)
    if request.request:
        episode.requests[request.request] += 1
    if request.server:
        episode.servers[request.server] += 1
    if request.message.id not in episode.ids:
        episode.ids.append(request.message.id)


def _alone(requests: Sequence[_Request], heard: Heard | None) -> Iterator[Episode]:
    """Yield the requests that no event explains: runs of one message with pauses of at most a minute."""
    latest: dict[str, tuple[Episode, int]] = {}
    for request in requests:
        message = request.message
        found = latest.get(message.id)
        if found is None or request.at - found[1] > _PAUSE:
            verdict, reason = _unexplained(request.time, heard) if message.id == _CLOSED else (shown(request.text), "")
            late = message.symptoms[:1] == ("504",)
            episode = Episode(request.time, verdict, message.slug, [message.id], late=late, reason=reason)
            latest[message.id] = episode, request.at
            _charge(episode, request)
            yield episode
        else:
            _charge(found[0], request)
            latest[message.id] = found[0], request.at


def _unexplained(time: str, heard: Heard | None) -> tuple[str, str]:
    """Return why connections were closed with no event near, and the reason if that is certain."""
    if heard is None:
        return "connections closed by the application; add its own log to see why", ""
    whose = f"{heard.program}'s log"
    if heard.first is None or heard.last is None:
        if heard.events:
            text = f"connections closed; {whose} has no times and {heard.events} lines about a stop or failure: "
            return text + "add the times (docker compose logs -t) to join them", ""
        span = "without times"
    elif heard.first > time:
        return f"connections closed; {whose} begins later ({heard.first}): add the part before it", ""
    else:
        span = f"last line {heard.last[11:] if heard.last[:10] == time[:10] else heard.last}"
    text = f"connections closed; {whose} ({span}) has no event near it: the keep-alive race"
    if heard.informs:
        return text, RACE
    return f"{text}, or {heard.program}'s log level is above info", ""


_PAUSE = 60
