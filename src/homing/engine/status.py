"""Status: what the server knows of a device's sync: kept while it syncs, and told in one answer.

``sync_metadata.sync_status`` is ``syncing`` from the first page of a delta to its last and while a device has more
batches to send, ``error`` when its last sync was refused, otherwise ``idle``. It is there for people who watch, so what
would cost the frequent, empty pull a write is left out: such a pull finds the status as it was left.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from homing.engine.caller import Claims
from homing.engine.engine import Engine
from homing.engine.who import check_caller, read_who
from homing.postgres.sql import Call, load, statement
from homing.protocol.errors import Problem

State = Literal["idle", "syncing", "error"]

STATES_MAX = 100_000
"""Devices whose state a node remembers, so that it writes a state only when it changes."""


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


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What the server knows of one device's sync, for the office. ``current`` false: its token is of an epoch that is
    over, so it starts again with its next pull. ``resync_at``: when the office last wanted it to start again.
    ``wipe_told_at``: when the revoked device learned that it is."""

    id: UUID
    last_sync_at: datetime | None
    pending: int
    sync_status: State
    acked_at: datetime | None
    delivered: int | None
    current: bool | None
    quarantined: int
    conflicts: int
    wipe_told_at: datetime | None
    resync_at: datetime | None


async def of_devices(engine: Engine, devices: Sequence[UUID]) -> dict[UUID, Known]:
    """What is known of these devices' sync, by their ids."""
    async with engine.database.connection() as conn:
        rows = await (
            await conn.execute(load(__package__, "list_device_status"), {"devices": list(devices)})
        ).fetchall()
    names = Known.__struct_fields__
    return {row[0]: Known(**dict(zip(names, row, strict=True))) for row in rows}


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


def keeps(claims: Claims, state: State, *, now: datetime, pending: int | None = None) -> Call:
    """What keeps the device's state; ``pending``: what is left in its outbox, where it said so. A push says it when it
    claims (``claim_batch.sql``)."""
    params = {"device": claims.device_name, "status": state, "now": now, "pending": pending}
    return statement(__package__, "keep_sync_metadata").call(params)


async def note(engine: Engine, claims: Claims, state: State) -> None:
    """Write the state of a device that pulls, unless this node has written it before."""
    name = claims.device_name
    if name is None or engine.states.get(name, "idle") == state:
        return
    if len(engine.states) >= STATES_MAX:
        engine.states.clear()
    engine.states[name] = state
    async with engine.database.connection() as conn:
        await conn.run_all([keeps(claims, state, now=engine.clock())])


@contextlib.asynccontextmanager
async def watched(engine: Engine, claims: Claims) -> AsyncIterator[None]:
    """A step of a device's sync: if it is refused, that is written down."""
    try:
        yield
    except Problem as problem:
        await _note_failed(engine, claims, problem)
        raise


async def _note_failed(engine: Engine, claims: Claims, problem: Problem) -> None:
    """Write that a device's sync was refused, unless that says nothing of the device."""
    if claims.device_name is None or problem.code.code in ("unavailable", "unauthenticated"):
        return
    engine.states[claims.device_name] = "error"
    # The device is answered why it was refused, whatever becomes of this.
    with contextlib.suppress(Problem):
        async with engine.database.connection() as conn:
            params = {"device": claims.device_name, "user": claims.user_id}
            await conn.execute(load(__package__, "note_failed_sync"), params)


def forget(engine: Engine, claims: Claims) -> None:
    """The device's state was written elsewhere, as idle."""
    if claims.device_name is not None:
        engine.states.pop(claims.device_name, None)
