"""Fixtures are small plugins, one file a resource, in ``tests/fixtures``; what a test sets up stands in the test."""

import gc
import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

from tests.places import memory

pytest_plugins = sorted(
    f"tests.fixtures.{path.stem}"
    for path in (Path(__file__).parent / "fixtures").glob("*.py")
    if path.stem != "__init__"
)

# What its assertions compare is shown as in a test.
pytest.register_assert_rewrite("tests.sync.bench")

# The suite tries the same examples every time: what it finds, whoever changed something finds before it is merged.
# `make soak` looks for new ones.
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("new", max_examples=500, deadline=None)
settings.load_profile("same")


def pytest_configure(config: pytest.Config) -> None:
    # Asked to stop (by `timeout`, by CI), tear down as after Ctrl-C: otherwise PostgreSQL would be left running.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # Where pytest's own folders for tests are. What a test that passed leaves there is removed (pyproject.toml).
    if (place := memory()) is not None:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(place))


def pytest_collection_finish(session: pytest.Session) -> None:
    # What is loaded by now stays to the end: half a million things that no collection of garbage need look at again.
    gc.collect()
    gc.freeze()
