"""Deleting a user for good, as spec 3 asks: the messages of both directions go by the foreign keys, and every device
that held one removes it at its next pull. Most who leave are better deactivated: their work keeps its author."""

from __future__ import annotations

from uuid import UUID

from psycopg import errors

from homing.accounts.users import keep_an_owner
from homing.postgres.database import Database
from homing.postgres.sql import execute, load
from homing.protocol.errors import Problem


async def delete_user(db: Database, user_id: UUID, *, actor: str) -> None:
    """Delete a user with sessions, enrolments and messages. What was written down stays, without its author; the user's
    devices are revoked, so that they remove what they hold.

    Raises Problem: not_found, state_conflict (the last of the office; or something that is kept names the user).
    """
    async with db.transaction(actor=actor) as conn:
        await keep_an_owner(conn, user_id)
        await execute(conn, load(__package__, "revoke_devices_of_user"), {"user": user_id, "reason": "user deleted"})
        try:
            deleted = await execute(conn, load(__package__, "delete_user"), {"id": user_id})
        except errors.ForeignKeyViolation as error:
            raise Problem(
                "state_conflict",
                f"{error.diag.table_name} names this user and is kept for ever; deactivate the user instead.",
            ) from error
        if deleted == 0:
            raise Problem("not_found")
