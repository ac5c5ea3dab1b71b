"""The quarantine: refused items that wait for a person, who repairs and replays them, or says why nobody will."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.params import QueryParameter

from homing.console.flash import good
from homing.console.forms import Form
from homing.console.kept import Kept
from homing.console.pages.batches import pretty_of
from homing.console.pages.conflicts import tables_of
from homing.console.shell import Asked, Html, render, see_other
from homing.engine import batches
from homing.engine.batches import ItemDetail
from homing.engine.caller import Caller
from homing.postgres.codec import json_problem
from homing.protocol.errors import Problem
from homing.protocol.messages import Result
from homing.server.pages import LIMIT_DEFAULT, After, Limit, page_of, read_cursor
from homing.server.routing import OFFICE
from homing.server.tenant import Tenant

REASON_CHARS_MAX: Final = 1000

Short = Annotated[str | None, QueryParameter(max_length=200)]


@get("/quarantine", roles=OFFICE)
async def get_quarantine(
    *,
    request: Asked,
    tenant: Tenant,
    device: Short = None,
    table: Short = None,
    limit: Limit = LIMIT_DEFAULT,
    after: After = None,
) -> Html:
    """Refused items, the newest first."""
    found = await batches.quarantine(
        tenant.engine,
        device=device,
        resource_type=table,
        after=read_cursor(after, tuple[datetime, UUID]),
        limit=limit + 1,
    )
    return render(
        request,
        "quarantine.html",
        title="Quarantine",
        page=page_of(found, limit=limit, place=lambda item: (item.quarantined_at, item.id)),
        given={"device": device, "table": table},
        after=after,
        tables=tables_of(tenant),
    )


@get("/quarantine/{item_id:uuid}", roles=OFFICE)
async def get_item(request: Asked, tenant: Tenant, item_id: UUID) -> Html:
    """One item, with its payload to edit."""
    return _page(request, tenant, await _read(tenant, item_id))


@post("/quarantine/{item_id:uuid}/replay", roles=OFFICE, status_code=200)
async def post_replay(request: Asked, tenant: Tenant, caller: Caller, item_id: UUID, form: Form) -> Html:
    """Run the item again with the payload of the form: tried, or for good. What still is refused keeps its payload."""
    item = await _read(tenant, item_id)
    text = form.raw("payload") or ""
    dry = form.flag("dry_run")
    try:
        payload = None if text == pretty_of(item.payload) else read_payload(text)
    except ValueError as error:
        return _page(request, tenant, item, text=text, error=str(error), status=422)
    try:
        result = await batches.replay_item(tenant.engine, caller, item_id, payload=payload, dry_run=dry)
    except Problem as problem:
        if problem.code.code == "not_found":
            raise
        return _page(request, tenant, item, text=text, problem=problem, status=problem.code.status or 409)
    if dry or result.status != "ok":
        return _page(request, tenant, item if dry else await _maybe(tenant, item), text=text, now=result, tried=dry)
    return see_other("/console/quarantine", good(f"Applied: {item.action} of {item.resource_type}."))


@post("/quarantine/{item_id:uuid}/discard", roles=OFFICE, status_code=303, reads=True)
async def post_discard(request: Asked, tenant: Tenant, caller: Caller, item_id: UUID, form: Form) -> Html:
    """Take the item out of the quarantine unapplied."""
    item = await _read(tenant, item_id)
    try:
        reason = form.text("reason")
        if len(reason) > REASON_CHARS_MAX:
            raise Problem("invalid_parameter", f"reason may have {REASON_CHARS_MAX} characters.")
    except Problem as problem:
        return _page(request, tenant, item, kept=Kept(form, problem, dialog="discard"))
    await batches.discard(tenant.engine, caller, item_id, reason)
    return see_other("/console/quarantine", good("Discarded. The batch keeps it, with the reason."))


def read_payload(text: str) -> dict[str, Any]:
    """A payload as somebody typed it. Raises ValueError with a sentence."""
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        raise ValueError(f"This is not JSON: {error}.") from None
    if not isinstance(found, dict):
        raise ValueError("A payload is a JSON object.")
    if sentence := json_problem(found):
        raise ValueError(sentence)
    return found


async def _read(tenant: Tenant, item_id: UUID) -> ItemDetail:
    found = await batches.quarantine(tenant.engine, item=item_id, limit=1)
    if not found:
        raise Problem("not_found", "It is not in the quarantine: it was applied or discarded.")
    return found[0]


async def _maybe(tenant: Tenant, item: ItemDetail) -> ItemDetail:
    """The item as it is now, which may have left the quarantine as a conflict."""
    found = await batches.quarantine(tenant.engine, item=item.id, limit=1)
    return found[0] if found else item


def _page(
    request: Asked,
    tenant: Tenant,
    item: ItemDetail,
    *,
    text: str | None = None,
    error: str | None = None,
    problem: Problem | None = None,
    now: Result | None = None,
    tried: bool = False,
    status: int = 200,
    kept: Kept | None = None,
) -> Html:
    table = tenant.engine.bound.by_resource_type.get(item.resource_type)
    return render(
        request,
        "quarantined.html",
        title=f"{item.action} {item.resource_type}".capitalize(),
        crumbs=[("Quarantine", "/console/quarantine")],
        status=status,
        kept=kept,
        item=item,
        text=pretty_of(item.payload) if text is None else text,
        columns=[] if table is None else list(table.columns.values()),
        error=error,
        problem=problem,
        now_verdict=now,
        tried=tried,
        reason_max=REASON_CHARS_MAX,
    )


ROUTES = [get_quarantine, get_item, post_replay, post_discard]
