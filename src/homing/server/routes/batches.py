"""Batches and the quarantine, for the office: what was sent, how it was judged, replay."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from litestar import Request, get, patch, post

from homing.engine import batches, replay
from homing.engine.batches import BatchDetail, BatchSummary, ItemDetail
from homing.engine.caller import Caller
from homing.protocol.messages import ReplayRequest, Result
from homing.server.bodies import read
from homing.server.pages import LIMIT_DEFAULT, After, Limit, Page, page_of, read_cursor
from homing.server.routing import OFFICE
from homing.server.tenant import Tenant

BatchStatus = Literal["received", "processing", "completed", "failed"]


class ReplayAnswer(msgspec.Struct, kw_only=True):
    """``dry_run`` true: these are the verdicts it would have given; nothing was kept."""

    batch_id: UUID
    dry_run: bool
    results: list[Result]


class Repair(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    payload: dict[str, Any]


class Discard(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Why nobody will apply the item."""

    reason: str


@get("/mobile/batches", roles=OFFICE)
async def get_batches(
    *,
    tenant: Tenant,
    status: BatchStatus | None = None,
    device_id: str | None = None,
    held: bool | None = None,
    limit: Limit = LIMIT_DEFAULT,
    after: After = None,
) -> Page[BatchSummary]:
    """Batches, the newest first. ``held``: those that wait for review."""
    found = await batches.find(
        tenant.engine,
        status=status,
        device=device_id,
        held=held,
        after=read_cursor(after, tuple[datetime, UUID]),
        limit=limit + 1,
    )
    return page_of(found, limit=limit, place=lambda batch: (batch.created_at, batch.id))


@get("/mobile/batches/{batch_id:uuid}", roles=OFFICE)
async def get_batch(tenant: Tenant, batch_id: UUID) -> BatchDetail:
    """One batch with its items as sent and as judged."""
    return await batches.show(tenant.engine, batch_id)


@post("/mobile/batches/{batch_id:uuid}/replay", status_code=200, roles=OFFICE, body=ReplayRequest)
async def post_replay(request: Request[Any, Any, Any], tenant: Tenant, caller: Caller, batch_id: UUID) -> ReplayAnswer:
    """Run the held and refused items of a batch again; a dry run shows the verdicts and rolls back."""
    given = await read(request, ReplayRequest)
    results = await replay.replay(tenant.engine, caller, batch_id, dry_run=given.dry_run)
    return ReplayAnswer(batch_id=batch_id, dry_run=given.dry_run, results=results)


@get("/mobile/quarantine", roles=OFFICE)
async def get_quarantine(
    *,
    tenant: Tenant,
    device_id: str | None = None,
    resource_type: str | None = None,
    limit: Limit = LIMIT_DEFAULT,
    after: After = None,
) -> Page[ItemDetail]:
    """Refused items that wait for a person, the newest first."""
    found = await batches.quarantine(
        tenant.engine,
        device=device_id,
        resource_type=resource_type,
        after=read_cursor(after, tuple[datetime, UUID]),
        limit=limit + 1,
    )
    return page_of(found, limit=limit, place=lambda item: (item.quarantined_at, item.id))


@patch("/mobile/quarantine/{item_id:uuid}", roles=OFFICE, body=Repair)
async def patch_quarantined(
    request: Request[Any, Any, Any], tenant: Tenant, caller: Caller, item_id: UUID
) -> ItemDetail:
    """Give a quarantined item another payload; replay it then."""
    given = await read(request, Repair)
    return await batches.repair(tenant.engine, caller, item_id, given.payload)


@post("/mobile/quarantine/{item_id:uuid}/replay", status_code=200, roles=OFFICE, body=ReplayRequest)
async def post_replay_item(request: Request[Any, Any, Any], tenant: Tenant, caller: Caller, item_id: UUID) -> Result:
    """Run one quarantined item again."""
    given = await read(request, ReplayRequest)
    return await batches.replay_item(tenant.engine, caller, item_id, dry_run=given.dry_run)


@post("/mobile/quarantine/{item_id:uuid}/discard", status_code=204, roles=OFFICE, body=Discard)
async def post_discard(request: Request[Any, Any, Any], tenant: Tenant, caller: Caller, item_id: UUID) -> None:
    """Take an item out of the quarantine unapplied."""
    given = await read(request, Discard)
    await batches.discard(tenant.engine, caller, item_id, given.reason)


ROUTES = [
    get_batches,
    get_batch,
    post_replay,
    get_quarantine,
    patch_quarantined,
    post_replay_item,
    post_discard,
]
