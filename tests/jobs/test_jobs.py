"""A job is there if and only if its transaction committed; what fails is tried again and ends where it can be seen."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from homing import jobs
from homing.jobs import HopelessError, Job, Task, defer
from homing.jobs.worker import Worker
from homing.postgres.database import Database

pytestmark = pytest.mark.anyio

NOON = datetime(2031, 5, 6, 12, tzinfo=UTC)


def worker(
    db: Database,
    *tasks: Task[Any],
    clock: Callable[[], datetime] = lambda: NOON,
    lease: float = 30.0,
    grace: float = 20.0,
) -> tuple[Worker[Any], list[tuple[str, str]]]:
    """A worker, and what it is going to say of each try."""
    told: list[tuple[str, str]] = []
    return Worker(
        owner=db,
        tasks=tasks,
        context=db,
        clock=clock,
        note=lambda *said: told.append(said[:2]),
        lease=lease,
        grace=grace,
    ), told


async def rows(db: Database, query: str, params: Sequence[Any] = ()) -> list[Any]:
    async with db.connection() as conn:
        return await (await conn.execute(query.encode(), params)).fetchall()


async def queue(db: Database) -> list[Any]:
    return await rows(db, "SELECT task_name, status::text, attempts FROM procrastinate.procrastinate_jobs ORDER BY id")


async def make_due(db: Database) -> None:
    """As if the pause before the next try were over."""
    await rows(db, "UPDATE procrastinate.procrastinate_jobs SET scheduled_at = NULL WHERE id > 0 RETURNING id")


def taking(into: list[Any]) -> Task[Any]:
    async def take(_: Any, job: Job) -> None:
        into.append(dict(job.args))

    return Task(name="test.take", run=take)


async def test_a_job_is_there_if_its_transaction_committed(db: Database) -> None:
    done: list[Any] = []
    async with db.transaction() as conn:
        await defer(conn, "test.take", of="the one that commits", at_all={"nested": [1, None]})
    with pytest.raises(KeyError):
        async with db.transaction() as conn:
            await defer(conn, "test.take", of="the one that does not")
            raise KeyError
    working, told = worker(db, taking(done))
    await working.drain()
    assert done == [{"of": "the one that commits", "at_all": {"nested": [1, None]}}]
    assert told == [("test.take", "done")]
    assert await queue(db) == []


async def test_the_role_of_the_api_may_enqueue_and_nothing_else(database_url: str, db: Database) -> None:
    api = Database(database_url, options={"role": "homing_api"})
    await api.open()
    try:
        async with api.transaction() as conn:
            await defer(conn, "test.take", n=1)
        for statement in (
            "SELECT FROM procrastinate.procrastinate_jobs",
            "DELETE FROM homing.job_failures",
            "UPDATE homing.periodic_jobs SET next_at = now()",
        ):
            with pytest.raises(Exception, match="permission denied"):
                await rows(api, statement)
    finally:
        await api.close()
    assert await queue(db) == [("test.take", "todo", 0)]


async def test_a_job_waits_for_a_worker_that_knows_it(db: Database) -> None:
    """A node that is older than the one that enqueued must not bury the job."""
    async with db.transaction() as conn:
        await defer(conn, "test.of_tomorrow")
    working, _ = worker(db, taking([]))
    await working.drain()
    assert await queue(db) == [("test.of_tomorrow", "todo", 0)]


async def test_of_one_key_one_waits(db: Database) -> None:
    done: list[Any] = []
    async with db.transaction() as conn:
        first = await defer(conn, "test.take", key="k", n=1)
        assert await defer(conn, "test.take", key="k", n=2) == first
        assert await defer(conn, "test.take", key="other", n=3) != first
    async with db.transaction() as conn:
        assert await defer(conn, "test.take", key="k", n=4) == first
        # Until this commits, the waiting job does not start: it has to see what is written here.
        working, _ = worker(db, taking(done))
        await working.drain()
        assert done == [{"n": 3}]
    await working.drain()
    assert done == [{"n": 3}, {"n": 1}]


async def test_two_who_enqueue_one_key_at_once_make_one_job(db: Database) -> None:
    async with db.transaction() as one:
        first = await defer(one, "test.take", key="k")
        async with asyncio.TaskGroup() as group:
            other = group.create_task(_defer(db))
            while not await rows(db, "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"):
                pass
            await one.execute("COMMIT")
            await one.execute("BEGIN")
    assert other.result() == first


async def _defer(db: Database) -> int:
    async with db.transaction() as conn:
        return await defer(conn, "test.take", key="k")


async def test_one_key_is_worked_one_at_a_time(db: Database) -> None:
    running = most = 0

    async def one(db: Database, _: Job) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        async with db.transaction() as conn:
            await defer(conn, "test.other")
        running -= 1

    tasks = Task(name="test.one", run=one)
    for _ in range(3):
        async with db.transaction() as conn:
            await defer(conn, "test.one", key="k", at=NOON - timedelta(days=4000 + _))
    working, told = worker(db, tasks)
    for _ in range(3):
        await working.drain()
    assert (most, told) == (1, [("test.one", "done")] * 3)


async def test_poison_ends_where_it_can_be_seen(db: Database) -> None:
    async def fail(_: Any, job: Job) -> None:
        raise ValueError(f"number {job.attempt}")

    async with db.transaction() as conn:
        await defer(conn, "test.poison")
        await defer(conn, "test.take", n=1)
    done: list[Any] = []
    working, told = worker(db, Task(name="test.poison", run=fail, tries=3), taking(done))
    for n in range(5):
        await working.drain()
        if n == 0:  # it waits before the second try, and holds nobody else up
            assert await queue(db) == [("test.poison", "todo", 1)]
            assert done == [{"n": 1}]
            ((pause,),) = await rows(
                db, "SELECT extract(epoch FROM scheduled_at - now())::float8 FROM procrastinate.procrastinate_jobs"
            )
            assert 0 < pause < 10
        await make_due(db)
    assert await queue(db) == [("test.poison", "failed", 3)]
    assert await rows(db, "SELECT attempt, error FROM homing.job_failures ORDER BY attempt") == [
        (1, "ValueError: number 1"),
        (2, "ValueError: number 2"),
        (3, "ValueError: number 3"),
    ]
    assert Counter(told) == {("test.poison", "failed"): 2, ("test.poison", "dead"): 1, ("test.take", "done"): 1}


async def test_what_is_hopeless_is_dead_at_once(db: Database) -> None:
    async def fail(_: Any, __: Job) -> None:
        raise HopelessError("there is no such file")

    async with db.transaction() as conn:
        await defer(conn, "test.hopeless")
    working, told = worker(db, Task(name="test.hopeless", run=fail))
    await working.drain()
    assert (told, await queue(db)) == ([("test.hopeless", "dead")], [("test.hopeless", "failed", 1)])


async def test_a_try_that_takes_too_long_failed(db: Database) -> None:
    async def hang(_: Any, __: Job) -> None:
        await asyncio.Event().wait()

    async with db.transaction() as conn:
        await defer(conn, "test.hang")
    working, told = worker(db, Task(name="test.hang", run=hang, seconds=0.05, tries=1))
    await working.drain()
    assert (told, await queue(db)) == ([("test.hang", "dead")], [("test.hang", "failed", 1)])


async def test_a_worker_that_is_told_to_stop_puts_its_job_back(db: Database) -> None:
    began = asyncio.Event()

    async def hang(_: Any, __: Job) -> None:
        began.set()
        await asyncio.Event().wait()

    async with db.transaction() as conn:
        await defer(conn, "test.hang")
    working, _ = worker(db, Task(name="test.hang", run=hang, tries=1), grace=0.1)
    task = asyncio.create_task(working.work())
    await began.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await queue(db) == [("test.hang", "todo", 1)]


async def test_a_worker_is_woken(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("homing.jobs.worker.POLL_SECONDS", 3600.0)  # it would not look by itself
    done = asyncio.Event()

    async def take(_: Any, __: Job) -> None:
        done.set()

    working, _ = worker(db, Task(name="test.wake", run=take))
    task = asyncio.create_task(working.work())
    try:
        while not await rows(db, "SELECT FROM pg_stat_activity WHERE starts_with(query, 'LISTEN')"):
            pass
        async with db.transaction() as conn:
            await defer(conn, "test.wake")
        async with asyncio.timeout(60):
            await done.wait()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_what_is_periodic_is_enqueued_by_whoever_looks_first(db: Database) -> None:
    now = NOON
    done: list[Any] = []

    async def take(_: Any, job: Job) -> None:
        done.append(now)

    daily = Task(name="test.daily", run=take, every=timedelta(days=1))
    one, _ = worker(db, daily, clock=lambda: now)
    two, _ = worker(db, daily, clock=lambda: now)
    await one.drain()
    assert done == []  # a minute from now
    for days in (1, 1, 2, 400):
        now = NOON + timedelta(days=days)
        await asyncio.gather(one.look(), two.look())
        await one.drain()
    # Who was away for a year makes up for it once.
    assert done == [NOON + timedelta(days=days) for days in (1, 2, 400)]


async def test_the_tables_are_installed_once_by_however_many(new_database: Callable[..., str]) -> None:
    from homing.postgres.migrations import Migrations, migrate, rollback

    core = Migrations("core", "homing.postgres")
    databases = [Database(url) for url in [new_database()] * 3]
    for each in databases:
        await each.open()
    try:
        await migrate(databases[0], [core])
        applied = await asyncio.gather(*(jobs.install(each) for each in databases))
        assert sorted(applied) == [[], [], ["schema"]]
        await rollback(databases[0], [core], set_name="core", to_version=8)
        await migrate(databases[0], [core])
        assert await jobs.install(databases[0]) == ["schema"]
    finally:
        for each in databases:
            await each.close()


async def test_a_job_that_takes_long_is_not_hurried_because_the_queue_is_empty(db: Database) -> None:
    """Tenants other than the default one are drained, not waited for."""
    going = asyncio.Event()
    ended: list[str] = []

    async def take(_: Any, job: Job) -> None:
        going.set()
        try:
            await asyncio.wait_for(asyncio.Event().wait(), 1.0 if job.args["long"] else None)
        except TimeoutError:
            ended.append("by itself")
        except asyncio.CancelledError:
            ended.append("hurried")
            raise

    working = Worker(owner=db, tasks=[Task(name="test.take", run=take)], context=db, clock=lambda: NOON, grace=0.05)
    async with db.transaction() as conn:
        await defer(conn, "test.take", long=True)
    await working.drain()
    assert (ended, await queue(db)) == (["by itself"], [])
    async with db.transaction() as conn:
        await defer(conn, "test.take", long=False)
    going.clear()
    draining = asyncio.create_task(working.drain())
    await going.wait()
    draining.cancel()
    with pytest.raises(asyncio.CancelledError):
        await draining
    assert ended == ["by itself", "hurried"]
