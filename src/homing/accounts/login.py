"""Signing in with a password.

Whoever asks learns one thing: whether login and password fit. An unknown login, a wrong password, a user without a
password and an inactive user get the same answer after the same work.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row

from homing.accounts import passwords, sessions
from homing.accounts.passwords import Verdict
from homing.accounts.sessions import Prove, Session
from homing.accounts.users import spell_login
from homing.postgres.database import Database
from homing.postgres.sql import Connection, execute, fetch_one, load
from homing.protocol.errors import Problem


@dataclass(frozen=True, slots=True)
class _Account:
    id: UUID
    role: str
    password_hash: str | None
    is_active: bool


async def login(
    db: Database,
    *,
    login: str,
    password: str,
    platform: str,
    device_name: str | None,
    prove: Prove,
    now: datetime,
    session_days_max: int,
) -> Session:
    """Open a session. ``prove`` is asked about a device that has a key.

    Raises Problem: invalid_credentials, device_revoked, and what ``prove`` raises.
    """
    account = await _find(db, spell_login(login))
    verdict = await passwords.verify(account.password_hash if account else None, password)
    if account is None or not account.is_active or verdict is Verdict.WRONG:
        raise Problem("invalid_credentials")
    better_hash = await passwords.make_hash(password) if verdict is Verdict.RIGHT_AND_OLD else None
    async with db.transaction(actor=str(account.id)) as conn:
        if device_name is not None:
            await _refuse_revoked(conn, device_name)
            await _ask_for_key(conn, device_name, prove)
        await execute(
            conn,
            load(__package__, "note_login"),
            {
                "id": account.id,
                "now": now,
                "platform": platform,
                "device": device_name,
                "password_hash": better_hash,
            },
        )
        return await sessions.begin(
            conn,
            user_id=account.id,
            role=account.role,
            device_name=device_name,
            platform=platform,
            now=now,
            days_max=session_days_max,
        )


async def _find(db: Database, login: str) -> _Account | None:
    async with db.connection() as conn, conn.cursor(row_factory=class_row(_Account)) as cursor:
        await cursor.execute(load(__package__, "find_account"), {"login": login})
        return await cursor.fetchone()


async def _refuse_revoked(conn: Connection, device_name: str) -> None:
    if await fetch_one(conn, load(__package__, "find_revoked_device"), {"device": device_name}):
        raise Problem("device_revoked")


async def _ask_for_key(conn: Connection, device_name: str, prove: Prove) -> None:
    row = await fetch_one(conn, load(__package__, "read_device_key"), {"device": device_name})
    if row is not None and row[0] is not None:
        prove(device_name, row[0])
