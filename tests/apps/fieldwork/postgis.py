"""A database with PostGIS, on the system's PostgreSQL."""

import anyio
import psycopg
import pytest

from homing.postgres.database import Database
from homing.postgres.migrations import migrate
from tests.fixtures.cluster import Cluster, shipped_migrations


def make_postgis_database(cluster: Cluster) -> str:
    """A new migrated database whose gps columns are geography; its URL."""
    with psycopg.connect(cluster.admin) as conn:
        if conn.execute("SELECT FROM pg_available_extensions WHERE name = 'postgis'").fetchone() is None:
            pytest.skip("NOT TESTED WITH POSTGIS: apt-get install postgresql-15-postgis-3")
    url = cluster.create_database()

    async def prepare() -> None:
        db = Database(url, pool_size=1)
        await db.open()
        try:
            await migrate(db, shipped_migrations())
        finally:
            await db.close()

    anyio.run(prepare)
    return url
