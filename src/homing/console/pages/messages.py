"""The inbox of people at a desk: conversations, one of them open, what is new as it comes."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from litestar import get, post

from homing.apps.messaging.conversations import list_contacts
from homing.apps.messaging.routes import contacts, messages
from homing.console.apps import answered, needed
from homing.console.forms import Form
from homing.console.kept import Kept
from homing.console.shell import Asked, Html, render, see_other
from homing.engine.caller import Caller, Claims
from homing.protocol.errors import Problem
from homing.server.pages import LIMIT_DEFAULT, After, Limit, Page, Search
from homing.server.routing import SIGNED_IN
from homing.server.tenant import Tenant
from homing.server.writing import create

PATH = "/console/messages"
SHOWN = 50
"""Messages of a conversation on a page; older ones follow on others."""


@get("/messages", roles=SIGNED_IN)
async def get_messages(
    *,
    request: Asked,
    tenant: Tenant,
    caller: Caller,
    q: Search = None,
    box: messages.Box = "inbox",
    limit: Limit = LIMIT_DEFAULT,
    after: After = None,
) -> Html:
    """Conversations, the latest first; with ``q`` messages that have these words."""
    needed(tenant, "messaging")
    found = None
    if q:
        got = await messages.get_messages.fn(tenant=tenant, caller=caller, box=box, q=q, limit=limit, after=after)
        found = msgspec.json.decode(got.body, type=Page[dict[str, Any]])
    return render(
        request,
        "messages.html",
        title="Messages",
        q=q,
        box=box,
        found=found,
        after=after,
        conversations=await _conversations(tenant, caller, limit=limit, after=None if q else after),
    )


@get("/messages/live", roles=SIGNED_IN)
async def get_live_conversations(request: Asked, tenant: Tenant, caller: Caller) -> Html:
    """The conversations again."""
    needed(tenant, "messaging")
    found = await _conversations(tenant, caller, limit=LIMIT_DEFAULT, after=None)
    return render(request, "messages.html", title="Messages", fragment="live", conversations=found, after=None)


@get("/messages/new", roles=SIGNED_IN)
async def get_new(
    *,
    request: Asked,
    tenant: Tenant,
    caller: Caller,
    q: Search = None,
    limit: Limit = LIMIT_DEFAULT,
    after: After = None,
) -> Html:
    """Whom one may write to."""
    needed(tenant, "messaging")
    page = await contacts.get_contacts.fn(tenant=tenant, caller=caller, q=q, limit=limit, after=after)
    crumbs = [("Messages", PATH)]
    return render(request, "messages_new.html", title="New message", crumbs=crumbs, page=page, q=q, after=after)


@get("/messages/{partner:uuid}", roles=SIGNED_IN)
async def get_conversation(
    *, request: Asked, tenant: Tenant, caller: Caller, partner: UUID, after: After = None
) -> Html:
    """What two people wrote to each other, which the caller has thereby read."""
    needed(tenant, "messaging")
    return await _conversation(request, tenant, caller, partner, after=after)


@get("/messages/{partner:uuid}/live", roles=SIGNED_IN)
async def get_live_conversation(request: Asked, tenant: Tenant, caller: Caller, partner: UUID) -> Html:
    """The newest messages again."""
    needed(tenant, "messaging")
    return await _conversation(request, tenant, caller, partner, fragment="live")


@post("/messages/{partner:uuid}", roles=SIGNED_IN, status_code=303)
async def post_message(
    *, request: Asked, tenant: Tenant, caller: Caller, claims: Claims, partner: UUID, form: Form
) -> Html:
    """Send a message, by the rules of a push."""
    needed(tenant, "messaging")
    try:
        columns = {"recipient_id": str(partner), "content": form.text("content")}
        await create(tenant.engine, claims, "messaging.message", columns)
    except Problem as problem:
        return await _conversation(request, tenant, caller, partner, kept=Kept(form, problem))
    tenant.live.written()
    return see_other(f"{PATH}/{partner}")


ROUTES = [get_messages, get_live_conversations, get_new, get_conversation, get_live_conversation, post_message]


async def _conversations(tenant: Tenant, caller: Caller, *, limit: int, after: str | None) -> dict[str, object]:
    found: dict[str, object] = answered(
        await contacts.get_conversations.fn(tenant=tenant, caller=caller, limit=limit, after=after)
    )
    return found


async def _conversation(
    request: Asked,
    tenant: Tenant,
    caller: Caller,
    partner: UUID,
    *,
    after: str | None = None,
    fragment: str | None = None,
    kept: Kept | None = None,
) -> Html:
    page = answered(
        await messages.get_messages.fn(tenant=tenant, caller=caller, partner=partner, limit=SHOWN, after=after)
    )
    unread = [
        UUID(each["id"])
        for each in page["items"]
        if each["recipient_id"] == str(caller.user_id) and each["status"] != "read"
    ]
    # Polling is not reading: nobody may be there.
    if unread and fragment is None and await messages.mark_read(tenant, caller, unread):
        tenant.live.written()
    async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
        people = await list_contacts(conn, caller.user_id, person=partner, limit=1)
    if not people.items:
        raise Problem("not_found")
    person = people.items[0]
    return render(
        request,
        "conversation.html",
        title=person.name,
        crumbs=[("Messages", PATH)],
        fragment=fragment,
        kept=kept,
        partner=person,
        page=page,
        after=after,
    )
