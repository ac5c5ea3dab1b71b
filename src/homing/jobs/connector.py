"""Procrastinate on Homing's own pools, whose bounds, checks and clean connections hold for the queue too."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any, LiteralString

import psycopg
from procrastinate.connector import BaseAsyncConnector, Notify
from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from homing.postgres.database import Database

IN_QUEUE: Mapping[str, str] = MappingProxyType({"search_path": "procrastinate"})
"""Session settings of the queue's pool: its statements name no schema."""

LISTEN_SECONDS = 30.0
"""How long a dead connection may look like a silent one."""


class Connector(BaseAsyncConnector):
    """Runs Procrastinate's statements. ``database`` must be open, and have ``IN_QUEUE`` among its options."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open_async(self, pool: Any = None) -> None:
        """The pool is opened and closed by whoever made it."""

    async def close_async(self) -> None:
        """The pool is opened and closed by whoever made it."""

    async def execute_query_async(self, query: LiteralString, **arguments: Any) -> None:
        async with self._cursor() as cursor:
            await cursor.execute(query, _wrapped(arguments))

    async def execute_query_one_async(self, query: LiteralString, **arguments: Any) -> dict[str, Any]:
        async with self._cursor() as cursor:
            await cursor.execute(query, _wrapped(arguments))
            row = await cursor.fetchone()
        assert row is not None
        return row

    async def execute_query_all_async(self, query: LiteralString, **arguments: Any) -> list[dict[str, Any]]:
        async with self._cursor() as cursor:
            await cursor.execute(query, _wrapped(arguments))
            return await cursor.fetchall()

    async def listen_notify(self, on_notification: Notify, channels: Iterable[str]) -> None:
        """Until cancelled. Raises Problem("unavailable") when the connection is lost: then the worker begins anew."""
        async with self._database.dedicated() as conn:
            for channel in channels:
                await conn.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
            while True:
                async for notice in conn.notifies(timeout=LISTEN_SECONDS):
                    await on_notification(channel=notice.channel, payload=notice.payload)
                await conn.execute("SELECT 1")

    @asynccontextmanager
    async def _cursor(self) -> AsyncIterator[psycopg.AsyncCursor[dict[str, Any]]]:
        async with self._database.connection() as conn, conn.cursor(row_factory=dict_row) as cursor:
            yield cursor


def _wrapped(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {name: Jsonb(value) if isinstance(value, dict) else value for name, value in arguments.items()}
