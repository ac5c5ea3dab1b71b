"""Connections: configured, clean, bounded; and one answer when the database is away."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from psycopg import errors

from homing.postgres.database import SESSION, Database
from homing.postgres.sql import Connection
from homing.protocol.errors import Problem

ACTOR = "2f0b6f0c-6c7c-4b58-9e0e-6b1f3c1f9a11"
ACTOR_NOW = "SELECT coalesce(current_setting('homing.actor', true), '')"
DEVICE = UUID("7d3f6f0c-0000-4b58-9e0e-6b1f3c1f9a12")


@asynccontextmanager
async def opened(url: str, **options: object) -> AsyncIterator[Database]:
    database = Database(url, **options)  # type: ignore[arg-type]
    await database.open()
    try:
        yield database
    finally:
        await database.close()


async def value(conn: Connection, query: str) -> object:
    row = await (await conn.execute(query, prepare=False)).fetchone()
    assert row is not None
    return row[0]


async def until(conn: psycopg.AsyncConnection, query: str) -> None:
    """Ask PostgreSQL until it says yes: the test's own time limit is the bound."""
    while not await value(conn, query):
        pass


async def test_sessions_are_configured(db: Database) -> None:
    async with db.connection() as conn:
        rows = await (
            await conn.execute(
                "SELECT name, current_setting(name) FROM pg_settings WHERE name = ANY (%s)",
                [[*SESSION, "application_name"]],
            )
        ).fetchall()
    assert dict(rows) == {
        "TimeZone": "UTC",
        "DateStyle": "ISO, MDY",
        "client_min_messages": "warning",
        "search_path": "pg_catalog, public",
        "plan_cache_mode": "force_generic_plan",
        "jit": "off",
        "max_parallel_workers_per_gather": "0",
        "statement_timeout": "30s",
        "lock_timeout": "10s",
        "idle_in_transaction_session_timeout": "1min",
        "application_name": "homing",
    }


async def test_options_come_on_top_of_the_session_settings(database_url: str) -> None:
    async with opened(database_url, options={"enable_seqscan": "off", "jit": "on"}) as db, db.connection() as conn:
        found = [await value(conn, f"SHOW {name}") for name in ("enable_seqscan", "jit", "plan_cache_mode")]
    assert found == ["off", "on", "force_generic_plan"]


async def test_the_url_has_the_last_word_on_connection_parameters(database_url: str) -> None:
    async with opened(f"{database_url}&application_name=mine") as db, db.connection() as conn:
        assert await value(conn, "SHOW application_name") == "mine"


async def test_a_statement_is_prepared_once_and_planned_once(db: Database) -> None:
    async with db.connection() as conn:
        for number in range(5):
            await conn.execute("SELECT %(number)s::int AS mine", {"number": number})
        plans = await (
            await conn.execute(
                "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement LIKE %s", ["%AS mine"]
            )
        ).fetchall()
    assert plans == [(4, 0)]  # the first of the five ran unprepared


async def test_a_transaction_names_its_actor_and_device_and_forgets_them(database_url: str) -> None:
    read = "SELECT current_setting('homing.actor', true) || '|' || current_setting('homing.device', true)"
    async with opened(database_url, pool_size=1) as db:
        async with db.transaction(actor=ACTOR, device=DEVICE) as conn:
            inside = await value(conn, read)
        async with db.transaction(actor="o'brien\\") as conn:
            quoted = await value(conn, read)
        async with db.transaction() as conn:
            nobody = await value(conn, read)
        async with db.connection() as conn:
            outside = await value(conn, read)
    assert [inside, quoted, nobody, outside] == [f"{ACTOR}|{DEVICE}", "o'brien\\|", "|", "|"]


async def test_a_transaction_is_kept_when_its_block_ends_and_undone_when_it_raises(db: Database) -> None:
    async with db.connection() as conn:
        await conn.execute("CREATE TABLE public.t (n int PRIMARY KEY)")
    async with db.transaction() as conn:
        await conn.execute("INSERT INTO public.t VALUES (1)")
    with pytest.raises(LookupError):
        async with db.transaction() as conn:
            await conn.execute("INSERT INTO public.t VALUES (2)")
            raise LookupError
    with pytest.raises(errors.UniqueViolation):  # an error of the statement is no Problem: the caller judges it
        async with db.transaction() as conn:
            await conn.execute("INSERT INTO public.t VALUES (3), (1)")
    async with db.transaction() as conn:
        async with conn.transaction():  # a savepoint, as anywhere in psycopg
            await conn.execute("INSERT INTO public.t VALUES (4)")
        with pytest.raises(errors.UniqueViolation):
            async with conn.transaction():
                await conn.execute("INSERT INTO public.t VALUES (1)")
    async with db.connection() as conn:
        assert await (await conn.execute("SELECT n FROM public.t ORDER BY n")).fetchall() == [(1,), (4,)]


async def test_a_swallowed_error_is_not_taken_for_a_commit(db: Database) -> None:
    async with db.connection() as conn:
        await conn.execute("CREATE TABLE public.t (n int PRIMARY KEY)")
    with pytest.raises(RuntimeError, match="nothing was committed"):
        async with db.transaction() as conn:
            await conn.execute("INSERT INTO public.t VALUES (1)")
            with pytest.raises(errors.UniqueViolation):
                await conn.execute("INSERT INTO public.t VALUES (1)")
    async with db.connection() as conn:
        assert await value(conn, "SELECT count(*) FROM public.t") == 0


async def test_a_snapshot_sees_one_instant_and_cannot_write(db: Database) -> None:
    async with db.connection() as conn:
        await conn.execute("CREATE TABLE public.t (n int)")
    async with db.snapshot() as reader:
        before = await value(reader, "SELECT count(*) FROM public.t")
        async with db.transaction() as writer:
            await writer.execute("INSERT INTO public.t VALUES (1)")
        after = await value(reader, "SELECT count(*) FROM public.t")
    async with db.snapshot() as reader:
        later = await value(reader, "SELECT count(*) FROM public.t")
    assert [before, after, later] == [0, 0, 1]
    with pytest.raises(Problem, match="unavailable"):
        async with db.snapshot() as reader:
            await reader.execute("INSERT INTO public.t VALUES (2)")


async def test_a_request_cancelled_in_a_statement_leaves_a_clean_connection(
    database_url: str, watcher: psycopg.AsyncConnection
) -> None:
    await watcher.execute("SELECT pg_advisory_lock(1)")

    async def request() -> None:
        async with db.transaction(actor=ACTOR) as conn:
            await conn.execute("CREATE TABLE public.left_behind (n int)")
            await conn.execute("SELECT pg_advisory_xact_lock(1)")

    async with opened(database_url, pool_size=1) as db:
        task = asyncio.create_task(request())
        await until(watcher, "SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with db.connection() as conn:
            state = (conn.info.transaction_status.name, await value(conn, ACTOR_NOW))
        assert state == ("IDLE", "")
        assert await value(watcher, "SELECT to_regclass('public.left_behind') IS NULL")
        assert (
            await value(watcher, "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'") == 0
        )


@pytest.mark.parametrize("seed", range(3))
async def test_requests_cancelled_anywhere_and_again_lose_no_connection_and_leave_none_dirty(
    database_url: str, watcher: psycopg.AsyncConnection, seed: int
) -> None:
    """Some turns of the event loop after a step was reached the request is cancelled, and again while it cleans up."""
    dice = random.Random(seed)
    outcomes: Counter[str] = Counter()

    async def request(actor: str, steps: Sequence[asyncio.Event]) -> None:
        steps[0].set()
        async with db.transaction(actor=actor) as conn:
            steps[1].set()
            assert await value(conn, ACTOR_NOW) == actor
            await conn.execute("UPDATE public.counted SET n = n + 1")
            steps[2].set()

    async def cancelled_at(step: int) -> str:
        steps = [asyncio.Event() for _ in range(3)]
        task = asyncio.create_task(request(f"actor {step}", steps))
        for _ in range(dice.randrange(3) if step < 3 else 0):
            await steps[step].wait()
            for _ in range(dice.randrange(12)):
                await asyncio.sleep(0)
            task.cancel()
        await asyncio.wait([task])
        return "cancelled" if task.cancelled() else "failed" if task.exception() else "done"

    async with opened(database_url, pool_size=2) as db:
        await watcher.execute("CREATE TABLE public.counted AS SELECT 0 AS n")
        for _ in range(30):
            outcomes.update(await asyncio.gather(*(cancelled_at(step) for step in range(4))))
        async with db.connection() as first, db.connection() as second:
            states = {(c.info.transaction_status.name, await value(c, ACTOR_NOW)) for c in (first, second)}
    assert states == {("IDLE", "")}
    assert set(outcomes) == {"done", "cancelled"}
    assert outcomes["done"] >= 30  # those that nobody cancelled
    # A COMMIT whose answer the cancelled request never read may have happened; what was done has happened.
    assert outcomes["done"] <= await value(watcher, "SELECT n FROM public.counted") <= outcomes.total()


async def test_an_exhausted_pool_is_unavailable_after_its_wait(database_url: str) -> None:
    async with opened(database_url, pool_size=1, wait_seconds=0.05) as db, db.connection():
        with pytest.raises(Problem, match="unavailable") as caught:
            async with db.connection():
                pass
    assert (caught.value.code.status, caught.value.code.action.value, caught.value.retry_after) == (503, "retry", 1)
    assert type(caught.value.__cause__).__name__ == "PoolTimeout"


async def test_a_database_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    async with opened(f"postgresql://nobody@/nothing?host={tmp_path}", wait_seconds=0.05) as db:
        for borrow in (db.connection, db.transaction, db.snapshot, db.dedicated):
            with pytest.raises(Problem, match="unavailable"):
                async with borrow():
                    pass


@pytest.mark.parametrize(
    ("setting", "statement", "cause"),
    [
        ("statement_timeout", "SELECT pg_sleep(60)", "QueryCanceled"),
        ("lock_timeout", "SELECT pg_advisory_lock(1)", "LockNotAvailable"),
    ],
)
async def test_waits_inside_the_database_are_bounded(
    database_url: str, watcher: psycopg.AsyncConnection, setting: str, statement: str, cause: str
) -> None:
    await watcher.execute("SELECT pg_advisory_lock(1)")
    async with opened(database_url, pool_size=1, options={setting: "20ms"}) as db:
        with pytest.raises(Problem, match="unavailable") as caught:
            async with db.transaction() as conn:
                await conn.execute(statement)
        assert type(caught.value.__cause__).__name__ == cause
        async with db.connection() as conn:
            assert await value(conn, "SELECT 1") == 1


async def test_a_transaction_left_open_is_ended(database_url: str, watcher: psycopg.AsyncConnection) -> None:
    async with opened(database_url, options={"idle_in_transaction_session_timeout": "20ms"}) as db:
        with pytest.raises(Problem, match="unavailable"):
            async with db.transaction() as conn:
                pid = await value(conn, "SELECT pg_backend_pid()")
                await until(watcher, f"SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = {pid})")


async def test_a_connection_that_ends_under_a_request_is_unavailable_and_replaced(
    database_url: str, watcher: psycopg.AsyncConnection
) -> None:
    async with opened(database_url, pool_size=1) as db:
        with pytest.raises(Problem, match="unavailable"):
            async with db.transaction() as conn:
                await watcher.execute(f"SELECT pg_terminate_backend({conn.info.backend_pid}, 5000)")
                await conn.execute("SELECT 1")
        async with db.transaction() as conn:
            assert await value(conn, "SELECT 1") == 1


async def test_connections_that_ended_while_idle_are_replaced_unnoticed(
    database_url: str, watcher: psycopg.AsyncConnection
) -> None:
    async with opened(database_url, pool_size=3) as db:
        async with db.connection() as one, db.connection() as two, db.connection() as three:
            pids = [conn.info.backend_pid for conn in (one, two, three)]
        for pid in pids:
            await watcher.execute(f"SELECT pg_terminate_backend({pid}, 5000)")
        async with db.connection() as one, db.connection() as two, db.connection() as three:
            served = {await value(conn, "SELECT pg_backend_pid()") for conn in (one, two, three)}
    assert len(served) == 3
    assert served.isdisjoint(pids)


async def test_a_dedicated_connection_listens_and_ends(database_url: str, watcher: psycopg.AsyncConnection) -> None:
    async with opened(database_url) as db:
        async with db.dedicated() as conn:
            await conn.execute("LISTEN homing")
            await watcher.execute("NOTIFY homing, 'hello'")
            heard = [note.payload async for note in conn.notifies(stop_after=1)]
            pid = conn.info.backend_pid
        await until(watcher, f"SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = {pid})")
    assert heard == ["hello"]


async def test_open_and_close_may_be_said_twice_but_use_needs_open(database_url: str) -> None:
    db = Database(database_url)
    with pytest.raises(RuntimeError, match="not open"):
        async with db.connection():
            pass
    for step in (db.open, db.open, db.close, db.close, db.open):
        await step()
    async with db.connection() as conn:
        assert await value(conn, "SELECT 1") == 1
    await db.close()


async def test_two_pools_of_one_database_keep_their_own_settings(new_database: Callable[..., str]) -> None:
    url = new_database()
    async with (
        opened(url, options={"enable_bitmapscan": "off"}) as pull,
        opened(url) as push,
        pull.connection() as one,
        push.connection() as two,
    ):
        assert [await value(conn, "SHOW enable_bitmapscan") for conn in (one, two)] == ["off", "on"]
