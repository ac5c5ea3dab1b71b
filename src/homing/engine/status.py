"""Status: what the server knows of a device's sync, in one answer."""

from __future__ import annotations

from datetime import datetime

import msgspec

from homing.engine.caller import Claims
from homing.engine.engine import Engine
from homing.engine.who import check_caller, read_who
from homing.postgres.sql import load


class DeviceStatus(msgspec.Struct, kw_only=True):
    """``token_age_seconds``: since the device last acked a token; None if it never did."""

    device_id: str
    last_sync_timestamp: datetime | None
    pending_outgoing_count: int
    sync_status: str
    acked_at: datetime | None
    token_age_seconds: int | None
    quarantined: int
    conflicts: int
    device_status: str
    trust_score: float


async def status(engine: Engine, claims: Claims) -> DeviceStatus:
    """The calling device's sync status. Raises Problem: unauthenticated, device_*."""
    async with engine.database.connection() as conn:
        who = await read_who(conn, claims)
        check_caller(who, claims, device_needed=True)
        assert who is not None
        assert claims.device_name is not None
        row = await (await conn.execute(load(__package__, "read_status"), {"device": who.device_id})).fetchone()
    assert row is not None
    last, pending, sync_status, acked_at, device_status, trust, quarantined, conflicts = row
    age = None if acked_at is None else int((engine.clock() - acked_at).total_seconds())
    return DeviceStatus(
        device_id=claims.device_name,
        last_sync_timestamp=last,
        pending_outgoing_count=pending,
        sync_status=sync_status,
        acked_at=acked_at,
        token_age_seconds=age,
        quarantined=quarantined,
        conflicts=conflicts,
        device_status=device_status,
        trust_score=trust,
    )
