"""Conflicts: the office lists, looks and decides; a device sees those of its user's edits."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from litestar import Request, get, post

from homing.accounts.users import OWNER
from homing.engine import conflicts
from homing.engine.caller import Caller
from homing.engine.conflicts import ConflictDetail, ConflictSummary
from homing.protocol.messages import ResolveRequest
from homing.server.bodies import read
from homing.server.pages import LIMIT_DEFAULT, After, Limit, Page, page_of, read_cursor
from homing.server.routing import OFFICE, SIGNED_IN
from homing.server.tenant import Tenant

Resolution = Literal["pending", "resolved"]


@get("/mobile/conflicts", roles=SIGNED_IN)
async def get_conflicts(
    *,
    tenant: Tenant,
    caller: Caller,
    resolution: Resolution | None = None,
    resource_type: str | None = None,
    device_id: str | None = None,
    limit: Limit = LIMIT_DEFAULT,
    after: After = None,
) -> Page[ConflictSummary]:
    """Conflicts, the newest first; the office sees all, others those of their own edits."""
    found = await conflicts.find(
        tenant.engine,
        resolution=resolution,
        resource_type=resource_type,
        device=device_id,
        user=None if caller.role == OWNER else caller.user_id,
        after=read_cursor(after, tuple[datetime, UUID]),
        limit=limit + 1,
    )
    return page_of(found, limit=limit, place=lambda conflict: (conflict.detected_at, conflict.id))


@get("/mobile/conflicts/{conflict_id:uuid}", roles=SIGNED_IN)
async def get_conflict(tenant: Tenant, caller: Caller, conflict_id: UUID) -> ConflictDetail:
    """Base, server and client payloads, and who changed which field when."""
    return await conflicts.show(tenant.engine, conflict_id, user=None if caller.role == OWNER else caller.user_id)


@post("/mobile/conflicts/{conflict_id:uuid}/resolve", status_code=200, roles=OFFICE, body=ResolveRequest)
async def post_resolve(
    request: Request[Any, Any, Any], tenant: Tenant, caller: Caller, conflict_id: UUID
) -> ConflictDetail:
    """Decide a conflict; exactly one of concurrent decisions wins."""
    return await conflicts.settle(tenant.engine, caller, conflict_id, await read(request, ResolveRequest))


ROUTES = [get_conflicts, get_conflict, post_resolve]
