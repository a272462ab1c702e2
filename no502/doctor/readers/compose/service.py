"""One service of a Compose file into the model, with what its image does by itself."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from no502.doctor.model import Deployment, Fact, NotChecked, Origin, Problem, Service, ServiceKind, Source
from no502.doctor.reach import Reach
from no502.doctor.readers.compose.health import read_health
from no502.doctor.readers.dockerfile import Image, Written, argv_of, read_dockerfile
from no502.doctor.readers.durations import docker_seconds, memory_bytes
from no502.doctor.readers.inline import Inline
from no502.doctor.readers.server_words import note_problem, unknown
from no502.doctor.readers.shell.expansion import OPEN, interpolate
from no502.doctor.readers.texts import read_environment, read_text, shown_path
from no502.doctor.readers.yaml_nodes import Node
from no502.doctor.settings import ServiceFacts

__all__ = ["STOP_SECONDS", "ComposeService", "ServiceReader", "copied_files", "note_start"]

_MOST_COPIES, _MOST_WILD = 500, 2
_FOLDERS = re.compile(r"^/etc/nginx/(?:[\w-]+\.d|templates|sites-[a-z]+|snippets|includes|conf)$|^/etc/nginx$")
"""Folders that nginx's image has already: COPY FILE FOLDER puts the file into them."""
STOP_SECONDS = 10.0  # https://docs.docker.com/reference/compose-file/services/#stop_grace_period


@dataclass(kw_only=True)
class ComposeService:
    """A service with what the other readers need of it."""

    service: Service
    argv: tuple[str, ...]
    """The command that runs, entrypoint included; empty where the image's own is not among the files."""
    origin: Origin
    image: Image | None
    """What it is built from here."""
    context: Path | None
    """The folder that its image is built from."""
    mounts: Mapping[str, Path] = field(default_factory=dict)
    """Path inside -> path here."""
    workdir: str = ""
    """The working directory inside, where the files say it."""
    labels: Mapping[str, Fact[str]] = field(default_factory=dict)
    inline: Mapping[str, Inline] = field(default_factory=dict)
    """Path inside -> text of a config that stands in the Compose file itself."""


class ServiceReader:
    """Reads one service; ``read`` returns it."""

    def __init__(
        self,
        name: str,
        node: Node,
        shown: str,
        folder: Path,
        base: Path,
        values: Mapping[str, str],
        deployment: Deployment,
    ) -> None:
        self._name, self._node, self._shown, self._folder, self._base = name, node, shown, folder, base
        self._values, self._deployment = values, deployment
        self._settings: dict[str, Fact[Any]] = {}

    def read(self) -> ComposeService:
        """Return the service."""
        origin = Origin(file=self._shown, line=self._node.line)
        image, context = self._image()
        argv, command_origin = self._argv(image, origin)
        mounts, volumes = self._volumes()
        if image is not None and context is not None:
            mounts = {**copied_files(image, context, self._deployment.reach), **mounts}
        self._limits()
        self._stop(image, origin)
        depends_on, aliases, ports = self._depends_on(), self._aliases(), self._ports(image)
        service = Service(
            kind=ServiceKind.COMPOSE,
            name=self._name,
            origin=origin,
            settings=ServiceFacts.of(self._settings),
            depends_on=depends_on,
            healthchecks=read_health(self._node.get("healthcheck"), image, self._fill, self._words),
            aliases=aliases,
            ports=ports,
            volumes=volumes,
            environment=self._environment(image),
        )
        return ComposeService(
            service=service,
            argv=argv,
            origin=command_origin,
            image=image,
            context=context,
            mounts=mounts,
            inline=image.files if image is not None else {},
            labels=self._labels(),
            workdir=(self._text("working_dir") or Fact(image.workdir if image else "", origin)).value or "",
        )

    def _at(self, node: Node) -> Origin:
        return Origin(file=node.file or self._shown, line=node.line)

    def _text(self, *path: str) -> Fact[str] | None:
        """Return a scalar, interpolated; None where there is none."""
        node = self._node.get(*path)
        if node is None or node.text is None:
            return None
        return self._fill(node)

    def _fill(self, node: Node) -> Fact[str]:
        text = interpolate(node.text or "", self._values)
        origin = self._at(node)
        if OPEN in text:
            return unknown(origin, f"{node.text} has no value among the files", Source.TEMPLATE)
        return Fact(text, origin)

    def _image(self) -> tuple[Image | None, Path | None]:
        image = self._text("image")
        if image is not None:
            self._settings["image"] = image
        build = self._node.get("build")
        if build is None:
            return None, None
        origin = self._at(build)
        self._settings["build"] = Fact(True, origin)
        context = build.text or (self._text("build", "context") or Fact(".", origin)).value or "."
        folder = (self._folder / interpolate(context, self._values)).resolve()
        args = self._node.get("build", "args")
        arguments = {key: str(node.text) for key, node in args.items() if node.text} if args else {}
        target = (self._text("build", "target") or Fact("", origin)).value or ""
        written = self._node.get("build", "dockerfile_inline")
        if written is not None and written.text:
            inline = "\n" * written.line + interpolate(written.text, self._values)
            return read_dockerfile(inline, written.file or self._shown, target=target, arguments=arguments), folder
        name = (self._text("build", "dockerfile") or Fact(None, origin)).value or "Dockerfile"
        path = folder / name
        if not self._deployment.reach.has(path):
            why = f"{shown_path(path, self._base)} is not among the files"
            if Reach().has(path):
                why = f"{name} is outside the given paths (pass --outside to read it)"
            what = f"the image of {self._name}"
            self._deployment.not_checked.append(NotChecked(what=what, why=why, origin=origin))
            return None, folder
        text = read_text(path, self._base, self._deployment)
        return read_dockerfile(text or "", shown_path(path, self._base), target=target, arguments=arguments), folder

    def _argv(self, image: Image | None, origin: Origin) -> tuple[tuple[str, ...], Origin]:
        command, entrypoint = self._node.get("command"), self._node.get("entrypoint")
        own, first = self._words(command), self._words(entrypoint)
        note_start(image, own, first, self._deployment)
        argv = argv_of(image, own, first)
        if command is not None and own:
            return argv, self._at(command)
        if entrypoint is not None and first is not None:
            return argv, Origin(file=self._shown, line=entrypoint.line)
        written = image.cmd or image.entrypoint if image is not None else None
        return argv, self._written(written) or origin

    @staticmethod
    def _written(written: Written | None) -> Origin | None:
        return Origin(file=written.file, line=written.line) if written else None

    def _words(self, node: Node | None) -> tuple[str, ...] | None:
        if node is None or node.value is None:
            return None
        if isinstance(node.value, list):
            return tuple(interpolate(item.text or "", self._values) for item in node.elements())
        # Compose splits a text as a shell does, and no shell runs.
        text = interpolate(node.text or "", self._values)
        try:
            return tuple(shlex.split(text))
        except ValueError:
            return tuple(text.split())

    def _stop(self, image: Image | None, origin: Origin) -> None:
        default = Origin(file=origin.file, line=origin.line, source=Source.DEFAULT, note="Docker's default")
        grace = self._text("stop_grace_period")
        if grace is None:
            self._settings["stop_grace"] = Fact(STOP_SECONDS, default)
        else:
            seconds = docker_seconds(grace.value or "") if grace.known else None
            self._settings["stop_grace"] = (
                Fact(seconds, grace.origin)
                if seconds is not None
                else unknown(
                    grace.origin,
                    grace.origin.note or "not a duration",
                    Source.TEMPLATE if not grace.known else Source.UNKNOWN,
                )
            )
        signal = self._text("stop_signal")
        if signal is not None:
            self._settings["stop_signal"] = signal
        elif image is not None and image.stop_signal is not None:
            shown = image.cmd.file if image.cmd else origin.file
            self._settings["stop_signal"] = Fact(image.stop_signal[1], Origin(file=shown, line=image.stop_signal[0]))
        for name in ("network_mode", "restart", "user"):
            fact = self._text(name)
            if fact is not None:
                self._settings[name] = fact

    def _limits(self) -> None:
        for name, paths in {
            "cpus": (("deploy", "resources", "limits", "cpus"), ("cpus",)),
            "memory": (("deploy", "resources", "limits", "memory"), ("mem_limit",)),
            "replicas": (("deploy", "replicas"), ("scale",)),
        }.items():
            fact = next((found for path in paths if (found := self._text(*path)) is not None), None)
            if fact is None or not fact.known:
                continue
            value = memory_bytes(fact.value or "") if name == "memory" else _number(fact.value or "")
            if value is not None:
                self._settings[name] = Fact(int(value) if name == "replicas" else value, fact.origin)
        sysctls = self._node.get("sysctls", "net.core.somaxconn")
        if sysctls is not None and (sysctls.text or "").isdecimal():
            self._settings["somaxconn"] = Fact(int(sysctls.text or 0), self._at(sysctls))
        networks = self._node.get("networks")
        for _, network in networks.items() if networks else ():
            address = network.get("ipv4_address")
            if address is not None and address.text:
                self._settings["ipv4_address"] = self._fill(address)

    def _depends_on(self) -> dict[str, Fact[str]]:
        node = self._node.get("depends_on")
        if node is None:
            return {}
        found = {}
        for item in node.elements():
            if item.text:
                found[item.text] = Fact("service_started", self._at(item))
        for name, options in node.items():
            condition = options.get("condition")
            line = condition.line if condition else options.line
            text = (condition.text if condition else None) or "service_started"
            found[name] = Fact(text, Origin(file=self._shown, line=line))
        return found

    def _aliases(self) -> tuple[str, ...]:
        found = [fact.value for name in ("container_name", "hostname") if (fact := self._text(name)) and fact.value]
        networks = self._node.get("networks")
        for _, network in networks.items() if networks else ():
            aliases = network.get("aliases")
            found += [alias.text for alias in aliases.elements() if alias.text] if aliases else []
        return tuple(dict.fromkeys(found))

    def _ports(self, image: Image | None) -> tuple[Fact[int], ...]:
        found: list[Fact[int]] = []
        published: list[tuple[int, int]] = []
        for name in ("expose", "ports"):
            node = self._node.get(name)
            for item in node.elements() if node else ():
                pair = self._port(item)
                if pair is not None:
                    found.append(Fact(pair[1], self._at(item)))
                    if name == "ports" and pair[0]:
                        published.append((pair[0], pair[1]))
        if published:
            self._settings["published"] = Fact(tuple(published), Origin(file=self._shown, line=self._node.line))
        if image is not None:
            shown = image.cmd.file if image.cmd else self._shown
            found += [Fact(port, Origin(file=shown, line=line)) for line, port in image.ports]
        return tuple(found)

    def _port(self, item: Node) -> tuple[int, int] | None:
        """Return what is published (0 for nothing) and the port inside."""
        if isinstance(item.value, dict):
            texts = [
                self._fill(item.value[key]).value if key in item.value else None for key in ("published", "target")
            ]
        else:
            *front, inside = (self._fill(item).value or "").split("/")[0].split(":")
            texts = [front[-1] if front else None, inside]
        outside, target = (int(text) if text is not None and text.isdecimal() else 0 for text in texts)
        return (outside, target) if target else None

    def _volumes(self) -> tuple[dict[str, Path], tuple[tuple[Fact[str], str], ...]]:
        node, mounts, found = self._node.get("volumes"), {}, []
        for item in node.elements() if node else ():
            if isinstance(item.value, dict):
                source = self._fill(item.value["source"]) if "source" in item.value else None
                target = self._fill(item.value["target"]).value if "target" in item.value else None
            else:
                parts = (self._fill(item).value or "").split(":")
                source = Fact(parts[0], self._at(item)) if len(parts) > 1 else None
                target = parts[1] if len(parts) > 1 else None
            if source is None or not target or source.value is None:
                continue
            if source.value.startswith((".", "/", "~")):
                path = (self._folder / source.value).resolve()
                mounts[target] = path
                source = Fact(str(path), source.origin)
            found.append((source, target))
        return mounts, tuple(found)

    def _environment(self, image: Image | None) -> dict[str, Fact[str]]:
        shown = image.cmd.file if image and image.cmd else self._shown
        found = {name: Fact(value, Origin(file=shown)) for name, value in (image.environment if image else {}).items()}
        found |= self._from_files()
        node = self._node.get("environment")
        if node is None:
            return found
        pairs: list[tuple[str, Node]] = []
        for item in node.elements():
            name, equals, value = (item.text or "").partition("=")
            pairs.append((name, Node(value if equals else None, item.line, item.file)))
        for key, item in [*pairs, *node.items()]:
            if item.text is not None:
                found[key] = self._fill(item)
            elif key in self._values:
                found[key] = Fact(self._values[key], self._at(item))
        return found

    def _labels(self) -> dict[str, Fact[str]]:
        found: dict[str, Fact[str]] = {}
        for path in (("labels",), ("deploy", "labels")):
            node = self._node.get(*path)
            for key, item in node.items() if node is not None else ():
                found[key] = self._fill(item)
            for item in node.elements() if node is not None else ():
                name, _, value = (item.text or "").partition("=")
                found[name] = self._fill(Node(value, item.line, item.file))
        return found

    def _from_files(self) -> dict[str, Fact[str]]:
        files = self._node.get("env_file")
        if files is None:
            return {}
        found: dict[str, Fact[str]] = {}
        for item in [files] if files.text else files.elements():
            inner = item.get("path")
            name = item.text or (inner.text if inner is not None else None)
            if name:
                path = self._folder / name
                origin = Origin(file=shown_path(path, self._base))
                found |= {
                    key: Fact(value, origin) for key, value in read_environment(path, self._deployment.reach).items()
                }
        return found


def note_start(
    image: Image | None, command: Sequence[str] | None, entrypoint: Sequence[str] | None, deployment: Deployment
) -> None:
    """Note where the commands of an image keep its container from starting, or have no effect."""
    if image is None or entrypoint is not None:
        return
    used = [image.entrypoint, image.cmd if command is None else None]
    for written in used:
        if written is not None and written.problem:
            origin = Origin(file=written.file, line=written.line)
            fix = "Write JSON: double quotes around each word and a comma between two, no comma at the end."
            note_problem(deployment, written.problem, origin, fix)
    first, cmd = image.entrypoint, image.cmd
    if command is not None or first is None or not first.shell_form or cmd is None or not cmd.argv:
        return
    if re.search(r"\$[@*0-9]|\$\{[@*0-9]", first.argv[-1]) is None:
        message = "CMD has no effect: ENTRYPOINT is in shell form, which ignores CMD"
        origin = Origin(file=cmd.file, line=cmd.line)
        fix = "Write ENTRYPOINT in exec form (JSON), or put the arguments of CMD into it."
        problem = Problem(rule="C006", message=message, origin=origin, fix=fix)
        if problem not in deployment.problems:
            deployment.problems.append(problem)


def copied_files(image: Image, context: Path, reach: Reach) -> dict[str, Path]:
    """Return what an image copies from its build context: path inside -> path here."""
    found: dict[str, Path] = {}
    for source, target in image.copies:
        if "$" in source or "\0" in source + target or ".." in Path(source).parts:
            continue
        for path in _sources(source.lstrip("/"), context):
            folder = target.endswith("/") or _FOLDERS.search(target) is not None
            inside = f"{target.rstrip('/')}/{path.name}" if folder and not reach.holds(path) else target
            found[inside] = path.resolve()
    return found


def _sources(source: str, context: Path) -> Sequence[Path]:
    """Return the files and folders that a source of COPY means; a pattern may have wildcards in two of its parts."""
    if not any(char in source for char in "*?["):
        return [context / source]
    wild = [part for part in source.split("/") if any(char in part for char in "*?[")]
    if len(wild) > _MOST_WILD or "**" in source:
        return []
    try:
        return sorted(itertools.islice(context.glob(source), _MOST_COPIES))
    except (OSError, ValueError):
        return []


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
