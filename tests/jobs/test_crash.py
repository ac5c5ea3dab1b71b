"""Workers that are killed in the middle: each job's effect is there, and once."""

import subprocess
import sys
from collections.abc import Callable, Iterator

import psycopg
import pytest

from homing.jobs import defer
from homing.postgres.database import Database

pytestmark = pytest.mark.anyio

LEASE = "1"
"""Seconds; a living worker looks for dead ones when it begins."""


@pytest.fixture
def start(database_url: str) -> Iterator[Callable[[], "subprocess.Popen[str]"]]:
    """Starts workers; those that are left are killed after the test."""
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute("CREATE TABLE public.written (text text)")
    started: list[subprocess.Popen[str]] = []

    def one() -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.jobs.work", database_url, LEASE],
            stdout=subprocess.PIPE,
            text=True,
            env={"PYTHONPATH": ":".join(path for path in sys.path if path)},
        )
        started.append(process)
        assert said(process) == "working"
        return process

    yield one
    for process in started:
        process.kill()
        process.communicate()


def said(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().rstrip()


async def written(db: Database) -> list[str]:
    async with db.connection() as conn:
        return [row[0] for row in await (await conn.execute("SELECT text FROM public.written ORDER BY 1")).fetchall()]


async def has_lapsed(db: Database) -> bool:
    async with db.connection() as conn:
        found = await conn.execute(
            "SELECT count(*) FROM procrastinate.procrastinate_workers WHERE last_heartbeat > now() - interval '1.1 s'"
        )
        return await found.fetchone() == (0,)


@pytest.mark.parametrize("hold", ["before", "inside", "after"])
async def test_the_job_of_a_killed_worker_is_done_by_another(
    start: Callable[[], "subprocess.Popen[str]"], db: Database, hold: str
) -> None:
    async with db.transaction() as conn:
        await defer(conn, "test.write", text="a", hold=hold)
    first = start()
    assert said(first) == "holding a"
    first.kill()
    while not await has_lapsed(db):
        pass
    second = start()
    assert said(second) == "wrote a"
    assert await written(db) == ["a"]
    async with db.connection() as conn:
        while await (await conn.execute("SELECT FROM procrastinate.procrastinate_jobs")).fetchall():
            pass


async def test_a_job_that_kills_its_workers_dies(start: Callable[[], "subprocess.Popen[str]"], db: Database) -> None:
    async with db.transaction() as conn:
        job = await defer(conn, "test.write", text="a", hold="before")
        await conn.execute("SET LOCAL search_path = procrastinate")  # where its triggers find their names
        await conn.execute("UPDATE procrastinate_jobs SET status = 'doing', attempts = 2")
    worker = start()
    async with db.transaction() as conn:
        await defer(conn, "test.write", text="b")
    assert said(worker) == "wrote b"
    async with db.connection() as conn:
        jobs = "SELECT id, status::text, attempts FROM procrastinate.procrastinate_jobs"
        # What is done is deleted in a transaction of its own, and the other is found out about beside it.
        found = await (await conn.execute(jobs)).fetchall()
        while len(found) > 1 or found[0][1] == "doing":
            found = await (await conn.execute(jobs)).fetchall()
        assert found == [(job, "failed", 3)]
        found = await conn.execute("SELECT job_id, attempt, error FROM homing.job_failures")
        ((job_id, attempt, error),) = await found.fetchall()
        assert (job_id, attempt, error.startswith("its worker died")) == (job, 3, True)


async def test_two_workers_share_the_work(start: Callable[[], "subprocess.Popen[str]"], db: Database) -> None:
    one, two = start(), start()
    texts = [f"{n:03}" for n in range(200)]
    async with db.transaction() as conn:
        for text in texts:
            await defer(conn, "test.write", text=text)
    while len(await written(db)) < len(texts):
        pass
    assert await written(db) == texts
    assert said(one).startswith("wrote")
    assert said(two).startswith("wrote")
