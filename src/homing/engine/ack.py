"""Ack: a device says what it has stored for good.

It drives the delivery status of rows (``on_ack`` of their tables), the age of a device on its page, and what removals
may be collected. It never moves backwards: an older token, late on a slow line, changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from homing.engine import status
from homing.engine.caller import Claims
from homing.engine.engine import Engine
from homing.engine.pull import find_token
from homing.engine.tables import BoundTable
from homing.engine.who import check_caller, read_who
from homing.postgres.sql import Connection, load
from homing.protocol.errors import Problem
from homing.protocol.messages import AckRequest
from homing.protocol.token import Token


@dataclass(frozen=True, slots=True)
class Acked:
    """``synced``: changes delivered since the last ack, and at least the rows that are marked as delivered with it."""

    acked_at: datetime
    synced: int


async def ack(engine: Engine, claims: Claims, request: AckRequest) -> Acked:
    """Record an ack. Raises Problem: invalid_token, unauthenticated, device_*, invalid_envelope."""
    if request.pending is not None and not 0 <= request.pending < 2**31:
        raise Problem("invalid_envelope", "pending must be a count of items")
    now = engine.clock()
    token: Token | Problem
    try:  # before a connection is taken, because it may need one itself
        token = await find_token(engine, claims, request.ack_token)
    except Problem as problem:
        token = problem
    async with engine.database.transaction(str(claims.user_id)) as conn:
        who = await read_who(conn, claims)
        check_caller(who, claims, device_needed=True)
        assert who is not None
        if isinstance(token, Problem):
            raise token  # a device that is to be wiped is told that first
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
            assert who.device_id is not None
            synced = max(synced, await _mark_delivered(engine, conn, claims, who.device_id, token))
        await conn.run_all([status.keeps(claims, "idle", now=now, pending=request.pending)])
    status.forget(engine, claims)
    return Acked(now, synced)


async def _mark_delivered(engine: Engine, conn: Connection, claims: Claims, device: UUID, token: Token) -> int:
    """Run the ``on_ack`` of the tables that the token is about; how many rows they marked.

    Also for an ack that moved nothing: two snapshots may differ in the middle only, where the cursor does not look.
    """
    tables = [table for table in engine.bound.tables if table.declared.on_ack is not None and _is_about(token, table)]
    if not tables:
        return 0
    # In the device's name: what follows from its own ack is no other's change that its next edits would have to meet.
    params = {"device": device, "epoch": token.epoch}
    said = await (await conn.execute(load(__package__, "say_device"), params)).fetchone()
    if said is None or not said[1]:
        return 0
    marked = 0
    for table in tables:
        assert table.declared.on_ack is not None
        cursor = await conn.execute(
            table.declared.on_ack,
            {"user": claims.user_id, "device": device, "snapshot": str(token.since)},
        )
        marked += cursor.rowcount
    return marked


def _is_about(token: Token, table: BoundTable) -> bool:
    return token.tables is None or table.id in token.tables
