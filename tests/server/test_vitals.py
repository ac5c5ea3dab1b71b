"""The database's key figures, in the metrics and for the doctor."""

import shutil
from collections.abc import Iterator

import psycopg
import pytest

from homing.postgres.database import Database
from homing.postgres.embedded import embedded
from homing.server import upkeep, vitals
from homing.server.metrics import Metrics
from tests.fixtures.cluster import folder_in_memory

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def counting() -> Iterator[str]:
    """A database of a server that counts statements, measures bloat, and whose log cannot be archived."""
    folder = folder_in_memory("homing-test-")
    try:
        with embedded(folder) as url, psycopg.connect(url, autocommit=True) as conn:
            conn.execute("ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'")
            conn.execute("ALTER SYSTEM SET archive_mode = on")
            conn.execute("ALTER SYSTEM SET archive_command = 'false'")
        with embedded(folder) as url:
            with psycopg.connect(url, autocommit=True) as conn:
                conn.execute('CREATE SCHEMA "Odd one"')
                conn.execute('CREATE EXTENSION pg_stat_statements SCHEMA "Odd one"')
                conn.execute("CREATE EXTENSION pgstattuple")
            yield url
    finally:
        shutil.rmtree(folder)


async def fill(db: Database) -> None:
    """A table of which three quarters are dead, with an index that was never used and one that shrank."""
    async with db.connection() as conn:
        await conn.execute("CREATE TABLE public.big (id int PRIMARY KEY, pad text NOT NULL, other int)")
        await conn.execute("ALTER TABLE public.big SET (autovacuum_enabled = off)")
        await conn.execute("INSERT INTO public.big SELECT n, repeat('x', 200), n FROM generate_series(1, 100000) n")
        await conn.execute("CREATE INDEX big_pad ON public.big (pad, other)")
        await conn.execute("DELETE FROM public.big WHERE id % 4 <> 0")
        await conn.execute("SELECT pg_stat_force_next_flush()")
        for _ in range(3):
            await conn.execute("SELECT count(*) FROM public.big WHERE other = 7")


async def test_where_extensions_are_there_they_are_used(counting: str) -> None:
    db = Database(counting)
    await db.open()
    try:
        await fill(db)
        async with db.connection() as conn:
            await conn.execute("SELECT pg_switch_wal()")
            while await (
                await conn.execute("SELECT failed_count FROM pg_stat_archiver WHERE failed_count = 0")
            ).fetchall():
                pass
            seen = await vitals.read(conn, schemas=["public"])
            (bloat,) = await vitals.measure_bloat(conn, seen.tables)
    finally:
        await db.close()
    assert seen.statements is not None
    counted = {each.text: each.calls for each in seen.statements}
    assert counted["SELECT count(*) FROM public.big WHERE other = $1"] == 3
    assert seen.archiving is False
    assert (bloat.name, bloat.how) == ("big", "measured")
    assert 0.6 < bloat.part < 0.9
    metrics = Metrics()
    metrics.note_vitals(seen)
    page = metrics.page().decode()
    assert "homing_database_archive_failing 1.0" in page
    assert 'homing_database_dead_rows{table="big"}' in page
    assert "homing_database_statement_calls{" in page


async def test_without_them_statistics_have_to_do(db: Database) -> None:
    await fill(db)
    async with db.connection() as conn:
        seen = await vitals.read(conn, schemas=["public"])
        (bloat,) = await vitals.measure_bloat(conn, seen.tables)
    assert (seen.statements, seen.archiving, seen.replication_lag) == (None, None, None)
    assert [each.name for each in seen.unused] == ["big_pad"]
    assert (seen.tables[0].name, seen.tables[0].live, seen.tables[0].dead) == ("big", 25_000, 75_000)
    assert (bloat.part, bloat.how) == (0.75, "estimated")
    assert seen.connections >= 1


async def test_upkeep_clears_up_and_rebuilds_what_is_bloated(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    await fill(db)
    await upkeep.vacuum(db)
    async with db.connection() as conn:
        assert (await vitals.read(conn, schemas=["public"])).tables[0].dead == 0
    rebuilt = await upkeep.reindex(db, schemas=["public"])
    assert [each.index for each in rebuilt] == ["public.big_pad"]
    assert rebuilt[0].after < rebuilt[0].before / 2
    assert await upkeep.reindex(db, schemas=["public"]) == []
