"""What is read before a page: who looks at it, by name, and up to where it is told what happens.

The side bar says the name. The cookie does not hold it, because people are renamed.
"""

from __future__ import annotations

from typing import Any, Final

from litestar import Request

from homing.console.guard import guard
from homing.postgres.sql import fetch_one, load
from homing.server.routing import CALLER_KEY, TENANT_KEY

NAME_KEY: Final = "homing.console.name"
MARK_KEY: Final = "homing.console.mark"
"""What had been told when the page began to be made: it comes with this to ``/console/live``."""


async def begin(request: Request[Any, Any, Any]) -> None:
    """Litestar's ``before_request`` of the console: the guard, then the name. Parts of pages show none."""
    await guard(request)
    scope: dict[str, Any] = request.scope  # type: ignore[assignment]
    caller = scope.get(CALLER_KEY)
    if caller is None or request.headers.get("hx-request") == "true":
        return
    scope[MARK_KEY] = scope[TENANT_KEY].live.watchers.mark
    async with scope[TENANT_KEY].database.connection() as conn:
        row = await fetch_one(conn, load("homing.console", "name_users"), {"ids": [str(caller.user_id)]})
    scope[NAME_KEY] = None if row is None else row[1]
