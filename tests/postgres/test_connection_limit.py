"""Databases with one limit of connections: who rests makes room, who is used does not, and all get their turn."""

import asyncio
import random
from contextlib import AsyncExitStack

import psycopg
import pytest

from homing.postgres.database import ConnectionLimit, Database
from homing.protocol.errors import Problem
from tests.postgres.test_database import opened, until, value

PID = "SELECT pg_backend_pid()"


async def pid(database: Database) -> object:
    async with database.connection() as conn:
        return await value(conn, PID)


async def test_who_was_used_least_recently_makes_room(database_url: str, watcher: psycopg.AsyncConnection) -> None:
    limit = ConnectionLimit(2)
    async with (
        opened(database_url, limit=limit) as a,
        opened(database_url, limit=limit) as b,
        opened(database_url, limit=limit) as c,
    ):
        first = {"a": await pid(a), "b": await pid(b)}
        assert await pid(a) == first["a"], "there is room for two"
        of_c = await pid(c)
        await until(watcher, f"SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = {first['b']})")
        assert (await pid(a), await pid(c)) == (first["a"], of_c)
        assert await pid(b) not in first.values(), "b's connection was closed, and is another now"
        await until(watcher, f"SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = {first['a']})")
        assert await pid(c) == of_c


async def test_what_is_in_use_is_waited_for(database_url: str) -> None:
    limit = ConnectionLimit(1)
    async with (
        opened(database_url, limit=limit) as a,
        opened(database_url, limit=limit) as b,
        opened(database_url, limit=limit, wait_seconds=0.1) as hasty,
    ):
        async with a.connection() as conn:
            waiting = asyncio.create_task(pid(b))
            with pytest.raises(Problem) as refused:
                await pid(hasty)
            assert refused.value.code.code == "unavailable"
            assert "all 1 connections" in str(refused.value.__cause__)
            assert await value(conn, "SELECT 1") == 1, "nobody took it away"
            assert not waiting.done()
        assert await waiting
        assert await pid(hasty), "b rests now"


async def test_a_database_that_is_closed_makes_room(database_url: str) -> None:
    limit = ConnectionLimit(1)
    async with opened(database_url, limit=limit) as b, opened(database_url, limit=limit) as a:
        async with a.connection():
            waiting = asyncio.create_task(pid(b))
            await asyncio.sleep(0)
        await a.close()
        assert await waiting


async def test_many_at_once_all_get_their_turn(database_url: str, watcher: psycopg.AsyncConnection) -> None:
    """Also when some of them are cancelled wherever they are."""
    rng, limit = random.Random(6), ConnectionLimit(4)
    async with AsyncExitStack() as stack:
        each = [
            await stack.enter_async_context(opened(database_url, pool_size=2, limit=limit, wait_seconds=600))
            for _ in range(12)
        ]
        done = 0

        async def some() -> None:
            nonlocal done
            for _ in range(20):
                task = asyncio.create_task(pid(rng.choice(each)))
                if rng.random() < 0.2:
                    for _ in range(rng.randrange(20)):
                        await asyncio.sleep(0)
                    task.cancel()
                    await asyncio.wait([task])
                else:
                    assert await task
                    done += 1

        await asyncio.gather(*[some() for _ in range(12)])
        assert done > 100
        mine = (
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'homing' AND datname = current_database()"
        )
        await until(watcher, f"SELECT ({mine}) BETWEEN 1 AND 4")
        assert all([await pid(database) for database in each])
