"""Redeeming an enrolment token: a user, a device and a session in one transaction, for exactly one device.

    take the token (one UPDATE)  →  make the user  →  bind the device, pin its key  →  open the session

The UPDATE's row lock decides between any number of devices on any number of nodes; the losers wait for it and find the
token used. Whatever fails afterwards (a username that is taken, a revoked device) rolls the taking back: the token
stays good.

**A lost answer.** The phone in the field asks again and must get what it was promised; nobody else may. Neither the
answer nor its refresh token is stored. What is stored is a hash of what the redeemer said of itself (its name, its key,
a nonce of its own choosing), and the first refresh token is derived from the secret and that hash. So whoever knows
both gets the same answer again, while the token holds and until the first refresh proves that the answer arrived.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID, uuid4

import msgspec
from msgspec import Meta
from psycopg import errors
from psycopg.types.json import Jsonb

from homing.accounts import device_events, device_keys, devices, enrolment, sessions, trust, users
from homing.accounts.device_keys import Jwk
from homing.accounts.keys import Keys
from homing.accounts.sessions import Session
from homing.postgres.database import Database
from homing.postgres.sql import Connection, execute, fetch_one, load
from homing.protocol.enrolment import Token, enrolment_proof, hashed
from homing.protocol.errors import Problem

log = logging.getLogger("homing.enrolment")


class CompleteEnrollment(msgspec.Struct, kw_only=True, frozen=True):
    """``POST /enrollments/{token}/complete``.

    ``secret``: the other half, where the address has only the handle. ``signature``: the key's proof (see
    ``protocol/enrolment.py``). ``nonce``: random, kept by the device until it has the answer.
    """

    device_id: devices.Name
    username: enrolment.Username | None = None
    name: Annotated[str, Meta(min_length=1, max_length=users.NAME_MAX)] | None = None
    secret: Annotated[str, Meta(max_length=100)] | None = None
    device_type: devices.Short = "unknown"
    os_version: devices.Short = ""
    app_version: devices.Short = ""
    public_key: device_keys.PublicKey | None = None
    signature: device_keys.Signature | None = None
    nonce: device_keys.Nonce | None = None


@dataclass(frozen=True, slots=True)
class Enrolled:
    """``again``: this answer was given before."""

    session: Session
    device_id: UUID
    again: bool


@dataclass(frozen=True, slots=True)
class _Taken:
    id: UUID
    role: str
    username: str | None
    server_key: str
    created_by: UUID


async def complete(
    db: Database, keys: Keys, token: Token, given: CompleteEnrollment, *, tenant: str, now: datetime, days_max: int
) -> Enrolled | None:
    """Enrol a device; None where the token does not work, whyever.

    ``token`` must have both halves. Raises Problem: invalid_envelope, invalid_proof, already_exists (the username),
    state_conflict (the token is for another username), device_revoked; the token stays good.
    """
    assert token.handle is not None
    assert token.secret is not None
    key = None if given.public_key is None else device_keys.read_public_key(given.public_key)
    if key is None and given.signature is not None:
        # Taken in silence, the phone would believe that its key is pinned.
        raise Problem("invalid_envelope", "A signature without public_key proves nothing.")
    redeemer = _redeemer(given, key)
    seed = f"{token}:".encode() + redeemer
    user_id = uuid4()
    async with db.transaction(actor=str(user_id)) as conn:
        taken = await _take(conn, token, given, redeemer, tenant)
        if taken is None:
            return await _again(conn, keys, token, redeemer, seed)
        if key is not None and given.signature is not None:
            _check_key(key, given, token, taken.server_key)
        await _make_user(conn, taken, given, user_id)
        device_id = await _bind(conn, given, key, user_id=user_id, now=now)
        session = await sessions.begin(
            conn,
            user_id=user_id,
            role=taken.role,
            device_name=given.device_id,
            platform="mobile",
            now=now,
            days_max=days_max,
            token=sessions.first_tokens(keys.access, seed)[0],
        )
    log.info("enrolment %s taken by device %r as user %s, role %s", taken.id, given.device_id, user_id, taken.role)
    return Enrolled(session, device_id, again=False)


async def _take(
    conn: Connection, token: Token, given: CompleteEnrollment, redeemer: bytes, tenant: str
) -> _Taken | None:
    row = await fetch_one(
        conn,
        load(__package__, "take_enrollment"),
        {
            "token": token.handle,
            "secret_hash": hashed(token.secret or ""),
            "tenant": tenant,
            "device": given.device_id,
            "redeemer_hash": redeemer,
            "device_type": given.device_type,
            "os_version": given.os_version,
            "app_version": given.app_version,
        },
    )
    return None if row is None else _Taken(*row)


async def _again(conn: Connection, keys: Keys, token: Token, redeemer: bytes, seed: bytes) -> Enrolled | None:
    """The answer that the same redeemer was given before, if it may still be lost."""
    row = await fetch_one(conn, load(__package__, "read_redeemer"), {"token": token.handle})
    if row is None or not hmac.compare_digest(bytes(row[0] or b""), redeemer):
        return None
    session = await sessions.find_unused(conn, sessions.first_tokens(keys.access, seed))
    if session is None or session.device_name is None:
        return None
    device = await fetch_one(conn, load(__package__, "find_device_id"), {"device": session.device_name})
    return None if device is None else Enrolled(session, device[0], again=True)


def _redeemer(given: CompleteEnrollment, key: Jwk | None) -> bytes:
    """What the same device says again, and nobody else can. What may change between two tries (the app's version) is
    not in it."""
    said = [given.device_id, given.username, None if key is None else msgspec.to_builtins(key), given.nonce]
    return hashlib.sha256(msgspec.json.encode(said)).digest()


def _check_key(key: Jwk, given: CompleteEnrollment, token: Token, fingerprint: str) -> None:
    assert token.handle is not None
    message = enrolment_proof(handle=token.handle, device=given.device_id, fingerprint=fingerprint)
    if not device_keys.is_signed(key, message, given.signature or ""):
        raise Problem("invalid_proof", "The signature is not of this token, device and server by this key.")


async def _make_user(conn: Connection, taken: _Taken, given: CompleteEnrollment, user_id: UUID) -> None:
    wanted = given.username or taken.username
    if wanted is None:
        raise Problem("invalid_envelope", "Object missing required field `username`")
    username = users.check_login(wanted, field="username")
    if taken.username is not None and username.lower() != taken.username.lower():
        raise Problem("state_conflict", "This token is for another username.", username=taken.username)
    name = users.check_name(given.name or username[: users.NAME_MAX])
    try:
        await execute(
            conn,
            load(__package__, "insert_mobile_user"),
            {
                "id": user_id,
                "username": username,
                "email": username if "@" in username else None,
                "name": name,
                "role": taken.role,
                "device": given.device_id,
                "enrollment": taken.id,
            },
        )
    except errors.UniqueViolation:
        raise Problem("already_exists", "This username is taken; choose another one, the token stays good.") from None


async def _bind(conn: Connection, given: CompleteEnrollment, key: Jwk | None, *, user_id: UUID, now: datetime) -> UUID:
    """The device's row, the new user's from now on; sessions that others have on it end."""
    known = await devices.lock_or_insert(conn, given.device_id)
    device_id: UUID = known["id"]
    if known["status"] == "revoked":
        raise Problem("device_revoked")
    await execute(
        conn,
        load(__package__, "update_device"),
        {
            "id": device_id,
            "user": user_id,
            "device_type": given.device_type,
            "os_version": given.os_version,
            "app_version": given.app_version,
            "push_token": None,
            "keep_push_token": False,
            "metadata": None,
            "now": now,
        },
    )
    await sessions.end_all_of_device(
        conn, device_name=given.device_id, reason="device enrolled again", now=now, but_of_user=user_id
    )
    public = None if key is None else msgspec.to_builtins(key)
    await execute(
        conn,
        load(__package__, "pin_device_key"),
        {"id": device_id, "public_key": None if public is None else Jsonb(public)},
    )
    await device_events.note(conn, device_id=device_id, kind="enrolled", user_id=user_id, now=now)
    if known["public_key"] not in (None, public):
        # A phone that was set up anew, or another one that took its name: the office looks before its edits count.
        await trust.add_reason(conn, device_id=device_id, reason="key_changed", now=now)
    return device_id
