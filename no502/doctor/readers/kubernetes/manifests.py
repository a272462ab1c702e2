"""Kubernetes manifests: each container of a workload is a service, with its pod's times and its Service's names."""

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
    Gap,
    Healthcheck,
    NotChecked,
    Origin,
    Problem,
    ProxyTarget,
    Service,
    ServiceKind,
    Source,
)
from no502.doctor.reach import Reach
from no502.doctor.readers.durations import docker_seconds, memory_bytes
from no502.doctor.readers.inline import Inline
from no502.doctor.readers.kubernetes.annotations import class_of, protocol_of, times_of
from no502.doctor.readers.kubernetes.routes import Manifests, port_called, read_routes, timeout_of_backend
from no502.doctor.readers.server_words import unknown
from no502.doctor.readers.shell.expansion import OPEN
from no502.doctor.readers.texts import read_text, shown_path
from no502.doctor.readers.yaml_nodes import Node, YamlProblem, load_all
from no502.doctor.settings import ServiceFacts

__all__ = ["STOP_SECONDS", "Container", "Ingress", "read_config_maps", "read_ingresses", "read_manifests"]

_WORKLOADS = {
    *("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Pod", "Job", "CronJob"),
    *("ReplicationController", "DeploymentConfig", "Rollout"),
}
"""Kinds with a template of pods, those of OpenShift and of Argo Rollouts included."""
_HELM = re.compile(r"\{\{-?\s*(?:\.(?:Values|Release|Chart|Files)|include|template|toYaml|range|if|with|define)")
_CHANGES = (
    "patches",
    "patchesStrategicMerge",
    "patchesJson6902",
    "replicas",
    "images",
    "configMapGenerator",
    "components",
)
"""What in a kustomization makes other manifests of those that it names."""
_ROUTES = {
    "IngressRouteTCP": "Traefik",
    "HTTPProxy": "Contour",
    "Mapping": "Emissary",
    "ApisixRoute": "APISIX",
}
STOP_SECONDS = 30.0  # https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination


@dataclass(kw_only=True)
class Container:
    """A container with what the other readers need of it."""

    service: Service
    argv: tuple[str, ...]
    origin: Origin
    overrides: bool
    """``command`` is set: the image's own entrypoint does not count."""
    files: Mapping[str, Inline] = field(default_factory=dict)
    """Path inside -> text of a ConfigMap."""
    workdir: str = ""


@dataclass(frozen=True, kw_only=True)
class Ingress:
    """An Ingress: which controller it is for, and the Services behind it."""

    class_name: str
    origin: Origin
    targets: Sequence[ProxyTarget]
    read: Fact[float] | None
    """Seconds that it waits for a response, where an annotation or the controller's ConfigMap sets it."""
    idle: Fact[float] | None
    """Seconds that it reuses an idle connection, where one of them sets it."""


Documents = Sequence[tuple[Node, str]]
"""Manifests that were rendered, each with its file's name."""


def read_ingresses(paths: Sequence[Path], *, base: Path, reach: Reach, rendered: Documents = ()) -> Iterator[Ingress]:
    """Yield the Ingresses of manifests; what cannot be read was reported when their workloads were read."""
    documents = [*_documents(paths, base, Deployment(reach=reach)), *rendered]
    manifests = _by_kind(documents)
    for route in read_routes(manifests):
        yield Ingress(class_name=route.proxy, origin=route.origin, targets=route.targets, read=None, idle=None)
    for node, shown in documents:
        if _kind(node) != "Ingress":
            continue
        notes = node.get("metadata", "annotations")
        annotations = dict(notes.items()) if notes is not None else {}
        called = node.get("spec", "ingressClassName")
        name = (called.text if called is not None else None) or class_of(annotations)
        read, idle = times_of(annotations, shown)
        secure, http2 = protocol_of(annotations)
        targets = [
            replace(one, tls=secure, http2=http2, read=_wait_of(name, one, manifests))
            for one in _backends(node, manifests, shown)
        ]
        yield Ingress(
            class_name=name,
            origin=Origin(file=shown, line=node.line),
            targets=targets,
            read=read or (_of_controller(documents, "proxy-read-timeout") if name == "nginx" else None),
            idle=idle or (_of_controller(documents, "upstream-keepalive-timeout") if name == "nginx" else None),
        )


def _by_kind(documents: Documents) -> Manifests:
    found: dict[str, list[tuple[Node, str]]] = {}
    for node, shown in documents:
        found.setdefault(_kind(node), []).append((node, shown))
    return Manifests(documents=found)


def _wait_of(class_name: str, target: ProxyTarget, manifests: Manifests) -> Fact[float] | None:
    """Return how long Google's load balancer waits for a Service, where its BackendConfig says it."""
    address = target.address.value
    return timeout_of_backend(manifests, address) if class_name.startswith("gce") and address is not None else None


def _of_controller(documents: Documents, key: str) -> Fact[float] | None:
    """Return what the ConfigMap of ingress-nginx sets for every Ingress.

    https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/configmap/
    """
    for node, shown in documents:
        found = node.get("data", key) if _kind(node) == "ConfigMap" else None
        seconds = docker_seconds(found.text or "") if found is not None else None
        if found is not None and seconds is not None:
            return Fact(seconds, Origin(file=shown, line=found.line))
    return None


def _backends(node: Node, manifests: Manifests, shown: str) -> Iterator[ProxyTarget]:
    """Yield the Services that an Ingress names, in every form of its API."""
    entries: list[Node | None] = [node.get("spec", "defaultBackend"), node.get("spec", "backend")]
    rules = node.get("spec", "rules")
    for rule in rules.elements() if rules is not None else ():
        paths = rule.get("http", "paths")
        entries += [path.get("backend") for path in paths.elements()] if paths is not None else []
    for entry in entries:
        if entry is None:
            continue
        name = entry.get("service", "name") or entry.get("serviceName")
        written = (
            entry.get("service", "port", "number") or entry.get("servicePort") or entry.get("service", "port", "name")
        )
        port = port_called(manifests, name, written)
        if name is not None and name.text and port is not None and (port.text or "").isdecimal():
            address = Address(host=name.text.lower(), port=int(port.text or 0))
            yield ProxyTarget(address=Fact(address, Origin(file=shown, line=name.line)))


def read_manifests(
    paths: Sequence[Path], *, base: Path, deployment: Deployment, rendered: Documents = ()
) -> list[Container]:
    """Read manifests that belong together and add a service for each container."""
    documents = [*_documents(paths, base, deployment), *rendered]
    _note_others(documents, deployment)
    config_maps = {_name(node): node for node, _ in documents if _kind(node) == "ConfigMap"}
    services = [node for node, _ in documents if _kind(node) == "Service"]
    found: list[Container] = []
    for node, shown in documents:
        if _kind(node) in _WORKLOADS:
            found += _workload(node, shown, config_maps, services)
    deployment.services += [container.service for container in found]
    return found


def read_config_maps(
    paths: Sequence[Path], *, base: Path, is_nginx: Callable[[str], bool], reach: Reach, rendered: Documents = ()
) -> Iterator[tuple[str, Inline]]:
    """Yield the nginx configurations in ConfigMaps, each with the map's name.

    Args:
        paths: The manifests; what cannot be read was reported when their workloads were read.
        base: Paths are shown relative to it.
        is_nginx: Tells whether a text is one.
        rendered: Manifests that a chart was rendered to.
        reach: Which files may be opened.
    """
    for node, shown in [*_documents(paths, base, Deployment(reach=reach)), *rendered]:
        data = node.get("data") if _kind(node) == "ConfigMap" else None
        for _, value in data.items() if data is not None else ():
            if value.text is not None and is_nginx(value.text):
                yield _name(node), Inline(value.text, shown, value.line)


def _documents(paths: Sequence[Path], base: Path, deployment: Deployment) -> list[tuple[Node, str]]:
    """Return every document of the manifests with its file's name; what cannot be read is a problem."""
    documents: list[tuple[Node, str]] = []
    for path in paths:
        text = read_text(path, base, deployment)
        shown = shown_path(path, base)
        if text is None:
            continue
        if "{{" in text:
            helm = _HELM.search(text) is not None
            what = f"{shown} is a Helm template" if helm else f"{shown} is a template"
            why = "its values are not among these files" + (
                ": run doctor on the output of `helm template`" if helm else ""
            )
            gap = NotChecked(what=what, why=why, origin=Origin(file=shown), kind=Gap.TEMPLATE)
            deployment.leave_out(gap)
            continue
        try:
            documents += [(one, shown) for node in load_all(text, shown) for one in _items(node)]
        except YamlProblem as problem:
            origin = Origin(file=shown, line=problem.line)
            if "{%" in text or "<%" in text:
                gap = NotChecked(
                    what=f"{shown} is a template",
                    why="its values are not here",
                    origin=Origin(file=shown),
                    kind=Gap.TEMPLATE,
                )
                deployment.leave_out(gap)
                continue
            deployment.problems.append(Problem(rule="C003", message=f"not a manifest: {problem}", origin=origin))
    return documents


def _items(node: Node) -> Iterator[Node]:
    """Yield a document, or what a ``List`` has in it."""
    items = node.get("items") if _kind(node) == "List" else None
    if items is None:
        yield node
        return
    yield from items.elements()


def _note_others(documents: Documents, deployment: Deployment) -> None:
    """Name what changes the picture and is not read: overlays, Knative's services, routes of other proxies."""
    for node, shown in documents:
        kind, version = _kind(node), node.get("apiVersion")
        of_knative = version is not None and (version.text or "").startswith("serving.knative.dev")
        what = why = ""
        if shown.rpartition("/")[2].startswith("kustomization.") and any(node.get(key) is not None for key in _CHANGES):
            folder = shown.rpartition("/")[0] or "."
            what, why = f"{shown} changes manifests", f"run doctor on the output of `kubectl kustomize {folder}`"
        elif of_knative and kind == "Service":
            what, why = f"{shown} is a Knative service", "doctor does not read this kind of file"
        elif kind in _ROUTES:
            what, why = (
                f"{shown}: {kind}: {_ROUTES[kind]} stands in front",
                "its times are not known: --front compares them",
            )
        gap = NotChecked(what=what, why=why, origin=Origin(file=shown, line=node.line))
        if what:
            deployment.leave_out(gap)


def _kind(node: Node) -> str:
    kind = node.get("kind")
    return (kind.text or "") if kind is not None else ""


def _name(node: Node) -> str:
    name = node.get("metadata", "name")
    return (name.text or "") if name is not None else ""


def _workload(node: Node, shown: str, maps: Mapping[str, Node], services: Sequence[Node]) -> Iterator[Container]:
    kind = _kind(node)
    paths = {"Pod": ("spec",), "CronJob": ("spec", "jobTemplate", "spec", "template", "spec")}
    template = node.get(*paths.get(kind, ("spec", "template", "spec")))
    containers = template.get("containers") if template is not None else None
    if template is None or containers is None:
        return
    labels_path = ("metadata", "labels") if kind == "Pod" else ("spec", "template", "metadata", "labels")
    labels = {key: value.text for key, value in labels.items()} if (labels := node.get(*labels_path)) else {}
    selecting = [one for one in services if _selects(one, labels)]
    side_cars = template.get("initContainers")
    every = list(containers.elements())
    for container in side_cars.elements() if side_cars is not None else ():
        restart = container.get("restartPolicy")
        if restart is not None and restart.text == "Always":
            every.append(container)
    for container in every:
        yield _container(container, node, template, shown, maps, selecting)


def _selects(service: Node, labels: Mapping[str, str | None]) -> bool:
    selector = service.get("spec", "selector")
    pairs = dict(selector.items()) if selector is not None else {}
    return bool(pairs) and all(labels.get(key) == value.text for key, value in pairs.items())


def _hosts(service: Node) -> Iterator[str]:
    """Yield the names that reach a Service. https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/."""
    name, namespace = _name(service), service.get("metadata", "namespace")
    space = (namespace.text if namespace is not None else None) or "default"
    yield name
    for rest in ("", ".svc", ".svc.cluster.local"):
        yield f"{name}.{space}{rest}"


def _service_ports(services: Sequence[Node], container: Node) -> Iterator[tuple[str, int, int | None]]:
    """Yield (host, port, port of the container) of each Service; None where the container does not have that port."""
    ports = container.get("ports")
    named: dict[str, str] = {}
    for item in ports.elements() if ports is not None else ():
        name, port = item.get("name"), item.get("containerPort")
        if name is not None and port is not None:
            named[name.text or ""] = port.text or ""
    for service in services:
        entries = service.get("spec", "ports")
        for entry in entries.elements() if entries is not None else ():
            port, target = entry.get("port"), entry.get("targetPort") or entry.get("port")
            if port is None or target is None or not (port.text or "").isdecimal():
                continue
            inside = named.get(target.text or "", target.text or "")
            for host in _hosts(service):
                yield host, int(port.text or 0), int(inside) if inside.isdecimal() else None


def _container(
    container: Node, workload: Node, template: Node, shown: str, maps: Mapping[str, Node], selecting: Sequence[Node]
) -> Container:
    name_node = container.get("name")
    name = (name_node.text or "") if name_node is not None else ""
    origin = Origin(file=shown, line=name_node.line if name_node is not None else container.line)
    command, arguments = container.get("command"), container.get("args")
    environment = _environment(container, maps, shown)
    argv = tuple(
        _expanded(item.text or "", environment)
        for part in (command, arguments)
        if part is not None
        for item in part.elements()
    )
    lines = [part.line for part in (command, arguments) if part is not None]
    ports = container.get("ports")
    found = []
    for item in ports.elements() if ports is not None else ():
        port = item.get("containerPort")
        if port is not None and (port.text or "").isdecimal():
            found.append(Fact(int(port.text or 0), Origin(file=shown, line=port.line)))
    settings = _settings(container, workload, template, shown)
    if selecting:
        settings["service_ports"] = Fact(tuple(_service_ports(selecting, container)), origin)
    service = Service(
        kind=ServiceKind.KUBERNETES,
        name=name or _name(workload),
        origin=origin,
        settings=ServiceFacts.of(settings),
        healthchecks=tuple(_probes(container, shown)),
        aliases=tuple(name for one in selecting for name in _hosts(one)),
        ports=tuple(found),
        volumes=_volumes(container, template, shown, _name(workload)),
        environment=environment,
    )
    place = Origin(file=shown, line=lines[0]) if lines else origin
    directory = container.get("workingDir")
    return Container(
        service=service,
        argv=argv,
        origin=place,
        overrides=command is not None,
        files=_mounted(container, template, maps, shown),
        workdir=(directory.text or "") if directory is not None else "",
    )


def _expanded(text: str, environment: Mapping[str, Fact[str]]) -> str:
    """Return a word with ``$(NAME)`` filled in, as Kubernetes does; ``$$(NAME)`` is a literal one.

    https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/
    """

    def value(found: re.Match[str]) -> str:
        if found[0].startswith("$$"):
            return found[0][1:]
        fact = environment.get(found[1])
        return fact.value if fact is not None and fact.known and fact.value is not None else f"{OPEN}{{{found[1]}}}"

    return re.sub(r"\$?\$\(([A-Za-z_][\w.-]*)\)", value, text)


def _mounted(container: Node, template: Node, maps: Mapping[str, Node], shown: str) -> dict[str, Inline]:
    """Return the files that ConfigMaps give a container: path inside -> text."""
    volumes: dict[str, list[tuple[str, Node]]] = {}
    entries = template.get("volumes")
    for entry in entries.elements() if entries is not None else ():
        name = entry.get("name")
        if name is not None:
            volumes[name.text or ""] = [
                file for source in _config_map_sources(entry) for file in _files_of(source, maps)
            ]
    found: dict[str, Inline] = {}
    mounts = container.get("volumeMounts")
    for mount in mounts.elements() if mounts is not None else ():
        name, path, sub_path = (mount.get(key) for key in ("name", "mountPath", "subPath"))
        files = volumes.get(name.text or "", ()) if name is not None else ()
        for file, value in files if path is not None and path.text else ():
            if value.text is None or path is None:
                continue
            inline = Inline(value.text, value.file or shown, value.line)
            if sub_path is None:
                found[f"{path.text or ''}".rstrip("/") + f"/{file}"] = inline
            elif sub_path.text == file and path.text:
                found[path.text] = inline
    return found


def _config_map_sources(volume: Node) -> Iterator[Node]:
    """Yield the ConfigMaps of a volume: its own, or those that it puts together."""
    own = volume.get("configMap")
    if own is not None:
        yield own
    several = volume.get("projected", "sources")
    for source in several.elements() if several is not None else ():
        one = source.get("configMap")
        if one is not None:
            yield one


def _files_of(source: Node, maps: Mapping[str, Node]) -> Iterator[tuple[str, Node]]:
    """Yield path and text of the files that a ConfigMap gives a volume: all of its keys, or its ``items``."""
    called = source.get("name")
    map_ = maps.get(called.text or "") if called is not None else None
    data = map_.get("data") if map_ is not None else None
    items = source.get("items")
    yield from data.items() if data is not None and items is None else ()
    for item in items.elements() if items is not None else ():
        key_, path = item.get("key"), item.get("path")
        found = data.get(key_.text or "") if data is not None and key_ is not None else None
        if found is not None and path is not None and path.text:
            yield path.text, found


def _settings(container: Node, workload: Node, template: Node, shown: str) -> dict[str, Fact[Any]]:
    default = Origin(file=shown, line=container.line, source=Source.DEFAULT, note="Kubernetes' default")
    found: dict[str, Fact[Any]] = {"stop_grace": Fact(STOP_SECONDS, default)}
    origin = Origin(file=shown, line=container.line)
    found["pod"] = Fact(f"{shown}:{_name(workload)}", origin)
    found["controller"] = Fact(_kind(workload), Origin(file=shown, line=workload.line))
    image = container.get("image")
    if image is not None and image.text:
        found["image"] = Fact(image.text, Origin(file=shown, line=image.line))
    volumes = template.get("volumes")
    maps = [
        source.get("name")
        for one in (volumes.elements() if volumes is not None else ())
        for source in _config_map_sources(one)
    ]
    found["config_maps"] = Fact(tuple(name.text for name in maps if name is not None), origin)
    grace = template.get("terminationGracePeriodSeconds")
    if grace is not None and grace.text:
        written = Origin(file=shown, line=grace.line)
        given = grace.text.isdecimal()
        found["stop_grace"] = Fact(float(grace.text), written) if given else unknown(written, grace.text)
    found |= _pre_stop(container, shown, default)
    replicas = workload.get("spec", "replicas")
    if replicas is not None and (replicas.text or "").isdecimal():
        found["replicas"] = Fact(int(replicas.text or 1), Origin(file=shown, line=replicas.line))
    cpu, memory = (container.get("resources", "limits", name) for name in ("cpu", "memory"))
    cores = _cores(cpu.text or "") if cpu is not None else None
    if cpu is not None and cores is not None:
        found["cpus"] = Fact(cores, Origin(file=shown, line=cpu.line))
    if memory is not None and (size := memory_bytes(memory.text or "")) is not None:
        found["memory"] = Fact(size, Origin(file=shown, line=memory.line))
    return found


def _cores(text: str) -> float | None:
    """Return the processors of ``500m`` or ``1.5``; None for anything else."""
    number = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)(m?)", text)
    return float(number[1]) / (1000 if number[2] else 1) if number is not None else None


def _pre_stop(container: Node, shown: str, default: Origin) -> dict[str, Fact[Any]]:
    node = container.get("lifecycle", "preStop")
    if node is None:
        return {"pre_stop": Fact(0.0, default)}
    origin = Origin(file=shown, line=node.line)
    seconds = node.get("sleep", "seconds")
    if seconds is not None and (seconds.text or "").isdecimal():
        return {"pre_stop": Fact(float(seconds.text or 0), origin)}
    command = node.get("exec", "command")
    words = [item.text or "" for item in command.elements()] if command is not None else []
    text = " ".join(words).split()
    called = {"pre_stop_command": Fact(" ".join(words), origin)} if words else {}
    for index, word in enumerate(text[:-1]):
        if word.endswith("sleep") and text[index + 1].rstrip("s;&").isdecimal():
            return {"pre_stop": Fact(float(text[index + 1].rstrip("s;&")), origin), **called}
    note = "a preStop whose duration the file does not tell"
    return {"pre_stop": Fact(None, Origin(file=shown, line=node.line, source=Source.UNKNOWN, note=note)), **called}


def _probes(container: Node, shown: str) -> Iterator[Healthcheck]:
    for kind in ("livenessProbe", "readinessProbe", "startupProbe"):
        node = container.get(kind)
        if node is None:
            continue
        path, command = node.get("httpGet", "path"), node.get("exec", "command")
        words: tuple[str, ...] = ("GET", path.text or "/") if path is not None else ("tcp",)
        if command is not None:
            words = tuple(item.text or "" for item in command.elements())
        origin = Origin(file=shown, line=node.line)
        yield Healthcheck(
            kind=kind,
            port=_probe_port(container, node),
            origin=origin,
            test=Fact(words, origin),
            interval=_seconds(node, "periodSeconds", 10.0, origin),
            timeout=_seconds(node, "timeoutSeconds", 1.0, origin),
            retries=Fact(int(_seconds(node, "failureThreshold", 3.0, origin).value or 3), origin),
            start_period=_seconds(node, "initialDelaySeconds", 0.0, origin),
        )


def _probe_port(container: Node, probe: Node) -> int | None:
    """Return the port that a probe asks, its name looked up; None where it asks none."""
    port = probe.get("httpGet", "port") or probe.get("tcpSocket", "port")
    if port is None or not port.text:
        return None
    ports = container.get("ports")
    for item in ports.elements() if ports is not None else ():
        name, number = item.get("name"), item.get("containerPort")
        if name is not None and number is not None and name.text == port.text:
            return int(number.text) if (number.text or "").isdecimal() and number.text else None
    return int(port.text) if port.text.isdecimal() else None


def _seconds(node: Node, name: str, default: float, origin: Origin) -> Fact[float]:
    found = node.get(name)
    if found is not None and (found.text or "").isdecimal():
        return Fact(float(found.text or 0), Origin(file=origin.file, line=found.line))
    if found is not None and found.text:
        return unknown(Origin(file=origin.file, line=found.line), found.text)
    note = "Kubernetes' default"
    return Fact(default, Origin(file=origin.file, line=origin.line, source=Source.DEFAULT, note=note))


def _volumes(container: Node, template: Node, shown: str, workload: str) -> tuple[tuple[Fact[str], str], ...]:
    mounts = container.get("volumeMounts")
    del template
    found = []
    for item in mounts.elements() if mounts is not None else ():
        name, path = item.get("name"), item.get("mountPath")
        if name is not None and path is not None and path.text:
            found.append((Fact(f"{workload}-{name.text}", Origin(file=shown, line=item.line)), path.text))
    return tuple(found)


def _environment(container: Node, maps: Mapping[str, Node], shown: str) -> dict[str, Fact[str]]:
    found: dict[str, Fact[str]] = {}
    sources = container.get("envFrom")
    for item in sources.elements() if sources is not None else ():
        data = _data(maps, item.get("configMapRef", "name"))
        for name, text in data.items() if data is not None else ():
            found[name] = Fact(text.text, Origin(file=shown, line=item.line))
    variables = container.get("env")
    for item in variables.elements() if variables is not None else ():
        called, value = item.get("name"), item.get("value")
        if called is None or not called.text:
            continue
        key = item.get("valueFrom", "configMapKeyRef", "key")
        if value is None and key is not None:
            data = _data(maps, item.get("valueFrom", "configMapKeyRef", "name"))
            value = data.get(key.text or "") if data is not None else None
        if value is not None:
            found[called.text] = Fact(value.text or "", Origin(file=shown, line=item.line))
    return found


def _data(maps: Mapping[str, Node], name: Node | None) -> Node | None:
    """Return the values of the ConfigMap of that name."""
    found = maps.get(name.text or "") if name is not None else None
    return found.get("data") if found is not None else None
