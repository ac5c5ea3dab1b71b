"""Users: who may sign in, and as what."""

from __future__ import annotations

from litestar import get

from homing.accounts import users
from homing.console.shell import Asked, Html, render
from homing.server.pages import LIMIT_DEFAULT, After, Limit, Search, page_of, read_cursor
from homing.server.routing import OFFICE
from homing.server.tenant import Tenant


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
        tenant.database, after=place[0] if place else "", limit=limit + 1, role=role, user_type=None, q=q
    )
    return render(
        request,
        "users.html",
        title="Users",
        page=page_of(found, limit=limit, place=lambda user: (user.username.lower(),)),
        roles=sorted(tenant.roles),
        given={"role": role, "q": q},
    )


ROUTES = [get_users]
