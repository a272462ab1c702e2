"""Which tests are slow, and which ones share something costly: decided here, for all of them.

``make test`` leaves out what is marked ``slow``; ``make test-all`` runs everything. Both run several processes
(``pytest-xdist``, ``--dist loadgroup``): tests of one group run one after the other in one process.
"""

import signal
from pathlib import Path

import pytest
from hypothesis import settings

_HERE = Path(__file__).resolve().parent

# A shell without job control starts its background commands with SIGINT ignored, and so would be all that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# An example that meets a busy machine is not a failure; what must be fast has a bound of its own.
settings.register_profile("no502", deadline=None)
settings.load_profile("no502")

_SLOW = (
    "adopt",
    "cli/test_demo.py",
    "cli/test_run.py",
    "conf/test_through_nginx.py",
    "deploy",
    "docs/test_calculator.py",
    "docs/test_site.py",
    "docs/test_why.py",
    "docs/test_why_files.py",
    "doctor/test_live.py",
    "doctor/test_nginx_effective.py",
    "doctor_logs/test_real_nginx.py",
    "e2e",
    "lab/test_command.py",
    "nginx",
    "package",
    "template",
)
"""Folders and modules whose tests run servers, a browser, an installation or other programs for seconds each."""

_FAST = (
    "adopt/test_refusals.py",
    "adopt/test_words.py",
    "nginx/test_command.py",
    "nginx/test_render.py",
    "template/test_bad_answers.py",
    "template/test_bake.py",
    "template/test_variables.py",
)
"""Modules in those folders that only read and write files."""

_SHARED = ("compared", "python_site", "wheel", "usual", "unusual", "stored", "site", "programs", "manifests", "units")
"""Fixtures that take seconds to make: the tests that use one of them form a group."""

_TIMED: dict[str, str | tuple[str, ...]] = {
    "asgi/test_metrics.py": "test_a_blocked_event_loop_is_busy",
    "conf/test_through_nginx.py": "test_one_number_in_one_dotenv_moves_both_sides",
    "docs/test_why_files.py": "test_dropped_folder_is_checked",
    "e2e/test_background.py": "test_service_",
    "e2e/test_stop.py": "test_stop_delay",
    "e2e/test_streams.py": "test_endless_stream_ends_with_its_worker",
    "e2e/test_websockets.py": ("test_closes_are_spread", "test_websocket_that_does_not_close_is_aborted"),
    "template/test_postgresql_served.py": "test_a_slow_statement",
    "template/test_served.py": "test_a_late_handler",
    "unit/test_bench_load.py": "test_an_answered_load_has_no_losses_and_keeps_its_rate",
}
"""Tests that assert on a clock's time, by module and the beginning of their names: one of them runs at a time.

``make test-all ARGS="-m timing"`` runs them alone. What asserts on processor time is not among them.
"""


def _within(path: str, names: tuple[str, ...]) -> bool:
    return any(path == name or path.startswith(f"{name}/") for name in names)


def _group_of(item: pytest.Item) -> str | None:
    """Return the shared fixture that a test uses, by name or as a parameter."""
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    used = {*getattr(item, "fixturenames", ()), *(value for value in parameters.values() if isinstance(value, str))}
    return next((name for name in _SHARED if name in used), None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test by where it stands, and put it into the group of what it shares."""
    for item in items:
        path = item.path.relative_to(_HERE).as_posix() if item.path.is_relative_to(_HERE) else ""
        if _within(path, _SLOW) and not _within(path, _FAST):
            item.add_marker(pytest.mark.slow)
        group = _group_of(item)
        if item.name.startswith(_TIMED.get(path, "/")):
            item.add_marker(pytest.mark.timing)
            group = group or "timing"
        if group is not None:
            item.add_marker(pytest.mark.xdist_group(group))
