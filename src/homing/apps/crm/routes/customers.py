"""The routes of customers: search, one, write, and CSV both ways."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Request, delete, get, patch, post
from litestar.params import QueryParameter
from litestar.response import Stream

from homing.apps.crm.imports import Import, Imported, csv_header, csv_lines, import_customers
from homing.engine.caller import Caller, Claims
from homing.engine.tables import BoundTable
from homing.postgres.sql import fetch_all, load
from homing.protocol.errors import Problem
from homing.server import writing
from homing.server.answers import RawJson
from homing.server.bodies import read
from homing.server.listing import Place, Query, find_places, list_rows
from homing.server.pages import After, Limit, Page
from homing.server.routing import OFFICE, SIGNED_IN
from homing.server.rows import read_row
from homing.server.tenant import Tenant
from homing.server.writing import Columns, create, update

Asked = Request[Any, Any, Any]
Row = dict[str, Any]
PACKAGE = "homing.apps.crm"
TYPE = "crm.customer"
CSV = "text/csv"
LIMIT_SEARCH = 20
"""As the spec's search has it."""
EXPORT_ROWS = 500
"""Customers read at a time for an export. Between two reads no connection is held."""

Words = Annotated[
    str | None,
    QueryParameter(
        min_length=1, max_length=200, description="Words of name and address, or the beginning of a phone number."
    ),
]
Archived = Annotated[
    Literal["no", "yes", "all"], QueryParameter(description="Whether to list customers that were archived.")
]


@get("/customers", roles=OFFICE, answer=Page[Row])
async def get_customers(
    *,
    tenant: Tenant,
    caller: Caller,
    q: Words = None,
    archived: Archived = "no",
    limit: Limit = LIMIT_SEARCH,
    after: After = None,
) -> RawJson:
    """Customers, the latest changed first."""
    async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
        page = await list_rows(conn, _query(q, archived), table=_table(tenant), after=after, limit=limit)
    return RawJson(msgspec.json.encode(page))


@get("/customers/{customer_id:uuid}", roles=SIGNED_IN, answer=Row)
async def get_customer(tenant: Tenant, caller: Caller, customer_id: UUID) -> RawJson:
    """One customer: any for the office, those of their jobs for workers."""
    return await _customer(tenant, caller, customer_id)


@post("/customers", roles=OFFICE, body=Row, answer=Row)
async def post_customer(request: Asked, tenant: Tenant, caller: Caller, claims: Claims) -> RawJson:
    """Make a customer, by the rules of a push."""
    made = await create(tenant.engine, claims, TYPE, await read(request, Columns))
    return await _customer(tenant, caller, made, status=201)


@patch("/customers/{customer_id:uuid}", roles=OFFICE, body=Row, answer=Row)
async def patch_customer(request: Asked, tenant: Tenant, caller: Caller, claims: Claims, customer_id: UUID) -> RawJson:
    """Change a customer; ``is_archived: false`` takes one back. With ``server_version``, 409 where others changed the
    same."""
    await update(tenant.engine, claims, TYPE, customer_id, await read(request, Columns))
    return await _customer(tenant, caller, customer_id)


@delete("/customers/{customer_id:uuid}", roles=OFFICE)
async def delete_customer(tenant: Tenant, claims: Claims, customer_id: UUID) -> None:
    """Archive a customer: its jobs stay."""
    await writing.delete(tenant.engine, claims, TYPE, customer_id)


@get("/customers/export.csv", roles=OFFICE, answers=[CSV])
async def export_customers(tenant: Tenant, q: Words = None, archived: Archived = "no") -> Stream:
    """The customers that the same filters list, as CSV that can be imported again."""
    query = _query(q, archived)

    async def pieces() -> AsyncIterator[str]:
        yield csv_header()
        after: Place | None = None
        while True:
            async with tenant.database.connection() as conn:
                places = await find_places(conn, query, after=after, limit=EXPORT_ROWS)
                ids = {"ids": [row_id for _, row_id in places]}
                rows = await fetch_all(conn, load(PACKAGE, "export_customers"), ids) if places else []
            yield csv_lines(rows)
            if len(places) < EXPORT_ROWS:
                return
            after = places[-1]

    headers = {"Content-Disposition": 'attachment; filename="customers.csv"', "Cache-Control": "no-store"}
    return Stream(pieces(), media_type=CSV, headers=headers)


@post("/customers/import", status_code=200, roles=OFFICE, body=Import)
async def post_import(request: Asked, tenant: Tenant, caller: Caller) -> Imported:
    """Take customers from CSV: all lines or, where anything is wrong, none. ``dry_run`` only looks. Of more than 1,000
    the customers are made after the answer, as operations of the caller's."""
    wanted = await read(request, Import)
    async with tenant.database.transaction(actor=str(caller.user_id), device=caller.device_id) as conn:
        if not wanted.dry_run:
            await tenant.rows.keep(conn, wanted.csv.count("\n"))
        return await import_customers(conn, wanted, user=caller.user_id)


ROUTES = (
    get_customers,
    get_customer,
    post_customer,
    patch_customer,
    delete_customer,
    export_customers,
    post_import,
)


def _table(tenant: Tenant) -> BoundTable:
    return tenant.engine.bound.by_resource_type[TYPE]


def _query(q: str | None, archived: str) -> Query:
    filters = {"no": {"active"}, "yes": {"archived"}, "all": set[str]()}[archived]
    if q is None:
        return Query(PACKAGE, "list_customers", frozenset(filters), {})
    if "\x00" in q:
        raise Problem("invalid_parameter", "q: NUL is in no name")
    return Query(PACKAGE, "search_customers", frozenset(filters), {"q": q})


async def _customer(tenant: Tenant, caller: Caller, customer_id: UUID, *, status: int = 200) -> RawJson:
    async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
        row = await read_row(conn, _table(tenant), caller, customer_id)
    return RawJson(bytes(row), status=status)
