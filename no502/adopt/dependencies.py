"""What the application's environment needs for the copies: gunicorn, a recent uvicorn and python-dotenv."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from no502.adopt.locate import indent_at
from no502.adopt.needs import least_of, needed
from no502.adopt.starts import Start
from no502.adopt.workspace import Workspace

__all__ = ["adopt_dependencies"]

_NAMES = (
    "requirements.txt",
    "requirements/base.txt",
    "requirements/common.txt",
    "requirements/prod.txt",
    "requirements/production.txt",
    "requirements.in",
    "requirements/base.in",
)
_LOCKS = ("uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock")
_VERSIONS = tuple(
    Version(text)
    for text in (
        *(f"{major}.{minor}" for major in range(3) for minor in range(100)),
        *(f"{major}.0" for major in range(3, 60)),
    )
)
"""Versions by which a requirement is judged."""
_PACKAGE = re.compile(
    r"(?<=\s)(?P<quote>[\"']?)(?P<name>[A-Za-z][\w.-]*(?:\[[\w,-]+\])?(?:(?:[=<>~!]=?|===)[\w.*]+(?:,[=<>~!]=?[\w.*]+)*)?)(?P=quote)(?=\s|$|;)"
)
_SERVED = re.compile(r"(?:uvicorn|gunicorn|fastapi|starlette|django|quart)(?![\w-])", re.IGNORECASE)
_WHY_NEW = "the copies run on gunicorn and uvicorn, and read .env"


@dataclass(frozen=True)
class _Wrong:
    """A requirement that is there and too old, or missing."""

    name: str
    found: str
    """As it is written; empty where it is missing."""


def _too_old(one: _Wrong) -> str:
    return f"{one.name} {least_of(one.name)} or later: {one.found} may be too old for the copies"


def adopt_dependencies(space: Workspace, start: Start) -> list[str]:
    """Add what is missing to the file that lists the dependencies; return what is left to a person."""
    folders = list(dict.fromkeys([start.home, start.built.context if start.built is not None else "", ""]))
    candidates = [f"{folder}/{name}".lstrip("/") for folder in folders for name in (*_NAMES, "pyproject.toml")]
    for name in candidates:
        if not space.has(name):
            continue
        done = _pyproject(space, name) if name.endswith(".toml") else _requirements(space, name)
        if done is not None:
            return [*done, *_locks(space, name)]
    if start.built is not None and _installed(space, start.built.file):
        return []
    every = ", ".join(map(str, needed().values()))
    return [f"install {every} where the application runs: no file here lists its dependencies"]


def _locks(space: Workspace, name: str) -> list[str]:
    folder = name.rpartition("/")[0]
    found = [lock for lock in _LOCKS if space.has(f"{folder}/{lock}".lstrip("/"))]
    return [f"{lock} does not have the new dependencies yet: lock again" for lock in found if _changed(space, name)]


def _changed(space: Workspace, name: str) -> bool:
    return (space.root / name).read_bytes() != space.before.get(name)


def _wrong(requirements: list[str]) -> Iterator[_Wrong]:
    """Yield what is missing and what forbids every version that is needed."""
    parsed: dict[str, tuple[Requirement, str]] = {}
    standard = False
    for text in requirements:
        try:
            found = Requirement(text)
        except InvalidRequirement:
            continue
        name = found.name.lower().replace("_", "-")
        parsed[name] = (found, text)
        standard = standard or (name in {"uvicorn", "fastapi"} and bool(found.extras & {"standard", "all"}))
    for name in needed():
        if name not in parsed:
            if name != "python-dotenv" or not (standard or "uvicorn" not in parsed):
                yield _Wrong(name, "")
        elif not _allows(parsed[name][0].specifier, least_of(name)):
            yield _Wrong(name, parsed[name][1])


def _allows(specifier: SpecifierSet, least: str) -> bool:
    """Whether only versions from the least one on are allowed, and some is."""
    pins = [Version(one.version.removesuffix(".*")) for one in specifier if one.operator in {"==", "===", "~="}]
    allowed = [version for version in (*_VERSIONS, *pins) if specifier.contains(version, prereleases=True)]
    return bool(allowed) and all(version >= Version(least) for version in allowed)


def _requirements(space: Workspace, name: str) -> list[str] | None:
    """Change a list of pip's; None where it is not the one that has the server."""
    text = space.text(name)
    lines = text.split("\n")
    plain = [re.split(r"\s+#|\s+--|;", line)[0].strip() for line in lines]
    named = " ".join(plain).lower()
    if not re.search(r"\b(?:uvicorn|gunicorn|fastapi|starlette|django|litestar|quart)\b", named):
        return None
    wrong = list(_wrong([line for line in plain if line and not line.startswith(("#", "-"))]))
    if not wrong:
        return []
    if "--hash=" in text:
        wanted = ", ".join(str(needed()[one.name]) for one in wrong)
        return [f"{name}: {wanted}; the file has hashes, so compile it again"]
    for one in wrong:
        if one.found:
            at = plain.index(one.found)
            lines[at] = lines[at].replace(one.found, _relaxed(one), 1)
            space.note(name, at + 1, _too_old(one))
        else:
            end = len(lines) - 1 if not lines[-1] else len(lines)
            lines.insert(end, str(needed()[one.name]))
            space.note(name, None, f"{needed()[one.name]}: {_WHY_NEW}")
    space.put(name, "\n".join(lines))
    return []


def _relaxed(one: _Wrong) -> str:
    """Return a requirement with its extras that allows what is needed."""
    found = Requirement(one.found)
    extras = f"[{','.join(sorted(found.extras))}]" if found.extras else ""
    return f"{found.name}{extras}>={least_of(one.name)}"


def _pyproject(space: Workspace, name: str) -> list[str] | None:
    text = space.text(name)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None
    listed = data.get("project", {}).get("dependencies")
    if isinstance(listed, list) and listed:
        return _listed(space, name, text, [str(item) for item in listed])
    poetry = data.get("tool", {}).get("poetry", {}).get("dependencies")
    if isinstance(poetry, dict):
        return _poetry(space, name, text, poetry)
    return None


def _listed(space: Workspace, name: str, text: str, listed: list[str]) -> list[str]:
    found = re.search(r"^\[project\][^\[]*?^dependencies\s*=\s*\[", text, re.MULTILINE | re.DOTALL)
    wrong = list(_wrong(listed))
    if not wrong:
        return []
    if found is None:
        return [f"{name}: add {', '.join(str(needed()[one.name]) for one in wrong)} to dependencies"]
    begin = found.end()
    items = list(re.finditer(r"\"[^\"\n]*\"|'[^'\n]*'", text[begin:]))[: len(listed)]
    last = items[-1]
    new = ""
    several = "\n" in text[begin : begin + last.start()]
    lead = indent_at(text, text.rfind("\n", 0, begin + last.start()) + 1)
    for one in wrong:
        if not one.found:
            new += f',\n{lead}"{needed()[one.name]}"' if several else f', "{needed()[one.name]}"'
            space.note(name, None, f"{needed()[one.name]}: {_WHY_NEW}")
    at = begin + last.end()
    text = text[:at] + new + text[at:]
    for one in wrong:
        if one.found:
            text = text.replace(one.found, _relaxed(one), 1)
            space.note(name, None, _too_old(one))
    space.put(name, text)
    return []


def _poetry(space: Workspace, name: str, text: str, listed: dict[str, object]) -> list[str]:
    requirements = []
    for package, value in listed.items():
        version = value.get("version", "*") if isinstance(value, dict) else value
        extras = value.get("extras", []) if isinstance(value, dict) else []
        shown = f"[{','.join(extras)}]" if extras else ""
        requirements.append(f"{package}{shown}{_pep(str(version))}")
    lines = ""
    for one in _wrong(requirements):
        if one.found:
            pattern = re.compile(
                rf"^({re.escape(one.name)}\s*=\s*(?:\{{.*?\bversion\s*=\s*)?)([\"'])[^\"'\n]*\2", re.MULTILINE
            )
            text = pattern.sub(rf'\g<1>">={least_of(one.name)}"', text, count=1)
            space.note(name, None, _too_old(one))
        elif one.name == "uvicorn":
            extras = ", ".join(f'"{extra}"' for extra in sorted(needed()[one.name].extras))
            lines += f'uvicorn = {{extras = [{extras}], version = ">={least_of(one.name)}"}}\n'
        else:
            lines += f'{one.name} = ">={least_of(one.name)}"\n'
    found = re.search(r"^\[tool\.poetry\.dependencies\]\n(?:(?!\[).*\S.*\n)*", text, re.MULTILINE)
    if found is None:
        return [f"{name}: add {', '.join(map(str, needed().values()))} to tool.poetry.dependencies"]
    space.put(name, text[: found.end()] + lines + text[found.end() :], _WHY_NEW if lines else "")
    return []


def _pep(version: str) -> str:
    """Return a constraint of Poetry's as one of pip's, as far as it decides about a newer version."""
    version = version.strip()
    found = re.fullmatch(r"\^(\d+)(?:\.(\d+))?.*", version)
    if found is not None:
        major, minor = int(found[1]), int(found[2] or 0)
        return f">={version[1:]},<{major + 1}" if major else f">={version[1:]},<0.{minor + 1}"
    if version.startswith("~"):
        return "~=" + version[1:].lstrip("=")
    if re.fullmatch(r"[\d.]+", version):
        return f"=={version}"
    return "" if version in {"*", ""} else version


def _installed(space: Workspace, file: str) -> bool:
    """Add what is missing to a Dockerfile's ``pip install``; return whether it names the server or a framework."""
    text = space.text(file)
    pattern = re.compile(
        r"^[ \t]*RUN\b(?:.*\\\n)*.*\b(?:pip3?|uv pip)\s+install\b(?:.*\\\n)*.*$", re.MULTILINE | re.IGNORECASE
    )
    for found in pattern.finditer(text):
        words = list(_PACKAGE.finditer(found[0]))
        named = [word for word in words if _SERVED.match(word["name"])]
        if not named:
            continue
        new = ""
        edits: list[tuple[int, int, str]] = []
        for one in _wrong([word["name"] for word in words]):
            place = next((word for word in words if word["name"] == one.found), None)
            if place is not None:
                edits.append((*place.span(), f"'{_relaxed(one)}'"))
            else:
                new += f" '{needed()[one.name]}'"
        edits.append((named[-1].end(), named[-1].end(), new))
        changed = found[0]
        for start, end, put in sorted(edits, key=lambda edit: edit[:2], reverse=True):
            changed = changed[:start] + put + changed[end:]
        space.put(file, text[: found.start()] + changed + text[found.end() :], f"pip: {_WHY_NEW}")
        return True
    return False
