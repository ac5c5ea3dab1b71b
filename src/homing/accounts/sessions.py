"""Sessions: one sign-in each, kept alive by refresh tokens of which every one is used once.

A network loses answers. If a refresh token died when it was redeemed, a phone that never saw the answer would be
signed out in the field. So a token counts as spent only when its *successor* is first used: that proves the answer
arrived. Until then, redeeming it again gives the same successor again, however often and however concurrently.

That successor is not stored anywhere in clear: it is HMAC(key, token), computed again. After the successor was used,
its predecessor appearing once more means that two parties hold the family: it ends, for both (RFC 9700).

    T1 --redeem--> T2    T1 --redeem--> T2 (lost answer)    T2 --redeem--> T3: T1 is spent    T1: theft, all ends
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeAlias
from uuid import UUID

from psycopg.rows import class_row

from homing.postgres.database import Database
from homing.postgres.sql import Connection, execute, load
from homing.protocol.errors import Problem

PREFIX = "hr_"  # lets secret scanners and people recognise a refresh token
TOKEN_BYTES = 32
SPENT_KEPT = timedelta(days=7)
"""How long a spent token is remembered as theft bait; after that it is merely unknown, which is refused too."""


Prove: TypeAlias = Callable[[str, dict[str, Any]], None]
"""Raises Problem("invalid_proof") unless whoever asks holds this device's key (its name, its public key)."""


@dataclass(frozen=True, slots=True)
class Session:
    """An open session, and the refresh token to hand out for it."""

    id: UUID
    user_id: UUID
    role: str
    device_name: str | None
    platform: str
    refresh_token: str


@dataclass(frozen=True, slots=True)
class _Found:
    session_id: UUID
    user_id: UUID
    role: str
    device_name: str | None
    platform: str
    open: bool
    parent_hash: bytes | None
    issued_at: datetime
    spent: bool
    public_key: dict[str, Any] | None
    successor_hashes: list[bytes]


async def begin(
    conn: Connection,
    *,
    user_id: UUID,
    role: str,
    device_name: str | None,
    platform: str,
    now: datetime,
    days_max: int,
    token: str | None = None,
) -> Session:
    """Open a session that ends after ``days_max`` days whatever happens. ``token``: its first refresh token, where that
    must be found again (``first_tokens``)."""
    token = token or _spell(secrets.token_bytes(TOKEN_BYTES))
    cursor = await conn.execute(
        load(__package__, "insert_session"),
        {
            "user": user_id,
            "device": device_name,
            "platform": platform,
            "now": now,
            "expires_at": now + timedelta(days=days_max),
            "token_hash": _hash(token),
        },
    )
    row = await cursor.fetchone()
    assert row is not None
    return Session(row[0], user_id, role, device_name, platform, token)


async def rotate(
    db: Database,
    keys: Mapping[str, bytes],
    *,
    refresh_token: str,
    device_name: str | None,
    prove: Prove,
    now: datetime,
    idle_days: int,
) -> Session:
    """Redeem a refresh token: the session with its successor.

    ``device_name`` is who asks, where it says so; another device than the session's is refused. ``prove`` is asked
    about a device that has a key.
    Raises Problem("invalid_refresh_token"), one answer for all causes, and what ``prove`` raises.
    """
    async with db.transaction() as conn:
        session = await _rotate(
            conn, keys, token=refresh_token, device_name=device_name, prove=prove, now=now, idle_days=idle_days
        )
    # Raised only here, because ending a stolen family must be committed.
    if session is None:
        raise Problem("invalid_refresh_token")
    return session


async def _rotate(
    conn: Connection,
    keys: Mapping[str, bytes],
    *,
    token: str,
    device_name: str | None,
    prove: Prove,
    now: datetime,
    idle_days: int,
) -> Session | None:
    token_hash = _hash(token)
    await execute(conn, load(__package__, "lock_session_of_token"), {"token_hash": token_hash})
    async with conn.cursor(row_factory=class_row(_Found)) as cursor:
        await cursor.execute(load(__package__, "read_refresh_token"), {"token_hash": token_hash, "now": now})
        found = await cursor.fetchone()
    if found is None or not found.open:
        return None
    if device_name is not None and found.device_name not in (None, device_name):
        return None
    if found.device_name is not None and found.public_key is not None:
        # Before anything else is decided: who stole the token alone can neither use it nor end the session with it.
        prove(found.device_name, found.public_key)
    if found.spent:
        await end(conn, session_id=found.session_id, reason="refresh token used twice", now=now)
        return None
    if now - found.issued_at > timedelta(days=idle_days):
        return None
    successor = _successor(keys, token, found.successor_hashes)
    await execute(
        conn,
        load(__package__, "redeem_refresh_token"),
        {
            "session": found.session_id,
            "token_hash": token_hash,
            "parent_hash": found.parent_hash,
            "successor_hash": _hash(successor),
            "now": now,
            "forget_before": now - SPENT_KEPT,
        },
    )
    return Session(found.session_id, found.user_id, found.role, found.device_name, found.platform, successor)


def first_tokens(keys: Mapping[str, bytes], seed: bytes) -> list[str]:
    """The refresh token that a session made from ``seed`` begins with, by each key, the newest first. So the answer
    that gave it out can be given again without the token being stored. ``seed`` must be secret."""
    return [_spell(hmac.digest(secret, b"first:" + seed, hashlib.sha256)) for secret in keys.values()]


async def find_unused(conn: Connection, tokens: Sequence[str]) -> Session | None:
    """The open session that began with one of ``tokens``, as long as that was not redeemed."""
    by_hash = {_hash(token): token for token in tokens}
    cursor = await conn.execute(load(__package__, "find_unused_session"), {"hashes": list(by_hash)})
    row = await cursor.fetchone()
    if row is None:
        return None
    session_id, user_id, role, device_name, platform, token_hash = row
    return Session(session_id, user_id, role, device_name, platform, by_hash[bytes(token_hash)])


def _successor(keys: Mapping[str, bytes], token: str, known: list[bytes]) -> str:
    """The one already given out, whichever key made it; otherwise one made with the newest key."""
    made = [_spell(hmac.digest(secret, b"refresh:" + token.encode(), hashlib.sha256)) for secret in keys.values()]
    return next((successor for successor in made if _hash(successor) in known), made[0])


async def end(conn: Connection, *, session_id: UUID, reason: str, now: datetime) -> None:
    """End one session: its refresh tokens and its access tokens."""
    await execute(conn, load(__package__, "end_session"), {"session": session_id, "reason": reason, "now": now})


async def end_all_of_user(conn: Connection, *, user_id: UUID, reason: str, now: datetime) -> None:
    await execute(conn, load(__package__, "end_sessions_of_user"), {"user": user_id, "reason": reason, "now": now})


async def end_all_of_device(
    conn: Connection, *, device_name: str, reason: str, now: datetime, but_of_user: UUID | None = None
) -> None:
    """End the sessions that name this device; those of ``but_of_user`` go on."""
    await execute(
        conn,
        load(__package__, "end_sessions_of_device"),
        {"device": device_name, "reason": reason, "now": now, "but_of_user": but_of_user},
    )


async def name_device(conn: Connection, *, session_id: UUID, device_name: str) -> None:
    """A session that was opened without a device belongs to this one from its next refresh on."""
    await execute(conn, load(__package__, "name_session_device"), {"session": session_id, "device": device_name})


def _spell(raw: bytes) -> str:
    return PREFIX + base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
