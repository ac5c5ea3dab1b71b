"""Many callers at once: does what each one's access token says still hold, and which scopes do they hold?

The same questions as a pull asks for its one caller, in one statement for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from psycopg import sql

from homing.engine.bind import Bound
from homing.engine.caller import Claims
from homing.engine.scopes import DIGEST_SQL, held_sql
from homing.engine.statement import Statement
from homing.engine.who import Who
from homing.postgres.sql import Connection, load


@dataclass(frozen=True, slots=True)
class Standing:
    """``who`` None: no such user or session. ``digest`` names the scopes held."""

    who: Who | None
    user_type: str | None
    digest: bytes


class Callers:
    """The two statements, composed once for the declared scopes."""

    def __init__(self, bound: Bound) -> None:
        # The queries that say what a user holds are written for one user; here it is the user of the row beside them.
        names = {
            name: held_by.replace("%(user)s", "homing_caller.user_id") for name, held_by in bound.scope_names().items()
        }
        template = load(__package__, "live_standing")
        for name in ("held", "digest"):
            template = template.replace(f"%%({name})s", f"{{{name}}}")
        self._standing = Statement(sql.SQL(template).format(held=held_sql(names), digest=sql.SQL(DIGEST_SQL)))
        self._lapsed = Statement(sql.SQL(load(__package__, "live_lapsed")))

    async def standing(self, conn: Connection, callers: Sequence[Claims]) -> list[Standing]:
        """How each one stands, in order."""
        cursor = await self._standing.run(conn, _params(callers))
        found = []
        for role, user_type, valid, device_id, status, own, digest in await cursor.fetchall():
            who = None if valid is None else Who(role, valid, device_id, status, own)
            found.append(Standing(who, user_type, digest))
        return found

    async def lapsed(self, conn: Connection, callers: Sequence[Claims]) -> list[int]:
        """The places in ``callers`` of those who may not go on; ``standing`` says why. Scopes are not looked at."""
        cursor = await self._lapsed.run(conn, {**_params(callers), "roles": [each.role for each in callers]})
        return [int(n) - 1 for (n,) in await cursor.fetchall()]


def _params(callers: Sequence[Claims]) -> dict[str, list[UUID] | list[str] | list[str | None]]:
    return {
        "users": [each.user_id for each in callers],
        "sessions": [each.session_id for each in callers],
        "devices": [each.device_name for each in callers],
    }
