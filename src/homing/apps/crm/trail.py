"""What happened: the status history of a job, and the activity of everything."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import psycopg

from homing.postgres.lines import load_with
from homing.postgres.sql import Connection, fetch_all
from homing.protocol.errors import Problem
from homing.server.pages import Page, page_of, read_cursor


class StatusChange(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a job."""

    id: UUID
    job_id: UUID
    from_status: str | None
    to_status: str
    changed_by_id: UUID
    changed_by: str
    changed_at: datetime


class Activity(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the trail. ``details`` of a change holds ``old`` and ``new`` by column: both of an update, whole
    rows of a create (``new``) and of a delete (``old``)."""

    id: UUID
    entity_type: str
    entity_id: UUID
    action: str
    details: msgspec.Raw | None
    user_id: UUID
    user: str
    job_id: UUID | None
    created_at: datetime


async def read_history(conn: Connection, job_id: UUID, *, after: str | None, limit: int) -> Page[StatusChange]:
    """The latest first. Raises Problem("invalid_parameter")."""
    place = read_cursor(after, tuple[datetime, UUID])
    params: dict[str, Any] = {"job": job_id, "limit": limit + 1}
    if place is not None:
        params |= {"after_at": place[0], "after_id": place[1]}
    statement = load_with(__package__, "list_history", frozenset({"after"} if place is not None else ()))
    names = StatusChange.__struct_fields__
    steps = [StatusChange(**dict(zip(names, row, strict=True))) for row in await fetch_all(conn, statement, params)]
    return page_of(steps, limit=limit, place=lambda step: (step.changed_at, step.id))


async def read_activity(
    conn: Connection, filters: Mapping[str, Any], *, after: str | None, limit: int
) -> Page[Activity]:
    """The latest first. ``filters``: those of list_activity.sql, with values. Raises Problem("invalid_parameter")."""
    place = read_cursor(after, tuple[str, UUID])
    params: dict[str, Any] = {**filters, "limit": limit + 1}
    on = frozenset(filters)
    if place is not None:
        on |= {"after"}
        params |= {"after_at": place[0], "after_id": place[1]}
    try:
        rows = await fetch_all(conn, load_with(__package__, "list_activity", on), params)
    except psycopg.DataError as error:  # the one text that PostgreSQL reads itself is the cursor's time
        raise Problem("invalid_parameter", "after is not a cursor of this list.") from error
    page = page_of(rows, limit=limit, place=lambda row: (row[-1], row[0]))
    return Page([_activity(*row) for row in page.items], page.next)


def _activity(*row: Any) -> Activity:
    entry = dict(zip(Activity.__struct_fields__, row[:-1], strict=True))
    if entry["details"] is not None:
        entry["details"] = msgspec.Raw(entry["details"].encode())
    return Activity(**entry)
