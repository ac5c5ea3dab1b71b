"""The sweep, and every way it can meet somebody who is about to name what it is about to remove."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from homing.media import sweep, verify_uploads
from homing.media.folder import Folder
from homing.media.store import Progress, Store
from homing.media.sweep import LOOK_MAX, Swept
from homing.postgres.database import Database
from tests.media.people import NAMING_TABLE, add_user, begin_upload, put_file

pytestmark = pytest.mark.anyio

OLD = timedelta(hours=25)


@pytest.fixture
async def pages(db: Database) -> Database:
    async with db.connection() as conn:
        await conn.execute(NAMING_TABLE)
    return db


async def uploads(db: Database) -> list[str]:
    async with db.connection() as conn:
        return [key for (key,) in await (await conn.execute("SELECT key FROM homing.media ORDER BY key")).fetchall()]


async def name_it(db: Database, store: Store, user: object, key: str) -> None:
    async with db.transaction() as conn:
        assert (await verify_uploads(conn, store, user_id=user, keys=[key]))[key] is not None  # type: ignore[arg-type]
        await conn.execute("INSERT INTO public.pages (key) VALUES (%s)", [key])


async def test_only_what_is_old_and_unnamed_goes(pages: Database, store: Store) -> None:
    user = await add_user(pages)
    keys = {}
    for what, age in (
        ("old", OLD),
        ("new", timedelta(hours=23)),
        ("named", OLD),
        ("never sent", OLD),
        ("verified", OLD),
    ):
        keys[what] = await begin_upload(pages, user, b"data", age=age)
        if what != "never sent":
            await put_file(store, keys[what], b"data")
    await name_it(pages, store, user, keys["named"])
    async with pages.transaction() as conn:
        await verify_uploads(conn, store, user_id=user, keys=[keys["verified"]])
    assert await sweep(pages, store, now=datetime.now(UTC)) == Swept(uploads=3, parts=0, kept=0)
    assert await uploads(pages) == sorted([keys["new"], keys["named"]])
    left = {what: await store.progress(key) for what, key in keys.items()}
    assert left == {
        "old": Progress(0, whole=False),
        "new": Progress(4, whole=True),
        "named": Progress(4, whole=True),
        "never sent": Progress(0, whole=False),
        "verified": Progress(0, whole=False),
    }
    assert await sweep(pages, store, now=datetime.now(UTC)) == Swept(uploads=0, parts=0, kept=0)


async def test_the_sweep_goes_on_until_nothing_is_left(pages: Database, folder: Folder) -> None:
    user = await add_user(pages)
    named = await begin_upload(pages, user, b"data", age=OLD * 2)
    await put_file(folder, named, b"data")
    async with pages.connection() as conn:
        await conn.execute(
            "INSERT INTO homing.media (key, user_id, filename, content_type, created_at)"
            " SELECT '20260101/' || lpad(n::text, 32, '0'), %s, 'a', 'text/plain', now() - interval '25 hours'"
            " FROM generate_series(1, %s) n",
            [user, LOOK_MAX + 1],
        )
        await conn.execute("ALTER TABLE public.pages DISABLE TRIGGER refer")
        await conn.execute("INSERT INTO public.pages (key) VALUES (%s)", [named])
    assert await sweep(pages, folder, now=datetime.now(UTC)) == Swept(uploads=LOOK_MAX + 1, parts=0, kept=1)
    assert await uploads(pages) == [named]


async def test_a_file_goes_once_its_last_row_is_gone(pages: Database, store: Store) -> None:
    user = await add_user(pages)
    key = await begin_upload(pages, user, b"data", age=OLD)
    await put_file(store, key, b"data")
    await name_it(pages, store, user, key)
    await name_it(pages, store, user, key)
    async with pages.connection() as conn:
        await conn.execute("DELETE FROM public.pages WHERE id = 1")
    # The first delete sent the sweep to look; the foreign key of the other row had the last word.
    assert await sweep(pages, store, now=datetime.now(UTC)) == Swept(uploads=0, parts=0, kept=1)
    assert await sweep(pages, store, now=datetime.now(UTC)) == Swept(uploads=0, parts=0, kept=0)
    assert await store.size(key) == 4
    async with pages.connection() as conn:
        await conn.execute("DELETE FROM public.pages WHERE id = 2")
    assert await sweep(pages, store, now=datetime.now(UTC)) == Swept(uploads=1, parts=0, kept=0)
    assert await store.size(key) is None


async def test_the_sweep_waits_for_who_is_naming_and_then_keeps_the_file(pages: Database, store: Store) -> None:
    user = await add_user(pages)
    key = await begin_upload(pages, user, b"data", age=OLD)
    await put_file(store, key, b"data")
    async with pages.transaction() as conn:
        await verify_uploads(conn, store, user_id=user, keys=[key])
        sweeping = asyncio.create_task(sweep(pages, store, now=datetime.now(UTC)))
        await blocked(pages, on=conn.info.backend_pid)
        await conn.execute("INSERT INTO public.pages (key) VALUES (%s)", [key])
    assert await sweeping == Swept(uploads=0, parts=0, kept=0)
    assert await store.size(key) == 4


async def test_the_sweep_waits_for_a_writer_who_never_asked(pages: Database, store: Store) -> None:
    user = await add_user(pages)
    key = await begin_upload(pages, user, b"data", age=OLD)
    await put_file(store, key, b"data")
    async with pages.transaction() as conn:
        await conn.execute("ALTER TABLE public.pages DISABLE TRIGGER refer")
        await conn.execute("INSERT INTO public.pages (key) VALUES (%s)", [key])
        sweeping = asyncio.create_task(sweep(pages, store, now=datetime.now(UTC)))
        await blocked(pages, on=conn.info.backend_pid)
    assert await sweeping == Swept(uploads=0, parts=0, kept=1)
    assert await store.progress(key) == Progress(4, whole=True)


async def test_who_comes_while_the_sweep_removes_finds_the_upload_missing(pages: Database, tmp_path: Path) -> None:
    store = SlowFolder(tmp_path, bytes_max=100)
    user = await add_user(pages)
    key = await begin_upload(pages, user, b"data", age=OLD)
    await put_file(store, key, b"data")
    sweeping = asyncio.create_task(sweep(pages, store, now=datetime.now(UTC)))
    await store.deleting.wait()
    async with pages.transaction() as conn:
        naming = asyncio.create_task(verify_uploads(conn, store, user_id=user, keys=[key]))
        await waiting(pages, conn.info.backend_pid)
        store.may_delete.set()
        assert await naming == {key: None}
    assert await sweeping == Swept(uploads=1, parts=0, kept=0)
    assert (await uploads(pages), await store.size(key)) == ([], None)


class SlowFolder(Folder):
    """A folder that says when it is about to delete, and waits to be told to."""

    def __init__(self, root: Path, *, bytes_max: int) -> None:
        super().__init__(root, bytes_max=bytes_max)
        self.deleting = asyncio.Event()
        self.may_delete = asyncio.Event()

    async def delete(self, key: str) -> None:
        self.deleting.set()
        await self.may_delete.wait()
        await super().delete(key)


async def blocked(db: Database, *, on: int) -> None:
    """Return once another session waits for the one with process id ``on``."""
    await until(db, "SELECT count(*) FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid))", on)


async def waiting(db: Database, pid: int) -> None:
    """Return once the session with process id ``pid`` waits for another."""
    await until(db, "SELECT cardinality(pg_blocking_pids(%s))", pid)


async def until(db: Database, query: str, pid: int) -> None:
    async with asyncio.timeout(60), db.connection() as conn:
        while (await (await conn.execute(query, [pid])).fetchone()) == (0,):  # type: ignore[arg-type]  # noqa: ASYNC110
            await asyncio.sleep(0)
