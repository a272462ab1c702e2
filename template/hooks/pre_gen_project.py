"""Reject answers that would give a broken service: one line for each, all at once, before anything is written.

cookiecutter renders this file, runs it with its own Python, and removes the new folder when it leaves with 1.
"""

import json
import re
import sys

ANSWERS = json.loads(r"""{{ cookiecutter | tojson }}""")

LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
PYTHONS = ("3.14", "3.15", "3.13", "3.12", "3.11")
SHORTEST, LONGEST = 10, 86400

# An installed distribution or an imported module of that name would hide the service's own.
RESERVED = {"app", "fastapi", "gunicorn", "httpx", "pydantic", "pytest", "starlette", "test", "tests", "uvicorn"}
RESERVED |= {"alembic", "migrations", "psycopg", "sqlalchemy"}


def text_problem(name: str, longest: int) -> str | None:
    """Return why a text cannot be put between double quotes in Python, TOML and Markdown alike."""
    value = ANSWERS[name]
    if 1 <= len(value) <= longest and value == value.strip() and value.isprintable() and not set(value) & set('"\\`<>'):
        return None
    return f'1 to {longest} printable characters, no spaces around, none of " \\ ` < >'


def slug_problem() -> str | None:
    """Return why the name that follows from the project name is not a valid package name, or None."""
    slug = ANSWERS["__project_slug"]
    if slug in RESERVED:
        return f"a name of its own: {slug!r} is taken by a part of the service"
    if len(slug) <= 60 and re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", slug):
        return None
    return f"a name whose short form has a-z, 0-9 and '-' only, a letter first and at most 60 characters, not {slug!r}"


def domain_problem() -> str | None:
    """Return why the domain is not a host name, or None."""
    domain = ANSWERS["domain"]
    if len(domain) <= 253 and re.fullmatch(rf"{LABEL}(\.{LABEL})*", domain):
        return None
    return "a host name in lower case such as api.example.com: no scheme, port, path or wildcard"


def python_problem() -> str | None:
    """Return why the Python version is not one that the service is tested with, or None."""
    return None if ANSWERS["python_version"] in PYTHONS else f"one of {', '.join(PYTHONS)}"


def seconds_problem() -> str | None:
    """Return why the ladder cannot be computed from this number, or None."""
    value = str(ANSWERS["proxy_read_timeout"])
    if re.fullmatch(r"[1-9][0-9]{1,4}", value) and SHORTEST <= int(value) <= LONGEST:
        return None
    return f"whole seconds from {SHORTEST} to {LONGEST}"


def tls_problem() -> str | None:
    """Return why this certificate does not go with where the service runs, or None."""
    if (ANSWERS["deploy"], ANSWERS["tls"]) == ("swarm", "acme"):
        return "none or files with deploy=swarm: a swarm's secrets do not change, so certbot cannot renew them"
    return None


PROBLEMS = {
    "project_name": text_problem("project_name", 60) or slug_problem(),
    "description": text_problem("description", 100),
    "author": text_problem("author", 80),
    "python_version": python_problem(),
    "domain": domain_problem(),
    "proxy_read_timeout": seconds_problem(),
    "tls": tls_problem(),
}
LINES = [f"{name}={ANSWERS[name]!r}: must be {allowed}" for name, allowed in PROBLEMS.items() if allowed]
if LINES:
    print("\n".join(LINES), file=sys.stderr)
    sys.exit(1)
