"""The console's tests share a server per module, with Olga of the office in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from homing.settings import Settings
from tests.fixtures.accounts import create_user
from tests.fixtures.server import Server, serving


@pytest.fixture(scope="module")
def settings(module_settings: Settings) -> Settings:
    create_user(module_settings.database_url or "", "olga@example.org", "OWNER", name="Olga Office")
    return module_settings


@pytest.fixture(scope="module")
def server(settings: Settings) -> Iterator[Server]:
    with serving(settings) as running:
        yield running
