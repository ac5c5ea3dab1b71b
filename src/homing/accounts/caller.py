"""Whether what an access token says still holds: asked of the database on every call.

Every route that is not part of sync comes through here; the sync routes ask the same inside their own statement. So a
revoked device, an ended session and a changed role take effect with the next call, not when a token expires.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from psycopg.rows import class_row

from homing.engine.caller import Caller, Claims
from homing.postgres.database import Database
from homing.postgres.sql import load
from homing.protocol.errors import Problem


@dataclass(frozen=True, slots=True)
class _Found:
    role: str
    open: bool
    device_id: UUID | None
    device_status: str | None
    device_is_own: bool | None


async def require_caller(db: Database, claims: Claims) -> Caller:
    """The caller, confirmed, with a registered device in good standing where the token names one.

    Raises Problem: unauthenticated, device_unknown, device_suspended, device_revoked.
    """
    found = await _find(db, claims)
    if claims.device_name is not None:
        if found.device_id is None or not found.device_is_own:
            raise Problem("device_unknown")
        if found.device_status == "suspended":
            raise Problem("device_suspended")
    return _confirmed(claims, found)


async def require_person(db: Database, claims: Claims) -> Caller:
    """The caller, whatever state the device is in, unless it is revoked: for asking who one is, registering the device
    and signing out. ``device_id`` is None while the device is not registered.

    Raises Problem: unauthenticated, device_revoked.
    """
    return _confirmed(claims, await _find(db, claims))


async def _find(db: Database, claims: Claims) -> _Found:
    async with db.connection() as conn, conn.cursor(row_factory=class_row(_Found)) as cursor:
        await cursor.execute(
            load(__package__, "read_caller"),
            {"user": claims.user_id, "session": claims.session_id, "device": claims.device_name},
        )
        found = await cursor.fetchone()
    # Before the session, because revoking ends it too: the device must learn that it is to be wiped.
    if found is not None and found.device_status == "revoked":
        raise Problem("device_revoked")
    if found is None or not found.open:
        raise Problem("unauthenticated")
    return found


def _confirmed(claims: Claims, found: _Found) -> Caller:
    return Caller(
        user_id=claims.user_id,
        role=found.role,
        tenant=claims.tenant,
        platform=claims.platform,
        session_id=claims.session_id,
        device_name=claims.device_name,
        device_id=found.device_id if found.device_is_own else None,
    )
