"""The registry of devices: who works on which, in what standing."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta
from psycopg.rows import class_row, dict_row
from psycopg.types.json import Jsonb

from homing.accounts import device_events, fingerprints, push_tokens, sessions, trust
from homing.accounts.trust import Reason
from homing.engine.caller import Caller
from homing.postgres.database import Database
from homing.postgres.lines import load_with
from homing.postgres.sql import Connection, execute, load
from homing.protocol.errors import Problem
from homing.protocol.limits import DEFAULT_LIMITS

Status = Literal["active", "suspended", "revoked"]
Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"\A[!-~]+\Z")]
"""A device's own identifier: printable ASCII without spaces, so that it looks the same everywhere it is written."""
Short = Annotated[str, Meta(max_length=200)]

METADATA_BYTES_MAX = 16 * 2**10
"""Bytes of a device's metadata as JSON."""


class Registration(msgspec.Struct, kw_only=True):
    """``POST /mobile/devices``. What an update leaves out stays as it was."""

    device_id: Name
    device_type: Short
    os_version: Short | None = None
    app_version: Short
    push_token: Annotated[str, Meta(min_length=1, max_length=4096)] | None = None
    metadata: dict[str, Any] | None = None
    fingerprint: fingerprints.Fingerprint | None = None


class DeviceRegistration(msgspec.Struct, kw_only=True):
    """``POST /mobile/auth/register-device``, as specification 4 spells it. Without ``pushToken`` (people may say no to
    notifications) the one it has stays; ``deviceFingerprint`` is ours."""

    deviceId: Name  # noqa: N815
    platform: Literal["ios", "android"]
    pushToken: push_tokens.Text | None = None  # noqa: N815
    appVersion: Annotated[str, Meta(max_length=20)]  # noqa: N815
    deviceFingerprint: fingerprints.Fingerprint | None = None  # noqa: N815


class RegisteredDevice(msgspec.Struct, frozen=True, rename="camel"):
    """How a device is used: its row of ``mobile_sessions``."""

    device_id: str
    platform: str
    app_version: str
    last_active: datetime
    created_at: datetime


class DeviceChange(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """``PATCH /mobile/devices/{id}``. ``trust_reset`` forgets why the device was distrusted; ``resync`` makes it start
    again with its next pull, its outbox kept."""

    status: Status | None = None
    reason: Annotated[str, Meta(max_length=1000)] | None = None
    trust_reset: bool = False
    resync: bool = False


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """A device as answers show it. The push token stays here: whoever has it can send to the phone.

    ``fingerprint_at``: when it first told a fingerprint, or last another one. ``clock_offset_seconds``: the server's
    clock minus the device's, as last measured.
    """

    id: UUID
    device_id: str
    user_id: UUID | None
    user_name: str | None
    device_type: str
    os_version: str
    app_version: str
    has_push_token: bool
    status: Status
    status_reason: str | None
    trust_score: float
    trust_reasons: list[Reason]
    metadata: dict[str, Any]
    fingerprint_at: datetime | None
    clock_offset_seconds: float | None
    last_seen: datetime | None
    created_at: datetime
    updated_at: datetime


async def register(
    db: Database,
    caller: Caller,
    given: Registration,
    *,
    now: datetime,
    secret: bytes,
    private_push: bool = False,
    push_tokens_max: int = DEFAULT_LIMITS.push_tokens_a_user_max,
) -> Device:
    """Register the caller's device, or bring what is known of it up to date.

    A device that was another user's becomes the caller's, and the other user's sessions on it end. A suspended device
    stays suspended. Its fingerprint is taken out of the metadata and hashed under ``secret``. ``private_push``: its
    carrier may have a private address.
    Raises Problem: device_mismatch, device_revoked, too_large, invalid_envelope.
    """
    if caller.device_name not in (None, given.device_id):
        raise Problem("device_mismatch")
    if given.metadata is not None and len(msgspec.json.encode(given.metadata)) > METADATA_BYTES_MAX:
        raise Problem("too_large", f"metadata may have {METADATA_BYTES_MAX} bytes as JSON")
    token = None
    metadata, fingerprint = given.metadata, given.fingerprint
    if metadata is not None and "fingerprint" in metadata:
        metadata = {**metadata}
        told = metadata.pop("fingerprint")
        fingerprint = told if fingerprint is None else fingerprint
    if given.push_token is not None:
        token = push_tokens.recognise(
            given.push_token, push_tokens.platform_of(given.device_type), private=private_push
        )
    async with db.transaction(actor=str(caller.user_id)) as conn:
        known = await lock_or_insert(conn, given.device_id)
        if known["status"] == "revoked":
            raise Problem("device_revoked")
        if known["public_key"] is not None and caller.device_name is None:
            # A session that names the device has proved that it holds the key; this one has not.
            raise Problem("device_mismatch", "The device is enrolled with a key: sign in with its device_id.")
        moved = known["user_id"] not in (None, caller.user_id)
        await execute(
            conn,
            load(__package__, "update_device"),
            {
                "id": known["id"],
                "user": caller.user_id,
                "device_type": given.device_type,
                "os_version": given.os_version,
                "app_version": given.app_version,
                "push_token": None if token is None else token.address,
                "keep_push_token": given.push_token is None and not moved,
                "metadata": None if metadata is None else Jsonb(metadata),
                "now": now,
            },
        )
        if token is not None:
            await push_tokens.keep(conn, caller, token, device_id=known["id"], most=push_tokens_max, now=now)
        if moved:
            await sessions.end_all_of_device(
                conn,
                device_name=given.device_id,
                reason="device moved to another user",
                now=now,
                but_of_user=caller.user_id,
            )
        await sessions.name_device(conn, session_id=caller.session_id, device_name=given.device_id)
        for reason in trust.registration_reasons(
            before=known["metadata"],
            after=known["metadata"] if metadata is None else metadata,
            app_before=known["app_version"],
            app_after=given.app_version,
        ):
            await trust.add_reason(conn, device_id=known["id"], reason=reason, now=now)
        if fingerprint is not None:
            await fingerprints.compare(
                conn,
                device_name=given.device_id,
                user_id=caller.user_id,
                fingerprint=fingerprints.hashed(secret, fingerprint),
                where="registration",
                now=now,
            )
        elif metadata is not None and known["fingerprint"] is not None:
            # It describes itself anew, and does not say any more which machine it is.
            await fingerprints.differs(
                conn, device_id=known["id"], user_id=caller.user_id, where="registration", now=now
            )
        if moved or known["user_id"] is None:
            kind: device_events.Kind = "moved" if moved else "registered"
            await device_events.note(conn, device_id=known["id"], kind=kind, user_id=caller.user_id, now=now)
        return await read(conn, known["id"])


async def lock_or_insert(conn: Connection, device_name: str) -> dict[str, Any]:
    """The device's row as it stood, locked; a new one where there was none. Two registrations at once make one row."""
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(load(__package__, "insert_device"), {"device": device_name})
        await cursor.execute(load(__package__, "lock_device_by_name"), {"device": device_name})
        row = await cursor.fetchone()
    assert row is not None
    return row


async def read(conn: Connection, device_id: UUID) -> Device:
    """One device. Raises Problem("not_found")."""
    async with conn.cursor(row_factory=dict_row) as cursor:
        row = await (await cursor.execute(load(__package__, "read_device"), {"id": device_id})).fetchone()
    if row is None:
        raise Problem("not_found")
    return msgspec.convert(row, Device)


async def read_mobile_session(db: Database, device_name: str) -> RegisteredDevice:
    """Raises Problem("not_found")."""
    async with db.connection() as conn, conn.cursor(row_factory=class_row(RegisteredDevice)) as cursor:
        await cursor.execute(load(__package__, "read_mobile_session"), {"device": device_name})
        row = await cursor.fetchone()
    if row is None:
        raise Problem("not_found")
    return row


async def read_page(
    db: Database,
    *,
    after: tuple[datetime, UUID] | None,
    limit: int,
    status: Status | None,
    user_id: UUID | None,
    q: str | None,
    app_version: str | None = None,
    trust_below: float | None = None,
    unseen_since: datetime | None = None,
) -> list[Device]:
    """Devices, the newest first, at most ``limit``, from behind ``after`` (created_at, id).

    ``app_version``: how it begins; ``unseen_since``: those that did not call since then, or never.
    """
    wanted: dict[str, Any] = {
        "status": status,
        "user": user_id,
        "app_version": app_version,
        "trust_below": trust_below,
        "unseen_since": unseen_since,
        "after": after,
    }
    params = {name: value for name, value in wanted.items() if value is not None}
    query = load_with(__package__, "list_devices" if q is None else "search_devices", frozenset(params))
    if q is not None:
        params |= {"q": q}
    if after is not None:
        params |= {"after_at": after[0], "after_id": after[1]}
    async with db.connection() as conn, conn.cursor(row_factory=dict_row) as cursor:
        rows = await (await cursor.execute(query, {**params, "limit": limit})).fetchall()
    return msgspec.convert(rows, list[Device])


async def change(db: Database, device_id: UUID, wanted: DeviceChange, *, by: Caller, now: datetime) -> Device:
    """The office's decision about a device.

    Takes the device's row lock, which every push holds while it runs: what was being applied is applied, what comes
    later meets the new status. Raises Problem: not_found, invalid_envelope, unavailable (a push took too long).
    """
    if wanted.status is None and not wanted.trust_reset and not wanted.resync:
        raise Problem("invalid_envelope", "status, trust_reset or resync is needed")
    async with db.transaction(actor=str(by.user_id)) as conn:
        async with conn.cursor(row_factory=class_row(_Locked)) as cursor:
            device = await (await cursor.execute(load(__package__, "lock_device"), {"id": device_id})).fetchone()
        if device is None:
            raise Problem("not_found")
        if wanted.status is not None:
            await execute(
                conn,
                load(__package__, "update_device_status"),
                {"id": device_id, "status": wanted.status, "reason": wanted.reason},
            )
            said = {"status": wanted.status, "reason": wanted.reason}
            await device_events.note(
                conn, device_id=device_id, kind="status_changed", user_id=by.user_id, now=now, **said
            )
        if wanted.status == "revoked":
            await sessions.end_all_of_device(conn, device_name=device.device_id, reason="device revoked", now=now)
        if wanted.resync:
            await execute(conn, load(__package__, "order_resync"), {"id": device_id, "now": now})
        if wanted.trust_reset:
            await trust.reset(conn, device_id=device_id, by=by.user_id, note=wanted.reason or "", now=now)
        return await read(conn, device_id)


class _Locked(msgspec.Struct, frozen=True):
    device_id: str
