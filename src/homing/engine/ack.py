"""Ack: a device says what it has stored for good.

It drives the delivery status, the age of a device on its page, and what removals may be collected. It never moves
backwards: an older token, late on a slow line, changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from homing.engine.caller import Claims
from homing.engine.engine import Engine
from homing.engine.pull import read_token
from homing.engine.who import check_caller, read_who
from homing.postgres.sql import load
from homing.protocol.errors import Problem
from homing.protocol.messages import AckRequest


@dataclass(frozen=True, slots=True)
class Acked:
    """``synced``: changes delivered since the last ack."""

    acked_at: datetime
    synced: int


async def ack(engine: Engine, claims: Claims, request: AckRequest) -> Acked:
    """Record an ack. Raises Problem: invalid_token, unauthenticated, device_*, invalid_envelope."""
    if request.pending is not None and not 0 <= request.pending < 2**31:
        raise Problem("invalid_envelope", "pending must be a count of items")
    now = engine.clock()
    async with engine.database.transaction(str(claims.user_id)) as conn:
        who = await read_who(conn, claims)
        check_caller(who, claims, device_needed=True)
        assert who is not None
        token = read_token(engine, claims, request.ack_token)
        synced = 0
        if token.since is not None:
            params = {
                "device": who.device_id,
                "snapshot": str(token.since),
                "epoch": token.epoch,
                "delivered": token.delivered,
                "now": now,
            }
            row = await (await conn.execute(load(__package__, "keep_cursor"), params)).fetchone()
            synced = max(0, int(row[0])) if row is not None else 0
        await conn.execute(
            load(__package__, "keep_sync_metadata"),
            {"device": claims.device_name, "now": now, "pending": request.pending},
        )
    return Acked(now, synced)
