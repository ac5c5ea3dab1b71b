"""The routes of people: whom one may write to, and whom one wrote with."""

from __future__ import annotations

from typing import Literal

import msgspec
from litestar import get

from homing.apps.messaging.conversations import Conversation, Partner, list_contacts, list_conversations
from homing.apps.messaging.lists import in_order
from homing.engine.caller import Caller
from homing.server.answers import RawJson
from homing.server.pages import LIMIT_DEFAULT, After, Limit, Page, Search
from homing.server.routing import SIGNED_IN
from homing.server.tenant import Tenant


@get("/contacts", roles=SIGNED_IN)
async def get_contacts(
    *,
    tenant: Tenant,
    caller: Caller,
    user_type: Literal["web", "mobile"] | None = None,
    q: Search = None,
    limit: Limit = LIMIT_DEFAULT,
    after: After = None,
) -> Page[Partner]:
    """People by username, with who is online: all for web users, web users and those they wrote with for everybody
    else."""
    async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
        return await list_contacts(conn, caller.user_id, user_type=user_type, q=q, after=after, limit=limit)


@get("/conversations", roles=SIGNED_IN, answer=Page[Conversation])
async def get_conversations(
    tenant: Tenant, caller: Caller, limit: Limit = LIMIT_DEFAULT, after: After = None
) -> RawJson:
    """The caller's conversations, the latest first: partner, last message, unread."""
    table = tenant.engine.bound.by_resource_type["messaging.message"]
    async with in_order(tenant, caller) as conn:
        page = await list_conversations(conn, caller.user_id, table=table, after=after, limit=limit)
    return RawJson(msgspec.json.encode(page))


ROUTES = (get_contacts, get_conversations)
