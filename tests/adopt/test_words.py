"""Start commands in every form that files have: only the words that have to change do."""

import pytest

from no502.adopt.command_change import convert_gunicorn, convert_uvicorn
from no502.adopt.locate import locate
from no502.adopt.own_conf import adopt_conf

CLASS = "uvicorn.workers.UvicornWorker"

GUNICORN = {
    "exec form": (
        "Dockerfile",
        f'CMD ["gunicorn", "app:app", "-k", "{CLASS}", "-w", "2"]\n',
        'CMD ["gunicorn", "-c", "gunicorn_conf.py", "app:app", "-w", "2"]\n',
    ),
    "shell form": (
        "Dockerfile",
        f"CMD gunicorn app:app -k {CLASS} --timeout=30 -b 0.0.0.0:$PORT\n",
        "CMD gunicorn -c gunicorn_conf.py app:app -b 0.0.0.0:$PORT\n",
    ),
    "continued": (
        "Dockerfile",
        f"CMD gunicorn \\\n  --worker-class {CLASS} \\\n  --workers 4 \\\n  app:app\n",
        "CMD gunicorn -c gunicorn_conf.py \\\n  --workers 4 \\\n  app:app\n",
    ),
    "glued and abbreviated": (
        "a.service",
        f"ExecStart=/v/bin/gunicorn -w4 -k{CLASS} --keep 5 --max-requests-j 7 app:app\n",
        "ExecStart=/v/bin/gunicorn -c gunicorn_conf.py -w4 app:app\n",
    ),
    "module of Python": (
        "Procfile",
        f"web: python -m gunicorn -k {CLASS} app:app # comment\n",
        "web: python -m gunicorn -c gunicorn_conf.py app:app # comment\n",
    ),
    "text in YAML": (
        "compose.yaml",
        f"command: gunicorn 'app:create_app()' -k {CLASS}  # why\n",
        "command: gunicorn -c gunicorn_conf.py 'app:create_app()'  # why\n",
    ),
    "quoted text in YAML": (
        "compose.yaml",
        f"command: \"sh -c 'sleep 1 && gunicorn app:app -k {CLASS}'\"\n",
        "command: \"sh -c 'sleep 1 && gunicorn -c gunicorn_conf.py app:app'\"\n",
    ),
    "folded text": (
        "compose.yaml",
        f"command: >-\n  gunicorn app:app\n  -k {CLASS}\n  -b :80\nother: 1\n",
        "command: >-\n  gunicorn -c gunicorn_conf.py app:app\n  -b :80\nother: 1\n",
    ),
    "literal text with a pipe behind it": (
        "compose.yaml",
        f"command:\n  - sh\n  - -c\n  - |\n    date\n    exec gunicorn app:app -k {CLASS} 2>&1 | cat\n",
        "command:\n  - sh\n  - -c\n  - |\n    date\n    exec gunicorn -c gunicorn_conf.py app:app 2>&1 | cat\n",
    ),
    "list over lines": (
        "compose.yaml",
        f'command: [\n  "gunicorn",\n  "app:app",\n  "-k", "{CLASS}",\n]\n',
        'command: [\n  "gunicorn", "-c", "gunicorn_conf.py",\n  "app:app",\n]\n',
    ),
    "block with comments": (
        "compose.yaml",
        f"command:\n  - gunicorn\n  - -k  # class\n  - {CLASS}\n  - app:app  # mine\n",
        'command:\n  - gunicorn\n  - "-c"\n  - gunicorn_conf.py\n  - app:app  # mine\n',
    ),
    "program in one list, options in another": (
        "pod.yaml",
        f'command: ["gunicorn"]\nargs: ["-k", "{CLASS}", "app:app"]\n',
        'command: ["gunicorn", "-c", "gunicorn_conf.py"]\nargs: ["app:app"]\n',
    ),
}

UVICORN = {
    "address": (
        "Procfile",
        "web: uvicorn app:app --host :: --port 80\n",
        "web: gunicorn -c C app:app --bind [::]:80\n",
    ),
    "default address": ("Procfile", "web: uvicorn app:app\n", "web: gunicorn -c C app:app\n"),
    "socket": ("Procfile", "web: uvicorn --uds /run/a app:app\n", "web: gunicorn -c C --bind unix:/run/a app:app\n"),
    "port by variable": (
        "Procfile",
        'web: uvicorn app:app --port "${PORT:-80}"\n',
        'web: gunicorn -c C app:app --bind 127.0.0.1:"${PORT:-80}"\n',
    ),
    "what is computed or a default": (
        "Procfile",
        "web: uvicorn app:app --loop uvloop --http httptools --timeout-keep-alive 5 --no-use-colors --workers 2\n",
        "web: gunicorn -c C app:app --workers 2\n",
    ),
    "factory": ("Procfile", "web: uvicorn app:make --factory\n", "web: gunicorn -c C 'app:make()'\n"),
    "certificate": (
        "Procfile",
        "web: uvicorn app:app --ssl-keyfile k --ssl-certfile=c\n",
        "web: gunicorn -c C app:app --keyfile k --certfile=c\n",
    ),
}


@pytest.mark.parametrize("case", GUNICORN)
def test_gunicorn(case: str) -> None:
    """The options that the ladder replaces go, -c comes, and every other character stays."""
    name, before, after = GUNICORN[case]
    application = "app:create_app()" if "create_app" in before else "app:app"
    written = locate(name, before, 1, application)
    assert written is not None
    assert convert_gunicorn(written, "gunicorn_conf.py").problems == []
    assert written.apply() == after


@pytest.mark.parametrize("case", UVICORN)
def test_uvicorn(case: str) -> None:
    """A command of uvicorn becomes one of gunicorn with the same application and address."""
    name, before, after = UVICORN[case]
    application = "app:make" if "make" in before else "app:app"
    written = locate(name, before, 1, application)
    assert written is not None
    assert convert_uvicorn(written, "C", application=application).problems == []
    assert written.apply() == after


@pytest.mark.parametrize("text", ["RUN pip install gunicorn uvicorn\n", "# gunicorn app:app\n", "CMD nginx\n"])
def test_no_command(text: str) -> None:
    """A mention of the program is no command."""
    assert locate("Dockerfile", text, 1, None) is None


def test_hooks_and_settings_stay() -> None:
    """Own hooks and settings are kept to the letter; a hook that the handover needs calls ours first."""
    before = (
        '#!/usr/bin/env python\n# ours\n\nbind = ":80"\nworker_class = "x"  # gone\n\n\n'
        "def on_reload(arbiter):\n    pass\n"
    )
    after = (
        '#!/usr/bin/env python\n# ours\n\nimport gunicorn_conf\nfrom gunicorn_conf import *\n\nbind = ":80"\n\n\n'
        "def on_reload(arbiter):\n    gunicorn_conf.on_reload(arbiter)\n    pass\n"
    )
    assert adopt_conf(before, "gunicorn_conf", ["workers"]).text == after


@pytest.mark.parametrize(
    "text",
    [
        "timeout = keepalive = 5\n",
        "import a; timeout = 5\n",
        "if a:\n    timeout = 5\n",
        "on_starting = a\n",
        "def (:\n",
    ],
)
def test_what_a_person_has_to_decide(text: str) -> None:
    """A statement that cannot be taken out by itself is named with its line, and the file stays as it is."""
    changed = adopt_conf(text, "gunicorn_conf", [])
    assert changed.problems
    assert changed.text == text


@pytest.mark.parametrize("known", [["workers"], []])
def test_number_of_workers(known: list[str]) -> None:
    """A number of workers that the file itself decides stays; one that is counted from the host's CPUs goes."""
    changed = adopt_conf("workers = 4\n", "gunicorn_conf", known)
    assert ("workers = 4" in changed.text) is bool(known)
