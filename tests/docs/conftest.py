"""The reference is about everything that ships, so its server has every application."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from homing.settings import Settings
from tests.fixtures.cluster import Cluster

APPS = ("fieldwork", "messaging", "crm", "marketplace")


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(database_url=database_url, data_dir=tmp_path, pool_size=4, apps=APPS)


@pytest.fixture(scope="module")
def module_settings(cluster: Cluster, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    url = cluster.create_database(template)
    yield Settings(database_url=url, data_dir=tmp_path_factory.mktemp("data"), pool_size=4, apps=APPS)
    cluster.drop_database(url)
