"""A: whether nginx connects to where the application listens."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from no502.doctor.edits import set_option
from no502.doctor.facts import in_container, name_of, shown, value
from no502.doctor.finding import Confidence, Edit, Finding, Severity
from no502.doctor.links import binds_of, candidates, inside_port, is_loopback, links, proxied, services_at, targets
from no502.doctor.model import Address, AppServer, Deployment, Location, Origin, ServiceKind, Source, UpstreamServer
from no502.doctor.registry import Rule

__all__ = ["RULES"]

_REFUSED = '502 for every request; nginx logs "connect() failed (111: Connection refused) while connecting to upstream"'
_Target = tuple[Location, UpstreamServer, Address]


def _every_target(deployment: Deployment) -> list[_Target]:
    """Return each address once per nginx."""
    found: dict[tuple[int, str], _Target] = {}
    for location, _upstream, peer, address in targets(deployment):
        found.setdefault((id(location.config), str(address)), (location, peer, address))
    return list(found.values())


def _listening(servers: list[AppServer]) -> str:
    binds = [str(bind) for server in servers for bind in binds_of(server) or ()]
    return ", ".join(dict.fromkeys(binds))


def _a101(deployment: Deployment) -> Iterator[Finding]:
    linked = {id(link.peer) for link in links(deployment) if link.reaches}
    serving = {id(link.server) for link in links(deployment) if link.reaches}
    open_targets: list[_Target] = []
    for location, peer, address in _every_target(deployment):
        if id(peer) in linked or (address.port is None and address.socket is None):
            continue
        found = candidates(deployment, location.config, address)
        beside = next((link.server for link in links(deployment) if link.peer is peer and not link.reaches), None)
        if beside is not None:
            yield _wrong_address(deployment, peer, address, [beside], Confidence.LIKELY)
            continue
        published = _published_otherwise(deployment, location, address)
        if published:
            yield _wrong_published(deployment, peer, address, published)
            continue
        by_name = address.socket is None and not is_loopback(address.host) and found
        if by_name and found and all(binds_of(server) is not None for server in found):
            if any(_another_container(deployment, server, address) for server in found):
                continue
            yield _wrong_address(deployment, peer, address, found, Confidence.CERTAIN)
        elif elsewhere := _in_another_container(deployment, location, address, found or []):
            yield _wrong_address(deployment, peer, address, elsewhere, Confidence.CERTAIN)
        elif not by_name:
            open_targets.append((location, peer, address))
    yield from _only_pairs(deployment, open_targets, [one for one in deployment.servers if id(one) not in serving])
    yield from _behind_proxies(deployment)


def _only_pairs(deployment: Deployment, targets_left: list[_Target], servers: list[AppServer]) -> Iterator[Finding]:
    """Yield each address that nothing serves and the server that nothing reaches, where one can only mean the other."""
    stated = []
    for server in servers:
        bind = server.settings.get("bind")
        if bind is not None and bind.known and bind.origin.source is Source.WRITTEN:
            stated.append(server)
    pairs = [
        (target, server)
        for target in targets_left
        for server in stated
        if _could_be(deployment, target[0], target[2], server)
    ]
    for (location, peer, address), server in pairs:
        same = [1 for (_, other, _), one in pairs if other is peer or one is server]
        if len(same) == 1 and len(servers) == len(stated) and location is not None:
            yield _wrong_address(deployment, peer, address, [server], Confidence.LIKELY)


def _in_another_container(
    deployment: Deployment, location: Location, address: Address, here: list[AppServer]
) -> list[AppServer]:
    """Return the servers that listen on that port in another container, where nginx's own has none."""
    own = deployment.runner(location.config)
    if not is_loopback(address.host) or here or own is None or own.kind is not ServiceKind.COMPOSE:
        return []
    if not in_container(own) or str(value(own.settings, "network_mode") or "").startswith(("service:", "container:")):
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
    pod = value(service.settings, "pod") if service is not None else None
    if service is None or pod is None:
        return False
    if inside_port(deployment, server, address) is None:
        return True
    others = [one for one in deployment.services if one is not service and value(one.settings, "pod") == pod]
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
    if all(bind.port == address.port for bind in binds):
        return False
    if is_loopback(address.host):
        return not in_container(here) and not in_container(service)
    known_place = service is not None and service.kind is not ServiceKind.DOCKERFILE
    return candidates(deployment, location.config, address) is None and not known_place and "." not in str(address.host)


def _behind_proxies(deployment: Deployment) -> Iterator[Finding]:
    """Yield where a proxy other than nginx connects to a port on which the application does not listen."""
    for proxy, target, servers in proxied(deployment):
        address = target.value
        if address is None or address.port is None or not servers:
            continue
        binds = [bind for server in servers for bind in binds_of(server) or ()]
        ports = {inside_port(deployment, server, address) for server in servers}
        if any(binds_of(server) is None for server in servers) or any(bind.port in ports for bind in binds):
            continue
        if any(_another_container(deployment, server, address) for server in servers):
            continue
        server = servers[0]
        yield A101.finding(
            f"{proxy.name} passes requests to {address}, but {name_of(server)} listens on {_listening(servers)}",
            target.origin,
            related=[(server.settings["bind"].origin, f"{name_of(server)} listens on {_listening(servers)}")],
            consequence=f"502 from {proxy.name} for every request",
            fix="Make both the same port.",
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
        ports = dict(value(service.settings, "published") or ())
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
    ports = service.settings["published"] if service is not None else server.settings["bind"]
    pairs = ", ".join(f"{outside} for its port {inside}" for outside, inside in ports.value or ())
    return A101.finding(
        f"nginx on the host passes requests to {address}, but {name_of(server)} is published on {pairs}",
        peer.origin,
        confidence=Confidence.LIKELY,
        related=[(ports.origin, f"published on {pairs}")],
        consequence=_REFUSED,
        fix="Make both the same port.",
    )


def _wrong_address(
    deployment: Deployment, peer: UpstreamServer, address: Address, servers: list[AppServer], confidence: Confidence
) -> Finding:
    where = _listening(servers)
    server = servers[0]
    apart = is_loopback(address.host) and in_container(deployment.runner(server)) and confidence is Confidence.CERTAIN
    where = f"{where} in a container of its own" if apart else where
    confidence = Confidence.LIKELY if server.likely else confidence
    bind = server.settings["bind"]
    socket = address.socket is not None
    reason = '502 for every request; nginx logs "connect() to unix:... failed (2: No such file or directory)"'
    return A101.finding(
        f"nginx passes requests to {address}, but {name_of(server)} listens on {where}",
        peer.origin,
        confidence=confidence,
        related=[(bind.origin, f"{name_of(server)} listens on {where}{shown(server.settings, 'bind')}")],
        consequence=reason if socket else _REFUSED,
        fix="Make both the same address.",
    )


def _a102(deployment: Deployment) -> Iterator[Finding]:
    yield from _by_nginx(deployment)
    for proxy, target, servers in proxied(deployment):
        for server in servers:
            service, binds = deployment.runner(server), binds_of(server)
            address = target.value
            if service is None or not binds or not in_container(service) or address is None:
                continue
            if proxy.service is service or is_loopback(address.host) or _another_container(deployment, server, address):
                continue
            if all(bind.socket is None and is_loopback(bind.host) and bind.host != "0.0.0.0" for bind in binds):  # noqa: S104
                yield _loopback(server, target.origin, address, binds[0], proxy.name)


def _by_nginx(deployment: Deployment) -> Iterator[Finding]:
    seen: set[int] = set()
    for location, peer, address in _every_target(deployment):
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
            if str(value(service.settings, "network_mode") or "").startswith(("service:", "container:")):
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
    fact = server.settings["bind"]
    edits: list[Edit] = []
    if fact.origin.source is Source.DEFAULT and server.conf_file is None and not server.origin.file.endswith(".py"):
        anywhere = "0.0.0.0"  # noqa: S104 inside a container
        port = f"{anywhere}:{bind.port}"
        flag, new = ("--bind", port) if server.program == "gunicorn" else ("--host", anywhere)
        edits = list(set_option(server, "bind", flag, new))
    elif fact.origin.source is Source.WRITTEN and fact.origin.line is not None:
        host = str(bind.host).replace(".", r"\.")
        edits = [Edit(file=fact.origin.file, line=fact.origin.line, substitutions=((host, "0.0.0.0"),), within=12)]  # noqa: S104
    return A102.finding(
        f"{name_of(server)} listens on {bind}{shown(server.settings, 'bind')}, which nothing outside of its container "
        f"can reach; {proxy} connects to {address}",
        fact.origin if fact.origin.line is not None else server.origin,
        related=[(peer, f"{proxy} passes requests to {address}")],
        consequence=_REFUSED if proxy == "nginx" else f"502 from {proxy} for every request",
        fix="Bind 0.0.0.0 (or [::]) inside the container; what is published decides who reaches it from outside.",
        edits=edits,
    )


def _a103(deployment: Deployment) -> Iterator[Finding]:
    for location, peer, address in _every_target(deployment):
        host = address.host
        if host is None or is_loopback(host) or _is_ip(host) or "resolve" in peer.parameters:
            continue
        service = next(iter(services_at(deployment, host)), None)
        if service is None or service.kind is not ServiceKind.COMPOSE:
            continue
        if value(service.settings, "virtual_ip") and not host.startswith("tasks."):
            continue  # Swarm's address of a service stays
        here = deployment.runner(location.config)
        if here is not None and (here.name == service.name or value(service.settings, "ipv4_address")):
            continue
        if here is not None and str(value(service.settings, "network_mode")).startswith("service:"):
            continue
        yield A103.finding(
            f"nginx looks {host} up once, when it starts; the address of a recreated container can be another one",
            peer.origin,
            related=[(service.origin, f"{host} is a compose service")],
            consequence="502 after `docker compose up -d` recreates the service, until nginx is reloaded; nginx logs "
            '"connect() failed (111 or 113) ... upstream: http://OLD-ADDRESS"',
            fix=_resolved(location, address),
        )


def _resolved(location: Location, address: Address) -> str:
    """Return how nginx of the version at hand looks a name up again, paths kept."""
    versions = location.config.versions
    resolver = "`resolver 127.0.0.11 valid=1s;`"
    new = (
        f"in upstream{{}} `zone app 64k;` and `server {address} resolve;` with {resolver} in http{{}} or "
        f"upstream{{}}, and "
        f"proxy_pass to the upstream's name as it is written now"
    )
    old = f"{resolver}, `set $app {address};` and {_variable_pass(location)}"
    if all(version >= _RESOLVES for version in versions):
        return f"nginx >= 1.27.3: {new}."
    if all(version < _RESOLVES for version in versions):
        return f"{old[0].upper()}{old[1:]}." if not old.startswith("`") else f"{old}."
    return f"nginx >= 1.27.3: {new}. Before: {old}."


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


_RESOLVES = (1, 27, 3)


def _a105(deployment: Deployment) -> Iterator[Finding]:
    seen: set[tuple[str, int | None]] = set()
    for nginx in deployment.nginx:
        for location in nginx.locations:
            origin = location.proxy_pass.origin
            host, uri = _host_and_uri(str(location.proxy_pass.value or ""))
            if "$" not in host or not uri or "$" in uri or (origin.file, origin.line) in seen:
                continue
            if location.path.startswith("= ") or location.rewrites:
                continue
            seen.add((origin.file, origin.line))
            path = location.path if location.path.startswith("/") else "/"
            yield A105.finding(
                f"every request of location {location.path} becomes {uri}: with a variable in proxy_pass nginx sends "
                "the URI that is written there as it is, whatever path was asked for",
                origin,
                consequence=f"wrong answers (often 404) for every path below {location.path}; no line in "
                "nginx's error log",
                fix=f"`rewrite ^{path}(.*)$ {uri}$1 break;` and `proxy_pass {location.proxy_pass.value}` "
                f"without {uri}.",
            )


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


def _a104(deployment: Deployment) -> Iterator[Finding]:
    by_peer = {id(link.peer): link.server for link in links(deployment)}
    for _location, peer, address in _every_target(deployment):
        server = by_peer.get(id(peer))
        if address.host != "localhost" or server is None:
            continue
        binds = binds_of(server)
        if not binds:
            continue
        families = {":" in str(bind.host or "") for bind in binds if bind.port == address.port}
        if len(families) != 1 or any(bind.host in {None, "localhost"} for bind in binds):
            continue
        if True in families and any(bind.host == "::" for bind in binds):
            continue  # accepts IPv4 as well where the kernel's bindv6only is off
        only = "IPv6" if True in families else "IPv4"
        yield A104.finding(
            f"localhost is two addresses, 127.0.0.1 and ::1, so nginx sees two peers; {name_of(server)} listens "
            f"on {only} only ({_listening([server])})",
            peer.origin,
            related=[(server.settings["bind"].origin, f"listens on {_listening([server])}")],
            consequence="every second connection is refused and tried again; after one slow response both peers count "
            'as failed and all requests get 502, "no live upstreams", for 10 s',
            fix=f"Write 127.0.0.1:{address.port}." if only == "IPv4" else f"Write [::1]:{address.port}.",
            edits=[
                Edit(
                    file=peer.origin.file,
                    line=peer.origin.line,
                    substitutions=((r"\blocalhost\b", "127.0.0.1" if only == "IPv4" else "[::1]"),),
                )
            ]
            if peer.origin.line is not None
            else (),
        )


def _a107(deployment: Deployment) -> Iterator[Finding]:
    linked = {id(link.peer) for link in links(deployment)}
    for location, peer, address in _every_target(deployment):
        if address.socket is None:
            continue
        here = deployment.runner(location.config)
        for server in deployment.servers:
            there = deployment.runner(server)
            same_path = any(bind.socket == address.socket for bind in binds_of(server) or ())
            if same_path and id(peer) not in linked and here is not None and in_container(here) and in_container(there):
                yield A107.finding(
                    f"nginx and {name_of(server)} both name {address}, but no volume that both mount holds that path",
                    peer.origin,
                    related=[
                        (server.settings["bind"].origin, f"{name_of(server)} creates its socket in its own container")
                    ],
                    consequence='502 for every request; nginx logs "connect() to unix:... failed (2: No such file or '
                    'directory)"',
                    fix="Mount one named volume at the socket's directory in both services.",
                )
            private = there is not None and value(there.settings, "private_tmp") is True
            if same_path and private and address.socket.startswith(("/tmp/", "/var/tmp/")):  # noqa: S108
                yield A107.finding(
                    f"{name_of(server)} runs with PrivateTmp=, so its {address} is not the one that nginx sees",
                    peer.origin,
                    related=[(there.origin if there else server.origin, "PrivateTmp=true")],
                    consequence='502 for every request; nginx logs "connect() to unix:... failed (2: No such file or '
                    'directory)"',
                    fix="Use RuntimeDirectory= and a socket below /run.",
                )


A101 = Rule(
    id="A101",
    slug="wrong-address",
    severity=Severity.ERROR,
    summary="nginx connects to a port, host or socket where the application does not listen",
    source="https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_pass",
    check=_a101,
)
A102 = Rule(
    id="A102",
    slug="loopback-in-container",
    severity=Severity.ERROR,
    summary="the application listens on its container's loopback, nginx is in another one",
    source="https://gunicorn.org/reference/settings/#bind",
    check=_a102,
)
A103 = Rule(
    id="A103",
    slug="name-resolved-once",
    severity=Severity.ERROR,
    summary="nginx keeps the address that a service name had when nginx started",
    source="https://nginx.org/en/docs/http/ngx_http_upstream_module.html#resolve",
    check=_a103,
)
A104 = Rule(
    id="A104",
    slug="localhost-two-peers",
    severity=Severity.WARNING,
    summary="localhost is an IPv4 and an IPv6 peer, and the application listens on one of them",
    source="https://nginx.org/en/docs/http/ngx_http_upstream_module.html#max_fails",
    check=_a104,
)
A105 = Rule(
    id="A105",
    slug="variable-replaces-path",
    severity=Severity.ERROR,
    summary="a variable and a URI in proxy_pass: every request gets that one URI",
    source="https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_pass",
    check=_a105,
)
A107 = Rule(
    id="A107",
    slug="socket-not-shared",
    severity=Severity.ERROR,
    summary="nginx and the application see different files under the socket's path",
    source="https://gunicorn.org/deploy/#systemd",
    check=_a107,
)
RULES = (A101, A102, A103, A104, A105, A107)
