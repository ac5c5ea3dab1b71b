"""Device fingerprints: is this the machine that had this name before?

A fingerprint is a text that an app derives from the hardware: the same on the same machine, another on another. It is
told with a registration, a sign-in, a refresh or a payment, wherever the app likes, and compared with the last one.
What is kept is HMAC-SHA-256 under a key of the tenant's: who reads the table knows no machine by it. The first is
believed; another one raises an event and lowers the device's trust (``trust.py``), and is the one to compare with from
then on.

Something in it that changes by itself, as the time of day, makes every one another one.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from homing.accounts import device_events, trust
from homing.postgres.sql import Connection, fetch_one, load

Fingerprint = Annotated[str, Meta(min_length=1, max_length=512)]
Where = Literal["registration", "sign_in", "refresh", "payment"]


def hashed(secret: bytes, fingerprint: Any) -> bytes:
    """32 bytes. What is no text (a device's metadata are any JSON) counts as its JSON."""
    text = fingerprint.encode() if isinstance(fingerprint, str) else msgspec.json.encode(fingerprint, order="sorted")
    return hmac.digest(secret, b"device fingerprint: " + text, hashlib.sha256)


async def compare(
    conn: Connection, *, device_name: str, user_id: UUID, fingerprint: bytes, where: Where, now: datetime
) -> bool:
    """Remember the device's fingerprint; whether it had another one before. Of a device that is not this user's nothing
    is said or remembered. In the caller's transaction."""
    row = await fetch_one(
        conn,
        load(__package__, "note_fingerprint"),
        {"device": device_name, "user": user_id, "fingerprint": fingerprint, "now": now},
    )
    if row is None or not row[1]:
        return False
    await differs(conn, device_id=row[0], user_id=user_id, where=where, now=now)
    return True


async def differs(conn: Connection, *, device_id: UUID, user_id: UUID, where: Where, now: datetime) -> None:
    """The device is not what it was: say so, and trust it less."""
    await device_events.note(
        conn, device_id=device_id, kind="fingerprint_changed", user_id=user_id, now=now, where=where
    )
    await trust.add_reason(conn, device_id=device_id, reason="fingerprint_changed", now=now)
