"""Users: who may sign in, as what, with which devices."""

from __future__ import annotations

from uuid import UUID

from litestar import get, post

from homing.accounts import devices, users
from homing.accounts.deletion import delete_user
from homing.accounts.users import NewUser, UserChange
from homing.console.flash import bad, good
from homing.console.forms import Form
from homing.console.kept import Kept
from homing.console.shell import Asked, Html, render, see_other
from homing.engine.caller import Caller
from homing.protocol.errors import Problem
from homing.server.pages import LIMIT_DEFAULT, After, Limit, Search, page_of, read_cursor
from homing.server.routing import OFFICE
from homing.server.tenant import Tenant

DEVICES_SHOWN = 20
_CRUMBS = [("Users", "/console/users")]


@get("/users", roles=OFFICE)
async def get_users(
    *,
    request: Asked,
    tenant: Tenant,
    role: str | None = None,
    q: Search = None,
    limit: Limit = LIMIT_DEFAULT,
    after: After = None,
) -> Html:
    """Users by username."""
    place = read_cursor(after, tuple[str])
    found = await users.read_page(
        tenant.database, after=place[0] if place else "", limit=limit + 1, role=role or None, user_type=None, q=q
    )
    return render(
        request,
        "users.html",
        title="Users",
        page=page_of(found, limit=limit, place=lambda user: (user.username.lower(),)),
        roles=sorted(tenant.roles),
        given={"role": role, "q": q},
        after=after,
    )


@get("/users/new", roles=OFFICE)
async def get_new_user(request: Asked, tenant: Tenant) -> Html:
    """An empty form."""
    return _new(request, tenant)


@post("/users/new", roles=OFFICE, reads=True)
async def post_new_user(request: Asked, tenant: Tenant, caller: Caller, form: Form) -> Html:
    """Make a user."""
    given = {name: form.maybe(name) or "" for name in ("login", "name", "role")}
    try:
        new = NewUser(**given, password=form.raw("password") or None)
        made = await users.create(tenant.database, new, roles=tenant.roles, actor=str(caller.user_id))
    except Problem as problem:
        return _new(request, tenant, Kept(form, problem, names=(("already_exists", "login"),)))
    return see_other(f"/console/users/{made.id}", good(f"{made.name} is a user now."))


@get("/users/{user_id:uuid}", roles=OFFICE)
async def get_user(request: Asked, tenant: Tenant, user_id: UUID) -> Html:
    """One user: a form, and their devices."""
    return await _one(request, tenant, user_id)


@post("/users/{user_id:uuid}", roles=OFFICE, reads=True)
async def post_user(request: Asked, tenant: Tenant, caller: Caller, user_id: UUID, form: Form) -> Html:
    """Change name, role or password."""
    wanted = UserChange(name=form.maybe("name"), role=form.maybe("role"), password=form.raw("password") or None)
    return await _change(request, tenant, caller, user_id, form, wanted, "Saved.")


@post("/users/{user_id:uuid}/activity", roles=OFFICE, reads=True)
async def post_activity(request: Asked, tenant: Tenant, caller: Caller, user_id: UUID, form: Form) -> Html:
    """Deactivate somebody, who is signed out everywhere at once, or take them back."""
    active = form.text("active") == "yes"
    said = "They may sign in again." if active else "They are signed out everywhere and cannot sign in."
    return await _change(request, tenant, caller, user_id, form, UserChange(is_active=active), said)


@post("/users/{user_id:uuid}/delete", roles=OFFICE, reads=True)
async def post_delete_user(tenant: Tenant, caller: Caller, user_id: UUID) -> Html:
    """Delete somebody for good, with what they wrote and got."""
    try:
        await delete_user(tenant.database, user_id, actor=str(caller.user_id))
    except Problem as problem:
        return see_other(f"/console/users/{user_id}", bad(problem.detail))
    tenant.live.written()
    return see_other("/console/users", good("The user is deleted."))


ROUTES = [get_users, get_new_user, post_new_user, get_user, post_user, post_activity, post_delete_user]


async def _change(
    request: Asked, tenant: Tenant, caller: Caller, user_id: UUID, form: Form, wanted: UserChange, said: str
) -> Html:
    try:
        await users.change(
            tenant.database, user_id, wanted, roles=tenant.roles, actor=str(caller.user_id), now=tenant.clock()
        )
    except Problem as problem:
        if problem.code.code == "not_found":
            raise
        return await _one(request, tenant, user_id, Kept(form, problem))
    return see_other(f"/console/users/{user_id}", good(said))


def _new(request: Asked, tenant: Tenant, kept: Kept | None = None) -> Html:
    return render(
        request,
        "user_new.html",
        title="New user",
        crumbs=_CRUMBS,
        kept=kept,
        roles=sorted(tenant.roles),
    )


async def _one(request: Asked, tenant: Tenant, user_id: UUID, kept: Kept | None = None) -> Html:
    async with tenant.database.connection() as conn:
        user = await users.read(conn, user_id)
    held = await devices.read_page(
        tenant.database, after=None, limit=DEVICES_SHOWN, status=None, user_id=user_id, q=None
    )
    return render(
        request,
        "user.html",
        title=user.name,
        crumbs=_CRUMBS,
        kept=kept,
        user=user,
        devices=held,
        roles=sorted({*tenant.roles, user.role}),
    )
