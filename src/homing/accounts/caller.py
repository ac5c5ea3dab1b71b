"""Whether what an access token says still holds: asked of the database on every call.

Every route that is not part of sync comes through here; the sync routes ask the same inside their own statement. So a
revoked device, an ended session and a changed role take effect with the next call, not when a token expires.
"""

from __future__ import annotations

from homing.engine.caller import Caller, Claims
from homing.engine.who import Who, check_caller, check_person, read_who
from homing.postgres.database import Database


async def require_caller(db: Database, claims: Claims) -> Caller:
    """The caller, confirmed, with a registered device in good standing where the token names one.

    Raises Problem: unauthenticated, device_unknown, device_suspended, device_revoked.
    """
    async with db.connection() as conn:
        who = await read_who(conn, claims)
    return _confirmed(claims, check_caller(who, claims, device_needed=False))


async def require_person(db: Database, claims: Claims) -> Caller:
    """The caller, whatever state the device is in, unless it is revoked: for asking who one is, registering the device
    and signing out. ``device_id`` is None while the device is not registered as the caller's.

    Raises Problem: unauthenticated, device_revoked.
    """
    async with db.connection() as conn:
        who = await read_who(conn, claims)
    return _confirmed(claims, check_person(who, claims))


def _confirmed(claims: Claims, who: Who) -> Caller:
    return Caller(
        user_id=claims.user_id,
        role=who.role,
        tenant=claims.tenant,
        platform=claims.platform,
        session_id=claims.session_id,
        device_name=claims.device_name,
        device_id=who.device_id if who.own else None,
    )
