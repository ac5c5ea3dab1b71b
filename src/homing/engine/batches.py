"""Batches and the quarantine, as the office sees them: what was sent, how it was judged, what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from homing.engine import record, replay
from homing.engine.caller import Caller
from homing.engine.engine import Engine
from homing.postgres.lines import load_with
from homing.postgres.sql import load
from homing.protocol.errors import Problem
from homing.protocol.messages import Result


class BatchSummary(msgspec.Struct, kw_only=True):
    """``outcomes``: how many items ended how, by status."""

    id: UUID
    batch_token: str
    device_id: str | None
    user: str | None
    status: str
    items_count: int
    created_at: datetime
    processed_at: datetime | None
    atomic: bool
    held_reason: str | None
    outcomes: msgspec.Raw | None


class ItemDetail(msgspec.Struct, kw_only=True):
    """An item as sent and as judged."""

    id: UUID
    index: int
    client_temp_id: str | None
    resource_type: str
    action: str
    payload: msgspec.Raw
    client_version: int | None
    server_version: int | None
    status: str
    error: str | None
    server_id: str | None
    code: str | None
    merged: bool
    conflict_id: UUID | None
    edited_at: datetime | None
    quarantined_at: datetime | None
    discarded_at: datetime | None
    discard_reason: str | None
    created_at: datetime
    updated_at: datetime
    batch_id: UUID
    device_id: str | None


class BatchDetail(BatchSummary, kw_only=True):
    items: list[ItemDetail]
    results: list[Result]


def _batch(row: Any) -> dict[str, Any]:
    found = dict(zip(BatchSummary.__struct_fields__, row, strict=True))
    found["outcomes"] = msgspec.Raw(found["outcomes"].encode()) if found["outcomes"] is not None else None
    return found


def _item(row: Any) -> ItemDetail:
    found = dict(zip(ItemDetail.__struct_fields__, row, strict=True))
    found["payload"] = msgspec.Raw(found["payload"].encode())
    return ItemDetail(**found)


async def find(
    engine: Engine,
    *,
    status: str | None,
    device: str | None,
    held: bool | None,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> list[BatchSummary]:
    """A page of batches, newest first. ``held``: only those that wait for review, or only others."""
    filters = {
        "status": status is not None,
        "device": device is not None,
        "held": held is True,
        "unheld": held is False,
        "after": after is not None,
    }
    query = load_with(__package__, "list_batches", frozenset(name for name, on in filters.items() if on))
    params: dict[str, Any] = {"status": status, "device": device, "limit": limit}
    if after is not None:
        params |= {"after_at": after[0], "after_id": after[1]}
    async with engine.database.connection() as conn:
        rows = await (await conn.execute(query, params)).fetchall()
    return [BatchSummary(**_batch(row)) for row in rows]


async def show(engine: Engine, batch: UUID) -> BatchDetail:
    """One batch with its items and results. Raises Problem("not_found")."""
    query = load_with(__package__, "list_batches", frozenset({"batch"}))
    async with engine.database.connection() as conn:
        row = await (await conn.execute(query, {"batch": batch, "limit": 1})).fetchone()
        if row is None:
            raise Problem("not_found")
        items = await (await conn.execute(load(__package__, "list_items"), {"batch": batch})).fetchall()
        results = await record.stored_results(conn, batch)
    return BatchDetail(**_batch(row), items=[_item(item) for item in items], results=results)


async def quarantine(
    engine: Engine,
    *,
    device: str | None = None,
    resource_type: str | None = None,
    item: UUID | None = None,
    after: tuple[datetime, UUID] | None = None,
    limit: int,
) -> list[ItemDetail]:
    """A page of refused items that wait for a person, newest first."""
    given: dict[str, Any] = {
        "device": device,
        "resource_type": engine.bound.wire_type(resource_type) if resource_type is not None else None,
        "item": item,
    }
    params = {name: value for name, value in given.items() if value is not None}
    filters = frozenset(params)
    if after is not None:
        filters |= {"after"}
        params |= {"after_at": after[0], "after_id": after[1]}
    query = load_with(__package__, "list_quarantine", filters)
    async with engine.database.connection() as conn:
        rows = await (await conn.execute(query, {**params, "limit": limit})).fetchall()
    return [_item(row) for row in rows]


async def repair(engine: Engine, caller: Caller, item: UUID, payload: dict[str, Any]) -> ItemDetail:
    """Give a quarantined item another payload; replay it then. Raises Problem("not_found")."""
    async with engine.database.transaction(str(caller.user_id)) as conn:
        await replay.repair(conn, caller, item, payload)
    return (await quarantine(engine, item=item, limit=1))[0]


async def discard(engine: Engine, caller: Caller, item: UUID, reason: str) -> None:
    """Take an item out of the quarantine unapplied. Raises Problem("not_found")."""
    params = {"item": item, "user": caller.user_id, "now": engine.clock(), "reason": reason}
    async with engine.database.transaction(str(caller.user_id)) as conn:
        if await (await conn.execute(load(__package__, "discard_item"), params)).fetchone() is None:
            raise Problem("not_found")


async def replay_item(
    engine: Engine, caller: Caller, item: UUID, *, payload: Mapping[str, Any] | None = None, dry_run: bool
) -> Result:
    """Run one quarantined item again, with another ``payload`` where one is given: both or nothing. Raises
    Problem("not_found")."""
    found = await quarantine(engine, item=item, limit=1)
    if not found:
        raise Problem("not_found")
    results = await replay.replay(engine, caller, found[0].batch_id, item=item, payload=payload, dry_run=dry_run)
    return results[0]
