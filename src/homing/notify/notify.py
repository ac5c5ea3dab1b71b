"""Causing a notification: part of the transaction that is its cause."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Collection, Mapping
from uuid import UUID

import msgspec

from homing.jobs import defer
from homing.notify.kinds import Id, Kind
from homing.postgres.sql import Connection, fetch_all, load

TASK = "homing.notify"


async def notify(
    conn: Connection,
    kind: Kind,
    *,
    user_ids: Collection[UUID],
    data: Mapping[str, Id] | None = None,
    collapse: Id | None = None,
) -> int:
    """Notify these people, of whom those who do not want it, or are not active, are left out; how many it was.

    They are told after ``conn``'s transaction commits, and never if it rolls back: two statements, however many people.
    ``data`` are the kind's ids. ``collapse``: of this kind with the same one, a device shows only the newest
    (several changes of one proposal, while the phone was off, are one notification).

    Raises ValueError for data that are not the kind's ids.
    """
    params = {
        "users": sorted(set(user_ids)),
        "type": kind.name,
        "title": kind.title,
        "body": kind.body,
        "data": msgspec.json.encode(kind.carry(data or {})).decode(),
        "collapse": None if collapse is None else collapse_key(kind, collapse),
        "preference": kind.preference,
        "seconds": kind.seconds,
        "urgent": kind.urgent,
    }
    ((made,),) = await fetch_all(conn, load(__package__, "insert_notifications"), params)
    if made:
        await defer(conn, TASK)
    return int(made)


def collapse_key(kind: Kind, collapse: Id) -> str:
    """24 characters that every provider takes (Web Push: 32 of base64url, APNs: 64 bytes) and that tell it nothing."""
    digest = hashlib.sha256(f"{kind.name}:{collapse}".encode()).digest()
    return urlsafe_b64encode(digest[:18]).decode()
