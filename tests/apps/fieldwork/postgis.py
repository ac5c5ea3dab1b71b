"""A database with PostGIS, on the system's PostgreSQL."""

import anyio
import psycopg
import pytest
from psycopg import sql

from homing.postgres.database import Database
from homing.postgres.migrations import migrate
from tests.fixtures.cluster import Cluster, shipped_migrations


def make_postgis_database(cluster: Cluster, *, schema: str = "public") -> str:
    """A new migrated database whose gps columns are geography, with PostGIS in ``schema``; its URL."""
    with psycopg.connect(cluster.admin) as conn:
        if conn.execute("SELECT FROM pg_available_extensions WHERE name = 'postgis'").fetchone() is None:
            pytest.skip("NOT TESTED WITH POSTGIS: apt-get install postgresql-15-postgis-3")
    url = cluster.create_database()
    if schema != "public":
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
            conn.execute(sql.SQL("CREATE EXTENSION postgis SCHEMA {}").format(sql.Identifier(schema)))

    async def prepare() -> None:
        db = Database(url, pool_size=1)
        await db.open()
        try:
            await migrate(db, shipped_migrations())
        finally:
            await db.close()

    anyio.run(prepare)
    return url
