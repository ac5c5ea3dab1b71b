"""Verify: a replica proves that it equals its scope, table by table.

The hash of a row is the first 60 bits of md5(id ':' version ':' payload), payload being the very text the server sends;
a table's hash is their sum, so the order of rows does not matter and both sides add up what they have.
"""

from __future__ import annotations

from psycopg import sql

from homing.engine.caller import Claims
from homing.engine.engine import Engine
from homing.engine.feeds import Delta
from homing.engine.pull import check_token, find_token, read_info
from homing.engine.scopes import NOTHING
from homing.engine.tables import BoundTable
from homing.engine.who import check_caller
from homing.postgres.sql import Statement
from homing.protocol.errors import Problem
from homing.protocol.messages import Digest, VerifyAnswer, VerifyRequest


def digest_statement(table: BoundTable) -> Statement:
    """Count and hash of the rows that ``user`` holds."""
    return Statement(
        sql.SQL(
            "SELECT count(*), coalesce(sum(('x' || substr("
            "md5(concat(t.{key}::text, ':', t.{version}, ':', {payload}::text)),"
            " 1, 15))::bit(60)::bigint), 0)::text FROM {table} AS t WHERE {held}"
        ).format(
            key=sql.Identifier(table.key.name),
            version=table.version_sql,
            payload=table.payload_sql(),
            table=table.qualified,
            held=table.held_sql(),
        )
    )


async def verify(engine: Engine, claims: Claims, request: VerifyRequest) -> VerifyAnswer:
    """Compare digests, all in one snapshot. Tables the request leaves out count as empty.

    ``current`` is false when something changed since the token: the replica is not wrong, only older; nothing is
    compared then. Raises Problem: invalid_token, resync_required, invalid_envelope, unauthenticated, device_*.
    """
    token = await find_token(engine, claims, request.token)
    if token.since is None or token.held is None or token.until is not None:
        raise Problem("invalid_envelope", "verify needs the token of a complete pull (has_more false)")
    known = engine.bound.by_resource_type
    if unknown := sorted(set(request.digests) - set(known)):
        raise Problem("invalid_envelope", f"digests names what is no synced table: {', '.join(unknown)}")
    given = {known[name].id: digest for name, digest in request.digests.items()}
    async with engine.indexed.connection() as conn:
        held = await engine.scope_sets.get(conn, token.held)
    async with engine.indexed.snapshot() as conn:
        delta = Delta(token.since, held, NOTHING, None, held, token.tables, 0)
        statement, params = engine.feeds.page(delta, None, limit=1)
        params |= {
            "user": claims.user_id,
            "session": claims.session_id,
            "device": claims.device_name,
            "guess": held.digest,
        }
        result = (await statement.run(conn, params)).result
        assert result is not None
        info, here = read_info(result)
        check_caller(info.who, claims, device_needed=False)
        check_token(token, info, here)
        if info.scopes is not None or result.ntuples > 1:
            return VerifyAnswer(equal=False, current=False, differ=[], digests={})
        found: dict[str, Digest] = {}
        differ: list[str] = []
        for table in engine.bound.tables:
            if token.tables is not None and table.id not in token.tables:
                continue
            row = (await digest_statement(table).run(conn, {"user": claims.user_id})).row
            assert row is not None
            ours = Digest(count=row[0], hash=row[1])
            found[table.resource_type] = ours
            theirs = given.get(table.id, Digest(count=0, hash="0"))
            if theirs != ours:
                differ.append(table.resource_type)
    return VerifyAnswer(equal=not differ, current=True, differ=differ, digests=found)
