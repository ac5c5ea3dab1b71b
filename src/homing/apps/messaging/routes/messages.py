"""The routes of messages: inbox, conversation, send, read, count, and what still waits for a device."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Request, get, post
from litestar.params import QueryParameter

from homing.apps.messaging import lists
from homing.apps.messaging.lists import PACKAGE, Status, in_order, list_messages, read_messages
from homing.apps.messaging.rules import CONTENT_BYTES_MAX
from homing.engine.caller import Caller, Claims
from homing.engine.tables import BoundTable
from homing.postgres.sql import execute, fetch_one, load
from homing.protocol.errors import Problem
from homing.server.answers import RawJson
from homing.server.bodies import read
from homing.server.listing import Query
from homing.server.pages import LIMIT_DEFAULT, LIMIT_MAX, After, Limit, Page, Search
from homing.server.routing import SIGNED_IN
from homing.server.tenant import Tenant
from homing.server.writing import create

Asked = Request[Any, Any, Any]
Row = dict[str, Any]
With = Annotated[UUID | None, QueryParameter(name="with", description="Only the conversation with this person.")]
Box = Annotated[Literal["inbox", "sent"], QueryParameter(description="What came, or what was sent.")]
State = Annotated[Status | None, QueryParameter(description="`unread` is both that are not `read`.")]


class NewMessage(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """``POST /messages``. The sender is who calls."""

    recipient_id: UUID
    content: Annotated[str, msgspec.Meta(min_length=1, max_length=CONTENT_BYTES_MAX)]


class Which(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """``POST /messages/read``."""

    ids: Annotated[list[UUID], msgspec.Meta(min_length=1, max_length=LIMIT_MAX)]


class Read(msgspec.Struct, frozen=True):
    """How many of the messages were not read before."""

    read: int


class UnreadCount(msgspec.Struct, frozen=True):
    unread_count: int


@get("/messages", roles=SIGNED_IN, answer=Page[Row])
async def get_messages(
    *,
    tenant: Tenant,
    caller: Caller,
    box: Box = "inbox",
    partner: With = None,
    status: State = None,
    q: Search = None,
    limit: Limit = LIMIT_DEFAULT,
    after: After = None,
) -> RawJson:
    """The caller's messages, newest first. ``q`` finds whole words, ``"a phrase"``, ``this or that``, ``-not``."""
    query = lists.messages(caller.user_id, box=box, partner=partner, status=status, q=q)
    return await _page(tenant, caller, query, after=after, limit=limit)


@get("/messages/{message_id:uuid}", roles=SIGNED_IN, answer=Row)
async def get_message(tenant: Tenant, caller: Caller, message_id: UUID) -> RawJson:
    """One message that the caller sent or got."""
    return await _message(tenant, caller, message_id)


@get("/messages/unread-count", roles=SIGNED_IN)
async def get_unread_count(tenant: Tenant, caller: Caller) -> UnreadCount:
    """How many messages to the caller are not read yet."""
    async with in_order(tenant, caller) as conn:
        row = await fetch_one(conn, load(PACKAGE, "count_unread"), {"user": caller.user_id})
    assert row is not None
    return UnreadCount(row[0])


@post("/messages", roles=SIGNED_IN, body=NewMessage, answer=Row)
async def post_message(request: Asked, tenant: Tenant, caller: Caller, claims: Claims) -> RawJson:
    """Send a message, by the rules of a push."""
    new = await read(request, NewMessage)
    columns = {"recipient_id": str(new.recipient_id), "content": new.content}
    made = await create(tenant.engine, claims, "messaging.message", columns)
    return await _message(tenant, caller, made, status=201)


@post("/messages/{message_id:uuid}/read", status_code=200, roles=SIGNED_IN, answer=Row)
async def post_read(tenant: Tenant, caller: Caller, message_id: UUID) -> RawJson:
    """The caller read this message. Again is the same."""
    shown = await _message(tenant, caller, message_id)
    if msgspec.json.decode(shown.body)["recipient_id"] != str(caller.user_id):
        raise Problem("forbidden", "Only whom a message was sent to can read it.")
    await mark_read(tenant, caller, [message_id])
    return await _message(tenant, caller, message_id)


@post("/messages/read", status_code=200, roles=SIGNED_IN, body=Which)
async def post_read_many(request: Asked, tenant: Tenant, caller: Caller) -> Read:
    """The caller read these messages. What was not sent to the caller is passed over."""
    return Read(await mark_read(tenant, caller, (await read(request, Which)).ids))


@get("/mobile/messages/pending", roles=SIGNED_IN, answer=Page[Row])
async def get_pending(tenant: Tenant, caller: Caller, limit: Limit = LIMIT_DEFAULT, after: After = None) -> RawJson:
    """Messages that wait for the calling device, oldest first."""
    if caller.device_name is None:
        raise Problem("device_unknown", "Sign in with a device_id: this call is about a device.")
    query = Query(PACKAGE, "list_pending", frozenset(), {"device": caller.device_name})
    return await _page(tenant, caller, query, after=after, limit=limit)


ROUTES = (
    get_messages,
    get_message,
    get_unread_count,
    post_message,
    post_read,
    post_read_many,
    get_pending,
)


def _table(tenant: Tenant) -> BoundTable:
    return tenant.engine.bound.by_resource_type["messaging.message"]


async def _page(tenant: Tenant, caller: Caller, query: Query, *, after: str | None, limit: int) -> RawJson:
    async with in_order(tenant, caller) as conn:
        page = await list_messages(conn, query, caller.user_id, table=_table(tenant), after=after, limit=limit)
    return RawJson(msgspec.json.encode(page))


async def _message(tenant: Tenant, caller: Caller, message_id: UUID, *, status: int = 200) -> RawJson:
    async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
        shown = await read_messages(conn, _table(tenant), [message_id], caller.user_id)
    if message_id not in shown:
        raise Problem("not_found")
    return RawJson(bytes(shown[message_id]), status=status)


async def mark_read(tenant: Tenant, caller: Caller, ids: list[UUID]) -> int:
    """How many of the caller's messages were not read before."""
    params = {"ids": ids, "user": caller.user_id, "status": "read"}
    async with tenant.database.transaction(actor=str(caller.user_id), device=caller.device_id) as conn:
        return await execute(conn, load(PACKAGE, "update_status"), params)
