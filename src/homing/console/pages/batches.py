"""Batches: what devices sent, how each item was judged, and what a replay would say now."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.params import QueryParameter

from homing.console.flash import good
from homing.console.formats import address, decoded
from homing.console.forms import Form
from homing.console.shell import Asked, Html, render, see_other
from homing.engine import batches, replay
from homing.engine.batches import ItemDetail
from homing.engine.caller import Caller
from homing.protocol.errors import Problem
from homing.protocol.messages import Result
from homing.server.pages import LIMIT_DEFAULT, After, Limit, page_of, read_cursor
from homing.server.routing import OFFICE
from homing.server.tenant import Tenant

PAYLOAD_CHARS_MAX: Final = 4000
"""Of a payload on a page of many: whoever wants all of a large one opens it alone."""
ITEMS_SHOWN: Final = 100

Short = Annotated[str | None, QueryParameter(max_length=200)]
State = Literal["received", "processing", "completed", "failed", "held"]


def pretty_of(payload: msgspec.Raw) -> str:
    """A payload as indented JSON, every number as it was sent."""
    return msgspec.json.format(bytes(payload), indent=2).decode()


def counts(outcomes: msgspec.Raw | None) -> dict[str, int]:
    """How many items ended how."""
    found: dict[str, int] = decoded(outcomes) or {}
    return found


@get("/batches", roles=OFFICE)
async def get_batches(
    *,
    request: Asked,
    tenant: Tenant,
    show: State | None = None,
    device: Short = None,
    limit: Limit = LIMIT_DEFAULT,
    after: After = None,
) -> Html:
    """Batches, the newest first. ``held``: those that wait for review."""
    found = await batches.find(
        tenant.engine,
        status=None if show == "held" else show,
        device=device,
        held=True if show == "held" else None,
        after=read_cursor(after, tuple[datetime, UUID]),
        limit=limit + 1,
    )
    return render(
        request,
        "batches.html",
        title="Batches",
        page=page_of(found, limit=limit, place=lambda batch: (batch.created_at, batch.id)),
        given={"show": show, "device": device},
        after=after,
        counts=counts,
    )


@get("/batches/{batch_id:uuid}", roles=OFFICE)
async def get_batch(request: Asked, tenant: Tenant, batch_id: UUID) -> Html:
    """One batch with its items as sent and as judged."""
    return await _page(request, tenant, batch_id)


@post("/batches/{batch_id:uuid}/replay", roles=OFFICE, status_code=200)
async def post_replay(request: Asked, tenant: Tenant, caller: Caller, batch_id: UUID, form: Form) -> Html:
    """Run the refused and held items again; a dry run shows then and now side by side."""
    dry = form.flag("dry_run")
    try:
        results = await replay.replay(tenant.engine, caller, batch_id, dry_run=dry)
    except Problem as problem:
        if problem.code.code == "not_found":
            raise
        return await _page(request, tenant, batch_id, problem=problem)
    if dry:
        return await _page(request, tenant, batch_id, now={result.index: result for result in results})
    ok = sum(result.status == "ok" for result in results)
    return see_other(f"/console/batches/{batch_id}", good(f"Replayed: {ok} of {len(results)} items are applied."))


async def _page(
    request: Asked,
    tenant: Tenant,
    batch_id: UUID,
    *,
    now: dict[int, Result] | None = None,
    problem: Problem | None = None,
) -> Html:
    found = await batches.show(tenant.engine, batch_id)
    # While a replay is looked at, what would change comes first.
    items = sorted(found.items, key=lambda item: (now is not None and not _changes(item, now), item.index))
    return render(
        request,
        "batch.html",
        title=f"Batch {str(batch_id)[:8]}",
        crumbs=[("Batches", "/console/batches")],
        status=200 if problem is None else problem.code.status or 409,
        batch=found,
        items=items[:ITEMS_SHOWN],
        counts=counts(found.outcomes),
        replayable=any(item.status in ("error", "pending") and item.discarded_at is None for item in found.items),
        tried=now,
        problem=problem,
        pretty_of=pretty_of,
        payload_max=PAYLOAD_CHARS_MAX,
        row_address=lambda item: row_address(tenant, item),
    )


def _changes(item: ItemDetail, now: dict[int, Result]) -> bool:
    verdict = now.get(item.index)
    return verdict is not None and (verdict.status, verdict.code) != (item.status, item.code)


def row_address(tenant: Tenant, item: ItemDetail) -> str | None:
    """The page of the row that an item made or changed; None where there is none."""
    table = tenant.engine.bound.by_resource_type.get(item.resource_type)
    if table is None or item.server_id is None:
        return None
    return address(f"/console/tables/{table.declared.full_type}/row", {"key": item.server_id})


ROUTES: list[Any] = [get_batches, get_batch, post_replay]
