"""gunicorn ignores names that it does not know, so a misspelt one would vanish silently."""

import gunicorn
from gunicorn.config import KNOWN_SETTINGS, Config

import gunicorn_conf

_NEWER = {"control_socket_disable": (25, 1)}
"""Settings that the lowest supported gunicorn does not have yet, and since when it has them."""


def _public_names() -> set[str]:
    """Return what ``from gunicorn_conf import *`` brings, less what is no setting of gunicorn."""
    return {*gunicorn_conf.__all__} - {"settings"}


def test_every_public_name_is_a_setting_of_gunicorn() -> None:
    """Nothing in the module looks like a setting without being one."""
    newer = {name for name, since in _NEWER.items() if gunicorn.version_info[:2] < since}

    assert _public_names() - newer <= {setting.name for setting in KNOWN_SETTINGS}


def test_the_promised_settings_are_all_there() -> None:
    """The module sets this list, no more and no less."""
    promised = {"bind", "workers", "worker_class", "worker_tmp_dir", "timeout", "graceful_timeout", "keepalive"}
    promised |= {"max_requests", "max_requests_jitter", "backlog", "forwarded_allow_ips", "proc_name", "loglevel"}
    promised |= {"accesslog", "errorlog", "control_socket_disable", "on_starting", "on_reload"}

    assert _public_names() == promised


def test_gunicorn_takes_every_value_as_it_is() -> None:
    """The values pass gunicorn's own validators and come back unchanged."""
    config = Config()
    for name in _public_names() & set(config.settings):
        config.set(name, getattr(gunicorn_conf, name))

    numbers = ("timeout", "graceful_timeout", "keepalive", "max_requests", "max_requests_jitter", "workers", "backlog")
    for name in numbers:
        assert config.settings[name].get() == getattr(gunicorn_conf.settings, name)
