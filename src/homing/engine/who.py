"""Is the caller still who the access token says? Asked in the database on every sync call."""

from __future__ import annotations

from uuid import UUID

import msgspec
from psycopg import sql

from homing.engine.caller import Claims
from homing.postgres.sql import Connection, Statement, load
from homing.protocol.errors import Problem


class Who(msgspec.Struct):
    """The user behind a session and, where the call names one, the device. ``resync_at``: since when (Unix seconds) the
    device is to have started again."""

    role: str
    valid: bool
    device_id: UUID | None
    status: str | None
    own: bool | None
    resync_at: int | None = None


_IS_CALLER = Statement(sql.SQL(load("homing.engine", "is_caller")))


async def read_who(conn: Connection, claims: Claims) -> Who | None:
    """None: no such user or session. Of a user who was deleted, a revoked device is left, which has to learn of it."""
    row = (
        await _IS_CALLER.run(conn, {"user": claims.user_id, "session": claims.session_id, "device": claims.device_name})
    ).row
    if row is None and claims.device_name is not None:
        gone = await (
            await conn.execute(load(__package__, "find_revoked_device"), {"device": claims.device_name})
        ).fetchone()
        return None if gone is None else Who(role="", valid=False, device_id=gone[0], status=gone[1], own=False)
    return None if row is None else Who(*row)


def check_person(who: Who | None, claims: Claims) -> Who:
    """Whether the access token's user and session still hold, whatever state the device is in unless it is revoked.

    Raises Problem: device_revoked, unauthenticated.
    """
    # First, because revoking a device ends its sessions too: the device must learn that it is to be wiped.
    if who is not None and who.status == "revoked":
        raise Problem("device_revoked")
    if who is None or not who.valid or who.role != claims.role:
        raise Problem("unauthenticated")
    return who


def check_caller(who: Who | None, claims: Claims, *, device_needed: bool) -> Who:
    """Whether the access token still holds. Raises Problem with what the client does next."""
    person = check_person(who, claims)
    if claims.device_name is None:
        if device_needed:
            raise Problem("device_unknown", "Sign in with a device_id: this call is about a device.")
        return person
    if person.device_id is None or not person.own:
        raise Problem("device_unknown")
    if person.status == "suspended":
        raise Problem("device_suspended")
    return person
