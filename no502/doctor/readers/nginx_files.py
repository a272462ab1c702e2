"""The files of one nginx: includes followed, templates filled in, dumps taken apart, everything bounded."""

from __future__ import annotations

import glob
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from no502.doctor.model import Deployment, NotChecked, Origin, Problem
from no502.doctor.readers.nginx_syntax import Directive, parse_text

__all__ = ["Tree", "read_tree"]

_MOST_BYTES = 32 * 1024 * 1024
_LONGEST_LINE = 1024 * 1024
_MOST_FILES = 2000
_DEEPEST = 16
_DUMP = re.compile(r"^# configuration file (\S+):\s*$", re.MULTILINE)
_ENVSUBST = re.compile(r"\$\{([A-Z][A-Z0-9_]*)\}|\$([A-Z][A-Z0-9_]{2,})\b")
_WELL_KNOWN = ("/etc/nginx/", "/usr/local/nginx/conf/", "/opt/nginx/conf/", "/usr/local/etc/nginx/")
_HARMLESS = re.compile(r"(?:^|/)(?:mime\.types|fastcgi_params|uwsgi_params|scgi_params|.*modules-enabled.*|.*\.types)$")


@dataclass
class Tree:
    """All directives of one nginx, includes in their places."""

    directives: list[Directive] = field(default_factory=list)
    comments: dict[str, dict[int, str]] = field(default_factory=dict)
    """File as shown -> line -> comment."""


@dataclass
class _Reader:
    root: Path
    """The folder that relative includes and ``/etc/nginx`` mean."""
    environment: Mapping[str, str]
    path_map: Mapping[str, str]
    deployment: Deployment
    base: Path
    """What paths are shown relative to."""
    tree: Tree = field(default_factory=Tree)
    dump: dict[str, tuple[str, int]] = field(default_factory=dict)
    dump_name: str = ""
    count: int = 0

    def read(self, path: Path, chain: tuple[str, ...]) -> list[Directive]:
        shown = self.show(path)
        text = self._load(path, shown)
        if text is None:
            return []
        parts = _DUMP.split(text)
        if len(parts) > 1 and not chain:
            return self._read_dump(parts, shown)
        return self._parse(text, shown, (*chain, str(path.resolve())), path.parent if chain else self.root, 0)

    def show(self, path: Path) -> str:
        try:
            return str(path.relative_to(self.base))
        except ValueError:
            return str(path)

    def _load(self, path: Path, shown: str) -> str | None:
        self.count += 1
        try:
            size = path.stat().st_size
            if size > _MOST_BYTES:
                self._problem(shown, 1, f"{size} bytes: too large to be a configuration (at most {_MOST_BYTES})")
                return None
            text = path.read_bytes().decode("utf-8-sig", errors="replace")
        except OSError as error:
            self._problem(shown, None, f"cannot be read: {error.strerror}")
            return None
        self.deployment.looked_at.append(shown)
        if "\0" in text:
            self._problem(shown, 1, "holds binary data")
            return None
        if any(len(line) > _LONGEST_LINE for line in text.split("\n")):
            self._problem(shown, 1, f"has a line of more than {_LONGEST_LINE} characters")
            return None
        return text

    def _read_dump(self, parts: list[str], shown: str) -> list[Directive]:
        """Take the output of ``nginx -T`` apart; the first file is the main one."""
        line = parts[0].count("\n") + 1
        for name, body in zip(parts[1::2], parts[2::2], strict=True):
            self.dump.setdefault(name, (body, line))
            line += body.count("\n")
        self.dump_name = shown
        first = parts[1]
        return self._parse_dumped(first, ())

    def _parse_dumped(self, name: str, chain: tuple[str, ...]) -> list[Directive]:
        body, line = self.dump[name]
        return self._parse(body, self.dump_name, (*chain, name), Path(name).parent, line - 1)

    def _parse(self, text: str, shown: str, chain: tuple[str, ...], folder: Path, shift: int) -> list[Directive]:
        syntax = parse_text(self._fill(text), shown)
        for line, message in syntax.problems:
            self._problem(shown, line + shift, message)
        comments = self.tree.comments.setdefault(shown, {})
        comments.update({line + shift: comment for line, comment in syntax.comments.items()})
        _shift(syntax.directives, shift)
        return self._expand(syntax.directives, chain, folder)

    def _fill(self, text: str) -> str:
        def value(found: re.Match[str]) -> str:
            return self.environment.get(found[1] or found[2], found[0])

        return _ENVSUBST.sub(value, text) if "$" in text else text

    def _expand(self, directives: list[Directive], chain: tuple[str, ...], folder: Path) -> list[Directive]:
        result: list[Directive] = []
        for one in directives:
            if one.name == "include" and one.args:
                result += self._include(one, chain, folder)
                continue
            if one.block is not None:
                one.block = self._expand(one.block, chain, folder)
            result.append(one)
        return result

    def _include(self, one: Directive, chain: tuple[str, ...], folder: Path) -> list[Directive]:
        wanted = one.args[0]
        if self.dump:
            return self._include_dumped(wanted, chain)
        found = self._find(wanted, folder)
        if not found:
            wild = any(char in wanted for char in "*?[")
            if not wild and not _HARMLESS.search(wanted):
                self._unchecked(one, wanted, "it is not among the files")
            return []
        result: list[Directive] = []
        for path in found:
            if str(path.resolve()) in chain:
                self._problem(one.file, one.line, f"include {wanted} leads back to a file that includes this one")
            elif len(chain) > _DEEPEST or self.count >= _MOST_FILES:
                self._unchecked(one, wanted, "includes are nested too deeply or too many")
            else:
                result += self.read(path, chain)
        return result

    def _include_dumped(self, wanted: str, chain: tuple[str, ...]) -> list[Directive]:
        pattern = wanted if wanted.startswith("/") else f"*/{wanted}"
        names = [name for name in self.dump if PurePosixPath(name).match(pattern) and name not in chain]
        return [one for name in names for one in self._parse_dumped(name, chain)]

    def _find(self, wanted: str, folder: Path) -> list[Path]:
        for candidate in self._candidates(wanted, folder):
            for pattern in (str(candidate), f"{candidate}.template"):
                paths = [Path(name) for name in sorted(glob.glob(pattern))]  # noqa: PTH207  nginx's own pattern syntax
                files = [path for path in paths if path.is_file()]
                if files:
                    return files
        return []

    def _candidates(self, wanted: str, folder: Path) -> list[Path]:
        if not wanted.startswith("/"):
            # The official image writes conf.d from the templates beside it.
            templates = [self.root / f"templates/{wanted.removeprefix('conf.d/')}"] if wanted[:7] == "conf.d/" else []
            return list(dict.fromkeys((self.root / wanted, folder / wanted, *templates)))
        found = []
        for inside, here in sorted(self.path_map.items(), key=lambda item: -len(item[0])):
            if wanted == inside or wanted.startswith(inside.rstrip("/") + "/"):
                found.append(Path(here + wanted[len(inside.rstrip("/")) :]))
        for known in _WELL_KNOWN:
            if wanted.startswith(known):
                rest = wanted.removeprefix(known)
                found += self._candidates(rest, folder)
                found += [self.root / PurePosixPath(rest).name, self.root.parent / rest]
        return found

    def _problem(self, shown: str, line: int | None, message: str) -> None:
        self.deployment.problems.append(Problem(rule="C001", message=message, origin=Origin(file=shown, line=line)))

    def _unchecked(self, one: Directive, wanted: str, why: str) -> None:
        origin = Origin(file=one.file, line=one.line)
        self.deployment.not_checked.append(NotChecked(what=f"include {wanted}", why=why, origin=origin))


def read_tree(
    path: Path, *, base: Path, environment: Mapping[str, str], path_map: Mapping[str, str], deployment: Deployment
) -> Tree:
    """Read a main file, a fragment, a template or a dump, with everything that it includes.

    Args:
        path: The file to begin with.
        base: Paths are shown relative to it.
        environment: Values for ``${NAME}``.
        path_map: Folders inside of nginx's container -> folders here.
        deployment: Takes problems, what could not be read, and the names of the files.
    """
    reader = _Reader(root=path.parent, environment=environment, path_map=path_map, deployment=deployment, base=base)
    reader.tree.directives = reader.read(path, ())
    return reader.tree


def _shift(directives: list[Directive], lines: int) -> None:
    if lines:
        for one in directives:
            one.line += lines
            _shift(one.block or [], lines)
