"""``GET /telemetry``: metrics newest first, by name, device and time, a page at a time.

"Newest" is by the time of measurement (see ``telemetry_metrics.at``), so that a phone's week offline is found in that
week. What arrives late therefore appears on pages already read; whoever wants all of it asks again from the top.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec

from homing.accounts.users import OWNER
from homing.engine.caller import Caller
from homing.postgres.database import Database
from homing.postgres.lines import load_with
from homing.postgres.sql import Connection, fetch_all, load
from homing.protocol.errors import Problem
from homing.telemetry.metrics import read_time, write_time


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for, as it came: measured from ``since`` on and before ``until``; by one device or of one name."""

    name: str | None = None
    device_id: str | None = None
    since: str | None = None
    until: str | None = None


class TelemetryItem(msgspec.Struct, kw_only=True):
    """One metric. ``timestamp`` is never after ``received_at``: where the device's clock was ahead, they are equal."""

    device_id: str
    name: str
    value: msgspec.Raw
    timestamp: str
    received_at: str
    meta: msgspec.Raw | None


@dataclass(frozen=True, slots=True)
class MetricRow:
    """What the three statements list, in the order of (``at``, ``number``); ``value`` and ``meta`` are JSON text."""

    number: int
    device_id: str
    name: str
    value: str
    meta: str | None
    at: datetime
    created_at: datetime

    def item(self) -> TelemetryItem:
        return TelemetryItem(
            device_id=self.device_id,
            name=self.name,
            value=msgspec.Raw(self.value.encode()),
            timestamp=write_time(self.at),
            received_at=write_time(self.created_at),
            meta=None if self.meta is None else msgspec.Raw(self.meta.encode()),
        )


async def read_page(
    db: Database, *, caller: Caller, wanted: Wanted, after: tuple[datetime, int] | None, limit: int
) -> list[MetricRow]:
    """Up to ``limit`` metrics that the caller may see, behind ``after``: the office sees everything, everybody else
    their own devices'.

    Raises Problem("invalid_parameter").
    """
    after_at, after_number = ("infinity", 0) if after is None else (write_time(after[0]), after[1])
    params = {
        "name": wanted.name,
        "since": _bound("from", wanted.since) or "-infinity",
        "until": _bound("to", wanted.until) or "infinity",
        "after_at": after_at,
        "after_number": after_number,
        "limit": limit,
    }
    async with db.connection() as conn:
        devices = await _find_devices(conn, caller, wanted.device_id)
        if devices is not None:
            rows = await fetch_all(conn, load("homing.telemetry", "read_devices"), {**params, "devices": devices})
        elif wanted.name is not None:
            rows = await fetch_all(conn, load("homing.telemetry", "read_named"), params)
        else:
            rows = await fetch_all(conn, load("homing.telemetry", "read_all"), params)
    return [MetricRow(*row) for row in rows]


async def _find_devices(conn: Connection, caller: Caller, device_id: str | None) -> list[UUID] | None:
    """The devices asked about and allowed; None means any."""
    office = caller.role == OWNER
    if office and device_id is None:
        return None
    given = {"user_id": None if office else caller.user_id, "device": device_id}
    asked = {name: value for name, value in given.items() if value is not None}
    query = load_with("homing.telemetry", "find_devices", frozenset(asked))
    return [id_ for (id_,) in await fetch_all(conn, query, asked)]


def _bound(parameter: str, text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return write_time(read_time(text))
    except ValueError as error:
        raise Problem("invalid_parameter", f"{parameter}: {error}") from error
