"""Who is in which team, and so who holds which rows."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec
from psycopg import errors

from homing.postgres.sql import Connection, execute, fetch_all, fetch_one, load
from homing.protocol.errors import Problem


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody in a team."""

    team_id: UUID
    user_id: UUID
    username: str
    name: str
    joined_at: datetime


async def join(conn: Connection, *, team_id: UUID, user_id: UUID) -> Member:
    """Raises Problem("not_found") where there is no such team or user."""
    params = {"team": team_id, "user": user_id}
    try:
        await execute(conn, load(__package__, "insert_member"), params)
    except errors.ForeignKeyViolation as error:
        raise Problem("not_found") from error
    row = await fetch_one(conn, load(__package__, "read_member"), params)
    if row is None:  # somebody ended the membership in the same instant
        raise Problem("not_found")
    return _member(*row)


async def leave(conn: Connection, *, team_id: UUID, user_id: UUID) -> None:
    """Raises Problem("not_found") where there is no such membership."""
    if await execute(conn, load(__package__, "delete_member"), {"team": team_id, "user": user_id}) == 0:
        raise Problem("not_found")


async def read_members(conn: Connection, team_id: UUID) -> list[Member]:
    """The first thousand members, in the order they joined."""
    return [_member(*row) for row in await fetch_all(conn, load(__package__, "list_members"), {"team": team_id})]


def _member(team_id: UUID, user_id: UUID, username: str, name: str, joined_at: datetime) -> Member:
    return Member(team_id=team_id, user_id=user_id, username=username, name=name, joined_at=joined_at)
