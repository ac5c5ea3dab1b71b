"""Who is assigned to which job: it decides whose phone holds what."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from homing.declare import Edit, Who
from homing.postgres.sql import Connection, fetch_all, load


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody on a job."""

    id: UUID
    job_id: UUID
    user_id: UUID
    name: str
    assigned_at: datetime


async def may_be_assigned(conn: Connection, edits: Sequence[Edit], _who: Who) -> None:
    """Refuse to assign people who are not there, or not any more: nobody would ever see the job."""
    new = [edit for edit in edits if edit.action == "create" and edit.values.get("user_id") is not None]
    ids = list({UUID(edit.values["user_id"]) for edit in new})
    found = await fetch_all(conn, load(__package__, "find_active_users"), {"ids": ids}) if ids else []
    there = {row[0] for row in found}
    for edit in new:
        if UUID(edit.values["user_id"]) not in there:
            edit.refuse("fk_missing", "there is no active user with this id", "/user_id")


async def read_assignments(conn: Connection, job_id: UUID) -> list[Assignment]:
    """In the order of assigning."""
    rows = await fetch_all(conn, load(__package__, "list_assignments"), {"job": job_id})
    return [Assignment(**dict(zip(Assignment.__struct_fields__, row, strict=True))) for row in rows]
