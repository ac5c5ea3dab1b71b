"""The routes of messages between two people of the market."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, get, post
from litestar.params import QueryParameter

from homing.apps.marketplace.forms import PACKAGE, show_messages, table_of
from homing.apps.marketplace.listings import page_of_messages, query_of
from homing.apps.marketplace.rules import TEXT_BYTES_MAX
from homing.engine.caller import Caller, Claims
from homing.postgres.sql import fetch_one, load
from homing.protocol.errors import Problem
from homing.server.answers import RawJson
from homing.server.bodies import read
from homing.server.pages import LIMIT_DEFAULT, After, Limit, Page
from homing.server.preconditions import tagged
from homing.server.routing import SIGNED_IN
from homing.server.rows import require_seen
from homing.server.tenant import Tenant
from homing.server.writing import create, update

Asked = Request[Any, Any, Any]
Row = dict[str, Any]
TYPE = "marketplace.message"
With = Annotated[UUID | None, QueryParameter(name="with", description="Only the conversation with this person.")]
About = Annotated[UUID | None, QueryParameter(name="job", description="Only about this job.")]
Unread = Annotated[bool, QueryParameter(description="Only what came and was not read.")]


class NewMessage(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """``POST /messages``. The sender is who calls."""

    recipient_id: UUID
    content: Annotated[str, msgspec.Meta(min_length=1, max_length=TEXT_BYTES_MAX)]
    job_id: UUID | None = None


class UnreadCount(msgspec.Struct, frozen=True):
    unread_count: int


@get("/messages", roles=SIGNED_IN, answer=Page[Row])
async def get_messages(
    *,
    tenant: Tenant,
    caller: Caller,
    partner: With = None,
    job: About = None,
    unread: Unread = False,
    limit: Limit = LIMIT_DEFAULT,
    after: After = None,
) -> RawJson:
    """What the caller wrote and got, newest first."""
    filters = ["unread"] if unread else []
    query = query_of("list_messages", {"partner": partner, "job": job}, filters, user=caller.user_id)
    return await page_of_messages(tenant, caller, query, after=after, limit=limit)


@get("/messages/unread-count", roles=SIGNED_IN)
async def get_unread_count(tenant: Tenant, caller: Caller) -> UnreadCount:
    """How many messages to the caller are not read yet."""
    async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
        row = await fetch_one(conn, load(PACKAGE, "count_unread"), {"user": caller.user_id})
    assert row is not None
    return UnreadCount(row[0])


@post("/messages", roles=SIGNED_IN, body=NewMessage, answer=Row)
async def post_message(request: Asked, tenant: Tenant, caller: Caller, claims: Claims) -> RawJson:
    """Write to somebody, by the rules of a push; perhaps about a job that both may see."""
    new = await read(request, NewMessage)
    columns = {"recipient_id": str(new.recipient_id), "content": new.content}
    if new.job_id is not None:
        columns["job_id"] = str(new.job_id)
    return await _message(tenant, caller, await create(tenant.engine, claims, TYPE, columns), status=201)


@post("/messages/{message_id:uuid}/read", status_code=200, roles=SIGNED_IN, answer=Row)
async def post_read(tenant: Tenant, caller: Caller, claims: Claims, message_id: UUID) -> RawJson:
    """The caller read this message. Again is the same."""
    await update(tenant.engine, claims, TYPE, message_id, {"is_read": True})
    return await _message(tenant, caller, message_id)


ROUTES = (get_messages, get_unread_count, post_message, post_read)


async def _message(tenant: Tenant, caller: Caller, message_id: UUID, *, status: int = 200) -> RawJson:
    async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
        await require_seen(conn, table_of(tenant, "message"), caller, message_id)
        shown = await show_messages(conn, tenant, [message_id])
    if message_id not in shown:  # deleted in this instant
        raise Problem("not_found")
    return tagged(shown[message_id], status=status)
