"""Two roles on one database: the owner of the tables, and the API.

A node signs in as the owner, who migrates, makes partitions and collects. For everything done on behalf of a client it
becomes ``homing_api`` when a connection is opened: a role that owns nothing, so that row-level security holds for it,
and that may neither change tables nor rewrite history. A policy names the caller by ``homing.current_user_id()``, which
every transaction says for itself (``homing.actor``); a transaction that forgot to sees none of the rows under a policy.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType

from psycopg import sql

from homing.postgres.database import Database
from homing.postgres.sql import execute, fetch_all, fetch_one, load

AS_API: Mapping[str, str] = MappingProxyType({"role": "homing_api"})
"""Session settings of a pool that acts for clients."""


async def let_api_in(owner: Database, schemas: Collection[str]) -> None:
    """Let the API at the rows of these schemas, and at the types in them, where it is not let in yet. ``owner``: a pool
    of the tables' owner."""
    params = {"schemas": sorted({"homing", *schemas})}
    async with owner.transaction() as conn:
        if await fetch_one(conn, load(__package__, "is_api_let_in"), params) != (True,):
            await execute(conn, load(__package__, "let_api_in"), params)
        for (schema,) in await fetch_all(conn, load(__package__, "find_closed_schemas"), params):
            await conn.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO homing_api").format(sql.Identifier(schema)))
