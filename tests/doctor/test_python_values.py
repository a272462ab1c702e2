"""gunicorn's configuration in Python: what its text tells is known, what only a run would tell is not a default."""

from pathlib import Path

import pytest

from tests.doctor.report import Report, judge

ADDRESS = "0.0.0.0:7000"


def read(conf: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: dict[str, str] | None = None) -> Report:
    """Return the report on a Procfile with that configuration."""
    files = {"Procfile": "web: gunicorn shop:app\n", "gunicorn.conf.py": conf, **(more or {})}
    return judge(tmp_path, files, monkeypatch)


@pytest.mark.parametrize(
    "conf",
    [
        "parts = ['0.0.0.0', str(7000)]\nbind = ':'.join(parts)\n",
        "bind = '%s:%d' % ('0.0.0.0', 7000)\n",
        "bind = '{}:{}'.format('0.0.0.0', 7000)\n",
        "SETTINGS = {'bind': '0.0.0.0:7000', 'workers': 2}\nbind = SETTINGS['bind']\n",
        "options = dict(bind='0.0.0.0:7000')\nbind = options.get('bind')\n",
        "class Server:\n    port = 7000\n    bind = f'0.0.0.0:{port}'\nbind = Server.bind\n",
        "class Server:\n    bind = '0.0.0.0:7000'\nserver = Server()\nbind = server.bind\n",
        "def at(port, host='0.0.0.0'):\n    '''A.'''\n    t = f'{host}:{port}'\n    return t\nbind = at(7000)\n",
        "import os\nbind = os.getenv('BIND') or '0.0.0.0:7000'\n",
        "import os\nbind = os.environ['BIND'] if 'BIND' in os.environ else '0.0.0.0:7000'\n",
        "from decouple import config\nbind = config('BIND', default='0.0.0.0:7000')\n",
        "import environ\nenv = environ.Env()\nbind = '0.0.0.0:%s' % env.int('PORT', 7000)\n",
        "from environs import Env\nenv = Env()\nbind = env.str('BIND', '0.0.0.0:7000')\n",
        "FAST = True\nif FAST:\n    bind = '0.0.0.0:7000'\nelse:\n    bind = '0.0.0.0:1'\n",
        "try:\n    import uvloop\nexcept ImportError:\n    uvloop = None\nelse:\n    pass\nbind = '0.0.0.0:7000'\n",
        "import math\nbind = f'0.0.0.0:{math.ceil(6999.5)}'\n",
    ],
)
def test_what_a_file_says_is_known(conf: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dictionaries, classes, plain functions, formats and look-ups with a default are worked out."""
    assert read(conf, tmp_path, monkeypatch).servers() == [("gunicorn", [ADDRESS])]


@pytest.mark.parametrize(
    ("conf", "module"),
    [
        ("from base import bind\n", "base.py"),
        ("from base import *\nworkers = 2\n", "base.py"),
        ("from conf.base import bind as address\nbind = address\n", "conf/base.py"),
        ("from conf import *\n", "conf/__init__.py"),
    ],
)
def test_an_imported_module_is_read(conf: str, module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a configuration imports from the project counts as its own."""
    report = read(conf, tmp_path, monkeypatch, {module: "bind = '0.0.0.0:7000'\n"})
    assert report.servers() == [("gunicorn", [ADDRESS])]


@pytest.mark.parametrize(
    "conf",
    [
        "from shop_settings import *\n",
        "from shop_settings import bind\n",
        "for name, value in {'bind': '0.0.0.0:1'}.items():\n    globals()[name] = value\n",
        "globals().update(bind='0.0.0.0:1')\n",
        "import os\nif os.getenv('STAGE') == 'live':\n    bind = '0.0.0.0:1'\n",
        "import os\nmatch os.getenv('STAGE'):\n    case 'live':\n        bind = '0.0.0.0:1'\n",
        "try:\n    from local import address\nexcept ImportError:\n    bind = '0.0.0.0:1'\n",
        "while True:\n    bind = '0.0.0.0:1'\n    break\n",
    ],
)
def test_what_only_a_run_would_tell_is_not_the_default(
    conf: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No finding says 127.0.0.1:8000 where something else may set the address."""
    assert read(conf, tmp_path, monkeypatch).servers() == [("gunicorn", None)]


@pytest.mark.parametrize(
    "conf",
    [
        "bind = ('0.0.0.0:7000,' * 400)[:12] * 10 ** 9\n",
        "def f(x):\n    return f(x)\nbind = f(1)\n",
        "a = '%1000000000d' % 1\nbind = a\n",
        "a = '{:>1000000000}'.format(1)\nbind = a\n",
        "a = ['x'] + ['x']\n" + "a = a + a\n" * 60 + "bind = a\n",
        "timeout = 9 ** 9 ** 9\nbind = 1 / 0\n",
    ],
)
def test_no_expression_costs_time(conf: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Widths, recursion and doublings end as unknown."""
    assert read(conf, tmp_path, monkeypatch).servers() == [("gunicorn", None)]
