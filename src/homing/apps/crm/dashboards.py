"""Lists of jobs: the owner's and the worker's dashboard, each job with its customer and who is on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
import psycopg

from homing.engine.tables import BoundTable
from homing.postgres.lines import load_with
from homing.postgres.sql import Connection, fetch_all, load
from homing.protocol.errors import Problem
from homing.server.listing import Query, find_places
from homing.server.pages import Page, page_of, read_cursor
from homing.server.rows import read_rows, with_member

PACKAGE = "homing.apps.crm"


async def owner_jobs(
    conn: Connection, query: Query, *, table: BoundTable, after: str | None, limit: int
) -> Page[msgspec.Raw]:
    """A page of list_jobs, the latest changed first. Raises Problem("invalid_parameter")."""
    found = await find_places(conn, query, after=read_cursor(after, tuple[str, UUID]), limit=limit + 1)
    page = page_of(found, limit=limit, place=lambda place: place)
    return Page(await describe(conn, table, [row_id for _, row_id in page.items]), page.next)


async def worker_jobs(
    conn: Connection, worker: UUID, *, table: BoundTable, after: str | None, limit: int
) -> Page[msgspec.Raw]:
    """What this worker has to do, the next first. Raises Problem("invalid_parameter")."""
    place = read_cursor(after, tuple[str, str, UUID])
    params: dict[str, Any] = {"worker": worker, "limit": limit + 1}
    if place is not None:
        params |= {"after_start": place[0], "after_at": place[1], "after_id": place[2]}
    statement = load_with(PACKAGE, "list_worker_jobs", frozenset({"after"} if place is not None else ()))
    found = await _fetch(conn, statement, params)
    page = page_of(found, limit=limit, place=lambda place: place)
    return Page(await describe(conn, table, [row[-1] for row in page.items]), page.next)


async def checklist(
    conn: Connection, job_id: UUID, *, table: BoundTable, after: str | None, limit: int
) -> Page[msgspec.Raw]:
    """A job's materials, what is to be bought first. Raises Problem("invalid_parameter")."""
    place = read_cursor(after, tuple[bool, str, UUID])
    params: dict[str, Any] = {"job": job_id, "limit": limit + 1}
    if place is not None:
        params |= {"after_purchased": place[0], "after_at": place[1], "after_id": place[2]}
    statement = load_with(PACKAGE, "list_materials", frozenset({"after"} if place is not None else ()))
    page = page_of(await _fetch(conn, statement, params), limit=limit, place=lambda place: place)
    ids = [row[-1] for row in page.items]
    rows = await read_rows(conn, table, ids)
    return Page([rows[row_id] for row_id in ids if row_id in rows], page.next)


async def describe(conn: Connection, table: BoundTable, ids: Sequence[UUID]) -> list[msgspec.Raw]:
    """Jobs as they travel, in this order, with ``customer_name``, ``customer_address``, ``customer_phone`` and
    ``assigned_workers``."""
    if not ids:
        return []
    rows = await read_rows(conn, table, ids)
    found = await fetch_all(conn, load(PACKAGE, "describe_jobs"), {"ids": list(ids)})
    beside = {row[0]: row[1:] for row in found}
    shown = []
    for row_id in ids:
        if row_id in rows and row_id in beside:
            row = rows[row_id]
            names = ("customer_name", "customer_address", "customer_phone", "assigned_workers")
            for name, value in zip(names, beside[row_id], strict=True):
                row = with_member(row, name, value)
            shown.append(row)
    return shown


async def _fetch(conn: Connection, statement: Any, params: dict[str, Any]) -> Sequence[tuple[Any, ...]]:
    try:
        return await fetch_all(conn, statement, params)
    except psycopg.DataError as error:  # the one text that PostgreSQL reads itself is the cursor's
        raise Problem("invalid_parameter", "after is not a cursor of this list.") from error
