"""Users: the people who sign in."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from datetime import datetime
from uuid import UUID

import msgspec
from psycopg import errors
from psycopg.rows import class_row

from homing.accounts import passwords, sessions
from homing.postgres.database import Database
from homing.postgres.sql import Connection, execute, fetch_all, fetch_one, load
from homing.protocol.errors import Problem

OWNER = "OWNER"
"""The office, in every application: may do everything."""
WORKER = "WORKER"
"""Works in the field."""

LOGIN_MAX = 255
NAME_MAX = 100


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A user as answers show one. There is no way from here to the password's hash."""

    id: UUID
    username: str
    email: str | None
    name: str
    role: str
    user_type: str
    is_active: bool
    online_status: bool
    device_id: str | None
    enrolled_at: datetime | None
    has_password: bool
    last_login_at: datetime | None
    last_seen: datetime | None
    created_at: datetime
    updated_at: datetime


class NewUser(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """``POST /users``. Without a password the person signs in by enrolment only."""

    login: str
    name: str
    role: str
    password: str | None = None


class UserChange(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """``PATCH /users/{id}``: only what is given changes. A new password ends the user's sessions."""

    is_active: bool | None = None
    role: str | None = None
    name: str | None = None
    password: str | None = None


async def create(db: Database, new: NewUser, *, roles: Collection[str], actor: str | None = None) -> User:
    """Create a user. Raises Problem: invalid_envelope, already_exists."""
    login = check_login(new.login)
    name = check_name(new.name)
    check_role(new.role, roles)
    password_hash = None
    if new.password is not None:
        passwords.check_choice(new.password, login=login)
        password_hash = await passwords.make_hash(new.password)
    async with db.transaction(actor=actor) as conn:
        try:
            row = await fetch_one(
                conn,
                load(__package__, "insert_user"),
                {
                    "username": login,
                    "email": login if "@" in login else None,
                    "name": name,
                    "role": new.role,
                    "password_hash": password_hash,
                },
            )
        except errors.UniqueViolation:
            raise Problem("already_exists", "A user with this login exists already.") from None
        assert row is not None
        return await read(conn, row[0])


async def exist(db: Database) -> bool:
    """Whether there is any user at all."""
    async with db.connection() as conn:
        return await fetch_one(conn, load(__package__, "find_any_user")) is not None


async def read(conn: Connection, user_id: UUID) -> User:
    """One user. Raises Problem("not_found")."""
    async with conn.cursor(row_factory=class_row(User)) as cursor:
        user = await (await cursor.execute(load(__package__, "read_user"), {"id": user_id})).fetchone()
    if user is None:
        raise Problem("not_found")
    return user


async def read_page(
    db: Database, *, after: str, limit: int, role: str | None, user_type: str | None, q: str | None
) -> list[User]:
    """Users by username, at most ``limit``, from behind ``after`` (a lower-case username, or '')."""
    params = {"after": after, "limit": limit, "role": role, "user_type": user_type, "q": q}
    async with db.connection() as conn, conn.cursor(row_factory=class_row(User)) as cursor:
        return await (await cursor.execute(load(__package__, "list_users"), params)).fetchall()


async def read_mobile_page(
    db: Database, *, after: tuple[bool, str] | None, limit: int, role: str | None, q: str | None
) -> list[User]:
    """Users of the field, who is online first, then by username, behind ``after`` (online, lower-case username)."""
    online, username = after or (True, "")
    params = {"after_online": online, "after": username, "limit": limit, "role": role, "q": q}
    async with db.connection() as conn, conn.cursor(row_factory=class_row(User)) as cursor:
        return await (await cursor.execute(load(__package__, "list_mobile_users"), params)).fetchall()


async def change(
    db: Database, user_id: UUID, wanted: UserChange, *, roles: Collection[str], actor: str, now: datetime
) -> User:
    """Change a user; a deactivated one is signed out everywhere at once.

    Raises Problem: not_found, invalid_envelope, state_conflict (the last active owner must stay one).
    """
    name = check_name(wanted.name) if wanted.name is not None else None
    if wanted.role is not None:
        check_role(wanted.role, roles)
    password_hash = await _new_hash(db, user_id, wanted.password) if wanted.password is not None else None
    async with db.transaction(actor=actor) as conn:
        if wanted.is_active is False or wanted.role not in (None, OWNER):
            await keep_an_owner(conn, user_id)
        changed = await execute(
            conn,
            load(__package__, "update_user"),
            {
                "id": user_id,
                "name": name,
                "role": wanted.role,
                "is_active": wanted.is_active,
                "password_hash": password_hash,
            },
        )
        if changed == 0:
            raise Problem("not_found")
        if wanted.is_active is False:
            await sessions.end_all_of_user(conn, user_id=user_id, reason="user deactivated", now=now)
        elif password_hash is not None:
            await sessions.end_all_of_user(conn, user_id=user_id, reason="password changed", now=now)
        return await read(conn, user_id)


async def _new_hash(db: Database, user_id: UUID, password: str) -> str:
    async with db.connection() as conn:
        user = await read(conn, user_id)
    passwords.check_choice(password, login=user.username)
    return await passwords.make_hash(password)


async def keep_an_owner(conn: Connection, user_id: UUID) -> None:
    """Refuse to lose the last of the office. Locks the active owners, so that two of them cannot remove each other at
    the same moment. Raises Problem("state_conflict")."""
    owners = {row[0] for row in await fetch_all(conn, load(__package__, "lock_owners"))}
    if owners == {user_id}:
        raise Problem("state_conflict", "This is the last active owner; make another one first.")


def spell_login(login: str) -> str:
    """A login as it is stored, whichever keyboard it was typed on."""
    return unicodedata.normalize("NFKC", login).strip()


def check_login(login: str, *, field: str = "login") -> str:
    """A login that somebody may have, as it is stored. Raises Problem("invalid_envelope"), which names ``field``."""
    login = spell_login(login)
    printable = all(character.isprintable() and not character.isspace() for character in login)
    if not 0 < len(login) <= LOGIN_MAX or not printable or login.startswith("@") or login.endswith("@"):
        raise Problem(
            "invalid_envelope",
            f"{field} must be an e-mail address or a name of 1 to {LOGIN_MAX} characters without spaces"
            f" - at `$.{field}`",
        )
    return login


def check_name(name: str) -> str:
    name = name.strip()
    if not 0 < len(name) <= NAME_MAX or not name.isprintable():
        raise Problem("invalid_envelope", f"name must have 1 to {NAME_MAX} printable characters - at `$.name`")
    return name


def check_role(role: str, roles: Collection[str]) -> None:
    if role not in roles:
        raise Problem("invalid_envelope", f"role must be one of {', '.join(sorted(roles))} - at `$.role`")
