"""A: whether nginx connects to where the application listens."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from no502.doctor.edits import set_option, substitute
from no502.doctor.facts import bind_at, in_container, name_of, origin_of, shown, value
from no502.doctor.finding import Confidence, Edit, Finding, Severity
from no502.doctor.links import binds_of, candidates, inside_port, is_loopback, links, proxied, services_at
from no502.doctor.model import Address, AppServer, Deployment, Location, Origin, ServiceKind, Source, UpstreamServer
from no502.doctor.registry import rule
from no502.doctor.scopes import Target, line_of, subjects
from no502.messages.quoted import logs
from no502.nginx.versions import UPSTREAM_RESOLVER, dotted

__all__ = []

_UNAVAILABLE = {"haproxy", "httpd", "envoy", "istio", "varnish"}
"""Proxies that answer 503, not 502, where the connection is refused."""


def _refused() -> str:
    return f"every request gets 502; {logs('connect-failed-111-connection-refused')}"


def _no_socket() -> str:
    return f"every request gets 502; {logs('connect-to-unix-socket-failed-2-no-such-file')}"


def _listening(servers: list[AppServer]) -> str:
    binds = [str(bind) for server in servers for bind in binds_of(server) or ()]
    return ", ".join(dict.fromkeys(binds))


@rule(
    "A101",
    "wrong-address",
    Severity.ERROR,
    "nginx proxies to a port, host or socket on which the application does not listen",
    source="https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_pass",
)
def _wrong_address(deployment: Deployment) -> Iterator[Finding]:
    linked = {id(link.peer) for link in links(deployment) if link.reaches}
    serving = {id(link.server) for link in links(deployment) if link.reaches}
    open_targets: list[Target] = []
    for target in subjects(deployment, Target):
        location, peer, address = target.location, target.peer, target.address
        if id(peer) in linked or (address.port is None and address.socket is None):
            continue
        found = candidates(deployment, location.config, address)
        beside = next((link.server for link in links(deployment) if link.peer is peer and not link.reaches), None)
        if beside is not None:
            yield _not_there(deployment, peer, address, [beside], Confidence.LIKELY)
            continue
        published = _published_otherwise(deployment, location, address)
        if published:
            yield _wrong_published(deployment, peer, address, published)
            continue
        by_name = address.socket is None and not is_loopback(address.host) and found
        if by_name and found and all(binds_of(server) is not None for server in found):
            if any(_another_container(deployment, server, address) for server in found):
                continue
            yield _not_there(deployment, peer, address, found, Confidence.CERTAIN)
        elif mistaken := _itself(deployment, location, address):
            yield _not_there(deployment, peer, address, mistaken, Confidence.CERTAIN)
        elif elsewhere := _in_another_container(deployment, location, address, found or []):
            yield _not_there(deployment, peer, address, elsewhere, Confidence.CERTAIN)
        elif not by_name:
            open_targets.append(target)
    yield from _only_pairs(deployment, open_targets, [one for one in deployment.servers if id(one) not in serving])
    yield from _other_family(deployment)
    yield from _behind_proxies(deployment)


def _other_family(deployment: Deployment) -> Iterator[Finding]:
    """Yield where the port is the same and the loopback address is not: nginx asks [::1], the server has IPv4 only."""
    seen: set[tuple[str, int]] = set()
    for link in links(deployment):
        address, binds = link.peer.address.value, binds_of(link.server)
        if not link.reaches or address is None or address.port is None or not is_loopback(address.host) or not binds:
            continue
        if inside_port(deployment, link.server, address) != address.port or in_container(
            deployment.runner(link.server)
        ):
            continue
        hosts = {bind.host for bind in binds if bind.port == address.port}
        key = str(address), id(link.server)
        if hosts and not any(_hears(host, str(address.host)) for host in hosts) and key not in seen:
            seen.add(key)
            yield _not_there(deployment, link.peer, address, [link.server], Confidence.LIKELY)


def _hears(bind: str | None, loopback: str) -> bool:
    """Whether a server that listens on an address hears what is sent to a loopback address."""
    if bind is None or not _is_ip(bind) or not _is_ip(loopback):
        return True  # a name, or every address
    here, there = ipaddress.ip_address(bind), ipaddress.ip_address(loopback)
    if here.is_unspecified or there.is_unspecified:
        return here.version == 6 or there.version == 4
    return here == there


def _only_pairs(deployment: Deployment, targets_left: list[Target], servers: list[AppServer]) -> Iterator[Finding]:
    """Yield each address that nothing serves and the server that nothing reaches, where one can only mean the other."""
    stated = []
    for server in servers:
        bind = server.settings.bind
        if bind is not None and bind.known and bind.origin.source is Source.WRITTEN:
            stated.append(server)
    pairs = [
        (target, server)
        for target in targets_left
        for server in stated
        if _could_be(deployment, target.location, target.address, server)
    ]
    for target, server in pairs:
        same = [1 for other, one in pairs if other.peer is target.peer or one is server]
        if len(same) == 1 and len(servers) == len(stated):
            yield _not_there(deployment, target.peer, target.address, [server], Confidence.LIKELY)


def _itself(deployment: Deployment, location: Location, address: Address) -> list[AppServer]:
    """Return the only server that listens on that port, where nginx names its own container instead of the server's."""
    own = deployment.runner(location.config)
    if own is None or own.kind is not ServiceKind.COMPOSE or address.host is None or is_loopback(address.host):
        return []
    if services_at(deployment, address.host, own.kind) != [own]:
        return []
    found = [
        server
        for server in deployment.servers
        if (service := deployment.runner(server)) is not None
        and service.kind is ServiceKind.COMPOSE
        and any(bind.port is not None and bind.port == address.port for bind in binds_of(server) or ())
    ]
    return found if len(found) == 1 else []


def _in_another_container(
    deployment: Deployment, location: Location, address: Address, here: list[AppServer]
) -> list[AppServer]:
    """Return the servers that listen on that port in another container, where nginx's own has none."""
    own = deployment.runner(location.config)
    if not is_loopback(address.host) or here or own is None or own.kind is not ServiceKind.COMPOSE:
        return []
    if not in_container(own) or str(value(own.settings.network_mode) or "").startswith(("service:", "container:")):
        return []
    found = []
    for server in deployment.servers:
        service = deployment.runner(server)
        if service is None or service.kind is not ServiceKind.COMPOSE or not in_container(service):
            continue
        if any(bind.port is not None and bind.port == address.port for bind in binds_of(server) or ()):
            found.append(server)
    return found


def _another_container(deployment: Deployment, server: AppServer, address: Address) -> bool:
    """Whether another container of the server's pod may be what listens behind the address."""
    service = deployment.runner(server)
    pod = value(service.settings.pod) if service is not None else None
    if service is None or pod is None:
        return False
    if inside_port(deployment, server, address) is None:
        return True
    others = [one for one in deployment.services if one is not service and value(one.settings.pod) == pod]
    ports = [bind.port for bind in binds_of(server) or ()]
    return bool(others) and inside_port(deployment, server, address) not in ports


def _could_be(deployment: Deployment, location: Location, address: Address, server: AppServer) -> bool:
    """Whether the one address that nothing serves can only be meant for the one server that nothing reaches."""
    binds = binds_of(server)
    service = deployment.runner(server)
    here = deployment.runner(location.config)
    if not binds:
        return False
    if address.socket is not None:
        if in_container(here) or in_container(service):
            return False
        return all(bind.socket != address.socket for bind in binds)
    if any(bind.port == address.port for bind in binds):
        return False
    if is_loopback(address.host):
        return (here is not None and here is service) or not (in_container(here) or in_container(service))
    known_place = service is not None and service.kind is not ServiceKind.DOCKERFILE
    return candidates(deployment, location.config, address) is None and not known_place and "." not in str(address.host)


def _code(proxy: str) -> int:
    """Return the status with which a proxy answers where it cannot connect."""
    return 503 if proxy in _UNAVAILABLE else 502


def _behind_proxies(deployment: Deployment) -> Iterator[Finding]:
    """Yield where a proxy other than nginx connects to a port on which the application does not listen."""
    reaching = {
        id(proxy)
        for proxy, target, servers in proxied(deployment)
        for server in servers
        if (at := target.address.value) is not None and any(b.port == at.port for b in binds_of(server) or ())
    }
    for proxy, target, servers in proxied(deployment):
        address = target.address.value
        if address is None or address.port is None or not servers:
            continue
        if is_loopback(address.host) and id(proxy) in reaching:
            continue  # it reaches the application elsewhere: another program listens here
        binds = [bind for server in servers for bind in binds_of(server) or ()]
        ports = {inside_port(deployment, server, address) for server in servers}
        if any(binds_of(server) is None for server in servers) or any(bind.port in ports for bind in binds):
            continue
        if any(_another_container(deployment, server, address) for server in servers):
            continue
        server = servers[0]
        yield _wrong_address.finding(
            f"{proxy.name} passes requests to {address}, but {name_of(server)} listens on {_listening(servers)}",
            target.address.origin,
            related=[(bind_at(server), f"{name_of(server)} listens on {_listening(servers)}")],
            consequence=f"every request gets {_code(proxy.name)} from {proxy.name}",
            fix=f"Change the port in {proxy.name}'s configuration or the one that {name_of(server)} binds, so that "
            "both are equal.",
        )


def _published_otherwise(deployment: Deployment, location: Location, address: Address) -> list[AppServer]:
    """Return the only server whose container publishes its port under another one than a host's nginx names."""
    if not is_loopback(address.host) or in_container(deployment.runner(location.config)):
        return []
    found = []
    for server in deployment.servers:
        service = deployment.runner(server)
        if service is None or service.kind is not ServiceKind.COMPOSE or not in_container(service):
            return []  # something on the host itself may be meant
        ports = dict(value(service.settings.published) or ())
        binds = {bind.port for bind in binds_of(server) or () if bind.port is not None}
        if not ports or address.port in ports or not binds & set(ports.values()):
            return []
        found.append(server)
    return found if len(found) == 1 else []


def _wrong_published(
    deployment: Deployment, peer: UpstreamServer, address: Address, servers: list[AppServer]
) -> Finding:
    server = servers[0]
    service = deployment.runner(server)
    ports = service.settings.published if service is not None else None
    pairs = ", ".join(f"{outside} for its port {inside}" for outside, inside in value(ports) or ())
    return _wrong_address.finding(
        f"nginx on the host passes requests to {address}, but {name_of(server)} is published on {pairs}",
        peer.origin,
        confidence=Confidence.LIKELY,
        related=[(origin_of(ports, server.origin), f"published on {pairs}")],
        consequence=_refused(),
        fix=f"Change the port in proxy_pass to the published one, or publish {address.port}.",
    )


def _not_there(
    deployment: Deployment, peer: UpstreamServer, address: Address, servers: list[AppServer], confidence: Confidence
) -> Finding:
    where = _listening(servers)
    server = servers[0]
    apart = in_container(deployment.runner(server)) and confidence is Confidence.CERTAIN
    apart = apart and any(bind.port == address.port is not None for bind in binds_of(server) or ())
    where = f"{where} in a container of its own" if apart else where
    confidence = Confidence.LIKELY if server.likely else confidence
    socket = address.socket is not None
    return _wrong_address.finding(
        f"nginx passes requests to {address}, but {name_of(server)} listens on {where}",
        peer.origin,
        confidence=confidence,
        related=[(bind_at(server), f"{name_of(server)} listens on {where}{shown(server.settings.bind)}")],
        consequence=_no_socket() if socket else _refused(),
        fix=f"Change proxy_pass (or the upstream's server line) to the address that {name_of(server)} binds, or change "
        "the bind.",
    )


@rule(
    "A102",
    "loopback-in-container",
    Severity.ERROR,
    "the application binds 127.0.0.1 inside its container, so nginx in another container cannot connect",
    source="https://gunicorn.org/reference/settings/#bind",
)
def _loopback_in_container(deployment: Deployment) -> Iterator[Finding]:
    yield from _by_nginx(deployment)
    for proxy, target, servers in proxied(deployment):
        for server in servers:
            service, binds = deployment.runner(server), binds_of(server)
            address = target.address.value
            if service is None or not binds or not in_container(service) or address is None:
                continue
            if proxy.service is service or is_loopback(address.host) or _another_container(deployment, server, address):
                continue
            if all(bind.socket is None and is_loopback(bind.host) and bind.host != "0.0.0.0" for bind in binds):  # noqa: S104
                yield _loopback(server, target.address.origin, address, binds[0], proxy.name)


def _by_nginx(deployment: Deployment) -> Iterator[Finding]:
    seen: set[int] = set()
    for target in subjects(deployment, Target):
        location, peer, address = target.location, target.peer, target.address
        if address.socket is not None or is_loopback(address.host):
            continue
        here = deployment.runner(location.config)
        for server in candidates(deployment, location.config, address) or ():
            service = deployment.runner(server)
            binds = binds_of(server)
            if id(server) in seen or not binds or service is None or not in_container(service):
                continue
            if here is not None and here.name == service.name:
                continue
            if _another_container(deployment, server, address) or _reachable_twin(deployment, server):
                continue
            if str(value(service.settings.network_mode) or "").startswith(("service:", "container:")):
                continue
            reached = [bind for bind in binds if bind.socket is None]
            if reached and all(is_loopback(bind.host) and bind.host != "0.0.0.0" for bind in reached):  # noqa: S104
                seen.add(id(server))
                yield _loopback(server, peer.origin, address, reached[0], "nginx")


def _reachable_twin(deployment: Deployment, server: AppServer) -> bool:
    """Whether the same container starts another server that can be reached: a script's other branch."""
    twins = [one for one in deployment.servers if one is not server and one.service == server.service]
    return any(not is_loopback(b.host) or b.host == "0.0.0.0" for one in twins for b in binds_of(one) or ())  # noqa: S104


def _loopback(server: AppServer, peer: Origin, address: Address, bind: Address, proxy: str) -> Finding:
    origin = bind_at(server)
    edits: list[Edit] = []
    if origin.source is Source.DEFAULT and server.conf_file is None and not server.origin.file.endswith(".py"):
        anywhere = "0.0.0.0"  # noqa: S104 inside a container
        port = f"{anywhere}:{bind.port}"
        flag, new = ("--bind", port) if server.program == "gunicorn" else ("--host", anywhere)
        edits = list(set_option(server, "bind", flag, new))
    elif origin.source is Source.WRITTEN:
        host = str(bind.host).replace(".", r"\.")
        edits = list(substitute(origin, (host, "0.0.0.0"), within=12))  # noqa: S104
    return _loopback_in_container.finding(
        f"{name_of(server)} listens on {bind}{shown(server.settings.bind)}, which is unreachable from other "
        f"containers; {proxy} connects to {address}",
        origin if origin.line is not None else server.origin,
        related=[(peer, f"{proxy} passes requests to {address}")],
        consequence=_refused() if proxy == "nginx" else f"every request gets {_code(proxy)} from {proxy}",
        fix="Bind 0.0.0.0 (or [::]) inside the container; the published ports decide which clients can connect from "
        "outside.",
        edits=edits,
    )


@rule(
    "A103",
    "name-resolved-once",
    Severity.ERROR,
    "nginx resolves the upstream host name once, at startup, and keeps connecting to the old IP address",
    source="https://nginx.org/en/docs/http/ngx_http_upstream_module.html#resolve",
    per=Target,
)
def _name_resolved_once(target: Target, deployment: Deployment) -> Iterator[Finding]:
    location, peer, address = target.location, target.peer, target.address
    host = address.host
    if host is None or is_loopback(host) or _is_ip(host) or "resolve" in peer.parameters:
        return
    here = deployment.runner(location.config)
    service = next(iter(services_at(deployment, host, here.kind if here is not None else None)), None)
    if service is None or service.kind is not ServiceKind.COMPOSE:
        return
    if value(service.settings.virtual_ip) and not host.startswith("tasks."):
        return  # Swarm's address of a service stays
    if here is not None and (here.name == service.name or service.settings.ipv4_address is not None):
        return
    if here is not None and str(value(service.settings.network_mode)).startswith("service:"):
        return
    yield _name_resolved_once.finding(
        f"nginx looks {host} up once, when it starts; a recreated container can get a new address",
        peer.origin,
        related=[(service.origin, f"{host} is a compose service")],
        consequence="requests get 502 after `docker compose up -d` recreates the service, until nginx is reloaded; "
        f"{logs('connect-failed-111-connection-refused')}, with the old address",
        fix=_resolved(location, address),
    )


def _resolved(location: Location, address: Address) -> str:
    """Return how nginx of the version at hand looks a name up again, paths kept."""
    versions = location.config.versions
    resolver = "`resolver 127.0.0.11 valid=5s;`"
    new = (
        f"set `zone app 64k;` and `server {address} resolve;` in upstream{{}} and {resolver} in http{{}} or "
        f"upstream{{}}, and keep proxy_pass to the upstream's name as it is now"
    )
    if location.upstream is not None and not location.upstream.explicit:
        new = (
            f"add `upstream {address.host} {{ zone {address.host} 64k; {resolver.strip('`')} server {address} resolve; "
            f"}}` to http{{}}, and pass every request for it to that name, without the port: "
            f"{_named_pass(location, address.host or '')}"
        )
    old = f"set {resolver}, `set $app {address};` and {_variable_pass(location)}"
    if all(version >= UPSTREAM_RESOLVER for version in versions):
        return f"nginx >= {dotted(UPSTREAM_RESOLVER)}: {new}."
    if all(version < UPSTREAM_RESOLVER for version in versions):
        return f"{old[0].upper()}{old[1:]}." if not old.startswith("`") else f"{old}."
    return f"nginx >= {dotted(UPSTREAM_RESOLVER)}: {new}. Older versions: {old}."


def _named_pass(location: Location, name: str) -> str:
    """Return ``proxy_pass`` with the name of an upstream in the place of the address, its path kept."""
    scheme, _, rest = str(location.proxy_pass.value or "").rpartition("://")
    _, slash, uri = rest.partition("/")
    return f"`proxy_pass {scheme or 'http'}://{name}{slash}{uri};`"


def _variable_pass(location: Location) -> str:
    """Return ``proxy_pass`` with a variable: a URI in it would replace every path, so a rewrite does its work."""
    written = str(location.proxy_pass.value or "")
    scheme, _, rest = written.rpartition("://")
    _, slash, uri = rest.partition("/")
    plain = f"`proxy_pass {scheme or 'http'}://$app;`"
    path = location.path.removeprefix("^~ ").removeprefix("= ")
    if not slash or rest.startswith("unix:") or not path.startswith("/"):
        return plain
    return f"`rewrite ^{path}(.*)$ /{uri}$1 break;` before {plain} without a URI"


@rule(
    "A105",
    "variable-replaces-path",
    Severity.ERROR,
    "proxy_pass contains a variable and a URI, so nginx sends that URI for every request",
    source="https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_pass",
    per=Location,
    once=lambda location: line_of(location.proxy_pass.origin),
)
def _variable_replaces_path(location: Location, _: Deployment) -> Iterator[Finding]:
    origin = location.proxy_pass.origin
    written = str(location.proxy_pass.value or "")
    host, own = _host_and_uri(written)
    uri = _host_and_uri(location.target or written)[1]
    if "$" not in host or not uri or "$" in uri or "." in uri.rpartition("/")[2]:
        return  # a file's name is what a fallback sends for every path on purpose
    if location.path.startswith("= ") or _ONE_PATH.match(location.path):
        return
    path = location.path.removeprefix("^~ ")
    path = path if path.startswith("/") else "/"
    itself = path == uri and not path.endswith("/")
    where = f"`proxy_pass {written}`" if own else f"the value of the variable in `proxy_pass {written}`"
    rewrite = f"Add `rewrite ^{path}(.*)$ {uri}$1 break;` and remove {uri} from {where}."
    yield _variable_replaces_path.finding(
        f"every request of location {location.path} becomes {uri}: with a variable in proxy_pass, nginx sends the "
        "URI of proxy_pass unchanged, whatever path was requested",
        origin,
        severity=Severity.WARNING if itself else None,
        consequence=f"{path} itself works, but every path below it gets the response of {path}, and the query string "
        "is lost; nginx logs no error"
        if itself
        else f"every path below {location.path} gets the wrong response (often 404); nginx logs no error",
        fix=f"Remove {uri} from {where}: then the location's rewrite makes the path." if location.rewrites else rewrite,
    )


_ONE_PATH = re.compile(r"~\*?[ \t]+\^[A-Za-z0-9_/.\\-]*\$$")
"""A regular expression that matches one path only."""


def _host_and_uri(target: str) -> tuple[str, str]:
    """Return the part up to the first slash of a target, and from it on."""
    _, _, rest = target.rpartition("://")
    if rest.startswith("unix:"):
        return "", ""
    host, slash, uri = rest.partition("/")
    return host, slash + uri


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


@rule(
    "A104",
    "localhost-two-peers",
    Severity.WARNING,
    "localhost resolves to an IPv4 and an IPv6 peer, but the application listens on only one of them",
    source="https://nginx.org/en/docs/http/ngx_http_upstream_module.html#max_fails",
    per=Target,
)
def _localhost_two_peers(target: Target, _: Deployment) -> Iterator[Finding]:
    server, peer, address = target.server, target.peer, target.address
    if address.host != "localhost" or server is None:
        return
    binds = binds_of(server)
    if not binds:
        return
    families = {":" in str(bind.host or "") for bind in binds if bind.port == address.port}
    if len(families) != 1 or any(bind.host in {None, "localhost"} for bind in binds):
        return
    if True in families and any(bind.host == "::" for bind in binds):
        return  # accepts IPv4 as well where the kernel's bindv6only is off
    only = "IPv6" if True in families else "IPv4"
    yield _localhost_two_peers.finding(
        f"localhost is two addresses, 127.0.0.1 and ::1, so nginx sees two peers; {name_of(server)} listens "
        f"on {only} only ({_listening([server])})",
        peer.origin,
        related=[(bind_at(server), f"listens on {_listening([server])}")],
        consequence="nginx's first attempt is refused for every second connection; after one slow response nginx "
        'marks both peers as unavailable, and all requests get 502, "no live upstreams", for 10 s',
        fix=f"Replace localhost with 127.0.0.1:{address.port}."
        if only == "IPv4"
        else f"Replace localhost with [::1]:{address.port}.",
        edits=substitute(peer.origin, (r"\blocalhost\b", "127.0.0.1" if only == "IPv4" else "[::1]")),
    )


@rule(
    "A107",
    "socket-not-shared",
    Severity.ERROR,
    "nginx and the application do not share the directory of the unix socket",
    source="https://gunicorn.org/deploy/#systemd",
    per=Target,
)
def _socket_not_shared(target: Target, deployment: Deployment) -> Iterator[Finding]:
    peer, address = target.peer, target.address
    if address.socket is None:
        return
    here = deployment.runner(target.location.config)
    for server in deployment.servers:
        there = deployment.runner(server)
        same_path = any(bind.socket == address.socket for bind in binds_of(server) or ())
        if same_path and target.server is None and here is not None and in_container(here) and in_container(there):
            yield _socket_not_shared.finding(
                f"nginx and {name_of(server)} both name {address}, but no volume that both mount holds that path",
                peer.origin,
                related=[
                    (
                        bind_at(server),
                        f"{name_of(server)} creates its socket in its own container",
                    )
                ],
                consequence=_no_socket(),
                fix="Mount one named volume at the socket's directory in both services.",
            )
        private = there is not None and value(there.settings.private_tmp) is True
        if same_path and private and address.socket.startswith(("/tmp/", "/var/tmp/")):  # noqa: S108
            yield _socket_not_shared.finding(
                f"{name_of(server)} runs with PrivateTmp=, so its {address} is not the one that nginx sees",
                peer.origin,
                related=[(there.origin if there else server.origin, "PrivateTmp=true")],
                consequence=_no_socket(),
                fix="Set RuntimeDirectory= in the unit and move the socket below /run.",
            )
