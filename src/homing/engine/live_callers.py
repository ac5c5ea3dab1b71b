"""Many callers at once: does what each one's access token says still hold, and which scopes do they hold?

The same questions as a pull asks for its one caller, in one statement for all. Nearly always the answer is "as before",
so that is what is asked of everybody (``fallen``); how those stand of whom it is not true is asked of them
(``standing``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from psycopg import sql

from homing.engine.bind import Bound
from homing.engine.caller import Claims
from homing.engine.scopes import DIGEST_SQL, held_sql
from homing.engine.who import Who
from homing.postgres.sql import Connection, Statement, array, load, quoted


@dataclass(frozen=True, slots=True)
class Standing:
    """``who`` None: no such user or session. ``digest`` names the scopes held."""

    who: Who | None
    user_type: str | None
    digest: bytes


@dataclass(frozen=True, slots=True)
class Badge:
    """A caller as a place in the arrays of a question: PostgreSQL's text form, made once a connection."""

    user: str
    session: str
    device: str
    role: str

    @classmethod
    def of(cls, claims: Claims) -> Badge:
        device = "NULL" if claims.device_name is None else quoted(claims.device_name)
        return cls(claims.user_id.hex, claims.session_id.hex, device, quoted(claims.role))


class Callers:
    """The two statements, composed once for the declared scopes."""

    def __init__(self, bound: Bound) -> None:
        self._standing = Statement(_compose("live_standing", bound))
        self._fallen = Statement(fallen_sql(bound))

    async def standing(self, conn: Connection, callers: Sequence[Claims]) -> list[Standing]:
        """How each one stands, in order."""
        params = {
            "users": [each.user_id for each in callers],
            "sessions": [each.session_id for each in callers],
            "devices": [each.device_name for each in callers],
        }
        answer = await self._standing.run(conn, params)
        found = []
        for role, user_type, valid, device_id, status, own, digest in answer.rows:
            who = None if valid is None else Who(role, valid, device_id, status, own)
            found.append(Standing(who, user_type, digest))
        return found

    async def fallen(self, conn: Connection, asked: Asked) -> list[int]:
        """The places of those whose token does not hold, or who hold other scopes."""
        return [n - 1 for (n,) in (await self._fallen.run(conn, asked)).rows]


Asked = Mapping[str, str]
"""The parameters of ``live_fallen.sql``."""


def ask(badges: Sequence[Badge], digests: Sequence[str]) -> Asked:
    """Who has fallen? ``digests`` name, in hexadecimal, the scopes that each is to hold still; NULL where it does not
    matter."""
    return {
        "users": array([each.user for each in badges]),
        "sessions": array([each.session for each in badges]),
        "devices": array([each.device for each in badges]),
        "roles": array([each.role for each in badges]),
        "digests": array(digests),
    }


def fallen_sql(bound: Bound) -> sql.Composable:
    """Place, counted from 1, of each who has fallen. Takes what ``ask`` gives."""
    return _compose("live_fallen", bound)


def _compose(name: str, bound: Bound) -> sql.Composable:
    # The queries that say what a user holds are written for one user; here it is the user of the row beside them.
    names = {
        name: held_by.replace("%(user)s", "homing_caller.user_id") for name, held_by in bound.scope_names().items()
    }
    template = load(__package__, name)
    for part in ("held", "digest"):
        template = template.replace(f"%%({part})s", f"{{{part}}}")
    return sql.SQL(template).format(held=held_sql(names), digest=sql.SQL(DIGEST_SQL))
