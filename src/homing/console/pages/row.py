"""One row of any declared table: its values, its history, and forms to make, change and delete it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
from litestar import get, post
from litestar.params import QueryParameter

from homing.accounts.users import OWNER
from homing.console.fields import changes, fields_of, writable
from homing.console.flash import bad, good
from homing.console.forms import Form
from homing.console.rows import Row, choices, find_table, label, name_references, read_one, title_of
from homing.console.shell import Asked, Html, render, see_other
from homing.console.writing import Overtaken, Refused, Saved, write
from homing.engine import explain
from homing.engine.caller import Caller, Claims
from homing.engine.explain import Change
from homing.engine.tables import BoundTable
from homing.protocol.errors import Problem
from homing.server.pages import After, page_of, read_cursor
from homing.server.routing import SIGNED_IN
from homing.server.tenant import Tenant

Key = Annotated[str, QueryParameter(max_length=2000, description="The row's key.")]
HISTORY_SHOWN = 8
"""Changes on a row's own page; the others have a page."""
HISTORY_PAGE = 50


@get("/tables/{kind:str}/row", roles=SIGNED_IN)
async def get_row(request: Asked, tenant: Tenant, caller: Caller, kind: str, key: Key) -> Html:
    """A row's values, and what happened to it last."""
    table = find_table(tenant, kind)
    row = await read_one(tenant, caller, table, key)
    past = await _history(tenant, table, row.key, limit=HISTORY_SHOWN + 1)
    return render(
        request,
        "row.html",
        title=label(table, row),
        crumbs=_crumbs(table),
        table=table,
        kind=kind,
        row=row,
        rights=table.rights(caller.role),
        refers=await name_references(tenant, caller, table, [row], list(table.columns.values())),
        past=past[:HISTORY_SHOWN],
        older=len(past) > HISTORY_SHOWN,
        referring=_referring(tenant, table),
        here=f"/console/tables/{kind}",
    )


@get("/tables/{kind:str}/history", roles=SIGNED_IN)
async def get_history(request: Asked, tenant: Tenant, caller: Caller, kind: str, key: Key, after: After = None) -> Html:
    """All that happened to a row; for the office also when it is deleted."""
    table = find_table(tenant, kind)
    try:
        row = await read_one(tenant, caller, table, key)
    except Problem:
        if caller.role != OWNER:
            raise
        row = Row(key, 0, {})
    before = read_cursor(after, tuple[datetime, int])
    past = await _history(tenant, table, row.key, limit=HISTORY_PAGE + 1, before=before)
    return render(
        request,
        "row_history.html",
        title="History",
        crumbs=[*_crumbs(table), (label(table, row), _at(kind, row.key))],
        table=table,
        kind=kind,
        row=row,
        page=page_of(past, limit=HISTORY_PAGE, place=lambda change: (change.at, change.version)),
        after=after,
        given={"key": row.key},
    )


@get("/tables/{kind:str}/edit", roles=SIGNED_IN)
async def get_edit(request: Asked, tenant: Tenant, caller: Caller, kind: str, key: Key) -> Html:
    """A form of the columns that the caller may change."""
    table = find_table(tenant, kind)
    if table.rights(caller.role).update is None:
        raise Problem("forbidden", "Your role may not change rows of this table.")
    return await _edit(request, tenant, caller, table, await read_one(tenant, caller, table, key))


@post("/tables/{kind:str}/edit", roles=SIGNED_IN, reads=True)
async def post_edit(
    *, request: Asked, tenant: Tenant, caller: Caller, claims: Claims, kind: str, form: Form, key: Key
) -> Html:
    """Write what was changed, on top of the version that the form was made of."""
    table = find_table(tenant, kind)
    row = await read_one(tenant, caller, table, key)
    given = changes(writable(table, table.rights(caller.role).update, creating=False), form, creating=False)
    if not given:
        return see_other(_at(kind, row.key), good("Nothing was changed."))
    outcome = await write(tenant.engine, claims, table, "update", given, key=row.key, version=form.number("version"))
    match outcome:
        case Saved(version=version, merged=merged):
            also = " Somebody else changed other fields meanwhile; both changes are in it." if merged else ""
            return see_other(_at(kind, row.key), good(f"Saved as version {version}.{also}"))
        case Overtaken(version=version, values=values):
            now = Row(row.key, version, values)
            return await _edit(request, tenant, caller, table, now, form=form, overtaken=_beside(given, now))
        case Refused():
            return await _edit(request, tenant, caller, table, row, form=form, refused=outcome)


@get("/tables/{kind:str}/new", roles=SIGNED_IN)
async def get_new(request: Asked, tenant: Tenant, caller: Caller, kind: str) -> Html:
    """An empty form."""
    return await _new(request, tenant, caller, find_table(tenant, kind))


@post("/tables/{kind:str}/new", roles=SIGNED_IN, reads=True)
async def post_new(request: Asked, tenant: Tenant, caller: Caller, claims: Claims, kind: str, form: Form) -> Html:
    """Make a row."""
    table = find_table(tenant, kind)
    given = changes(writable(table, table.rights(caller.role).create, creating=True), form, creating=True)
    outcome = await write(tenant.engine, claims, table, "create", given)
    match outcome:
        case Saved(key=key):
            return see_other(_at(kind, key), good("Created."))
        case Refused():
            return await _new(request, tenant, caller, table, form=form, refused=outcome)
        case Overtaken():
            raise AssertionError("only an update is overtaken")


@post("/tables/{kind:str}/delete", roles=SIGNED_IN, reads=True)
async def post_delete(tenant: Tenant, claims: Claims, kind: str, form: Form, key: Key) -> Html:
    """Delete a row as it was shown; one that was changed meanwhile stays."""
    table = find_table(tenant, kind)
    outcome = await write(tenant.engine, claims, table, "delete", {}, key=key, version=form.number("version"))
    if isinstance(outcome, Saved):
        return see_other(f"/console/tables/{kind}", good("Deleted."))
    sentence = outcome.sentence if isinstance(outcome, Refused) else "It was changed meanwhile."
    return see_other(_at(kind, key), bad(f"Not deleted: {sentence}"))


ROUTES = [get_row, get_history, get_edit, post_edit, get_new, post_new, post_delete]


def _at(kind: str, key: str) -> str:
    return f"/console/tables/{quote(kind)}/row?key={quote(key, safe='')}"


def _crumbs(table: BoundTable) -> list[tuple[str, str]]:
    return [("Tables", "/console/tables"), (title_of(table), f"/console/tables/{table.declared.full_type}")]


async def _history(
    tenant: Tenant, table: BoundTable, key: str, *, limit: int, before: tuple[datetime, int] | None = None
) -> list[Change]:
    return await explain.history(tenant.engine, resource_type=table.resource_type, row=key, before=before, limit=limit)


def _referring(tenant: Tenant, table: BoundTable) -> list[tuple[BoundTable, str]]:
    """The tables that refer to this one, each with its column."""
    return [
        (each, column)
        for each in tenant.engine.bound.tables
        for column, reference in each.references.items()
        if reference.table == table.name and reference.to_column == table.key.name and column in each.columns
    ]


def _beside(given: dict[str, msgspec.Raw], now: Row) -> list[tuple[str, list[Any]]]:
    return [(name, [msgspec.json.decode(raw), now.values.get(name)]) for name, raw in given.items()]


async def _choices(
    tenant: Tenant, caller: Caller, table: BoundTable, names: list[str]
) -> dict[str, list[tuple[str, str]]]:
    found = {name: await choices(tenant, caller, table, name) for name in names if name in table.references}
    return {name: each for name, each in found.items() if each is not None}


async def _edit(
    request: Asked,
    tenant: Tenant,
    caller: Caller,
    table: BoundTable,
    row: Row,
    *,
    form: Form | None = None,
    refused: Refused | None = None,
    overtaken: list[tuple[str, list[Any]]] | None = None,
) -> Html:
    columns = writable(table, table.rights(caller.role).update, creating=False)
    listed = await _choices(tenant, caller, table, [column.name for column in columns])
    return render(
        request,
        "row_form.html",
        title=f"Edit {label(table, row)}",
        crumbs=[*_crumbs(table), (label(table, row), _at(table.declared.full_type, row.key))],
        status=200 if refused is None and overtaken is None else 409 if overtaken else 422,
        table=table,
        row=row,
        fields=fields_of(table, columns, row.values, choices=listed, typed=form),
        refused=refused,
        overtaken=overtaken,
        action=f"/console/tables/{table.declared.full_type}/edit?key={quote(row.key, safe='')}",
        back=_at(table.declared.full_type, row.key),
        version=row.version,
        label="Save",
    )


async def _new(
    request: Asked,
    tenant: Tenant,
    caller: Caller,
    table: BoundTable,
    *,
    form: Form | None = None,
    refused: Refused | None = None,
) -> Html:
    rights = table.rights(caller.role).create
    if rights is None:
        raise Problem("forbidden", "Your role may not make rows of this table.")
    columns = writable(table, rights, creating=True)
    listed = await _choices(tenant, caller, table, [column.name for column in columns])
    kind = table.declared.full_type
    return render(
        request,
        "row_form.html",
        title=f"New {table.declared.resource_type.replace('_', ' ')}",
        crumbs=_crumbs(table),
        status=200 if refused is None else 422,
        table=table,
        row=None,
        fields=fields_of(table, columns, {}, choices=listed, typed=form),
        refused=refused,
        overtaken=None,
        action=f"/console/tables/{kind}/new",
        back=f"/console/tables/{kind}",
        version=None,
        label="Create",
    )
