"""Servers with the CRM, and with fieldwork beside it: two applications on one server must not get in each other's
way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from homing.settings import Settings
from tests.apps.crm.scene import Phones, phone

if TYPE_CHECKING:  # pytest rewrites each plugin's asserts as it loads it, which an import before that prevents
    from tests.fixtures.cluster import Cluster
    from tests.fixtures.server import Server

APPS = ("fieldwork", "crm")


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(database_url=database_url, data_dir=tmp_path, pool_size=4, apps=APPS)


@pytest.fixture(scope="module")
def module_settings(cluster: Cluster, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    url = cluster.create_database(template)
    yield Settings(database_url=url, data_dir=tmp_path_factory.mktemp("data"), pool_size=4, apps=APPS)
    cluster.drop_database(url)


@pytest.fixture
def phones(server: Server, tmp_path: Path) -> Iterator[Phones]:
    """``phones("wim")``: a replica of this worker's, on the test's server."""
    with ExitStack() as stack:
        yield lambda login: stack.enter_context(phone(tmp_path, server.url, login))
