"""The office at its desk: a signed-in HTTP client, and the accounts the demo begins with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from homing.accounts import users
from homing.accounts.users import OWNER, NewUser
from homing.postgres.sql import fetch_one
from homing.server.tenant import Tenant

OFFICE = "office@example.org"
PASSWORD = "penguins on ice"  # noqa: S105 - printed for everybody to see, of a server on this machine only


async def ensure_office(tenant: Tenant) -> bool:
    """Make the office's account; False where it was there: then so is everything else."""
    async with tenant.database.connection() as conn:
        query = "SELECT FROM homing.users WHERE lower(username) = %(login)s"
        if await fetch_one(conn, query, {"login": OFFICE}) is not None:
            return False
    new = NewUser(login=OFFICE, name="The office", role=OWNER, password=PASSWORD)
    await users.create(tenant.database, new, roles=tenant.roles, actor="demo")
    return True


class Desk:
    """Calls of the office. Every one must succeed: the demo shows a server that works."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def call(self, method: str, path: str, body: Any = None, **params: Any) -> Any:
        """The answer's JSON; ``path`` below the base path, or a whole one that a specification spells (``/api/…``).

        Raises httpx.HTTPStatusError with the problem's own words.
        """
        whole = path if path.startswith("/api/") else f"/api/v1{path}"
        answer = self._http.request(method, whole, json=body, params=params)
        if answer.is_error:
            raise httpx.HTTPStatusError(f"{method} {path}: {answer.text}", request=answer.request, response=answer)
        return answer.json() if answer.content else None

    def sign_in(self, login: str, *, device_id: str | None = None) -> None:
        body = {"login": login, "password": PASSWORD} | ({"device_id": device_id} if device_id is not None else {})
        tokens = self.call("POST", "/auth/login", body)
        self._http.headers["authorization"] = f"Bearer {tokens['access_token']}"

    def make_worker(self, login: str, name: str) -> str:
        """A user of the field; its id."""
        made = self.call("POST", "/users", {"login": login, "name": name, "role": "WORKER", "password": PASSWORD})
        return str(made["id"])

    def make_team(self, name: str, members: list[str]) -> str:
        """A team of these users; its id."""
        team = str(self.call("POST", "/teams", {"name": name})["id"])
        for member in members:
            self.call("PUT", f"/teams/{team}/members/{member}")
        return team

    def publish_form(self, code: str, name: str, schema: dict[str, Any]) -> None:
        self.call("POST", "/forms", {"code": code, "name": name, "schema": schema})
        self.call("POST", f"/forms/{code}/publish", {})


@contextmanager
def at_desk(url: str, login: str = OFFICE, *, device_id: str | None = None) -> Iterator[Desk]:
    """A desk where ``login`` has signed in."""
    with httpx.Client(base_url=url, timeout=30) as http:
        desk = Desk(http)
        desk.sign_in(login, device_id=device_id)
        yield desk
