"""What kind of file one is: by its name where that tells, else by what stands in it.

Every expression here is linear in the text: no file can make one hang, whatever stands in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import PurePath

__all__ = ["HEAD", "kind_by_name", "kind_of_file", "label_of", "looks_like_nginx"]

HEAD = 1_000_000
"""Bytes of a file that decide what it is."""

_TEMPLATE = r"(?:\.(?:template|tmpl|tpl|j2|jinja2?|erb|in|example|sample|dist|mustache|hbs))?"
_COMPOSE = re.compile(r"(?:docker|podman)?[._-]?compose(?:[._-][\w.-]+)?\.ya?ml$", re.IGNORECASE)
_DOCKERFILE = re.compile(r"(?:[\w.-]+\.)?(?:Dockerfile|Containerfile)(?:[._-][\w.-]+)?$", re.IGNORECASE)
_NO_DOCKERFILE = re.compile(r"\.(?:dockerignore|containerignore|md|rst|py|sh|bak|orig|rej|swp)$", re.IGNORECASE)
_UNIT = re.compile(rf"[^/]+\.service{_TEMPLATE}$")
_SOCKET = re.compile(rf"[^/]+\.socket{_TEMPLATE}$")
_GUNICORN = re.compile(r"(?:gunicorn(?:[._-]?(?:conf|config|settings))?|conf[._-]gunicorn)(?:\.conf)?\.py$")
_NGINX_NAME = re.compile(
    rf"(?:.*\.conf{_TEMPLATE}|.*\.nginx(?:conf)?|(?:.*[._-])?nginx(?:[._-].*)?|.*\.vhost)$", re.IGNORECASE
)
_OTHER_LANGUAGE = frozenset(
    {
        *(
            ".md",
            ".rst",
            ".adoc",
            ".html",
            ".htm",
            ".js",
            ".mjs",
            ".cjs",
            ".ts",
            ".jsx",
            ".tsx",
            ".vue",
            ".svelte",
            ".css",
        ),
        *(
            ".scss",
            ".less",
            ".json",
            ".jsonc",
            ".map",
            ".svg",
            ".xml",
            ".csv",
            ".tsv",
            ".sql",
            ".go",
            ".rs",
            ".c",
            ".h",
        ),
        *(
            ".cc",
            ".cpp",
            ".hpp",
            ".java",
            ".kt",
            ".scala",
            ".php",
            ".pl",
            ".lua",
            ".rb",
            ".ipynb",
            ".lock",
            ".log",
            ".patch",
        ),
        *(
            ".diff",
            ".tf",
            ".hcl",
            ".proto",
            ".graphql",
            ".toml",
            ".cfg",
            ".properties",
            ".gradle",
            ".bat",
            ".ps1",
            ".po",
        ),
        *(".pot", ".tex", ".pem", ".crt", ".key"),
    }
)
_BINARY = frozenset(
    {
        *(
            ".png",
            ".jpg",
            ".jpeg",
            ".gif",
            ".webp",
            ".ico",
            ".bmp",
            ".tiff",
            ".pdf",
            ".zip",
            ".gz",
            ".bz2",
            ".xz",
            ".zst",
        ),
        *(
            ".tar",
            ".tgz",
            ".whl",
            ".egg",
            ".so",
            ".o",
            ".a",
            ".dylib",
            ".dll",
            ".exe",
            ".pyc",
            ".pyo",
            ".woff",
            ".woff2",
        ),
        *(
            ".ttf",
            ".otf",
            ".eot",
            ".mp3",
            ".mp4",
            ".mov",
            ".avi",
            ".webm",
            ".wav",
            ".ogg",
            ".db",
            ".sqlite",
            ".sqlite3",
        ),
        *(".parquet", ".npy", ".npz", ".pt", ".onnx", ".bin", ".dat", ".jar", ".class", ".wasm", ".pack", ".idx"),
    }
)
_NGINX_TEXT = re.compile(
    r"^[ \t]*+(?:(?:server|http)\s*+\{|upstream[ \t]++[^\s{]++\s*+\{|location[ \t]++[^{;\n]++\s*+\{"
    r"|proxy_pass[ \t]++[^\s;]++[ \t]*+;|# configuration file \S++)",
    re.MULTILINE,
)
_NGINX_INSIDE = re.compile(r"[;{}][ \t]*+(?:server|http)\s*+\{")
"""A block behind another on the same line, which counts in files that are called like nginx's."""
_NGINX_SURE = re.compile(
    r"\b(?:listen|server_name|proxy_pass|proxy_set_header|root|alias|return|include|server)[ \t]++[^;{}\n]{1,500}+;"
)
_ENDS = re.compile(r";[ \t]*+(?:#[^\n]*+)?(?:\n|\Z|\})")
_PROXY_LINES = re.compile(
    r"^[ \t]*+(?:proxy_[a-z_]++|keepalive_[a-z]++|client_[a-z_]++|send_timeout|uwsgi_[a-z_]++)[ \t]++[^;{}\n]{1,500}+;",
    re.MULTILINE,
)
_ARROW = re.compile(r"^[^#\n]*+(?<!\S)=>", re.MULTILINE)
_SHELL = re.compile(r"#![^\n]*\b(?:(?:ba|da|a|z|k)?sh|execlineb)\b")
_PYTHON_START = re.compile(
    r"\buvicorn\.(?:run|Config)\(|^[ \t]*+(?:from[ \t]++uvicorn[ \t]++import\b|(?:from|import)[ \t]++gunicorn\.app\b)",
    re.MULTILINE,
)
_SERVER_WORD = re.compile(
    r"\b(?:gunicorn|uvicorn|hypercorn|granian|daphne|uwsgi|waitress|fastapi[ \t]++run|nginx|supervisord|circusd"
    r"|honcho)\b"
    r"|\$[@*]|\$\{[@*]"
)
_SERVICES = re.compile(
    r"^services:[ \t]*+(?:#[^\n]*+)?(?:\{|\n(?:[ \t]*+(?:#[^\n]*+)?\n)*+[ \t]++[\w.\"'-]++:)", re.MULTILINE
)
_OF_SERVICE = re.compile(
    r"^[ \t]++(?:image|build|extends|command|<<)[ \t]*+:|[{,][ \t]*+(?:image|build)[ \t]*+:", re.MULTILINE
)
_STARTS = re.compile(
    r"\b(?:gunicorn|uvicorn|hypercorn|granian|daphne)[\"']?,?[ \t]++[\"']?"
    r"(?:-{1,2}[A-Za-z]|[\w.]++:[\w.]++|[\w.]++\.(?:wsgi|asgi)\b)"
)
_MENTIONS = frozenset(
    {
        *(".yaml", ".yml", ".json", ".toml", ".hcl", ".tf", ".nomad", ".ini", ".cfg", ".config", ".xml", ".plist"),
        *(".jsonnet", ".cue", ".nix", ".pkl"),
    }
)
_DEPLOYS = re.compile(r"\bstart-?up-?command[\"']?[ \t]*+:|--command\b", re.IGNORECASE)
"""Lines of a pipeline that say with what command the deployed service starts."""
_WINDOWS = (".bat", ".cmd", ".ps1")
_TASK = re.compile(r"^[ \t]++(?:ansible\.builtin\.)?(?:command|shell|raw)[ \t]*+:", re.MULTILINE)
_RENDERED_COMPOSE = re.compile(
    r"(?:docker|podman)?[._-]?compose(?:[._-][\w.-]+)?\.ya?ml\.(?:template|tmpl|tpl|j2|jinja2?|erb|mustache|hbs)"
)
_NO_DEPLOYMENT = re.compile(
    r"(?:^|/)(?:\.vscode|\.idea|\.github|\.circleci|\.devcontainer|docs?|tests?|node_modules)/"
    r"|(?:^|/)(?:package(?:-lock)?\.json|pyproject\.toml|poetry\.lock|mkdocs\.ya?ml|environment\.ya?ml|setup\.cfg|tox\.ini"
    r"|\.pre-commit-config\.yaml|\.gitlab-ci\.yml)$"
)
_PIPELINE = re.compile(
    r"(?:^|/)(?:\.github/workflows|\.circleci|\.gitea|\.forgejo|\.woodpecker)/"
    r"|(?:^|/)(?:\.gitlab-ci|\.drone|azure-pipelines|bitbucket-pipelines|cloudbuild)[\w.-]*\.ya?ml$"
)
"""Files that say what a CI runs: the deployments in them are for its tests."""
_KUSTOMIZATION = re.compile(r"kustomization\.ya?ml")
_MANIFEST_KEYS = (re.compile(r"\bapiVersion[\"']?+:"), re.compile(r"\bkind[\"']?+:"))
_MANIFEST = re.compile(r"\"apiVersion\"[ \t]*+:[ \t]*+\"(?:v1|apps/v1|batch/v1|networking\.k8s\.io/v1)\"")
_TRAEFIK = re.compile(r"\bloadBalancer\b[^\0]{0,400}?\burl\b|\bserversTransports\b[^\0]{0,400}?\bforwardingTimeouts\b")
_APACHE = re.compile(r"^[ \t]*+(?:ProxyPass(?:Match)?|BalancerMember)[ \t]", re.MULTILINE)
_TUNNEL = (re.compile(r"^tunnel:", re.MULTILINE), re.compile(r"^[ \t-]*+service:[ \t]*+(?:https?|unix):", re.MULTILINE))


def _deploys(text: str) -> bool:
    """Whether a pipeline says what the deployed service runs, and that is an application server."""
    return _DEPLOYS.search(text) is not None and _STARTS.search(text) is not None


_LABELS: tuple[tuple[str, Callable[[str, str], bool]], ...] = (
    ("an ECS task definition", lambda name, text: name.endswith(".json") and '"containerDefinitions"' in text),
    ("a Render blueprint", lambda name, text: re.fullmatch(r"render\.ya?ml", name) is not None and "services:" in text),
    (
        "an App Engine configuration",
        lambda name, text: name.endswith((".yaml", ".yml")) and re.search(r"^runtime:", text, re.MULTILINE) is not None,
    ),
    ("a Fly.io configuration", lambda name, _: name.startswith("fly.") and name.endswith(".toml")),
    ("a Railway configuration", lambda name, _: re.fullmatch(r"railway\.(?:json|toml)", name) is not None),
    ("a Nixpacks plan", lambda name, _: name in {"nixpacks.toml", "nixpacks.json"}),
    ("an App Runner configuration", lambda name, _: re.fullmatch(r"apprunner\.ya?ml", name) is not None),
    ("a DigitalOcean App spec", lambda name, text: name.endswith((".yaml", ".yml")) and "run_command:" in text),
    ("a CapRover definition", lambda name, _: name == "captain-definition"),
    ("a Heroku manifest", lambda name, _: re.fullmatch(r"heroku\.ya?ml", name) is not None),
    (
        "a Quadlet of Podman",
        lambda name, text: (
            name.endswith((".container", ".kube", ".pod"))
            and re.search(r"^\[(?:Container|Kube|Pod)\]", text, re.MULTILINE) is not None
        ),
    ),
    (
        "a Nomad job",
        lambda name, text: (
            name.endswith((".nomad", ".hcl")) and re.search(r"^job[ \t]++\"", text, re.MULTILINE) is not None
        ),
    ),
    (
        "a configuration of uWSGI",
        lambda name, text: name.endswith((".ini", ".xml", ".yaml", ".yml")) and "[uwsgi]" in text,
    ),
    (
        "a configuration of Circus",
        lambda name, text: name.endswith(".ini") and re.search(r"^\[watcher:", text, re.MULTILINE) is not None,
    ),
    (
        "a configuration of NGINX Unit",
        lambda name, text: name.endswith(".json") and '"listeners"' in text and '"applications"' in text,
    ),
    (
        "a list of recipes of just",
        lambda name, text: name.lower() in {"justfile", ".justfile"} and _STARTS.search(text) is not None,
    ),
    (
        "a service of OpenRC",
        lambda _, text: (
            text.startswith("#!/sbin/openrc-run")
            and re.search(r"^command=[^\n]*\b(?:gunicorn|uvicorn)\b", text, re.MULTILINE) is not None
        ),
    ),
    (
        "a job of Upstart",
        lambda name, text: (
            name.endswith(".conf")
            and re.search(r"^(?:start on|respawn)\b", text, re.MULTILINE) is not None
            and _STARTS.search(text) is not None
        ),
    ),
    (
        "a job of launchd",
        lambda name, text: (
            name.endswith(".plist")
            and re.search(r"<string>(?:[^<\n]*/)?(?:gunicorn|uvicorn)</string>", text) is not None
        ),
    ),
    ("a script of Windows", lambda name, text: name.endswith(_WINDOWS) and _STARTS.search(text) is not None),
    ("a configuration of Vagrant", lambda name, text: name == "Vagrantfile" and _STARTS.search(text) is not None),
    (
        "a list of tasks of Ansible",
        lambda name, text: (
            name.endswith((".yaml", ".yml"))
            and _TASK.search(text) is not None
            and _STARTS.search(text) is not None
            and re.search(r"^[ \t]*+-[ \t]++(?:name|hosts)[ \t]*+:", text, re.MULTILINE) is not None
            and "services:" not in text
        ),
    ),
    ("a pipeline that deploys", lambda name, text: name.endswith((".yaml", ".yml")) and _deploys(text)),
    (
        "a template of a Compose file",
        lambda name, text: _RENDERED_COMPOSE.fullmatch(name) is not None and "services:" in text,
    ),
    ("a configuration of pm2", lambda name, _: re.fullmatch(r"ecosystem\.config\.[cm]?js(?:on)?", name) is not None),
    (
        "a configuration of Apache",
        lambda name, text: (
            name.endswith((".conf", ".htaccess"))
            and re.search(r"^[ \t]*+<VirtualHost|^[ \t]*+ProxyPass", text, re.MULTILINE) is not None
            and re.search(r"^[ \t]*+(?:ProxyPass(?:Match)?|BalancerMember)[ \t]", text, re.MULTILINE) is None
        ),
    ),
)


def looks_like_nginx(text: str) -> bool:
    """Whether a text is a part of nginx's configuration that has to do with requests."""
    return _NGINX_TEXT.search(text) is not None and _ENDS.search(text) is not None and not _foreign(text)


def _foreign(text: str) -> bool:
    """Whether blocks in braces are another program's: Logstash writes arrows, which nginx does not have."""
    return _ARROW.search(text) is not None and _NGINX_SURE.search(text) is None


def label_of(name: str, text: str) -> str:
    """Return what a file is that doctor knows and does not judge; empty for any other."""
    return next((label for label, test in _LABELS if test(name, text)), "")


_BY_NAME = (
    ("compose", _COMPOSE),
    ("units", _UNIT),
    ("sockets", _SOCKET),
    ("procfiles", re.compile(r"Procfile(?:\..*)?$")),
    ("gunicorn", _GUNICORN),
    ("charts", re.compile(r"Chart\.ya?ml$")),
)


def kind_by_name(name: str) -> str:
    """Return the kind of a file whose name alone tells it; empty where its text has to be looked at."""
    if _DOCKERFILE.fullmatch(name) and not _NO_DOCKERFILE.search(name):
        return "dockerfiles"
    kind = next((kind for kind, pattern in _BY_NAME if pattern.fullmatch(name)), "")
    return kind or ("nothing" if PurePath(name).suffix.lower() in _BINARY else "")


def kind_of_file(path: PurePath, text: str, *, given: bool) -> str:  # noqa: PLR0911  one line for each kind
    """Return the kind of a file by its text.

    Args:
        path: Its path relative to what was given.
        text: The first ``HEAD`` bytes.
        given: It was named one by one, so that it surely is a part of the deployment.
    """
    name, suffix = path.name, path.suffix.lower()
    if "\0" in text[:4096]:
        return ""
    if suffix in {".yaml", ".yml"}:
        return _yaml(path, text, given=given)
    if suffix == ".json" and _MANIFEST.search(text) and '"kind"' in text:
        return "manifests"
    if label_of(name, text) or (_is_beanstalk(path) and ("nginx" in path.as_posix() or "nginx" in text)):
        return "others"
    if _is_front(name, text):
        return "proxies"
    if suffix == ".py":
        return "gunicorn" if given else "python" if _PYTHON_START.search(text) else ""
    if "[program:" in text or "[fcgi-program:" in text:
        return "supervisors"
    if _SHELL.match(text) or suffix in {".sh", ".bash"} or name == "startup.txt":  # Azure App Service reads the latter
        return "scripts" if _SERVER_WORD.search(text) else ""
    if suffix not in _OTHER_LANGUAGE and (_is_nginx(name, text, given=given)):
        return "nginx"
    return _mentioned(path, text)


def _yaml(path: PurePath, text: str, *, given: bool) -> str:
    if _PIPELINE.search(path.as_posix()) and not given:
        return "others" if _deploys(text) else ""
    if _KUSTOMIZATION.fullmatch(path.name) or (_MANIFEST_KEYS[0].search(text) and _MANIFEST_KEYS[1].search(text)):
        return "manifests"
    if label_of(path.name, text):
        return "others"
    if _SERVICES.search(text) and (given or _OF_SERVICE.search(text)):
        return "compose"
    if _is_front(path.name, text):
        return "proxies"
    return _mentioned(path, text)


def _mentioned(path: PurePath, text: str) -> str:
    """Return ``others`` for a file of a kind that is not read and that starts an application server."""
    known = path.suffix.lower() in _MENTIONS and not _NO_DEPLOYMENT.search(path.as_posix())
    return "others" if known and _STARTS.search(text) else ""


def _is_nginx(name: str, text: str, *, given: bool) -> bool:
    if looks_like_nginx(text):
        return given or bool(_NGINX_NAME.fullmatch(name)) or _NGINX_SURE.search(text) is not None
    if _NGINX_NAME.fullmatch(name) and _NGINX_INSIDE.search(text) and _NGINX_SURE.search(text) and not _foreign(text):
        return True
    return (given or "nginx" in name.lower()) and _PROXY_LINES.search(text) is not None and not _foreign(text)


def _is_beanstalk(path: PurePath) -> bool:
    parts = path.parts
    return ".platform" in parts or ".ebextensions" in parts


def _is_front(name: str, text: str) -> bool:
    if name == "Caddyfile" or name.endswith((".caddyfile", ".vcl")) or name.startswith("Caddyfile."):
        return True
    if name.endswith((".cfg", ".conf")):
        haproxy = re.search(r"^(?:frontend|backend|listen)[ \t]++\S", text, re.MULTILINE) is not None
        lines = re.search(r"^[ \t]++(?:server(?:-template)?|bind|mode|timeout)[ \t]", text, re.MULTILINE)
        return (haproxy and lines is not None) or (name.endswith(".conf") and _APACHE.search(text) is not None)
    if name.endswith(".json"):
        return '"reverse_proxy"' in text and '"dial"' in text
    if name.endswith((".yml", ".yaml", ".toml")) and (name.startswith("traefik") or _TRAEFIK.search(text)):
        return True
    envoy = "static_resources:" in text and "clusters:" in text
    return name.endswith((".yml", ".yaml")) and (envoy or all(pattern.search(text) for pattern in _TUNNEL))
