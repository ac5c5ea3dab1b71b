"""Conversations: whom somebody wrote with, the last message of each, and how many are unread."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec
import psycopg

from homing.apps.messaging.lists import PACKAGE, read_messages
from homing.engine.tables import BoundTable
from homing.postgres.lines import load_with
from homing.postgres.sql import Connection, fetch_all, load
from homing.protocol.errors import Problem
from homing.server.pages import Page, page_of, read_cursor


class Partner(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody one can write to. ``online_status`` is as the server knows it at this moment."""

    id: UUID
    username: str
    name: str
    user_type: str
    is_active: bool
    online_status: bool
    last_seen: datetime | None


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """``last_message`` as ``GET /messages/{id}`` shows it; None where all were deleted."""

    partner: Partner
    last_at: datetime
    last_message: msgspec.Raw | None
    unread: int


async def list_conversations(
    conn: Connection, user: UUID, *, table: BoundTable, after: str | None, limit: int
) -> Page[Conversation]:
    """One page, the latest first. Raises Problem("invalid_parameter")."""
    place = read_cursor(after, tuple[str, UUID])
    params = {"user": user, "limit": limit + 1}
    if place is not None:
        params |= {"after_at": place[0], "after_id": place[1]}
    filters = frozenset({"after"}) if place is not None else frozenset()
    try:
        found = await fetch_all(conn, load_with(PACKAGE, "list_conversations", filters), params)
    except psycopg.DataError as error:  # the one text that PostgreSQL reads itself is the cursor's time
        raise Problem("invalid_parameter", "after is not a cursor of this list.") from error
    page = page_of(found, limit=limit, place=lambda row: (row[0].isoformat(), row[1]))
    lasts = [row[-1] for row in page.items if row[-1] is not None]
    shown = await read_messages(conn, table, lasts, user)
    partners = [row[1] for row in page.items]
    counted = await fetch_all(conn, load(PACKAGE, "count_unread_of"), {"user": user, "partners": partners})
    unread: dict[UUID, int] = dict(counted)
    return Page(
        [
            Conversation(
                partner=Partner(
                    id=partner,
                    username=username,
                    name=name,
                    user_type=user_type,
                    is_active=is_active,
                    online_status=online,
                    last_seen=seen,
                ),
                last_at=last_at,
                last_message=shown.get(last),
                unread=unread.get(partner, 0),
            )
            for last_at, partner, username, name, user_type, is_active, online, seen, last in page.items
        ],
        page.next,
    )


async def list_contacts(
    conn: Connection,
    user: UUID,
    *,
    user_type: str | None = None,
    q: str | None = None,
    person: UUID | None = None,
    after: str | None = None,
    limit: int,
) -> Page[Partner]:
    """People the caller may see, by username; with ``person`` that one. Raises Problem("invalid_parameter")."""
    place = read_cursor(after, tuple[str])
    given = {"user_type": user_type, "person": person}
    filters = {name: value for name, value in given.items() if value is not None}
    params = {"user": user, "after": place[0] if place else "", "limit": limit + 1, **filters}
    if q is not None:
        params["q"] = q
    if "\x00" in str(params["after"]):
        raise Problem("invalid_parameter", "after is not a cursor of this list.")
    query = load_with(PACKAGE, "list_contacts" if q is None else "search_contacts", frozenset(filters))
    rows = await fetch_all(conn, query, params)
    names = Partner.__struct_fields__
    people = [Partner(**dict(zip(names, row, strict=True))) for row in rows]
    return page_of(people, limit=limit, place=lambda person: (person.username.lower(),))
