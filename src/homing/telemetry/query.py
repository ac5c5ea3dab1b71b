"""``GET /telemetry``: metrics newest first, by name, device and time, a page at a time.

"Newest" is by the time of measurement (see ``telemetry_metrics.at``), so that a phone's week offline is found in that
week. What arrives late therefore appears on pages already read; whoever wants all of it asks again from the top.
"""

from __future__ import annotations

import base64
import binascii
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from homing.engine.caller import Caller
from homing.postgres.database import Database
from homing.postgres.sql import Connection, fetch_all, load
from homing.protocol.errors import Problem
from homing.telemetry.metrics import read_time, write_time

LIMIT_DEFAULT = 100
LIMIT_MAX = 1000
"""Metrics of one page: some 200 KB of JSON."""

OFFICE = "OWNER"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for, as it came: from ``since`` on, before ``until``; ``after`` is the last page's ``next``."""

    name: str | None = None
    device_id: str | None = None
    since: str | None = None
    until: str | None = None
    limit: int = LIMIT_DEFAULT
    after: str | None = None


class TelemetryItem(msgspec.Struct, kw_only=True):
    """One metric. ``timestamp`` is never after ``received_at``: where the device's clock was ahead, they are equal."""

    device_id: str
    name: str
    value: msgspec.Raw
    timestamp: str
    received_at: str
    meta: msgspec.Raw | None


class TelemetryPage(msgspec.Struct, kw_only=True):
    items: list[TelemetryItem]
    next: str | None


async def query(db: Database, *, caller: Caller, wanted: Wanted) -> TelemetryPage:
    """A page of what the caller may see: the office everything, everybody else their own devices' metrics.

    Raises Problem("invalid_parameter").
    """
    after_at, after_number = _read_cursor(wanted.after)
    if not 1 <= wanted.limit <= LIMIT_MAX:
        raise Problem("invalid_parameter", f"limit: 1 to {LIMIT_MAX} are possible.", parameter="limit")
    params: dict[str, Any] = {
        "name": wanted.name,
        "since": _bound("from", wanted.since) or "-infinity",
        "until": _bound("to", wanted.until) or "infinity",
        "after_at": after_at,
        "after_number": after_number,
        "limit": wanted.limit + 1,  # one more tells whether there is a next page
    }
    async with db.connection() as conn:
        devices = await _find_devices(conn, caller, wanted.device_id)
        if devices is not None:
            shape = "read_devices"
            params["devices"] = devices
        else:
            shape = "read_all" if wanted.name is None else "read_named"
        rows = [_Row(*row) for row in await fetch_all(conn, load("homing.telemetry", shape), params)]
    page = rows[: wanted.limit]
    return TelemetryPage(
        items=[_item(row) for row in page],
        next=_write_cursor(page[-1]) if len(rows) > wanted.limit else None,
    )


async def _find_devices(conn: Connection, caller: Caller, device_id: str | None) -> list[UUID] | None:
    """The devices asked about and allowed; None means any."""
    office = caller.role == OFFICE
    if office and device_id is None:
        return None
    asked = {"office": office, "user_id": caller.user_id, "device": device_id}
    return [id_ for (id_,) in await fetch_all(conn, load("homing.telemetry", "find_devices"), asked)]


@dataclass(frozen=True, slots=True)
class _Row:
    """What the three statements list; ``value`` and ``meta`` are JSON text."""

    number: int
    device_id: str
    name: str
    value: str
    meta: str | None
    at: datetime
    created_at: datetime


def _item(row: _Row) -> TelemetryItem:
    return TelemetryItem(
        device_id=row.device_id,
        name=row.name,
        value=msgspec.Raw(row.value.encode()),
        timestamp=write_time(row.at),
        received_at=write_time(row.created_at),
        meta=None if row.meta is None else msgspec.Raw(row.meta.encode()),
    )


def _bound(parameter: str, text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return write_time(read_time(text))
    except ValueError as error:
        raise Problem("invalid_parameter", f"{parameter}: {error}", parameter=parameter) from error


# A cursor is the place of the last item seen: microseconds since 1970 and number. It opens no doors: what a page may
# show is asked anew each time, so it needs no signature.
_CURSOR = struct.Struct(">qq")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _write_cursor(last: _Row) -> str:
    place = _CURSOR.pack((last.at - _EPOCH) // timedelta(microseconds=1), last.number)
    return base64.urlsafe_b64encode(place).decode().rstrip("=")


def _read_cursor(text: str | None) -> tuple[str, int]:
    if text is None:
        return "infinity", 0
    try:
        micros, number = _CURSOR.unpack(base64.b64decode(text + "==", altchars=b"-_", validate=True))
        return write_time(_EPOCH + timedelta(microseconds=micros)), number
    except (binascii.Error, struct.error, ValueError, OverflowError):
        raise Problem("invalid_parameter", "after: not a cursor of ours.", parameter="after") from None
