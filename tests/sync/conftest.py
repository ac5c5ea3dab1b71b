"""One server a module, with fieldwork and the shop, on a fresh database; people and devices are a test's own."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import anyio
import httpx
import psycopg
import pytest

from homing.server.tenant import open_tenant
from homing.settings import Settings
from tests.fixtures.cluster import Cluster
from tests.fixtures.server import serving
from tests.sync.scene import Scene

APPS = ("fieldwork", "tests.sync.shop")


@pytest.fixture(scope="session")
def shop_template(cluster: Cluster, template: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a database with the shop in it, as a first start leaves it."""

    async def start_once(settings: Settings) -> None:
        async with open_tenant(settings):
            pass

    url = cluster.create_database(template)
    anyio.run(
        start_once, Settings(database_url=url, data_dir=tmp_path_factory.mktemp("template"), apps=APPS, pool_size=2)
    )
    return urlsplit(url).path[1:]


@pytest.fixture(scope="module")
def shop_settings(cluster: Cluster, shop_template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    url = cluster.create_database(shop_template)
    yield Settings(database_url=url, data_dir=tmp_path_factory.mktemp("data"), apps=APPS, pool_size=6)
    cluster.drop_database(url)


@pytest.fixture(scope="module")
def scene(shop_settings: Settings) -> Iterator[Scene]:
    assert shop_settings.database_url is not None
    with (
        serving(shop_settings) as server,
        httpx.Client(base_url=server.url, timeout=60) as http,
        psycopg.connect(shop_settings.database_url, autocommit=True) as conn,
    ):
        yield Scene(server, http, conn)
