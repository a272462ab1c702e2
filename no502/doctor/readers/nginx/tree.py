"""The files of one nginx: includes followed, templates filled in, dumps taken apart, everything bounded."""

from __future__ import annotations

import codecs
import glob
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from no502.doctor.model import Deployment, Gap, NotChecked, Origin, Problem
from no502.doctor.readers.inline import Inline
from no502.doctor.readers.nginx.find import find_included, load
from no502.doctor.readers.nginx.syntax import Directive, parse_text
from no502.doctor.readers.nginx.values import shown
from no502.doctor.readers.texts import not_read, shown_path

__all__ = ["DISTRIBUTED", "Tree", "read_tree"]

_MOST_BYTES = 64 * 1024 * 1024
_MOST_FILES = 2000
_MOST_DIRECTIVES = 200_000
_DEEPEST = 16
_DUMP = re.compile(r"^# configuration file (\S+):\s*$", re.MULTILINE)
_ENVSUBST = re.compile(r"\$\{([A-Z][A-Z0-9_]*)\}|\$([A-Z][A-Z0-9_]{2,})\b")
_HARMLESS = re.compile(
    r"(?:^|/)(?:(?:mime\.types|(?:fastcgi|uwsgi|scgi)[_.]\w+|koi-(?:utf|win)|win-utf|snakeoil\.conf"
    r"|options-ssl-nginx\.conf|fastcgi-php\.conf)$|.*\.types$)"
)
DISTRIBUTED = {
    "proxy_params": "proxy_set_header Host $http_host;\nproxy_set_header X-Real-IP $remote_addr;\n"
    "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\nproxy_set_header X-Forwarded-Proto $scheme;\n",
}
"""Files that Debian and Ubuntu bring along. https://sources.debian.org/src/nginx/latest/debian/conf/proxy_params/"""


@dataclass
class Tree:
    """All directives of one nginx, includes in their places."""

    directives: list[Directive] = field(default_factory=list)
    comments: dict[str, dict[int, str]] = field(default_factory=dict)
    """File as shown -> line -> comment."""
    branches: set[str] = field(default_factory=set)
    """Files that are templates with conditions: both sides stand in the tree."""
    controls: dict[str, list[int]] = field(default_factory=dict)
    """File as shown -> lines of a template's statements."""


@dataclass
class _Text:
    """Where a file's directives come from."""

    text: str
    shown: str
    folder: Path
    shift: int = 0
    """Lines before it in a dump."""


@dataclass
class _Reader:
    root: Path
    """The folder that relative includes and ``/etc/nginx`` mean."""
    environment: Mapping[str, str]
    path_map: Mapping[str, str]
    deployment: Deployment
    base: Path
    """What paths are shown relative to."""
    known: Sequence[Path] = ()
    """Every nginx file of the project."""
    tree: Tree = field(default_factory=Tree)
    dump: dict[str, _Text] = field(default_factory=dict)
    parsed: dict[str, list[Directive]] = field(default_factory=dict)
    bytes: int = 0
    expanded: int = 0

    def main(self, path: Path) -> list[Directive]:
        """Read the first file, which may be a dump of all."""
        found = self._load(path)
        if found is None:
            return []
        parts = _DUMP.split(found.text)
        if len(parts) == 1:
            return self._read(str(path.resolve()), found, ())
        line = parts[0].count("\n")
        for name, body in zip(parts[1::2], parts[2::2], strict=True):
            self.dump.setdefault(name, _Text(body, found.shown, PurePosixPath(name).parent, line))  # type: ignore[arg-type]
            line += body.count("\n")
        return self._read(parts[1], self.dump[parts[1]], ())

    def inline(self, one: Inline) -> list[Directive]:
        """Read a configuration that is not a file of its own."""
        return self._read(f"{one.shown}:{one.before}", _Text(one.text, one.shown, self.root, one.before), ())

    def _load(self, path: Path) -> _Text | None:
        shown = shown_path(path, self.base)
        text, why = load(path, self.deployment.reach)
        if text is None:
            not_read(self.deployment, shown, why)
            return None
        self.bytes += len(text)
        self.deployment.looked_at.append(shown)
        if self.deployment.reach.head(path, 3) == codecs.BOM_UTF8:
            self._problem(shown, 1, "the file starts with a byte order mark, which nginx takes for a part of a name")
        return _Text(text, shown, path.parent)

    def _read(self, key: str, found: _Text, chain: tuple[str, ...]) -> list[Directive]:
        """Return a file's directives with its includes; each file is parsed once."""
        if key not in self.parsed:
            self.parsed[key] = self._parse(found)
        return self._expand(self.parsed[key], (*chain, key), found.folder)

    def _parse(self, found: _Text) -> list[Directive]:
        syntax = parse_text(self._fill(found.text), found.shown)
        for line, message in syntax.problems:
            if syntax.branches:
                # Both sides of a condition stand in the text, so that its braces need not match.
                where = Origin(file=found.shown, line=line + found.shift)
                why = "the template's branches change its braces"
                self.deployment.not_checked.append(NotChecked(what=found.shown, why=why, origin=where))
                return []
            self._problem(found.shown, line + found.shift, message)
        for line, expression in syntax.snippets:
            where = Origin(file=found.shown, line=line + found.shift)
            why = "a template inserts directives here that are not among these files"
            self.deployment.not_checked.append(NotChecked(what=expression, why=why, origin=where))
        if syntax.branches:
            self.tree.branches.add(found.shown)
            self.tree.controls[found.shown] = sorted(line + found.shift for line in syntax.controls)
        comments = self.tree.comments.setdefault(found.shown, {})
        comments.update({line + found.shift: comment for line, comment in syntax.comments.items()})
        return _shifted(syntax.directives, found.shift) if found.shift else syntax.directives

    def _fill(self, text: str) -> str:
        def value(found: re.Match[str]) -> str:
            return self.environment.get(found[1] or found[2], found[0])

        return _ENVSUBST.sub(value, text) if "$" in text else text

    def _expand(self, directives: Sequence[Directive], chain: tuple[str, ...], folder: Path) -> list[Directive]:
        result: list[Directive] = []
        for one in directives:
            self.expanded += 1
            if one.name == "include" and one.args:
                result += self._include(one, chain, folder)
            elif one.block:
                result.append(replace(one, block=self._expand(one.block, chain, folder)))
            else:
                result.append(one)
        return result

    def _include(  # noqa: C901  one step for each kind of target
        self, one: Directive, chain: tuple[str, ...], folder: Path
    ) -> list[Directive]:
        wanted = one.args[0]
        if "modules-enabled" in wanted:
            return []
        result: list[Directive] = []
        targets = self._targets(wanted, folder, chain)
        brought = DISTRIBUTED.get(PurePosixPath(wanted).name) if not targets else None
        if brought is not None:
            return [replace(line, file=one.file, line=one.line) for line in parse_text(brought, one.file).directives]
        if not targets and not any(char in wanted for char in "*?[") and not _HARMLESS.search(wanted):
            self._unchecked(one, "it is not among the files")
        for key, path in targets:
            known = key in self.parsed or path is None
            if key in chain:
                self._problem(one.file, one.line, f"include {wanted} leads back to a file that includes this one")
            elif len(chain) > _DEEPEST or self.expanded > _MOST_DIRECTIVES:
                self._unchecked(one, "includes are nested too deeply or repeat too much")
            elif not known and (len(self.parsed) >= _MOST_FILES or self.bytes > _MOST_BYTES):
                self._unchecked(one, "too many or too large files")
            elif path is None:
                result += self._read(key, self.dump[key], chain)
            elif known:
                result += self._expand(self.parsed[key], (*chain, key), path.parent)
            elif (found := self._load(path)) is not None:
                result += self._read(key, found, chain)
            else:
                self.parsed[key] = []
        return result

    def _targets(self, wanted: str, folder: Path, chain: tuple[str, ...]) -> list[tuple[str, Path | None]]:
        """Return key and path of every file that an include means; in a dump there is no path."""
        if self.dump:
            main = PurePosixPath(next(iter(self.dump))).parent
            pattern = wanted if wanted.startswith("/") else str(main / wanted)
            return [(name, None) for name in self.dump if PurePosixPath(name).match(pattern)]
        found = find_included(
            wanted, root=self.root, folder=folder, path_map=self.path_map, reach=self.deployment.reach
        )
        keyed = [(str(path.resolve()), path) for path in found]
        if not keyed and not glob.has_magic(wanted):
            keyed = self._by_name(wanted, chain)
        if not glob.has_magic(wanted):
            return [*keyed]
        # Where the folder of a pattern is not here, the main file's own is a guess: of that only files of nginx count,
        # and never the file itself.
        ours = {str(path.resolve()) for path in self.known}
        return [
            (key, path)
            for key, path in keyed
            if _same_folder(path, wanted) or (key not in chain and (not ours or key in ours or self._mapped(path)))
        ]

    def _mapped(self, path: Path) -> bool:
        """Whether nginx's container has the file among its own ones, by a volume or by its image."""
        real = path.resolve()
        places = [Path(here).resolve() for inside, here in self.path_map.items() if "nginx" in inside]
        return any(here == real or here in real.parents for here in places)

    def _by_name(self, wanted: str, chain: tuple[str, ...]) -> list[tuple[str, Path]]:
        """Return the only file of the project that has the name of an include whose path leads nowhere here."""
        name = PurePosixPath(wanted).name
        names = {name, *(f"{name}{suffix}" for suffix in (".template", ".tmpl", ".j2", ".conf", ".erb"))}
        found = [path for path in self.known if path.name in names and str(path.resolve()) not in chain]
        return [(str(found[0].resolve()), found[0])] if len(found) == 1 else []

    def _problem(self, shown: str, line: int | None, message: str) -> None:
        problem = Problem(rule="C001", message=message, origin=Origin(file=shown, line=line))
        if problem not in self.deployment.problems:
            self.deployment.problems.append(problem)

    def _unchecked(self, one: Directive, why: str) -> None:
        origin = Origin(file=one.file, line=one.line)
        entry = NotChecked(what=f"include {shown(one.args[0])}", why=why, origin=origin, kind=Gap.INCLUDE)
        self.deployment.leave_out(entry)


def _same_folder(path: Path, wanted: str) -> bool:
    """Whether a pattern names the folder that the file is in, so that nginx would find the file as well."""
    return path.parent.name == PurePosixPath(wanted).parent.name


def read_tree(
    path: Path,
    *,
    base: Path,
    environment: Mapping[str, str],
    path_map: Mapping[str, str],
    deployment: Deployment,
    beside: Sequence[Path] = (),
    inline: Inline | None = None,
    known: Sequence[Path] = (),
) -> Tree:
    """Read a main file, a fragment, a template or a dump, with everything that it includes.

    Args:
        path: The file to begin with.
        beside: Other fragments that the same nginx reads at the same level.
        inline: What is read instead of ``path``, whose folder is still where includes are looked for.
        known: Every nginx file of the project.
        base: Paths are shown relative to it.
        environment: Values for ``${NAME}``.
        path_map: Folders or files inside nginx's container -> those here.
        deployment: Takes problems, what could not be read, and the names of the files.
    """
    reader = _Reader(
        root=path.parent, environment=environment, path_map=path_map, deployment=deployment, base=base, known=known
    )
    reader.tree.directives = reader.inline(inline) if inline is not None else reader.main(path)
    for file in beside:
        if str(file.resolve()) not in reader.parsed:
            reader.tree.directives += reader.main(file)
    return reader.tree


def _shifted(directives: Sequence[Directive], lines: int) -> list[Directive]:
    return [
        replace(one, line=one.line + lines, block=None if one.block is None else _shifted(one.block, lines))
        for one in directives
    ]
