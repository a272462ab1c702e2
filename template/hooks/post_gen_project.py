"""Remove what belongs to answers that were not given, and write ``.env`` with a password of its own.

The template has plain names; this list is the only place that says what belongs to which answer.
"""

import json
import os
import secrets
import shutil
import string
from pathlib import Path

ANSWERS = json.loads(r"""{{ cookiecutter | tojson }}""")

BELONGS = {
    ("database", "postgresql"): [
        "alembic.ini",
        "app/database.py",
        "app/items.py",
        "app/models.py",
        "deploy/kubernetes/base/migration.yaml",
        "migrations",
        "ops/database.py",
        "tests/__init__.py",
        "tests/test_database.py",
        "tests/test_items.py",
        "tests/test_migrations.py",
    ],
    ("extras", "yes"): [
        ".devcontainer",
        ".github/dependabot.yml",
        ".github/workflows/image.yml",
        ".pre-commit-config.yaml",
        "AGENTS.md",
    ],
    ("deploy", "systemd"): ["deploy/systemd", "nginx/variants/static-upstream", "tests/test_systemd.py"],
    ("deploy", "swarm"): ["deploy/swarm", "tests/test_swarm.py"],
    ("worker", "yes"): [
        "app/worker.py",
        "deploy/kubernetes/base/worker.yaml",
        "deploy/systemd/{{cookiecutter.__project_slug}}-worker.service",
        "ops/heartbeat.py",
        "tests/test_worker.py",
    ],
    ("deploy", "kubernetes"): ["deploy/kubernetes", "tests/test_kubernetes.py"],
    ("tls", "files", "acme"): ["nginx/snippets/tls.conf", "nginx/variants/tls", "ops/certificate", "tls", "deploy/kubernetes/production/redirect.yaml"],
    ("tls", "acme"): ["nginx.d/plain", "ops/deploy-hook"],
}
"""Paths that a service has only with this answer to a question, or with one of these."""

NEVER = [
    "nginx/README.md",
    "nginx/example.env",
    "nginx/variants/standalone",
]
"""Paths that no answer asks for: parts of what is copied as a whole."""


def remove(path: str) -> None:
    """Remove a file or a directory, and directories that are empty then."""
    if os.path.isdir(path):
        shutil.rmtree(path)
    elif os.path.exists(path):
        os.remove(path)
    parent = os.path.dirname(path)
    if parent and os.path.isdir(parent) and not os.listdir(parent):
        remove(parent)


for (question, *answers), paths in BELONGS.items():
    for unwanted in [] if ANSWERS[question] in answers else paths:
        remove(unwanted)
for unwanted in NEVER:
    remove(unwanted)

example = Path(".env.example").read_text(encoding="utf-8")
password = "".join(secrets.choice(string.ascii_letters) for _ in range(32))
Path(".env").write_text(example.replace("change-me", password), encoding="utf-8")

if ANSWERS["_next_steps"] == "yes":
    print(f"created {Path.cwd().name}\nnext: cd {Path.cwd().name} && make dev")
