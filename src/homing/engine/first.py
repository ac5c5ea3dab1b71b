"""A first load that is not a pull: rows in an application's own shape, and the token from which pulls go on.

A new device may want the most useful rows first, in members that its app knows by name, and not all there are. What it
is given must not cost it anything later: after it, an ordinary pull has to bring exactly what is missing. So a first
load stands where a pull's first page would stand: it has the snapshot S1 and the held scopes D1 of its beginning, and
it gives out rows of D1 whose last change is visible in S1, and no others (``pull.py`` tells why). Then

* a device that got every such row has the complete token (S1, D1);
* a device that got only some tables whole has a pull in progress: in the order of the feeds, everything before the
  first table that it did not get whole is behind it. The pull sends that table, and what follows it, from their
  beginnings: some rows come twice, none is missing.

Whoever reads the rows says which tables were whole. Rights that change on the way end the load: the pull in progress is
handed over as it stands, and knows what to do.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec
from psycopg import sql

from homing.engine.caller import Claims
from homing.engine.engine import Engine
from homing.engine.feeds import Delta
from homing.engine.pull import check_token, read_info, read_token
from homing.engine.scopes import NOTHING, ScopeSet
from homing.engine.tables import BoundTable
from homing.engine.who import check_caller, read_who
from homing.postgres.sql import Connection, Statement
from homing.protocol import token as tokens
from homing.protocol.errors import Problem
from homing.protocol.token import Snapshot, Token


@dataclass(frozen=True, slots=True)
class FirstLoad:
    """``token``: a pull at its very beginning. ``scopes``: D1. ``current``: the caller holds the same now."""

    token: Token
    scopes: ScopeSet
    current: bool

    @property
    def snapshot(self) -> Snapshot:
        """S1."""
        assert self.token.until is not None
        return self.token.until


async def begin(engine: Engine, claims: Claims, tables: Collection[BoundTable]) -> FirstLoad:
    """Where a first load of ``tables`` stands. Raises Problem: unauthenticated, device_*, unavailable."""
    nothing = Token(epoch=UUID(int=0), user=claims.user_id, tables=tuple(sorted(table.id for table in tables)))
    async with engine.database.connection() as conn:
        scopes, token = await _look(engine, conn, claims, nothing, NOTHING)
        await engine.scope_sets.put(conn, scopes)
    return FirstLoad(token, scopes, current=True)


async def resume(engine: Engine, conn: Connection, claims: Claims, text: str) -> FirstLoad:
    """The load that ``text`` (``begun``) belongs to. ``conn``: in the snapshot in which the next rows are read.

    Raises Problem: invalid_token, resync_required, unauthenticated, device_*.
    """
    token = read_token(engine, claims, text)
    if token.since is not None or token.until is None or token.entering is None or token.place is not None:
        raise Problem("invalid_token")
    scopes = await engine.scope_sets.get(conn, token.entering)
    held, _ = await _look(engine, conn, claims, token, scopes)
    return FirstLoad(token, scopes, current=held.digest == scopes.digest)


async def _look(
    engine: Engine, conn: Connection, claims: Claims, token: Token, guess: ScopeSet
) -> tuple[ScopeSet, Token]:
    """The held scopes, and ``token`` as a pull that begins here and now, confirming the caller: a page of no feeds."""
    statement, params = engine.feeds.page(Delta(None, NOTHING, NOTHING, None, NOTHING, token.tables, 0), None, limit=1)
    params |= {
        "user": claims.user_id,
        "session": claims.session_id,
        "device": claims.device_name,
        "guess": guess.digest,
    }
    result = (await statement.run(conn, params)).result
    assert result is not None
    info, here = read_info(result)
    check_caller(info.who or await read_who(conn, claims), claims, device_needed=False)
    check_token(token, info, here)
    held = guess if info.scopes is None else ScopeSet.of(info.scopes)
    until = here.bounded(engine.limits.token_xids_max)
    return held, msgspec.structs.replace(token, epoch=info.epoch, until=until, entering=held.digest)


def begun(engine: Engine, load: FirstLoad) -> str:
    """The load's name: what ``resume`` takes. Also a token, from which a pull brings everything."""
    return tokens.encode(load.token, engine.token_keys)


def hand_over(engine: Engine, load: FirstLoad, *, whole: Collection[BoundTable], given: int) -> str:
    """The token of a device that got these tables whole, and ``given`` rows at all."""
    known = {table.id for table in whole}
    place = None if not load.current else engine.feeds.beginning(load.scopes, load.token.tables, known)
    if place is not None:
        following = msgspec.structs.replace(load.token, place=place, delivered=given)
    elif load.current:
        following = complete(engine, load, given=given)
    else:
        following = load.token
    return tokens.encode(following, engine.token_keys)


def complete(engine: Engine, load: FirstLoad, *, given: int) -> Token:
    """The token of a device that got every row."""
    return Token(
        epoch=load.token.epoch,
        user=load.token.user,
        since=load.snapshot,
        held=load.token.entering,
        delivered=given,
        issued_at=int(engine.clock().timestamp()),
        tables=load.token.tables,
    )


def write_token(engine: Engine, token: Token) -> str:
    """A token as it travels."""
    return tokens.encode(token, engine.token_keys)


async def read_rows(
    conn: Connection, load: FirstLoad, table: BoundTable, ids: Sequence[str]
) -> Mapping[str, tuple[int, str]]:
    """Of these rows those that are still as the load's snapshot saw them: key → (version, payload as JSON).

    The ids come from a query over the keys of ``load.scopes``.
    """
    rows = (await _rows(table).run(conn, {"ids": list(ids), "until": str(load.snapshot)})).rows
    return {key: (version, payload) for key, version, payload in rows}


def _rows(table: BoundTable) -> Statement:
    query: Any = sql.SQL(
        "SELECT t.{key}::text, t.{version}, {payload}::text FROM {table} AS t"
        " WHERE t.{key} = ANY (%(ids)s::text[]::{type}[])"
        " AND pg_visible_in_snapshot(t.changed, %(until)s::text::pg_snapshot)"
    ).format(
        key=sql.Identifier(table.key.name),
        version=table.version_sql,
        payload=table.payload_sql(),
        table=table.qualified,
        type=sql.SQL(table.key_type),
    )
    return Statement(query)
