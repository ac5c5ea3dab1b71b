"""Servers with the marketplace, and with the other applications beside it where a test says so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from homing.settings import Settings

if TYPE_CHECKING:  # pytest rewrites each plugin's asserts as it loads it, which an import before that prevents
    from tests.fixtures.cluster import Cluster

APPS = ("marketplace",)
RATES = {"marketplace-web": None, "marketplace-mobile": None}
"""Off: a test asks more in a second than a person in fifteen minutes. They have a test of their own."""


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(database_url=database_url, data_dir=tmp_path, pool_size=4, apps=APPS, rates=RATES)


@pytest.fixture(scope="module")
def module_settings(cluster: Cluster, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    url = cluster.create_database(template)
    yield Settings(database_url=url, data_dir=tmp_path_factory.mktemp("data"), pool_size=4, apps=APPS, rates=RATES)
    cluster.drop_database(url)
