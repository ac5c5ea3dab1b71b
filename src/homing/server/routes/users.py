"""Users, as the office keeps them."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from litestar import Request, delete, get, patch, post

from homing.accounts import users
from homing.accounts.deletion import delete_user
from homing.accounts.users import NewUser, User, UserChange
from homing.engine.caller import Caller
from homing.server.bodies import read
from homing.server.pages import LIMIT_DEFAULT, After, Limit, Page, Search, page_of, read_cursor
from homing.server.routing import OFFICE
from homing.server.tenant import Tenant


@post("/users", roles=OFFICE, body=NewUser)
async def post_user(request: Request[Any, Any, Any], tenant: Tenant, caller: Caller) -> User:
    """Create a user."""
    new = await read(request, NewUser)
    return await users.create(tenant.database, new, roles=tenant.roles, actor=str(caller.user_id))


@get("/users", roles=OFFICE)
async def get_users(
    *,
    tenant: Tenant,
    role: str | None = None,
    user_type: Literal["web", "mobile"] | None = None,
    q: Search = None,
    limit: Limit = LIMIT_DEFAULT,
    after: After = None,
) -> Page[User]:
    """Users by username; those of the field (``user_type=mobile``) with who is online first."""
    if user_type == "mobile":
        mobile = await users.read_mobile_page(
            tenant.database, after=read_cursor(after, tuple[bool, str]), limit=limit + 1, role=role, q=q
        )
        return page_of(mobile, limit=limit, place=lambda user: (user.online_status, user.username.lower()))
    place = read_cursor(after, tuple[str])
    found = await users.read_page(
        tenant.database,
        after=place[0] if place else "",
        limit=limit + 1,
        role=role,
        user_type=user_type,
        q=q,
    )
    return page_of(found, limit=limit, place=lambda user: (user.username.lower(),))


@patch("/users/{user_id:uuid}", roles=OFFICE, body=UserChange)
async def patch_user(request: Request[Any, Any, Any], tenant: Tenant, caller: Caller, user_id: UUID) -> User:
    """Change a user: a deactivated one is signed out everywhere at once."""
    wanted = await read(request, UserChange)
    return await users.change(
        tenant.database, user_id, wanted, roles=tenant.roles, actor=str(caller.user_id), now=tenant.clock()
    )


@delete("/users/{user_id:uuid}", roles=OFFICE)
async def remove_user(tenant: Tenant, caller: Caller, user_id: UUID) -> None:
    """Delete a user for good, with all messages from and to them; deactivating keeps them."""
    await delete_user(tenant.database, user_id, actor=str(caller.user_id))


ROUTES = [post_user, get_users, patch_user, remove_user]
