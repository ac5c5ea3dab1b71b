"""One server a module, with fieldwork and the shop, on a fresh database; people and devices are a test's own."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import anyio
import httpx
import msgspec
import psycopg
import pytest

from homing.server.tenant import open_tenant
from homing.settings import Settings
from tests.fixtures.cluster import Cluster
from tests.fixtures.server import serving
from tests.sync.bench import Bench, Node, node, through
from tests.sync.scene import Scene
from tests.sync.wire import Wire

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


@pytest.fixture(scope="module")
def wire(shop_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    assert shop_settings.database_url is not None
    query = parse_qs(urlsplit(shop_settings.database_url).query)
    made = Wire(tmp_path_factory.mktemp("wire"), Path(query["host"][0]), int(query["port"][0]))
    yield made
    made.close()


@pytest.fixture(scope="module")
def wired(shop_settings: Settings, wire: Wire) -> Iterator[Node]:
    """A node whose every word to PostgreSQL goes over the wire."""
    assert shop_settings.database_url is not None
    url = through(shop_settings.database_url, wire.folder)
    with node(msgspec.structs.replace(shop_settings, database_url=url)) as made:
        yield made


@pytest.fixture
def bench(scene: Scene, wired: Node, wire: Wire) -> Bench:
    return Bench(scene.person(), wired, wire)
