"""A gunicorn or uvicorn into the model: what its command line, variables and configuration file add up to."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from no502.doctor.model import AppServer, Deployment, Fact, Origin, Problem, Source
from no502.doctor.readers.bind import parse_bind
from no502.doctor.readers.cannot_start import OPERATOR
from no502.doctor.readers.gunicorn_defaults import GUNICORN, closest, convert, gunicorn_options
from no502.doctor.readers.ladder import ladder_settings, trust
from no502.doctor.readers.python.conf import read_python_conf
from no502.doctor.readers.python.executed import execute_conf
from no502.doctor.readers.server_words import Place, note_problem, note_value, put, unknown
from no502.doctor.readers.shell.commands import Command
from no502.doctor.readers.shell.expansion import OPEN, expand
from no502.doctor.readers.texts import read_text, shown_path
from no502.doctor.readers.uvicorn_words import read_uvicorn
from no502.doctor.settings import ServerFacts
from no502.ladder.conf_file import LADDERS

__all__ = ["add_server"]

_OPTIONS = re.compile(r"OPT|ARG|FLAG|EXTRA|PARAM", re.IGNORECASE)
_NO502 = re.compile(rb"""^[\s"'-]*no502\b(?!-)""", re.MULTILINE)
"""The package in a list of dependencies."""
_LAST_PORT = 65_535
_PROTOCOLS = frozenset({"off", "v1", "v2", "auto"})
"""Values of --proxy-protocol, which may stand alone, too."""
_LISTS = {"bind", "raw_env", "raw_paste_global_conf", "config"}
"""Settings whose option may stand several times."""


def add_server(command: Command, place: Place, deployment: Deployment) -> AppServer:
    """Read one server and add it to the deployment, its problems included."""
    environment = {**place.environment, **command.environment}
    words = command.words if command.literal else tuple(expand(word, environment) for word in command.words)
    place = replace(place, literal=command.literal, whole=place.whole and not command.likely)
    before = len(deployment.problems)
    conf: Fact[str] | None = None
    if command.program == "gunicorn":
        settings, conf = _gunicorn(words, place, environment, deployment)
    else:
        settings = read_uvicorn(words, place, environment, deployment)
    for address in settings["bind"].value or ():
        if address.port is not None and address.port > _LAST_PORT:
            message = f"{address}: there is no port {address.port}, so {command.program} does not start"
            note_problem(deployment, message, settings["bind"].origin, f"Write a port up to {_LAST_PORT}.")
    starts = not any(
        one.rule == "C003" and one.origin.file == place.origin.file for one in deployment.problems[before:]
    )
    opaque = _opaque(words)
    if opaque is not None or not starts:
        note = f"{opaque} may say otherwise and has no value among the files" if opaque else "it does not start"
        defaults = [name for name, fact in settings.items() if fact.origin.source is Source.DEFAULT]
        names = defaults if starts else [name for name in defaults if name == "bind"]
        settings |= {name: unknown(place.origin, note) for name in names}
    if place.listens is not None and _takes_sockets(command.program, words):
        settings["bind"] = place.listens
    server = AppServer(
        program=command.program,
        origin=place.origin,
        command=Fact((command.program, *words), place.origin),
        settings=ServerFacts.of(settings),
        service=place.service,
        conf_file=conf,
        shell=command.shell,
        likely=command.likely,
        starts=starts,
        background=command.background,
        beside=command.beside,
        piped=command.piped,
        manager=place.manager,
    )
    deployment.servers.append(server)
    return server


def _takes_sockets(program: str, words: Sequence[str]) -> bool:
    """Whether a server takes the sockets that systemd or supervisord opens: gunicorn does, uvicorn with ``--fd``."""
    return program == "gunicorn" or any(word == "--fd" or word.startswith("--fd=") for word in words)


def _opaque(words: Sequence[str]) -> str | None:
    """Return a word that stands for options that are not among the files: ``"$@"``, ``$GUNICORN_OPTIONS``."""
    plain = [
        word
        for before, word in zip(("", *words), words, strict=False)
        if not word.startswith("-") and (not before.startswith("-") or "=" in before)
    ]
    for word in words:
        if re.fullmatch(r"[$" + OPEN + r"](?:[@*]|\{[@*]\})", word):
            return word.replace(OPEN, "$")
        if re.fullmatch(OPEN + r"\{\*\*.*\}", word, re.DOTALL):
            return word[2:-1]
    variables = [word for word in plain if re.fullmatch(rf"[${OPEN}](?:\w+|\{{\w+[^}}]*\}})", word)]
    optional = [word for word in variables if _OPTIONS.search(word)]
    found = variables[0] if variables and len(plain) > 1 else optional[0] if optional else None
    return found.replace(OPEN, "$") if found is not None else None


def _gunicorn(
    words: Sequence[str], place: Place, environment: Mapping[str, str], deployment: Deployment
) -> tuple[dict[str, Fact[Any]], Fact[str] | None]:
    before = len(deployment.problems)
    typed = _options(words, place.origin, deployment, literal=place.literal)
    understood = len(deployment.problems) == before
    extra = environment.get("GUNICORN_CMD_ARGS", "")
    origin = Origin(
        file=place.origin.file, line=place.origin.line, note="GUNICORN_CMD_ARGS", variable="GUNICORN_CMD_ARGS"
    )
    from_environment = _options(_split(extra), origin, deployment, literal=True) if extra else {}
    wanted = typed.get("config") or from_environment.get("config")
    conf, path = _conf_file(wanted, place, deployment)
    default = Origin(file=place.origin.file, line=place.origin.line, source=Source.DEFAULT, note="gunicorn's default")
    settings: dict[str, Fact[Any]] = {name: Fact(value, default) for name, value in GUNICORN.items()}
    settings |= _from_variables(environment, default)
    seen = wanted is None
    """Whatever may set something else is among the files."""
    named = "gunicorn.conf.py" if wanted is None else str(wanted.value) if wanted.known else ""
    inline = place.inline(named) if named and path is None else None
    if inline is not None:
        conf = Fact(inline.shown, wanted.origin if wanted else place.origin)
        read = read_python_conf(inline.text, inline.shown, environment, before=inline.before)
        deployment.problems += [one for one in read.problems if one not in deployment.problems]
        settings |= read.settings
        _overridden(read.settings, typed, deployment)
    elif conf is not None and path is None:
        settings |= _without_file(conf, environment, place)
    elif path is not None:
        shown = shown_path(path, place.base)
        text = read_text(path, place.base, deployment) or ""
        read = read_python_conf(text, shown, environment, modules=lambda name: _module(name, path, place, deployment))
        deployment.problems += [one for one in read.problems if one not in deployment.problems]
        seen = not read.opaque
        is_ladder = path.name == "gunicorn_conf.py" and "class ServerSettings" in text
        if read.imports_ladder or is_ladder:
            settings |= ladder_settings(environment, Origin(file=shown, line=1))
        elif path.name == "gunicorn_conf.py" and (needs := _needs_no502(place, deployment)):
            _note_foreign(shown, wanted, needs, deployment)
        if read.opaque:
            note = f"{read.opaque} may set it"
            settings |= {name: unknown(Origin(file=shown, line=1), note) for name in GUNICORN}
        # What the ladder's own file computes is known already.
        settings |= {name: fact for name, fact in read.settings.items() if fact.known or not is_ladder}
        if place.execute:
            ran = execute_conf(path, shown, environment, deployment)
            settings |= {name: fact for name, fact in ran.items() if name not in settings or not settings[name].known}
        _overridden(read.settings, typed, deployment)
        conf = Fact(shown, conf.origin) if conf else Fact(shown, Origin(file=shown, line=1))
    for name, fact in {**from_environment, **typed}.items():
        if name != "config":
            settings[name] = fact
    trust(settings)
    settings["bind"] = _bind(settings["bind"])
    _note_no_application(words, settings, place, deployment, sure=seen and understood)
    return settings, conf


def _note_no_application(
    words: Sequence[str], settings: Mapping[str, Fact[Any]], place: Place, deployment: Deployment, *, sure: bool
) -> None:
    if not sure or not place.whole or "wsgi_app" in settings or "paste" in settings or _opaque(words):
        return
    message = "gunicorn is given no application, neither here nor by wsgi_app: it does not start"
    note_problem(deployment, message, place.origin, "Name it behind the options: MODULE:ATTRIBUTE.")


def _from_variables(environment: Mapping[str, str], default: Origin) -> dict[str, Fact[Any]]:
    """Return the defaults that gunicorn itself takes from variables."""
    found: dict[str, Fact[Any]] = {}
    names = {"WEB_CONCURRENCY": "workers", "FORWARDED_ALLOW_IPS": "forwarded_allow_ips"}
    for variable, name in names.items():
        value = convert(name, environment.get(variable))
        if value is not None:
            found[name] = Fact(value, Origin(file=default.file, line=default.line, note=variable))
    if environment.get("PORT", "").isdecimal():
        origin = Origin(file=default.file, line=default.line, note="PORT")
        found["bind"] = Fact((f"0.0.0.0:{environment['PORT']}",), origin)
    return found


def _options(words: Sequence[str], origin: Origin, deployment: Deployment, *, literal: bool) -> dict[str, Fact[Any]]:
    """Read gunicorn's options as argparse does, unambiguous abbreviations included."""
    known, index = gunicorn_options(), 0
    found: dict[str, Fact[Any]] = {}
    application = origin.variable == "GUNICORN_CMD_ARGS"
    plain: list[list[str]] = [[]]
    """Words that are no options, those that stand together in one list."""
    while index < len(words):
        word = words[index]
        index += 1
        if word.startswith(("\u2013", "\u2014")):
            note_problem(
                deployment, f"{word!r} begins with a dash that is not a hyphen", origin, f"Write --{word[1:]}."
            )
            continue
        if not word.startswith("-") or word in {"-", "--"}:
            application = True
            plain[-1] += [word] if word not in {"-", "--"} else []
            continue
        plain += [[]] if plain[-1] else []
        if " " in word.partition("=")[0] and word.startswith("--"):
            _one_word(word, origin, deployment, ignored=application)
            application = True
            continue
        typed, equals, value = word.partition("=")
        flag, glued = _flag(typed, word, known)
        if flag is None:
            near = closest(typed, dict(known))
            hint, fix = (f"; did you mean {near}?", f"Write {near}.") if near else ("", "")
            note_problem(deployment, f"gunicorn has no option {typed}{hint}", origin, fix)
            index += not equals and index < len(words) and not words[index].startswith("-")
            continue
        name, takes = known[flag]
        if name == "proxy_protocol" and not equals and _PROTOCOLS.intersection(words[index : index + 1]):
            index += 1
        text: str | None = glued if glued is not None else value if equals else None
        if takes and text is None and index < len(words):
            text = words[index]
            index += 1
        before = found.get(name) if name not in _LISTS else None
        put(found, name, text if takes else True, origin, literal=literal)
        note_value(name, typed, text, origin, deployment, literal=literal)
        _twice(typed, before, found[name], deployment)
    if not origin.variable:
        found |= _application([group for group in plain if group], origin, deployment, literal=literal)
    return found


def _application(
    plain: Sequence[Sequence[str]], origin: Origin, deployment: Deployment, *, literal: bool
) -> dict[str, Fact[Any]]:
    """Return the application, and note what stands beside it: argparse takes only words that stand together."""
    if not plain:
        return {}
    beside, apart = plain[0][1:], plain[1] if len(plain) > 1 else ()
    extra = next((word for word in (*beside, *apart) if OPERATOR.fullmatch(word)), None)
    fix = 'Let a shell read it: ["sh", "-c", "exec gunicorn ..."]; or remove it.'
    if literal and apart and OPEN not in apart[0] and "$" not in apart[0]:
        message = f'gunicorn refuses "{extra or apart[0]}" behind its application and options'
        why = ": no shell runs here" if extra else ", which is a second argument"
        note_problem(deployment, f"{message}{why}", origin, fix if extra else "Remove it.")
    elif literal and extra:
        message = f'gunicorn ignores "{extra}" and the words behind it: no shell runs here'
        deployment.problems.append(Problem(rule="C004", message=message, origin=origin, fix=fix))
    return {"wsgi_app": Fact(plain[0][0], origin)}


def _one_word(word: str, origin: Origin, deployment: Deployment, *, ignored: bool) -> None:
    """Note an option and its value in one word, which argparse takes for a positional argument."""
    flag, _, value = word.partition(" ")
    if ignored:
        quotes = origin.variable == "GUNICORN_CMD_ARGS"
        where = "the quotes in GUNICORN_CMD_ARGS make" if quotes else "this is"
        message = f"gunicorn ignores {word!r}: {where} one word of an option and its value"
        fix = "Drop the quotes." if quotes else f'Write two words: "{flag}", "{value}".'
        deployment.problems.append(Problem(rule="C004", message=message, origin=origin, fix=fix))
        return
    message = f"option and value are in one word, {word!r}, which gunicorn takes for the application"
    note_problem(deployment, message, origin, f'Write two words: "{flag}", "{value}".')


def _twice(typed: str, before: Fact[Any] | None, now: Fact[Any], deployment: Deployment) -> None:
    if before is None or not (before.known and now.known) or before.value == now.value:
        return
    message = f"{typed} {before.value} has no effect: {typed} {now.value} comes later, and the last one wins"
    fix = "Remove one of the two." + (" Did you mean --threads?" if typed in {"-w", "--workers"} else "")
    problem = Problem(rule="C006", message=message, origin=now.origin, fix=fix)
    if problem not in deployment.problems:
        deployment.problems.append(problem)


def _flag(flag: str, word: str, known: Mapping[str, object]) -> tuple[str | None, str | None]:
    if flag in known:
        return flag, None
    if not word.startswith("--"):  # -w4
        return (word[:2], word[2:]) if word[:2] in known and len(word) > 2 else (None, None)
    matches = [name for name in known if name.startswith(flag)]
    return (matches[0], None) if len({known[name] for name in matches}) == 1 else (None, None)


def _conf_file(wanted: Fact[Any] | None, place: Place, deployment: Deployment) -> tuple[Fact[str] | None, Path | None]:  # noqa: C901
    """Return the configuration file that gunicorn loads, and where it is here."""
    if wanted is None:
        for folder in place.folders:
            path = folder / "gunicorn.conf.py"
            if deployment.reach.has(path):
                return Fact("gunicorn.conf.py", Origin(file=shown_path(path, place.base), line=1)), path
        return None, None
    if not wanted.known:
        return Fact(None, wanted.origin), None
    name = str(wanted.value)
    relative = name.removeprefix("file:").removeprefix("./")
    if name.startswith("python:"):
        relative = name.removeprefix("python:").replace(".", "/") + ".py"
    parts = Path(relative.lstrip("/")).parts
    for path in place.files(relative):
        if deployment.reach.has(path):
            return Fact(name, wanted.origin), path
    for folder in place.folders:
        # An absolute path is one inside an image: its end is looked for here.
        for begin in range(len(parts) if relative.startswith("/") else 1):
            path = folder.joinpath(*parts[begin:])
            if deployment.reach.has(path):
                return Fact(name, wanted.origin), path
    return Fact(name, wanted.origin), None


def _module(name: str, conf: Path, place: Place, deployment: Deployment) -> tuple[str, str] | None:
    """Return text and shown name of a module that a configuration imports, from its folder or gunicorn's."""
    parts = name.split(".")
    if not all(part.isidentifier() for part in parts):
        return None
    for folder in (conf.parent, *place.folders):
        for path in (folder.joinpath(*parts).with_suffix(".py"), folder.joinpath(*parts, "__init__.py")):
            if deployment.reach.has(path):
                text = read_text(path, place.base, deployment)
                return None if text is None else (text, shown_path(path, place.base))
    return None


def _needs_no502(place: Place, deployment: Deployment) -> str | None:
    """Return the file, as it is shown, in which the project names no502 among its dependencies."""
    for folder in (*place.folders, place.base):
        for name in ("requirements.txt", "pyproject.toml"):
            found = deployment.reach.read(folder / name)[0] if deployment.reach.has(folder / name) else None
            if found is not None and _NO502.search(found):
                return shown_path(folder / name, place.base)
    return None


def _note_foreign(shown: str, wanted: Fact[Any] | None, needs: str, deployment: Deployment) -> None:
    """Report a ``gunicorn_conf.py`` that is loaded in the place of the one that the project depends on."""
    problem = Problem(
        rule="C007",
        message=f"gunicorn loads {shown}, which is not no502's gunicorn_conf and does not import it, although {needs} "
        "names no502",
        origin=wanted.origin if wanted else Origin(file=shown, line=1),
        fix="Start gunicorn with -c python:no502.gunicorn, or write `from no502.gunicorn import *` as the first line "
        f"of {shown}.",
    )
    if problem not in deployment.problems:
        deployment.problems.append(problem)


def _without_file(conf: Fact[str], environment: Mapping[str, str], place: Place) -> dict[str, Fact[Any]]:
    """Return what is known of a configuration that is not among the files: nothing, or this project's ladder."""
    name = str(conf.value or "")
    installed = name.startswith("python:") and name.removeprefix("python:") in LADDERS
    if installed or name.removeprefix("file:").removeprefix("./") == "gunicorn_conf.py":
        return ladder_settings(environment, conf.origin)
    note = f"{str(conf.value or 'its configuration file').replace(OPEN, '$')} is not among the files"
    return {name: unknown(place.origin, note) for name in GUNICORN}


def _overridden(written: Mapping[str, Fact[Any]], typed: Mapping[str, Fact[Any]], deployment: Deployment) -> None:
    for name, fact in written.items():
        other = typed.get(name)
        if other is None or other.value == fact.value or not (other.known and fact.known) or name == "bind":
            continue
        deployment.problems.append(
            Problem(
                rule="C006",
                message=f"{name} = {fact.value} has no effect: the command line says {other.value} ({other.origin})",
                origin=fact.origin,
                fix="Set it in one place.",
            )
        )


def _bind(fact: Fact[Any]) -> Fact[Any]:
    if not fact.known:
        return fact
    addresses = parse_bind(fact.value or ())
    shown = ", ".join(map(str, fact.value or ()))
    return unknown(fact.origin, shown) if addresses is None else Fact(addresses, fact.origin)


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()
