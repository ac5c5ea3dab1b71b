"""Enrolment tokens, as the office sees them: made, listed, cancelled; and what a phone is told before it accepts.

A token is for one person with one role, made by one user of the office in one tenant. It holds for an hour unless
somebody says otherwise, and dies with its creator's right to make it: a deactivated or demoted creator's tokens are
dead at once. What becomes of one that is redeemed is in ``enrolment_complete.py``.

Only the hash of the secret is kept. So whatever shows the secret (the answer that made it, its QR codes, a sheet) is
made while it is known, and can never be made again.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

import msgspec
from msgspec import Meta
from psycopg.rows import class_row

from homing.accounts import users
from homing.engine.caller import Caller
from homing.postgres.database import Database
from homing.postgres.sql import Connection, execute, fetch_all, fetch_one, load
from homing.protocol.enrolment import Token, hashed, new_secret
from homing.protocol.errors import Problem

log = logging.getLogger("homing.enrolment")

SECONDS_MIN = 60
SECONDS_MAX = 86_400
"""A token that waits longer waits to be found."""
PEOPLE_MAX = 200
"""Tokens made at once: a sheet for everybody of a large team."""
UNUSED_KEPT = timedelta(days=90)
"""How long the list still shows a token that nobody used."""

State = Literal["pending", "used", "expired", "cancelled"]
Seconds = Annotated[int, Meta(ge=SECONDS_MIN, le=SECONDS_MAX)]
Username = Annotated[str, Meta(min_length=1, max_length=users.LOGIN_MAX)]


class Person(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Whom a token is for. Without ``username`` whoever takes it chooses one."""

    username: Username | None = None
    role: str = users.WORKER


class NewEnrollment(Person, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """``POST /enrollments``. ``expires_in``: seconds; as the setting says when not given."""

    expires_in: Seconds | None = None


class Enrollment(msgspec.Struct, frozen=True, kw_only=True):
    """A token as lists show it: who may, who did, on what; never its secret.

    ``token`` is the public handle. ``device_type``, ``os_version`` and ``app_version`` are the device's own words.
    """

    id: UUID
    token: UUID
    tenant_id: str
    created_by: UUID
    created_by_username: str
    role: str
    username: str | None
    state: State
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None
    device_id: str | None
    device_type: str | None
    os_version: str | None
    app_version: str | None
    user_id: UUID | None
    cancelled_at: datetime | None
    cancelled_by: UUID | None


class Details(msgspec.Struct, frozen=True, kw_only=True):
    """What the person with the phone should see before they accept."""

    token: UUID
    tenant_id: str
    created_by: UUID
    created_by_username: str
    created_by_name: str
    role: str
    username: str | None
    expires_at: datetime
    server_key: str


@dataclass(frozen=True, slots=True)
class Made:
    """A token and its secret, which nobody can look up again."""

    token: Token
    username: str | None
    role: str
    expires_at: datetime

    @property
    def id(self) -> UUID:
        assert self.token.handle is not None
        return self.token.handle


@dataclass(frozen=True, slots=True)
class Round:
    """What a daily round found expired, and deleted."""

    expired: int
    deleted: int


async def make(
    db: Database,
    people: Sequence[Person],
    *,
    by: Caller,
    seconds: int,
    server_key: str,
    roles: Collection[str],
    open_max: int,
) -> list[Made]:
    """Tokens for ``people``, all of them or none. ``server_key``: the fingerprint that their QR codes will name.

    Raises Problem: invalid_envelope, already_exists (a username), rate_limited (too many wait to be used).
    """
    wanted = [_checked(person, roles) for person in people]
    names = [person.username.lower() for person in wanted if person.username is not None]
    if len(set(names)) != len(names):
        raise Problem("already_exists", "A username is named twice.")
    tokens = [Token(uuid4(), new_secret()) for _ in wanted]
    async with db.transaction(actor=str(by.user_id)) as conn:
        await _check_room(conn, by, len(wanted), open_max)
        taken = await fetch_all(conn, load(__package__, "find_taken_usernames"), {"names": names})
        if taken:
            raise Problem("already_exists", f"There is a user already called {', '.join(name for (name,) in taken)}.")
        rows = await fetch_all(
            conn,
            load(__package__, "insert_enrollments"),
            {
                "ids": [token.handle for token in tokens],
                "hashes": [hashed(token.secret or "") for token in tokens],
                "usernames": [person.username for person in wanted],
                "roles": [person.role for person in wanted],
                "created_by": by.user_id,
                "tenant": by.tenant,
                "seconds": seconds,
                "server_key": server_key,
            },
        )
    expires_at: datetime = rows[0][0]
    made = [Made(token, person.username, person.role, expires_at) for token, person in zip(tokens, wanted, strict=True)]
    for each in made:
        log.info("enrolment %s made by %s for role %s until %s", each.id, by.user_id, each.role, expires_at)
    return made


async def read_page(
    db: Database, *, after: tuple[datetime, UUID] | None, limit: int, created_by: UUID | None, state: State | None
) -> list[Enrollment]:
    """Tokens, the newest first, at most ``limit``, from behind ``after`` (created_at, id)."""
    created_at, last = after or (None, None)
    params = {"after_at": created_at, "after_id": last, "limit": limit, "state": state}
    if created_by is None:
        return await _list(db, "list_enrollments", params | {"id": None})
    return await _list(db, "list_enrollments_of_creator", params | {"created_by": created_by})


async def read_one(db: Database, enrollment_id: UUID) -> Enrollment:
    """Raises Problem("not_found")."""
    params = {"after_at": None, "after_id": None, "limit": 1, "state": None, "id": enrollment_id}
    found = await _list(db, "list_enrollments", params)
    if not found:
        raise Problem("not_found")
    return found[0]


async def cancel(db: Database, enrollment_id: UUID, *, by: Caller) -> None:
    """The token is dead from now on; cancelling it again, or when it has expired, changes nothing.

    Raises Problem: not_found, state_conflict (a device has taken it: revoke the device).
    """
    async with db.transaction(actor=str(by.user_id)) as conn:
        params = {"id": enrollment_id, "by": by.user_id}
        if await execute(conn, load(__package__, "cancel_enrollment"), params):
            log.info("enrolment %s cancelled by %s", enrollment_id, by.user_id)
            return
        row = await fetch_one(conn, load(__package__, "read_enrollment_use"), {"id": enrollment_id})
    if row is None:
        raise Problem("not_found")
    if row[0] is not None:
        raise Problem("state_conflict", "A device has taken this token already; revoke the device.", device_id=row[1])


async def read_details(db: Database, token: Token) -> Details | None:
    """What to show before accepting; None where the token does not work, whyever.

    With the handle alone it need not be proved that the secret is known: nothing here is one.
    """
    async with db.connection() as conn:
        handle = await find_handle(conn, token)
        if handle is None:
            return None
        async with conn.cursor(row_factory=class_row(Details)) as cursor:
            return await (await cursor.execute(load(__package__, "read_enrollment"), {"token": handle})).fetchone()


async def is_pending(db: Database, enrollment_id: UUID, *, created_by: UUID) -> bool:
    """Whether this creator's token can still be used."""
    async with db.connection() as conn, conn.cursor(row_factory=class_row(Details)) as cursor:
        found = await (await cursor.execute(load(__package__, "read_enrollment"), {"token": enrollment_id})).fetchone()
    return found is not None and found.created_by == created_by


async def find_handle(conn: Connection, token: Token) -> UUID | None:
    """The handle of the token whose halves these are; None where they do not belong together, or to nothing."""
    secret_hash = None if token.secret is None else hashed(token.secret)
    if token.handle is None:
        row = await fetch_one(conn, load(__package__, "find_enrollment_of_secret"), {"secret_hash": secret_hash})
        return None if row is None else UUID(str(row[0]))
    row = await fetch_one(conn, load(__package__, "find_enrollment_secret"), {"token": token.handle})
    if row is None:
        return None
    if secret_hash is not None and not hmac.compare_digest(bytes(row[0] or b""), secret_hash):
        return None
    return token.handle


async def clean(db: Database, *, now: datetime) -> Round:
    """Report tokens that expired unused, forget the secrets of all that expired, delete unused ones after 90 days."""
    async with db.transaction() as conn:
        expired = await fetch_all(conn, load(__package__, "report_expired_enrollments"))
        deleted = await execute(conn, load(__package__, "delete_old_enrollments"), {"before": now - UNUSED_KEPT})
    for enrollment_id, created_by, expires_at in expired:
        log.info("enrolment %s made by %s expired unused at %s", enrollment_id, created_by, expires_at)
    return Round(len(expired), deleted)


def _checked(person: Person, roles: Collection[str]) -> Person:
    users.check_role(person.role, roles)
    if person.username is None:
        return person
    return Person(username=users.check_login(person.username, field="username"), role=person.role)


async def _check_room(conn: Connection, by: Caller, count: int, open_max: int) -> None:
    row = await fetch_one(conn, load(__package__, "count_open_enrollments"), {"created_by": by.user_id})
    assert row is not None
    if row[0] + count > open_max:
        raise Problem(
            "rate_limited",
            f"{row[0]} tokens of yours wait to be used, and there may be {open_max}; cancel some, or wait.",
            retry_after=60,
            limit=open_max,
        )


async def _list(db: Database, query: str, params: Mapping[str, Any]) -> list[Enrollment]:
    async with db.connection() as conn, conn.cursor(row_factory=class_row(Enrollment)) as cursor:
        return await (await cursor.execute(load(__package__, query), params)).fetchall()
