"""Statements sent together: in order, in one round trip, each prepared once; and whatever happens on the way, the
connection is as good as before or closed."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import errors, sql
from psycopg.pq import TransactionStatus

from homing.postgres.database import Database
from homing.postgres.sql import BEGIN, COMMIT, PREPARED_MAX, ROLLBACK, Call, Connection, Statement

IDLE, IN_FAILED, IN_ONE = TransactionStatus.IDLE, TransactionStatus.INERROR, TransactionStatus.INTRANS
PREPARED = "SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'homing%'"


@pytest.fixture
async def conn(db: Database) -> AsyncIterator[Connection]:
    async with db.connection() as found:
        await found.run_all([Call("CREATE TEMPORARY TABLE n (n integer PRIMARY KEY)")])
        yield found


async def numbers(conn: Connection) -> list[int]:
    return [n for (n,) in (await conn.run_all([Call("SELECT n FROM n ORDER BY n")]))[0].rows]


async def test_each_answer_is_its_statement_s(conn: Connection) -> None:
    moment, key = datetime(2026, 11, 22, 3, 4, tzinfo=UTC), UUID(int=7)
    many = Statement(sql.SQL("SELECT %(a)s::uuid, %(b)s::timestamptz, %(c)s::text[], %(a)s::text, '100 %%'"))
    one, none, values, nothing = await conn.run_all(
        [
            Call("SELECT g FROM generate_series(1, $1) AS g", [3]),
            Call("SELECT 1 WHERE false"),
            many.call({"b": moment, "a": key, "c": ["x", None], "d": "not used"}),
            Call("SELECT $1::interval, $2::bytea, $3::int", [None, b"\0x", None]),
        ]
    )
    assert (one.rows, one.row, none.rows, none.row) == ([(1,), (2,), (3,)], (1,), [], None)
    assert values.rows == [(key, moment, ["x", None], str(key), "100 %")]
    assert nothing.rows == [(None, b"\0x", None)]
    (again,) = await conn.run_all([Call("SELECT $1::interval, $2::bytea, $3::int", [timedelta(days=1), None, 5])])
    assert again.rows == [(timedelta(days=1), None, 5)]


async def test_a_transaction_may_begin_and_end_among_them(conn: Connection) -> None:
    await conn.run_all([BEGIN, Call("INSERT INTO n VALUES (1)"), Call("INSERT INTO n VALUES (2)")])
    assert conn.info.transaction_status == IN_ONE
    await conn.run_all([ROLLBACK, BEGIN, Call("INSERT INTO n VALUES (3)"), COMMIT])
    assert (await numbers(conn), conn.info.transaction_status) == ([3], IDLE)


async def test_without_one_they_are_one(conn: Connection) -> None:
    with pytest.raises(errors.UniqueViolation):
        await conn.run_all([Call("INSERT INTO n VALUES (1)"), Call("INSERT INTO n VALUES (2), (2)")])
    assert (await numbers(conn), conn.info.transaction_status) == ([], IDLE)


@pytest.mark.parametrize("place", [1, 2, 3])
async def test_the_first_that_fails_is_raised_and_ends_the_rest(conn: Connection, place: int) -> None:
    calls = [BEGIN, Call("INSERT INTO n VALUES (1)"), Call("INSERT INTO n VALUES (2)"), COMMIT]
    calls.insert(place, Call("SELECT 1 / $1::int", [0]))
    calls.insert(place + 1, Call("SELECT nonsense"))
    for _ in range(2):  # what followed the failure was not prepared, and is not taken to be
        with pytest.raises(errors.DivisionByZero) as raised:
            await conn.run_all(calls)
        assert raised.value.diag.message_primary == "division by zero"
        assert conn.info.transaction_status == IN_FAILED
        await conn.run_all([ROLLBACK])
    del calls[place : place + 2]
    await conn.run_all(calls)
    assert await numbers(conn) == [1, 2]


async def test_what_cannot_be_sent_is_refused_before_anything_is(conn: Connection) -> None:
    with pytest.raises(psycopg.DataError):
        await conn.run_all([Call("INSERT INTO n VALUES (1)"), Call("SELECT $1::text", ["a\0b"])])
    assert (await numbers(conn), conn.info.transaction_status) == ([], IDLE)


async def test_each_is_prepared_once(conn: Connection) -> None:
    ((before,),) = (await conn.run_all([Call(PREPARED)]))[0].rows
    for n in range(5):
        await conn.run_all([Call("SELECT $1::int, 'one'", [n]), Call("SELECT 'two'")])
    # A value that is NULL has no type of its own, so that is another statement.
    await conn.run_all([Call("SELECT $1::int, 'one'", [None])])
    ((after,),) = (await conn.run_all([Call(PREPARED)]))[0].rows
    assert after - before == 3


async def test_no_more_are_kept_than_may_be(conn: Connection) -> None:
    for start in range(0, PREPARED_MAX + 200, 100):
        await conn.run_all([Call(f"SELECT {n}") for n in range(start, start + 100)])
    answers = await conn.run_all([Call("SELECT 5"), Call(PREPARED)])
    assert answers[0].rows == [(5,)]
    ((prepared,),) = answers[1].rows
    assert prepared <= PREPARED_MAX + 100


async def test_when_psycopg_throws_away_all_of_its_own_ours_are_prepared_again(conn: Connection) -> None:
    call = Call("SELECT 'kept'")
    for _ in range(3):
        await conn.run_all([call])
        for _ in range(3):
            await conn.execute("SELECT 'psycopg'")
        await conn.execute("CREATE TEMPORARY TABLE gone ()")
        await conn.execute("DROP TABLE gone")  # psycopg deallocates everything
    assert (await conn.run_all([call]))[0].rows == [("kept",)]


@pytest.mark.parametrize(
    ("behind_its_back", "error"),
    [
        ("DEALLOCATE ALL", errors.InvalidSqlStatementName),
        ("ALTER TABLE n ALTER COLUMN n TYPE bigint", errors.FeatureNotSupported),
    ],
)
async def test_a_prepared_statement_that_holds_no_longer_fails_once(
    conn: Connection, behind_its_back: str, error: type[psycopg.Error]
) -> None:
    assert await numbers(conn) == []
    await conn.run_all([Call(behind_its_back)])
    with pytest.raises(error):
        await numbers(conn)
    assert await numbers(conn) == []


async def test_more_in_both_directions_than_the_line_holds(conn: Connection) -> None:
    """Neither side reads for ever while the other waits to write."""
    large = "x" * 8_000_000
    answers = await conn.run_all([Call("SELECT $1::text", [large + str(n)]) for n in range(4)])
    assert [answer.rows == [(large + str(n),)] for n, answer in enumerate(answers)] == [True] * 4


async def test_a_cancelled_one_is_stopped_and_the_connection_goes_on(
    db: Database, watcher: psycopg.AsyncConnection
) -> None:
    async with db.connection() as conn:
        pid = conn.info.backend_pid
        waiting = asyncio.create_task(conn.run_all([Call("SELECT pg_sleep(600)"), Call("SELECT 1")]))
        while not await _value(watcher, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%%pg_sleep(600)%%'"
                               " AND pid = %s", pid):  # fmt: skip
            pass
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert (await conn.run_all([Call("SELECT 2")]))[0].rows == [(2,)]


async def test_a_lost_connection_is_an_error_and_no_wait(db: Database, watcher: psycopg.AsyncConnection) -> None:
    async with db.connection() as conn:
        pid = conn.info.backend_pid
        waiting = asyncio.create_task(conn.run_all([BEGIN, Call("SELECT pg_sleep(600)"), Call("SELECT 1"), COMMIT]))
        while not await _value(watcher, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%%pg_sleep(600)%%'"
                               " AND pid = %s", pid):  # fmt: skip
            pass
        await watcher.execute("SELECT pg_terminate_backend(%s)", [pid])
        with pytest.raises(psycopg.OperationalError):
            await waiting
        with pytest.raises(psycopg.OperationalError):
            await conn.run_all([Call("SELECT 1")])
    async with db.connection() as conn:
        assert (await conn.run_all([Call("SELECT 3")]))[0].rows == [(3,)]


async def test_what_was_sent_ahead_is_at_work_before_the_rest_comes(
    conn: Connection, watcher: psycopg.AsyncConnection
) -> None:
    await watcher.execute("SELECT pg_advisory_lock(7)")
    conn.send_ahead([BEGIN, Call("INSERT INTO n VALUES (1)"), Call("SELECT pg_advisory_xact_lock_shared(7)")])
    waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    while not await _value(watcher, waits):
        pass
    await watcher.execute("SELECT pg_advisory_unlock(7)")
    answers = await conn.run_all([Call("INSERT INTO n VALUES ($1) RETURNING n", [2]), COMMIT])
    assert ([answer.rows for answer in answers], await numbers(conn)) == ([[(2,)], []], [1, 2])


async def test_what_was_sent_ahead_and_fails_takes_the_rest_with_it(conn: Connection) -> None:
    for _ in range(2):  # prepared anew, and as it was
        conn.send_ahead([BEGIN, Call("INSERT INTO n VALUES (1)"), Call("SELECT 1 / $1::int", [0])])
        with pytest.raises(errors.DivisionByZero):
            await conn.run_all([Call("INSERT INTO n VALUES (2)"), COMMIT])
        assert conn.info.transaction_status == IN_FAILED
        await conn.run_all([ROLLBACK])
    assert await numbers(conn) == []
    conn.send_ahead([BEGIN, Call("INSERT INTO n VALUES (1)")])
    await conn.run_all([COMMIT])
    assert await numbers(conn) == [1]


@pytest.mark.parametrize("needed", [0, 1, 2, 3])
async def test_what_is_not_needed_may_fail(conn: Connection, needed: int) -> None:
    calls = [Call("SELECT 1"), Call("SELECT 2"), Call("SELECT 1 / 0"), Call("SELECT 4")]
    for _ in range(2):  # prepared anew, and as it was
        if needed > 2:
            with pytest.raises(errors.DivisionByZero):
                await conn.run_all(calls, needed=needed)
        else:
            answers = await conn.run_all(calls, needed=needed)
            assert [answer.row for answer in answers] == [(1,), (2,)]
    assert (await conn.run_all([Call("SELECT 5")], needed=0))[0].row == (5,)


async def test_nothing_comes_of_what_was_sent_ahead_alone(db: Database, watcher: psycopg.AsyncConnection) -> None:
    await watcher.execute("CREATE TABLE n (n integer)")
    async with db.connection() as conn:
        conn.send_ahead([BEGIN, Call("INSERT INTO n VALUES (1)")])
        pid = conn.info.backend_pid
    async with db.connection() as conn:
        assert (conn.info.backend_pid != pid, await numbers(conn)) == (True, [])
    while await _value(watcher, "SELECT count(*) FROM pg_stat_activity WHERE pid = %s", pid):
        pass


async def _value(conn: psycopg.AsyncConnection, query: str, *params: Any) -> Any:
    row = await (await conn.execute(query, params)).fetchone()  # type: ignore[call-overload]
    assert row is not None
    return row[0]
