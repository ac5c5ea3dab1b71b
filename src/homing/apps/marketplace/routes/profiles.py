"""The routes of profiles: the people of the market, one of them, and one's own."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from litestar import Request, get, patch, post, put
from litestar.params import QueryParameter

from homing.apps.marketplace.forms import PACKAGE, Form, Platform, show_profiles, table_of
from homing.apps.marketplace.listings import LIMIT_LISTING, Skills, page_of_profiles, query_of, skills_of
from homing.apps.marketplace.views import note_visit
from homing.engine.caller import Caller, Claims
from homing.postgres.sql import fetch_one, load
from homing.protocol.errors import Problem
from homing.server.answers import RawJson
from homing.server.bodies import read
from homing.server.pages import After, Limit, Page, Search
from homing.server.preconditions import tagged, update
from homing.server.routing import SIGNED_IN
from homing.server.rows import require_seen
from homing.server.tenant import Tenant
from homing.server.writing import Columns, create

Asked = Request[Any, Any, Any]
Row = dict[str, Any]
Kind = Annotated[Literal["freelancer", "client"] | None, QueryParameter(description="Who may also be both.")]
Available = Annotated[bool, QueryParameter(description="Only who takes work now.")]


@get("/profiles", roles=SIGNED_IN, answer=Page[Row])
async def get_profiles(
    *,
    tenant: Tenant,
    caller: Caller,
    q: Search = None,
    skills: Skills = None,
    kind: Kind = None,
    available: Available = False,
    platform: Platform = "web",
    limit: Limit = LIMIT_LISTING,
    after: After = None,
) -> RawJson:
    """Profiles that their people list, newest first. ``q`` finds words, ``"a phrase"``, ``this or that``, ``-not``."""
    params = {"q": q, "skills": skills_of(skills), "kind": kind}
    query = query_of("list_profiles", params, ["available"] if available else [])
    return await page_of_profiles(tenant, caller, query, form=platform, after=after, limit=limit)


@get("/profiles/{profile_id:uuid}", roles=SIGNED_IN, answer=Row)
async def get_profile(tenant: Tenant, caller: Caller, profile_id: UUID, platform: Platform = "web") -> RawJson:
    """One profile: a listed one, one's own, or one of somebody the caller has to do with."""
    return await _profile(tenant, caller, profile_id, form=platform, visiting=True)


@get("/va/profiles/{profile_id:uuid}", roles=SIGNED_IN, answer=Row)
async def get_va_profile(tenant: Tenant, caller: Caller, profile_id: UUID, platform: Platform = "web") -> RawJson:
    """The same, as spec 4 addresses it."""
    return await _profile(tenant, caller, profile_id, form=platform, visiting=True)


@get("/profile", roles=SIGNED_IN, answer=Row)
async def get_own_profile(tenant: Tenant, caller: Caller, platform: Platform = "web") -> RawJson:
    """The caller's own."""
    profile_id = await _own(tenant, caller)
    if profile_id is None:
        raise Problem("not_found", "You have no profile yet.")
    return await _profile(tenant, caller, profile_id, form=platform)


@put("/profile", roles=SIGNED_IN, body=Row, answer=Row)
async def put_own_profile(request: Asked, tenant: Tenant, caller: Caller, claims: Claims) -> RawJson:
    """Make the caller's profile, or change what is given of it."""
    columns = await read(request, Columns)
    profile_id = await _own(tenant, caller)
    if profile_id is None:
        try:
            made = await create(tenant.engine, claims, "marketplace.profile", columns)
            return await _profile(tenant, caller, made, status=201)
        except Problem as problem:
            profile_id = await _own(tenant, caller)
            if problem.code.code != "already_exists" or profile_id is None:  # otherwise: made in the same instant
                raise
    await update(request, tenant, caller, claims, table_of(tenant, "profile"), profile_id, columns)
    return await _profile(tenant, caller, profile_id)


@post("/profiles", roles=SIGNED_IN, body=Row, answer=Row)
async def post_profile(request: Asked, tenant: Tenant, caller: Caller, claims: Claims) -> RawJson:
    """Make the caller's profile, by the rules of a push: everybody has one."""
    made = await create(tenant.engine, claims, "marketplace.profile", await read(request, Columns))
    return await _profile(tenant, caller, made, status=201)


@patch("/profiles/{profile_id:uuid}", roles=SIGNED_IN, body=Row, answer=Row)
async def patch_profile(request: Asked, tenant: Tenant, caller: Caller, claims: Claims, profile_id: UUID) -> RawJson:
    """Change one's own profile. With ``If-Match``, 412 where it changed since; with ``server_version``, edits of two
    devices merge field by field."""
    columns = await read(request, Columns)
    await update(request, tenant, caller, claims, table_of(tenant, "profile"), profile_id, columns)
    return await _profile(tenant, caller, profile_id)


ROUTES = (get_profiles, get_profile, get_own_profile, put_own_profile, post_profile, patch_profile)
SPEC_ROUTES = (get_va_profile,)


async def _own(tenant: Tenant, caller: Caller) -> UUID | None:
    async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
        row = await fetch_one(conn, load(PACKAGE, "find_profile"), {"user": caller.user_id})
    return None if row is None else row[0]


async def _profile(
    tenant: Tenant,
    caller: Caller,
    profile_id: UUID,
    *,
    form: Form = "web",
    status: int = 200,
    visiting: bool = False,
) -> RawJson:
    async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
        await require_seen(conn, table_of(tenant, "profile"), caller, profile_id)
        shown = await show_profiles(conn, tenant, [profile_id], form=form)
        if visiting:
            await note_visit(conn, profile=profile_id, visitor=caller.user_id, today=tenant.clock().date())
    if profile_id not in shown:  # deleted in this instant
        raise Problem("not_found")
    return tagged(shown[profile_id], status=status)
