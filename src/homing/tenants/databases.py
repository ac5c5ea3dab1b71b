"""Databases made, dropped, and fenced.

A *fence* keeps everybody from writing to a database, whoever is connected and whatever a node still believes: new
sessions are read-only by the database's own setting, and the old ones are ended. A write that comes too late fails
with an error that means "come back", instead of being lost behind a copy.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
from psycopg import ProgrammingError, conninfo, errors, sql

from homing.postgres.sql import Connection, fetch_all, load
from homing.protocol.errors import Problem

SETTLE_SECONDS = 0.2
"""A session that was being opened when the fence went up shows a moment later."""
CALM_ROUNDS = 2
"""So many looks without a session of somebody else's, and the fence is up."""
CONNECT = "10"
"""Seconds."""


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Connection]:
    """A connection of its own, without time limits for statements. Raises Problem("unavailable")."""
    try:
        conn = await Connection.connect(url, autocommit=True, connect_timeout=CONNECT)
    except psycopg.OperationalError as error:
        raise Problem("unavailable", f"The database cannot be reached: {str(error).strip()}") from error
    async with conn:
        await conn.execute("SET default_transaction_read_only = off")  # to mend a fence one must be inside it
        yield conn


def name_of(url: str) -> str:
    """The database that a connection string is for."""
    given = conninfo.conninfo_to_dict(url)
    return str(given.get("dbname") or given.get("user") or "")


def check_url(url: str) -> None:
    """Raises Problem("invalid_parameter") for what names no database; it may hold a password, and is not said."""
    try:
        named = name_of(url)
    except ProgrammingError:
        named = ""
    if not named:
        raise Problem(
            "invalid_parameter", "A connection string is postgresql://user@host/database, or host=… user=… dbname=…"
        )


def beside(url: str, database: str) -> str:
    """The connection string of another database of the same server."""
    return conninfo.make_conninfo(url, dbname=database)


async def create(url: str) -> bool:
    """Make the database that ``url`` names, on its server, unless it is there; whether it was made.

    Raises Problem: unavailable, forbidden.
    """
    try:
        conn = await psycopg.AsyncConnection.connect(url, connect_timeout=CONNECT)
    except psycopg.OperationalError as error:
        if not await is_missing(url):
            raise Problem("unavailable", f"The database cannot be reached: {str(error).strip()}") from error
    else:
        await conn.close()
        return False
    async with connected(beside(url, "postgres")) as conn:
        try:
            await conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name_of(url))))
        except errors.InsufficientPrivilege:
            raise Problem("forbidden", "The database's user may not make databases: make it by hand.") from None
        except (errors.DuplicateDatabase, errors.UniqueViolation):
            return False
    return True


async def is_missing(url: str) -> bool:
    """Whether the server is there and the database is not. libpq gives no code for it, so ask."""
    if name_of(url) == "postgres":
        return False
    async with connected(beside(url, "postgres")) as conn:
        cursor = await conn.execute("SELECT FROM pg_database WHERE datname = %s", [name_of(url)])
        return await cursor.fetchone() is None


async def drop(url: str) -> None:
    """Drop the database, whoever is connected. Raises Problem: unavailable, forbidden."""
    async with connected(beside(url, "postgres")) as conn:
        try:
            query = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
            await conn.execute(query.format(sql.Identifier(name_of(url))))
        except errors.InsufficientPrivilege:
            raise Problem("forbidden", "The database's user may not drop it: drop it by hand.") from None


async def fence(url: str) -> None:
    """Nobody writes to the database from here on. Raises Problem("unavailable")."""
    async with connected(url) as conn:
        await _let_write(conn, False)


async def lift(url: str) -> None:
    """Everybody may write again. Raises Problem("unavailable")."""
    async with connected(url) as conn:
        await _let_write(conn, True)


async def _let_write(conn: Connection, may: bool) -> None:
    query = sql.SQL(
        "ALTER DATABASE {} RESET default_transaction_read_only"
        if may
        else "ALTER DATABASE {} SET default_transaction_read_only = on"
    )
    await conn.execute(query.format(sql.Identifier(conn.info.dbname)))
    calm = 0
    while calm < CALM_ROUNDS:
        ((ended,),) = await fetch_all(conn, load(__package__, "end_others"))
        calm = calm + 1 if ended == 0 else 0
        await asyncio.sleep(SETTLE_SECONDS)


async def tables(conn: Connection) -> list[str]:
    """Every table with rows of its own, as SQL names it."""
    return [row[0] for row in await fetch_all(conn, load(__package__, "list_tables"))]


async def count_rows(url: str) -> dict[str, int]:
    """Exactly how many rows each table has, all at one instant."""
    async with connected(url) as conn:
        await conn.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        counts = {}
        for table in await tables(conn):
            cursor = await conn.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.SQL(table)))
            row = await cursor.fetchone()
            counts[table] = 0 if row is None else int(row[0])
    return counts
