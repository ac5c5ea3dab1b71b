"""Fixtures are small plugins, one file a resource, in ``tests/fixtures``; what a test sets up stands in the test."""

import signal
from pathlib import Path

import pytest

pytest_plugins = sorted(
    f"tests.fixtures.{path.stem}"
    for path in (Path(__file__).parent / "fixtures").glob("*.py")
    if path.stem != "__init__"
)

# What its assertions compare is shown as in a test.
pytest.register_assert_rewrite("tests.sync.bench")


def pytest_configure(config: pytest.Config) -> None:
    # Asked to stop (by `timeout`, by CI), tear down as after Ctrl-C: otherwise PostgreSQL would be left running.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
