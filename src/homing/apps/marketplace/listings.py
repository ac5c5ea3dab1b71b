"""Lists of the marketplace, a page at a time: places along one index, then what is shown of exactly those rows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar.params import QueryParameter

from homing.apps.marketplace.forms import PACKAGE, Form, show_jobs, show_messages, show_profiles, show_proposals
from homing.apps.marketplace.rules import SKILLS_MAX
from homing.engine.caller import Caller
from homing.postgres.sql import Connection
from homing.protocol.errors import Problem
from homing.server.answers import RawJson
from homing.server.listing import Place, Query, find_places
from homing.server.pages import Page, page_of, read_cursor
from homing.server.tenant import Tenant

LIMIT_LISTING = 20
"""A screen of the market, as the spec's own request has it."""

WINDOW_WORDS = 64
WINDOW_SKILLS = 400
"""Open jobs that are looked into one by one before an index is asked. A word that most jobs have ("assistant") is in a
hundred thousand, which an index finds all and sorts: a quarter of a second. Cutting 64 descriptions into words takes a
few milliseconds, comparing 400 lists of skills even less."""
WIDER = 8
"""So many times as many are looked into where the first ones make it likely that these fill the page: of a word that
every fifth job has, the index would find and sort twenty thousand, and 512 jobs hold a hundred."""

JobStatus = Literal["draft", "open", "in_progress", "completed", "cancelled"]
ProposalStatus = Literal["submitted", "shortlisted", "accepted", "rejected", "withdrawn"]
BudgetKind = Literal["fixed", "hourly"]
Skills = Annotated[
    str | None,
    QueryParameter(min_length=1, max_length=1000, description="All of these, with commas between; capitals or not."),
]
Cents = Annotated[int | None, QueryParameter(ge=0, le=10**11, description="In cents.")]

Show = Callable[[Connection, Sequence[UUID]], Awaitable[Mapping[UUID, msgspec.Raw]]]


def query_of(name: str, params: Mapping[str, Any], filters: Sequence[str] = (), **always: Any) -> Query:
    """The list ``name``, with the filters whose parameter is given and those named beside them; ``always`` are
    parameters that belong to no filter."""
    given = {name: value for name, value in params.items() if value is not None}
    return Query(PACKAGE, name, frozenset(given) | frozenset(filters), {**given, **always})


def skills_of(text: str | None) -> list[str] | None:
    """``Excel, Notion`` as a list. Raises Problem("invalid_parameter")."""
    if text is None:
        return None
    skills = [part.strip() for part in text.split(",")]
    if not all(skills) or len(skills) > SKILLS_MAX:
        raise Problem("invalid_parameter", f"skills: up to {SKILLS_MAX} names with commas between.")
    return skills


def near_of(query: Query, *, limit: int) -> Query | None:
    """A look among the newest open jobs only, where ``query`` looks for words or skills on the market. Where it finds
    ``limit`` jobs, they are the newest that there are, and nothing else need be asked."""
    window = WINDOW_WORDS if "q" in query.filters else WINDOW_SKILLS
    if "open" not in query.filters or not query.filters & {"q", "skills"} or limit > window:
        return None
    return Query(PACKAGE, "list_near_jobs", query.filters - {"open"}, {**query.params, "window": window})


def wider_of(near: Query, found: int, *, limit: int) -> Query | None:
    """The same look among more jobs, where those that were ``found`` promise twice as many as are wanted."""
    if found * WIDER < 2 * limit:
        return None
    return replace(near, params={**near.params, "window": near.params["window"] * WIDER})


async def page_of_jobs(
    tenant: Tenant, caller: Caller, query: Query, *, form: Form, after: str | None, limit: int
) -> RawJson:
    """One page of list_jobs. Raises Problem("invalid_parameter")."""
    near = near_of(query, limit=limit + 1)

    async def show(conn: Connection, ids: Sequence[UUID]) -> Mapping[UUID, msgspec.Raw]:
        return await show_jobs(conn, tenant, ids, user=caller.user_id, form=form)

    return await listed(tenant, caller, query, show, after=after, limit=limit, near=near)


async def page_of_profiles(
    tenant: Tenant, caller: Caller, query: Query, *, form: Form, after: str | None, limit: int
) -> RawJson:
    """One page of list_profiles. Raises Problem("invalid_parameter")."""

    async def show(conn: Connection, ids: Sequence[UUID]) -> Mapping[UUID, msgspec.Raw]:
        return await show_profiles(conn, tenant, ids, form=form)

    return await listed(tenant, caller, query, show, after=after, limit=limit)


async def page_of_proposals(
    tenant: Tenant, caller: Caller, query: Query, *, form: Form, after: str | None, limit: int
) -> RawJson:
    """One page of list_proposals. Raises Problem("invalid_parameter")."""

    async def show(conn: Connection, ids: Sequence[UUID]) -> Mapping[UUID, msgspec.Raw]:
        return await show_proposals(conn, tenant, ids, form=form)

    return await listed(tenant, caller, query, show, after=after, limit=limit)


async def page_of_messages(tenant: Tenant, caller: Caller, query: Query, *, after: str | None, limit: int) -> RawJson:
    """One page of list_messages. Raises Problem("invalid_parameter")."""

    async def show(conn: Connection, ids: Sequence[UUID]) -> Mapping[UUID, msgspec.Raw]:
        return await show_messages(conn, tenant, ids)

    return await listed(tenant, caller, query, show, after=after, limit=limit)


async def listed(
    tenant: Tenant,
    caller: Caller,
    query: Query,
    show: Show,
    *,
    after: str | None,
    limit: int,
    near: Query | None = None,
) -> RawJson:
    """A page of ``query``, each row as ``show`` has it; of ``near``, where that fills the page.

    Raises Problem("invalid_parameter").
    """
    place = read_cursor(after, tuple[str, UUID])
    async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
        found: Sequence[Place] = []
        if near is not None:
            found = await find_places(conn, near, after=place, limit=limit + 1)
            if len(found) <= limit and (wider := wider_of(near, len(found), limit=limit + 1)) is not None:
                found = await find_places(conn, wider, after=place, limit=limit + 1)
        if len(found) <= limit:
            found = await find_places(conn, query, after=place, limit=limit + 1)
        page = page_of(found, limit=limit, place=lambda place: place)
        ids = [row_id for _, row_id in page.items]
        shown = await show(conn, ids)
    items = [shown[row_id] for row_id in ids if row_id in shown]
    return RawJson(msgspec.json.encode(Page(items, page.next)))
