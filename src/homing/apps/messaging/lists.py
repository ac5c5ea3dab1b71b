"""The lists of messages: which statement, which filters, and the names of the two people beside each message."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal
from uuid import UUID

import msgspec

from homing.engine.caller import Caller
from homing.engine.tables import BoundTable
from homing.postgres.sql import Connection, fetch_all, load
from homing.server.listing import Query, find_places
from homing.server.pages import Page, page_of, read_cursor
from homing.server.rows import read_rows, with_member
from homing.server.tenant import Tenant

PACKAGE = "homing.apps.messaging"


@asynccontextmanager
async def in_order(tenant: Tenant, caller: Caller) -> AsyncIterator[Connection]:
    """A transaction of the caller's for lists: along indexes, in order."""
    async with tenant.engine.indexed.transaction(actor=str(caller.user_id)) as conn:
        await conn.execute(load(PACKAGE, "in_order"))
        yield conn


Status = Literal["pending_sync", "synced", "read", "unread"]


def messages(
    user: UUID, *, box: Literal["inbox", "sent"], partner: UUID | None, status: Status | None, q: str | None
) -> Query:
    """Somebody's messages: the inbox, what was sent, or (whatever the box) the conversation with ``partner``."""
    params: dict[str, Any] = {"user": user}
    filters = set()
    if status == "unread":
        filters.add("unread")
    elif status is not None:
        filters.add("status")
        params["status"] = status
    if q is not None:
        params["q"] = q
        filters.add("partner" if partner is not None else box)
        if partner is not None:
            params["partner"] = partner
        return Query(PACKAGE, "list_found", frozenset(filters), params)
    if partner is not None:
        return Query(PACKAGE, "list_conversation", frozenset(filters), {**params, "partner": partner})
    return Query(PACKAGE, "list_inbox" if box == "inbox" else "list_sent", frozenset(filters), params)


async def list_messages(
    conn: Connection, query: Query, user: UUID, *, table: BoundTable, after: str | None, limit: int
) -> Page[msgspec.Raw]:
    """One page, each message with its people's usernames. Raises Problem("invalid_parameter")."""
    found = await find_places(conn, query, after=read_cursor(after, tuple[str, UUID]), limit=limit + 1)
    page = page_of(found, limit=limit, place=lambda place: place)
    shown = await read_messages(conn, table, [row_id for _, row_id in page.items], user)
    return Page([shown[row_id] for _, row_id in page.items if row_id in shown], page.next)


async def read_messages(
    conn: Connection, table: BoundTable, ids: Sequence[UUID], user: UUID
) -> dict[UUID, msgspec.Raw]:
    """Those of these messages that ``user`` sent or got, as they travel, with ``sender_username`` and
    ``recipient_username``."""
    found = await fetch_all(conn, load(PACKAGE, "read_people"), {"ids": list(ids), "user": user})
    people = {row[0]: row[1:] for row in found}
    rows = await read_rows(conn, table, list(people))
    return {
        row_id: with_member(with_member(row, "sender_username", sender), "recipient_username", recipient)
        for row_id, row in rows.items()
        for sender, recipient in [people[row_id]]
    }
