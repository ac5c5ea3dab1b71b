"""Operations that are applied after the answer: asked for together, looked at later."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, get, post

from homing.apps.crm import operations
from homing.apps.crm.operations import Operation, Queued, Status
from homing.engine.caller import Caller
from homing.server.bodies import read
from homing.server.pages import LIMIT_DEFAULT, After, Limit, Page, page_of, read_cursor
from homing.server.routing import OFFICE, SIGNED_IN
from homing.server.tenant import Tenant

OPERATIONS_MAX = 10_000
"""So many in one request: more than a list that somebody edited, and read in one breath."""


class Asked(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Applied in this order, each for itself."""

    operations: Annotated[list[Operation], msgspec.Meta(min_length=1, max_length=OPERATIONS_MAX)]


class Accepted(msgspec.Struct, kw_only=True):
    """In the order of the request."""

    ids: list[UUID]


@post("/operations", status_code=202, roles=SIGNED_IN, body=Asked)
async def post_operations(request: Request[Any, Any, Any], tenant: Tenant, caller: Caller) -> Accepted:
    """Ask for many changes at once; they are applied soon, with the caller's rights at that moment."""
    asked = await read(request, Asked)
    async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
        return Accepted(ids=await operations.enqueue(conn, user=caller.user_id, operations=asked.operations))


@get("/operations", roles=SIGNED_IN)
async def get_operations(
    *,
    tenant: Tenant,
    caller: Caller,
    status: Status | None = None,
    limit: Limit = LIMIT_DEFAULT,
    after: After = None,
) -> Page[Queued]:
    """What became of them, the newest first: the caller's own, to the office everybody's."""
    place = read_cursor(after, tuple[datetime, UUID])
    user = None if caller.role in OFFICE else caller.user_id
    async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
        found = await operations.find(conn, user=user, status=status, after=place, limit=limit + 1)
    return page_of(found, limit=limit, place=lambda each: (each.created_at, each.id))


@post("/operations/{operation_id:uuid}/retry", status_code=204, roles=OFFICE)
async def post_retry(tenant: Tenant, caller: Caller, operation_id: UUID) -> None:
    """Try a failed operation again, still as whoever asked for it."""
    async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
        await operations.retry(conn, operation_id)


ROUTES = (post_operations, get_operations, post_retry)
