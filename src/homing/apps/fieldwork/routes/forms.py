"""The routes of forms: drafts and publishing for the office, published versions for everybody."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, get, patch, post

from homing.apps.fieldwork import publishing
from homing.apps.fieldwork.publishing import FormChange, NewForm, Publish
from homing.engine.caller import Caller
from homing.postgres.sql import Connection, fetch_all, fetch_one, load
from homing.protocol.errors import Problem
from homing.server.answers import RawJson
from homing.server.bodies import read
from homing.server.listing import Query, list_rows
from homing.server.pages import LIMIT_DEFAULT, After, Limit, Page
from homing.server.routing import OFFICE, SIGNED_IN
from homing.server.rows import read_rows, with_member
from homing.server.tenant import Tenant

Asked = Request[Any, Any, Any]
Row = dict[str, Any]
PACKAGE = "homing.apps.fieldwork"


@post("/forms", roles=OFFICE, body=NewForm, answer=Row)
async def post_form(request: Asked, tenant: Tenant, caller: Caller) -> RawJson:
    """Create a form as a draft that only the office sees. Its schema is checked when it is published."""
    new = await read(request, NewForm)
    async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
        await tenant.rows.keep(conn, 1)
        form_id = await publishing.create_form(conn, caller, new)
        return await _form(conn, tenant, caller, form_id, status=201)


@get("/forms", roles=SIGNED_IN, answer=Page[Row])
async def get_forms(tenant: Tenant, caller: Caller, limit: Limit = LIMIT_DEFAULT, after: After = None) -> RawJson:
    """Forms, newest first: the published ones; for the office all, with their drafts."""
    query = Query("homing.apps.fieldwork", "list_forms", _worker(caller), {})
    async with tenant.database.connection() as conn:
        page = await list_rows(
            conn, query, table=tenant.engine.bound.by_resource_type["fieldwork.mobile_form"], after=after, limit=limit
        )
        if caller.role == "OWNER":
            page = Page(await _with_drafts(conn, page.items), page.next)
    return RawJson(msgspec.json.encode(page))


@get("/forms/{form:str}", roles=SIGNED_IN, answer=Row)
async def get_form(tenant: Tenant, caller: Caller, form: str) -> RawJson:
    """One form, by its id or its code."""
    async with tenant.database.connection() as conn:
        return await _form(conn, tenant, caller, await publishing.find_form(conn, caller, form))


@patch("/forms/{form:str}", roles=OFFICE, body=FormChange, answer=Row)
async def patch_form(request: Asked, tenant: Tenant, caller: Caller, form: str) -> RawJson:
    """Change the draft or the name, withdraw the form (``published: false``) or offer it again."""
    change = await read(request, FormChange)
    async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
        form_id = await publishing.find_form(conn, caller, form)
        await publishing.change_form(conn, form_id, change)
        return await _form(conn, tenant, caller, form_id)


@post("/forms/{form:str}/publish", status_code=200, roles=OFFICE, body=Publish, answer=Row)
async def publish_form(request: Asked, tenant: Tenant, caller: Caller, form: str) -> RawJson:
    """Check the draft and make it the form's next version, which every device gets and which is kept for ever."""
    wanted = await read(request, Publish)
    async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
        form_id = await publishing.find_form(conn, caller, form)
        await tenant.rows.keep(conn, 1)
        await publishing.publish_form(conn, caller, form_id, wanted)
        return await _form(conn, tenant, caller, form_id)


@get("/forms/{form:str}/versions", roles=SIGNED_IN, answer=Page[Row])
async def get_versions(
    tenant: Tenant, caller: Caller, form: str, limit: Limit = LIMIT_DEFAULT, after: After = None
) -> RawJson:
    """Every version that was ever published, newest first; also of a form that was withdrawn."""
    async with tenant.database.connection() as conn:
        form_id = await publishing.find_form_of_versions(conn, caller, form)
        page = await list_rows(
            conn,
            Query("homing.apps.fieldwork", "list_versions", frozenset(), {"form_id": form_id}),
            table=tenant.engine.bound.by_resource_type["fieldwork.form_version"],
            after=after,
            limit=limit,
        )
    return RawJson(msgspec.json.encode(page))


@get("/forms/{form:str}/versions/{version:str}", roles=SIGNED_IN, answer=Row)
async def get_version(tenant: Tenant, caller: Caller, form: str, version: str) -> RawJson:
    """One version, with its schema."""
    table = tenant.engine.bound.by_resource_type["fieldwork.form_version"]
    async with tenant.database.connection() as conn:
        form_id = await publishing.find_form_of_versions(conn, caller, form)
        found = await fetch_one(conn, load(PACKAGE, "find_version"), {"form_id": form_id, "version": version})
        if found is None:
            raise Problem("not_found")
        rows = await read_rows(conn, table, [found[0]])
    return RawJson(bytes(rows[found[0]]))


ROUTES = (post_form, get_forms, get_form, patch_form, publish_form, get_versions, get_version)


def _worker(caller: Caller) -> frozenset[str]:
    return frozenset() if caller.role == "OWNER" else frozenset({"worker"})


async def _form(conn: Connection, tenant: Tenant, caller: Caller, form_id: UUID, *, status: int = 200) -> RawJson:
    rows = await read_rows(conn, tenant.engine.bound.by_resource_type["fieldwork.mobile_form"], [form_id])
    if form_id not in rows:
        raise Problem("not_found")
    shown = [rows[form_id]]
    if caller.role == "OWNER":
        shown = await _with_drafts(conn, shown)
    return RawJson(bytes(shown[0]), status=status)


class _Id(msgspec.Struct):
    id: UUID


async def _with_drafts(conn: Connection, forms: list[msgspec.Raw]) -> list[msgspec.Raw]:
    """Forms with ``draft_schema``, for the office."""
    ids = [msgspec.json.decode(form, type=_Id).id for form in forms]
    drafts: dict[UUID, str | None] = dict(await fetch_all(conn, load(PACKAGE, "read_drafts"), {"ids": ids}))
    return [
        with_member(form, "draft_schema", msgspec.Raw(draft.encode()) if (draft := drafts.get(row_id)) else None)
        for form, row_id in zip(forms, ids, strict=True)
    ]
