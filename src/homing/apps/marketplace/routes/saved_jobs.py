"""The routes of saved jobs: what somebody wants at hand, also on the phone without a signal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, delete, get, post

from homing.apps.marketplace.forms import PACKAGE, Form, Platform, show_jobs, table_of
from homing.apps.marketplace.listings import LIMIT_LISTING, listed, query_of
from homing.engine.caller import Caller, Claims
from homing.postgres.sql import Connection, fetch_all, fetch_one, load
from homing.protocol.errors import Problem
from homing.server import writing
from homing.server.answers import RawJson
from homing.server.bodies import read
from homing.server.pages import After, Limit, Page
from homing.server.preconditions import tagged
from homing.server.routing import SIGNED_IN
from homing.server.rows import read_rows, with_member
from homing.server.tenant import Tenant

Asked = Request[Any, Any, Any]
Row = dict[str, Any]


class Saving(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """``POST /saved-jobs``."""

    job_id: UUID
    note: Annotated[str, msgspec.Meta(max_length=500)] | None = None


@get("/saved-jobs", roles=SIGNED_IN, answer=Page[Row])
async def get_saved_jobs(
    *,
    tenant: Tenant,
    caller: Caller,
    platform: Platform = "web",
    limit: Limit = LIMIT_LISTING,
    after: After = None,
) -> RawJson:
    """What the caller saved, the latest first, each with its ``job``."""

    async def show(conn: Connection, ids: Sequence[UUID]) -> Mapping[UUID, msgspec.Raw]:
        return await _show(conn, tenant, caller, ids, form=platform)

    query = query_of("list_saved_jobs", {}, user=caller.user_id)
    return await listed(tenant, caller, query, show, after=after, limit=limit)


@post("/saved-jobs", roles=SIGNED_IN, body=Saving, answer=Row)
async def post_saved_job(request: Asked, tenant: Tenant, caller: Caller, claims: Claims) -> RawJson:
    """Save a job. What is saved already stays so, and is the answer, with 200."""
    saving = await read(request, Saving)
    columns = {"job_id": str(saving.job_id), **({} if saving.note is None else {"note": saving.note})}
    try:
        made = await writing.create(tenant.engine, claims, "marketplace.saved_job", columns)
        return await _saved(tenant, caller, made, status=201)
    except Problem as problem:
        if problem.code.code != "already_exists":
            raise
    async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
        row = await fetch_one(conn, load(PACKAGE, "find_saved_job"), {"user": caller.user_id, "job": saving.job_id})
    if row is None:  # and taken off in this instant
        raise Problem("not_found")
    return await _saved(tenant, caller, row[0])


@delete("/saved-jobs/{saved_id:uuid}", roles=SIGNED_IN)
async def delete_saved_job(tenant: Tenant, claims: Claims, saved_id: UUID) -> None:
    """Do not keep a job any more: unless the caller proposed for it, it leaves their phone with its next sync."""
    await writing.delete(tenant.engine, claims, "marketplace.saved_job", saved_id)


ROUTES = (get_saved_jobs, post_saved_job, delete_saved_job)


async def _show(
    conn: Connection, tenant: Tenant, caller: Caller, ids: Sequence[UUID], *, form: Form = "web"
) -> dict[UUID, msgspec.Raw]:
    if not ids:
        return {}
    rows = await read_rows(conn, table_of(tenant, "saved_job"), ids)
    jobs: dict[UUID, UUID] = dict(await fetch_all(conn, load(PACKAGE, "read_saved_jobs"), {"ids": list(ids)}))
    shown = await show_jobs(conn, tenant, list(jobs.values()), user=caller.user_id, form=form)
    return {each: with_member(rows[each], "job", shown[job]) for each, job in jobs.items() if job in shown}


async def _saved(tenant: Tenant, caller: Caller, saved_id: UUID, *, status: int = 200) -> RawJson:
    async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
        shown = await _show(conn, tenant, caller, [saved_id])
    if saved_id not in shown:
        raise Problem("not_found")
    return tagged(shown[saved_id], status=status)
