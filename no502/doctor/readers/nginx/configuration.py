"""One nginx into the model: its upstreams, and every location that proxies."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from no502.doctor.model import (
    Address,
    Deployment,
    Fact,
    Location,
    NginxConfig,
    NotChecked,
    Origin,
    Problem,
    Source,
    Upstream,
    UpstreamServer,
    Version,
)
from no502.doctor.readers.inline import Inline
from no502.doctor.readers.nginx.effective import (
    Level,
    default_headers,
    default_origin,
    default_settings,
)
from no502.doctor.readers.nginx.refusals import check_tree
from no502.doctor.readers.nginx.syntax import Directive
from no502.doctor.readers.nginx.tree import Tree, read_tree
from no502.doctor.readers.nginx.values import is_template, parse_address, parse_int, parse_time, shown
from no502.doctor.readers.texts import shown_path
from no502.doctor.settings import LocationFacts, MainFacts, UpstreamFacts
from no502.nginx.versions import POOL_BY_DEFAULT, THOUSAND_REQUESTS, default_seconds, dotted

__all__ = ["BOTH_SIDES", "CURRENT", "find_versions", "read_nginx"]

BOTH_SIDES: Sequence[Version] = ((1, 28, 0), (1, 31, 0))
"""What to judge by where the version is not known: one on each side of 1.29.7."""
CURRENT: Version = (1, 31, 0)
"""What a moving tag (``latest``, ``alpine``, ``mainline``, ``1``) gives at least: all are past 1.29.7 since 2026."""
_STABLE: Version = (1, 30, 0)
"""The same of ``stable``. https://nginx.org/en/download.html"""

_MOVING = re.compile(
    r"(?:latest|stable|mainline|alpine|bookworm|trixie|bullseye|perl|otel|slim|1)(?:-(?:alpine|slim|perl|otel|bookworm|trixie))*$"
)

_HTTP_ONLY = {"server", "upstream", "map", "geo", "log_format", "limit_req_zone", "limit_conn_zone"}
_MOST_PROBLEMS = 200
_MOST_LOCATIONS = 20_000
_MOST_VARIABLES = 8
_NESTED = {"location", "if", "limit_except"}
_SOCKET = re.compile(r"unix:(?:\$\{[^{}]*\}|[^:])*")
"""The socket in what ``proxy_pass`` names; the URI behind it begins with a colon."""


def find_versions(tag: str | None) -> tuple[Sequence[Version], str]:
    """Return the versions to judge by and a note, from an image's tag or a version number.

    A moving tag (``stable``, ``latest``, ``alpine``, ``1``) is judged as what a pull gives today.
    """
    if _MOVING.fullmatch(tag or ""):
        version = _STABLE if (tag or "").startswith("stable") else CURRENT
        return (version,), f"nginx {tag}: the tag does not pin a version, judged as a pull of today"
    found = re.match(r"v?(\d+)\.(\d+)(?:\.(\d+))?(?![\d.])", tag or "")
    if found is None:
        why = f"nginx {tag}: a tag that moves" if tag else "nginx's version is not known"
        return BOTH_SIDES, f"{why}; judged before and after {dotted(POOL_BY_DEFAULT)}"
    version = (int(found[1]), int(found[2]), int(found[3] or 0))
    if found[3] is None and version[:2] == POOL_BY_DEFAULT[:2]:
        return ((*version[:2], 0), POOL_BY_DEFAULT), f"nginx {tag}: judged before and after {dotted(POOL_BY_DEFAULT)}"
    return (version,), f"nginx {tag}"


_OTHER_PASSES = {"grpc_pass", "uwsgi_pass", "fastcgi_pass", "scgi_pass"}
_ONLY_HTTP = "doctor judges proxy_pass"


@dataclass
class _Walk:
    """Collects the locations that proxy."""

    config: NginxConfig
    deployment: Deployment
    upstreams: Mapping[str, Upstream]
    constant: Mapping[str, str]
    """Variables of maps that can have one value only."""
    ordinary: Mapping[str, Fact[str]] = field(default_factory=dict)
    names: Sequence[str] = ()
    found: list[Location] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._settings = default_settings(self.config.versions, self.config.version_origin)
        self._headers = default_headers(self.config.versions, self.config.version_origin)

    def server(self, one: Directive, outer: Level) -> None:
        block = one.block or []
        self.names = tuple(name for line in one.all("server_name") for name in line.args)
        level = outer.enter(block)
        self._passes(one, "/", block, level, outer)
        self._nested(block, level, level)

    def _nested(self, block: Sequence[Directive], level: Level, server: Level) -> None:
        for one in block:
            if one.name not in _NESTED or one.block is None:
                continue
            path = " ".join(one.args)
            outer = server if one.name == "location" and path.startswith("@") else level
            inside = outer.enter(one.block)
            shown = path if one.name == "location" else f"{one.name} ({path})"
            self._passes(one, shown, one.block, inside, outer)
            self._nested(one.block, inside, server)

    def _passes(self, place: Directive, path: str, block: Sequence[Directive], level: Level, outer: Level) -> None:
        for one in (one for one in block if one.name in _OTHER_PASSES and one.args):
            what = f"{one.name} {shown(one.args[0])} at {path}"
            self._not_judged(what, Origin(file=one.file, line=one.line))
        for one in (one for one in block if one.name == "proxy_pass" and one.args):
            if len(self.found) >= _MOST_LOCATIONS:
                return
            own = any(line.name == "proxy_set_header" for line in block)
            upstream, target = self._upstream(one, level)
            self.found.append(
                Location(
                    path=path,
                    server_names=self.names,
                    origin=Origin(file=place.file, line=place.line),
                    proxy_pass=_text(one),
                    target=target,
                    upstream=upstream,
                    settings=LocationFacts.of({**self._settings, **level.settings}),
                    headers={**self._headers, **level.headers},
                    dropped_headers={k: v for k, v in outer.headers.items() if k not in level.headers} if own else {},
                    ordinary_connection=self._ordinary(level.headers.get("connection")),
                    rewrites=any(line.name == "rewrite" for line in block),
                    config=self.config,
                )
            )

    def _not_judged(self, what: str, origin: Origin) -> None:
        self.deployment.leave_out(NotChecked(what=what, why=_ONLY_HTTP, origin=origin))

    def _ordinary(self, header: Fact[str] | None) -> Fact[str] | None:
        """Return what a variable in a header is for requests without ``Upgrade``."""
        return self.ordinary.get((header.value or "").replace("{", "").replace("}", "")) if header else None

    def _upstream(self, one: Directive, level: Level) -> tuple[Upstream | None, str]:
        """Return where ``proxy_pass`` goes, and its argument with the values of its constant variables."""
        text = one.args[0]
        if not is_template(text) and "$" in text:  # nginx looks the host up for each request, wherever the variable is
            return self._through_variable(one, level)
        return self._named(one, text), text

    def _named(self, one: Directive, text: str, *, variable: bool = False) -> Upstream:
        secure = text.startswith("https:")
        target = re.sub(r"^https?://", "", text)
        socket = _SOCKET.match(target)
        name = socket[0] if socket is not None else re.split(r"[/?$]", target, maxsplit=1)[0]
        if socket is None and is_template(target):
            name = target.partition("/")[0]
        explicit = self.upstreams.get(name.lower())
        host, _, port = name.lower().rpartition(":")
        if explicit is None and host in self.upstreams and port.isdigit() and not variable:
            block = self.upstreams[host]
            message = f"upstream {block.name} ({block.origin}) has ports of its own, so proxy_pass may not name {port}"
            origin = Origin(file=one.file, line=one.line)
            fix = f"Remove :{port} from proxy_pass."
            self.deployment.problems.append(Problem(rule="C001", message=message, origin=origin, fix=fix))
            return block
        return explicit or _implicit(one, name, 443 if secure else 80, variable=variable)

    def _through_variable(self, one: Directive, level: Level) -> tuple[Upstream | None, str]:
        """Follow a variable in scheme, host or port of ``proxy_pass`` to the only value that it can have."""
        text = one.args[0]
        for _ in range(_MOST_VARIABLES):
            scheme, host, rest = _parts(text)
            found = re.search(r"\$\{?(\w+)\}?", host)
            if found is None:
                # A variable in the path or after the port is what is asked for, not where.
                return self._named(one, f"{scheme}{host}{rest}", variable=True), text
            value = level.variables.get(f"${found[1]}", self.constant.get(f"${found[1]}"))
            if value is None:
                if host[: found.start()].rpartition(":")[2].isdigit() and ":" in host[: found.start()]:
                    return self._named(one, f"{scheme}{host[: found.start()]}", variable=True), text
                break
            text = f"{scheme}{host[: found.start()]}{value}{host[found.end() :]}{rest}"
        origin = Origin(file=one.file, line=one.line)
        what, why = f"proxy_pass {one.args[0]}", "a variable determines the target"
        self.deployment.not_checked.append(NotChecked(what=what, why=why, origin=origin))
        return None, text


_PATH_VARIABLE = r"\$\{?(?:request_uri|uri|document_uri)\b"
"""What begins with a slash in every request: the host ends before it."""


def _parts(text: str) -> tuple[str, str, str]:
    """Return scheme, host with port, and the rest of where ``proxy_pass`` goes."""
    found = re.match(rf"(https?://)?((?:(?!{_PATH_VARIABLE})[^/?])*)(.*)$", text, re.DOTALL)
    return (found[1] or "", found[2], found[3]) if found else ("", text, "")


def read_nginx(
    path: Path,
    *,
    base: Path,
    versions: Sequence[Version] = BOTH_SIDES,
    version_note: str = "",
    environment: Mapping[str, str] | None = None,
    path_map: Mapping[str, str] | None = None,
    service: str | None = None,
    beside: Sequence[Path] = (),
    inline: Inline | None = None,
    known: Sequence[Path] = (),
    deployment: Deployment,
) -> tuple[NginxConfig, Tree]:
    """Read one nginx and add it to the deployment.

    Args:
        path: Its main file, a fragment (a file of ``conf.d``), a template, or the output of ``nginx -T``.
        base: Paths are shown relative to it.
        versions: What to judge by.
        version_note: Where the version comes from.
        environment: Values for ``${NAME}`` in templates.
        path_map: Folders inside nginx's container -> folders here.
        service: The ``Service`` that runs it.
        beside: Other fragments of the same nginx, where its main file is not here.
        inline: What is read instead of ``path``: a configuration inside a file of another kind.
        known: Every nginx file of the project, for includes of paths that are not mapped.
        deployment: Takes the result, problems, and what could not be checked.

    Returns:
        The configuration, and the tree with the comments.

    Raises:
        UserError: The parser is not installed.
    """
    before = len(deployment.problems)
    tree = read_tree(
        path,
        base=base,
        environment=environment or {},
        path_map=path_map or {},
        deployment=deployment,
        beside=beside,
        inline=inline,
        known=known,
    )
    if len(deployment.problems) == before:
        found = {(str(one.file), one.line, message, fix): None for one, message, fix in check_tree(tree, versions)}
        for file, line, message, fix in list(found)[:_MOST_PROBLEMS]:
            origin = Origin(file=file, line=line)
            deployment.problems.append(Problem(rule="C001", message=message, origin=origin, fix=fix))
    shown = inline.shown if inline is not None else shown_path(path, base)
    note = Origin(file=shown, source=Source.DEFAULT, note=version_note or find_versions(None)[1])
    config = NginxConfig(origin=Origin(file=shown), versions=tuple(versions), version_origin=note, service=service)
    config.main = MainFacts.of(_main(tree.directives, default_origin(note, versions)))
    http = [one for one in tree.directives if one.name == "http" and one.block is not None]
    levels = [(one.block or [], Level().enter(one.block or [])) for one in http]
    loose = [one for one in tree.directives if one.name in _HTTP_ONLY or one.name not in {"http", "events", "stream"}]
    if not http or any(one.name in _HTTP_ONLY for one in loose):
        levels.append((loose, Level().enter(loose)))
    for block, level in levels:
        upstreams = {one.name.lower(): one for one in _upstreams(block, config, tree)}
        config.upstreams += upstreams.values()
        walk = _Walk(config, deployment, upstreams, _constants(block), _ordinary(block))
        for one in block:
            if one.name == "server" and one.block is not None:
                walk.server(one, level)
        if not http and not any(one.name == "server" for one in block):
            walk.server(Directive(name="server", args=(), file=shown, line=1, block=list(block)), Level())
        config.locations += walk.found
    for one in tree.directives:
        if one.name == "stream" and one.block is not None and any(part.name == "server" for part in one.block):
            where = Origin(file=one.file, line=one.line)
            deployment.leave_out(NotChecked(what="stream {} of nginx", why=_ONLY_HTTP, origin=where))
    deployment.nginx.append(config)
    return config, tree


def _main(directives: Sequence[Directive], default: Origin) -> dict[str, Fact[Any]]:
    found: dict[str, Fact[Any]] = {}
    events = [inner for one in directives if one.name == "events" for inner in one.block or []]
    for one in [*directives, *events]:
        if one.name in {"worker_connections", "worker_rlimit_nofile", "worker_processes"} and one.args:
            value = parse_int(one.args[0]) if one.name != "worker_processes" else one.args[0]
            source = Source.TEMPLATE if is_template(one.args[0]) else Source.WRITTEN if value else Source.UNKNOWN
            found[one.name] = Fact(value, Origin(file=one.file, line=one.line, source=source))
    if any(one.name in {"events", "http"} for one in directives):
        for name, value in (("worker_connections", 512), ("worker_processes", "1")):
            found.setdefault(name, Fact(value, default))
    return found


def _ordinary(block: Sequence[Directive]) -> dict[str, Fact[str]]:
    """Return what each ``map $http_upgrade $name`` gives where there is no such header."""
    found: dict[str, Fact[str]] = {}
    for one in block:
        if one.name != "map" or len(one.args) != 2 or one.args[0] != "$http_upgrade":
            continue
        entries = {inner.name.lower(): inner for inner in one.block or [] if len(inner.args) == 1}
        entry = entries.get("") or entries.get("default")
        value = entry.args[0] if entry is not None else ""
        if "$" not in value:
            found[one.args[1]] = Fact(value, Origin(file=one.file, line=entry.line if entry is not None else one.line))
    return found


def _constants(block: Sequence[Directive]) -> dict[str, str]:
    """Return the variables whose ``map`` can give one value only."""
    found = {}
    for one in block:
        if one.name == "map" and len(one.args) == 2:
            values = {inner.args[0] for inner in one.block or [] if len(inner.args) == 1}
            if len(values) == 1:
                found[one.args[1]] = values.pop()
    return found


def _upstreams(block: Sequence[Directive], config: NginxConfig, tree: Tree) -> Iterator[Upstream]:
    for one in block:
        if one.name == "upstream" and one.args and one.block is not None:
            servers = tuple(_server(line) for line in one.all("server") if line.args)
            yield Upstream(
                name=one.args[0],
                origin=Origin(file=one.file, line=one.line),
                servers=servers,
                settings=UpstreamFacts.of(_pool(one, config)),
                alternatives=any(
                    one.line <= line <= max(inner.line for inner in one.block)
                    for line in tree.controls.get(one.file, ())
                    if one.block
                ),
            )


def _server(one: Directive) -> UpstreamServer:
    origin = Origin(file=one.file, line=one.line)
    parameters = {name: value for name, _, value in (word.partition("=") for word in one.args[1:])}
    return UpstreamServer(address=_address(one.args[0], origin), parameters=parameters, origin=origin)


def _address(text: str, origin: Origin, default_port: int = 80) -> Fact[Address]:
    address = None if is_template(text) or "$" in text else parse_address(text, default_port=default_port)
    if address is not None:
        return Fact(address, origin)
    kind = Source.TEMPLATE if is_template(text) else Source.UNKNOWN
    return Fact(None, Origin(file=origin.file, line=origin.line, source=kind, note=shown(text)))


_POOL: Mapping[str, Callable[[str], Any]] = {
    "keepalive": parse_int,
    "keepalive_timeout": parse_time,
    "keepalive_requests": parse_int,
    "keepalive_time": parse_time,
}


def _pool(upstream: Directive, config: NginxConfig) -> dict[str, Fact[Any]]:
    default = replace(default_origin(config.version_origin, config.versions), file=upstream.file, line=upstream.line)
    sizes = {32 if version >= POOL_BY_DEFAULT else 0 for version in config.versions}
    found: dict[str, Fact[Any]] = {"keepalive": Fact(sizes.pop() if len(sizes) == 1 else None, default)}
    found["keepalive_timeout"] = Fact(default_seconds("keepalive_timeout", "upstream"), default)
    if any(version >= THOUSAND_REQUESTS for version in config.versions):  # the same version brought keepalive_time
        found["keepalive_time"] = Fact(default_seconds("keepalive_time", "upstream"), default)
    requests = {1000 if version >= THOUSAND_REQUESTS else 100 for version in config.versions}
    found["keepalive_requests"] = Fact(requests.pop() if len(requests) == 1 else None, default)
    for one in upstream.block or []:
        origin = Origin(file=one.file, line=one.line)
        if one.name in _POOL and one.args:
            value = _POOL[one.name](one.args[0])
            kind = Source.TEMPLATE if is_template(one.args[0]) else Source.UNKNOWN
            unknown = Origin(file=one.file, line=one.line, source=kind, note=shown(one.args[0]))
            found[one.name] = Fact(value, origin) if value is not None else Fact(None, unknown)
        elif one.name in {"zone", "resolver"} and one.args:
            found[one.name] = Fact(" ".join(one.args), origin)
    return found


def _text(one: Directive) -> Fact[str]:
    origin = Origin(file=one.file, line=one.line)
    if is_template(one.args[0]):
        return Fact(None, Origin(file=one.file, line=one.line, source=Source.TEMPLATE, note=shown(one.args[0])))
    return Fact(one.args[0], origin)


def _implicit(one: Directive, name: str, port: int, *, variable: bool = False) -> Upstream:
    origin = Origin(file=one.file, line=one.line)
    # A name in a variable is looked up while nginx runs.
    parameters = {"resolve": ""} if variable else {}
    server = UpstreamServer(address=_address(name, origin, port), parameters=parameters, origin=origin)
    return Upstream(name=shown(name), origin=origin, servers=(server,), explicit=False)
