"""A start command that becomes gunicorn with the ladder: which words go, change and come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from no502.adopt.options import COMPUTED, Option, gunicorn_words, uvicorn_words
from no502.adopt.written import Written

__all__ = ["Converted", "convert_gunicorn", "convert_uvicorn"]

_SAME = {
    "--backlog": "--backlog",
    "--workers": "--workers",
    "--forwarded-allow-ips": "--forwarded-allow-ips",
    "--log-level": "--log-level",
    "--ssl-keyfile": "--keyfile",
    "--ssl-certfile": "--certfile",
    "--ssl-ca-certs": "--ca-certs",
    "--app-dir": "--pythonpath",
}
"""uvicorn's options that gunicorn has under another name, or the same."""
_DROPPED = {
    "--timeout-keep-alive": COMPUTED["keepalive"],
    "--timeout-graceful-shutdown": COMPUTED["graceful_timeout"],
    "--timeout-worker-healthcheck": COMPUTED["timeout"],
    "--limit-max-requests": COMPUTED["max_requests"],
    "--limit-max-requests-jitter": COMPUTED["max_requests_jitter"],
    "--use-colors": "gunicorn has no colours",
    "--no-use-colors": "gunicorn has no colours",
    "--access-log": "gunicorn_conf writes one",
    "--proxy-headers": "HandoverWorker always reads them from trusted peers",
    "--factory": "gunicorn calls the factory itself",
    "--date-header": "the default",
    "--server-header": "the default",
    "--app": "part of the application's name",
}
_DEFAULTS: Mapping[str, set[str]] = {
    "--loop": {"auto", "uvloop"},
    "--http": {"auto", "httptools"},
    "--ws": {"auto"},
    "--lifespan": {"auto"},
    "--interface": {"auto", "asgi3"},
}
"""Values that HandoverWorker uses by itself."""
_ADDRESS = ("--host", "--port", "--uds", "--fd")


@dataclass
class Converted:
    """What became of a command."""

    why: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """What cannot be kept; the command must not be changed then."""
    application: str = ""


def convert_gunicorn(written: Written, config: str | None, *, keep_workers: bool = True) -> Converted:
    """Take the words out that the ladder replaces, and name its configuration.

    Args:
        written: The command.
        config: The configuration file to load with ``-c``; None: the command's own, or ``./gunicorn.conf.py``.
        keep_workers: Leave ``--workers`` as it is.
    """
    found = Converted()
    options = gunicorn_words(written.words, [written.raw(index) for index in range(len(written.words))])
    placed = config is None
    gone = []
    for option in options:
        if option.name == "application":
            found.application = written.words[option.first].text
        elif option.name == "reload":
            found.problems.append("--reload is for development: name the command that production runs")
        elif option.name == "config":
            if config is not None:
                if option.first == option.last:
                    written.replace(option.first, f"--config={config}")
                else:
                    written.replace(option.last, config)
                placed = True
        elif option.name in COMPUTED or (option.name == "workers" and not keep_workers):
            _drop(written, option)
            gone.append(written.words[option.first].text)
    if not placed and config is not None:
        written.insert(0, ["-c", config])
        found.why.append(f"-c {config}: gunicorn's numbers from what its proxy waits for, HandoverWorker and its hooks")
    if gone:
        found.why.append(f"without {', '.join(dict.fromkeys(gone))}: they would win over the computed values")
    return found


def convert_uvicorn(written: Written, config: str, *, application: str, below: str = "") -> Converted:
    """Make a command of uvicorn, or ``fastapi run``, one of gunicorn with the same application and address.

    Args:
        written: The command.
        config: The configuration file to load with ``-c``.
        application: ``module:attribute``; what ``fastapi run`` finds by a file.
        below: The folder from which it is imported, where that is not the working directory.
    """
    found = Converted()
    words = written.words
    options = uvicorn_words(words, [written.raw(index) for index in range(len(words))])
    by_name = {option.name: option for option in options}
    program = words[0].text
    fastapi = program.rsplit("/", 1)[-1] == "fastapi"
    bind = _bind(by_name, fastapi=fastapi, listed=written.style != "shell")
    placed = False
    for option in options:
        if option.name == "application":
            found.application = application
            if fastapi:
                written.replace(option.first, application)
        elif option.name in _ADDRESS:
            if placed:
                _drop(written, option)
            else:
                _set(written, option, "--bind", bind)
                placed = True
        else:
            _one(written, option, found)
    if "--factory" in by_name:
        app = next((option for option in options if option.name == "application"), None)
        if app is not None and "(" not in words[app.first].text:
            target = application if ":" in application else f"{application}:app"
            written.replace(app.first, f"{target}()")
            found.application = f"{target}()"
    prefix = program[: len(program) - len(program.rsplit("/", 1)[-1])]
    written.replace(0, f"{prefix}gunicorn")
    if fastapi:
        written.drop(1)
    written.insert(
        0 if not fastapi else 1,
        [
            "-c",
            config,
            *([] if placed or not fastapi else ["--bind", bind]),
            *(["--pythonpath", below] if below else []),
        ],
    )
    found.why.append(
        f"gunicorn -c {config} in place of {'fastapi run' if fastapi else 'uvicorn'}: workers are replaced and "
        "reloaded without closing the proxy's connections"
    )
    return found


def _one(written: Written, option: Option, found: Converted) -> None:
    """Keep, rename or drop one option of uvicorn, or say why that cannot be done."""
    name, value = option.name, option.value
    plain = (value or "").strip("\"'")
    if name == "--reload":
        found.problems.append("--reload is for development: name the command that production runs")
    elif name in _SAME:
        _set(written, option, _SAME[name], value or "")
    elif name in _DROPPED or plain in _DEFAULTS.get(name, ()):
        _drop(written, option)
    else:
        shown = name if value is None else f"{name} {value}"
        found.problems.append(f"{shown}: gunicorn has no such option; set it in the application, then take it out")


def _bind(by_name: Mapping[str, Option], *, fastapi: bool, listed: bool) -> str:
    def value(name: str, default: str) -> str:
        option = by_name.get(name)
        text = (option.value or default) if option is not None else default
        return text.strip("\"'") if listed or "$" not in text else text

    if "--uds" in by_name:
        return f"unix:{value('--uds', '')}"
    if "--fd" in by_name:
        return f"fd://{value('--fd', '')}"
    host = value("--host", "0.0.0.0" if fastapi else "127.0.0.1")  # noqa: S104  their defaults
    host = f"[{host}]" if ":" in host and not host.startswith(("[", "$")) else host
    return f"{host}:{value('--port', '8000')}"


def _set(written: Written, option: Option, flag: str, value: str) -> None:
    """Write an option in the place of another; one that stays the same is not touched."""
    if option.name == flag and option.value == value:
        return
    listed = written.style != "shell"
    value = value.strip("\"'") if listed else value
    if option.first == option.last:
        if listed:
            written.replace(option.first, f"{flag}={value}")
        else:
            written.replace_raw(option.first, f"{flag}={value}")
        return
    written.replace(option.first, flag)
    if listed:
        written.replace(option.last, value)
    else:
        written.replace_raw(option.last, value)


def _drop(written: Written, option: Option) -> None:
    for index in range(option.first, option.last + 1):
        written.drop(index)
