"""Every declared table of every application: what there is, and lists of rows, made from the declaration alone."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Annotated, Any

from litestar import get
from litestar.params import QueryParameter

from homing.console.rows import (
    OPS,
    Filter,
    Wanted,
    find_table,
    label_column,
    list_rows,
    name_references,
    ops_of,
    read_filters,
    title_of,
)
from homing.console.shell import Asked, Html, render
from homing.engine.caller import Caller
from homing.engine.tables import BoundTable, Column
from homing.postgres.sql import fetch_all, load
from homing.server.pages import LIMIT_DEFAULT, After, Limit
from homing.server.routing import SIGNED_IN
from homing.server.tenant import Tenant

COLUMNS_SHOWN = 7
"""Columns of a list before somebody asks for all."""

Where = Annotated[list[str] | None, QueryParameter(description="column:op:value, any number of times.")]
Short = Annotated[str | None, QueryParameter(max_length=100)]
Value = Annotated[str | None, QueryParameter(max_length=1000)]


@get("/tables", roles=SIGNED_IN)
async def get_tables(request: Asked, tenant: Tenant) -> Html:
    """The tables by application."""
    bound = tenant.engine.bound
    names = [table.name for table in bound.tables]
    async with tenant.database.connection() as conn:
        found = await fetch_all(conn, load("homing.console", "estimate_rows"), {"names": names})
    sizes = {name: (rows, size) for name, rows, size in found}
    by_app = sorted(bound.tables, key=lambda table: [app.name for app in tenant.apps].index(table.declared.app))
    titles = {app.name: app.title for app in tenant.apps}
    groups = [(titles[name], list(tables)) for name, tables in groupby(by_app, key=lambda table: table.declared.app)]
    return render(request, "tables.html", title="Tables", groups=groups, sizes=sizes)


@get("/tables/{kind:str}", roles=SIGNED_IN, any_query=True)
async def get_rows(
    *,
    request: Asked,
    tenant: Tenant,
    caller: Caller,
    kind: str,
    where: Where = None,
    column: Short = None,
    op: Short = None,
    value: Value = None,
    sort: Short = None,
    every: bool = False,
    limit: Limit = LIMIT_DEFAULT,
    after: After = None,
) -> Html:
    """Rows of one table. ``column``, ``op`` and ``value``: one more filter; ``every``: all columns."""
    table = find_table(tenant, kind)
    filters = read_filters(table, [*(where or []), *_added(table, column, op, value)])
    found = await list_rows(tenant, caller, table, Wanted(filters, sort or None, after, limit))
    shown = list(table.columns.values()) if every else columns_of(table, filters, sort)
    given: dict[str, Any] = {"where": [str(each) for each in filters], "sort": sort, "every": "true" if every else None}
    return render(
        request,
        "rows.html",
        title=title_of(table),
        crumbs=[("Tables", "/console/tables")],
        table=table,
        kind=kind,
        columns=shown,
        hidden=len(table.columns) - len(shown),
        list=found,
        page=found.page,
        refers=await name_references(tenant, caller, table, found.page.items, shown),
        filters=filters,
        given=given,
        sort=sort,
        after=after,
        every=every,
        ops=OPS,
        fields=[each for each in table.columns.values() if ops_of(each)],
        rights=table.rights(caller.role),
        named_by=label_column(table),
    )


ROUTES = [get_tables, get_rows]


def _added(table: BoundTable, column: str | None, op: str | None, value: str | None) -> list[str]:
    """One more filter, as it was chosen; a comparison that the column does not have is the first that it has."""
    if column is None or column not in table.columns or not (value or op in ("none", "some")):
        return []
    known = ops_of(table.columns[column])
    return [f"{column}:{op if op in known else known[0]}:{value or ''}"] if known else []


def columns_of(table: BoundTable, filters: Sequence[Filter] = (), sort: str | None = None) -> list[Column]:
    """The columns of a list: what names a row first, then short ones, and whatever is filtered or sorted by."""
    asked = {each.column for each in filters} | ({sort.removeprefix("-")} if sort else set())
    first = label_column(table) or table.key.name
    rest = [
        column
        for column in table.columns.values()
        if column.name not in (first, table.key.name, table.declared.soft_delete)
        and column.wire.kind not in ("json", "array", "bytes", "point")
    ]
    # Times that the database keeps say the least.
    rest.sort(key=lambda column: column.name in ("created_at", "updated_at"))
    room = COLUMNS_SHOWN - 1
    kept = {column.name for column in rest[:room]} | asked
    ordered = [table.columns[first], *(column for column in table.columns.values() if column.name != first)]
    return [column for column in ordered if column.name == first or column.name in kept]
