"""``homing users``: the people who sign in."""

from __future__ import annotations

import secrets
import sys
from uuid import UUID

import msgspec
from cyclopts import App

from homing.accounts import users
from homing.cli._shell import HERE, Json, Limit, Where, run, show
from homing.server.tenant import Tenant

command = App(name="users", help="Create and list users.")


class Created(msgspec.Struct):
    """``password`` is shown once, and only when it was made here."""

    id: UUID
    login: str
    role: str
    password: str | None


@command.command
def create(where: Where = HERE, *, login: str, role: str, name: str | None = None, json: Json = False) -> None:
    """Create a user. The password is read from standard input, or made and shown once when there is none.

    Parameters
    ----------
    login
        E-mail or username.
    role
        OWNER is the office, WORKER works in the field; applications may know more.
    name
        How other people see the user; the login when not given.
    """
    given = "" if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    password = given or secrets.token_urlsafe(12)

    async def work(tenant: Tenant) -> Created:
        new = users.NewUser(login=login, name=name or login, role=role, password=password)
        made = await users.create(tenant.database, new, roles=tenant.roles, actor="shell")
        return Created(made.id, made.username, made.role, None if given else password)

    show(run(work, where, migrating=True), as_json=json)


@command.command(name="list")
def list_(
    where: Where = HERE, *, role: str | None = None, after: str = "", limit: Limit = 100, json: Json = False
) -> None:
    """List users by username, a page; the next one begins after the last username."""

    async def work(tenant: Tenant) -> list[users.User]:
        return await users.read_page(
            tenant.database, after=after.lower(), limit=limit, role=role, user_type=None, q=None
        )

    show(run(work, where), as_json=json, columns=("id", "username", "name", "role", "is_active", "last_login_at"))
