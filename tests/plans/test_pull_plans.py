"""The plans of a page: along indexes, in order, stopping at the limit, whatever the size of the table."""

import json
from typing import Any

import pytest
from psycopg import AsyncRawCursor

from homing.engine.caller import Claims
from homing.engine.feeds import Delta
from homing.engine.scopes import NOTHING, ScopeSet, held_statement
from homing.protocol.token import Place, Snapshot
from tests.engine.world import World
from tests.fixtures.engine import both_servers

ROWS = 20_000
BIG = "items"


async def _fill(world: World, team: str, *, analyze: bool = True) -> None:
    await world.execute(
        "INSERT INTO demo.items (team_id, title) SELECT %s, 'item ' || n FROM generate_series(1, %s) n", [team, ROWS]
    )
    if analyze:
        await world.execute("ANALYZE demo.items")


async def _explain(world: World, claims: Claims, delta: Delta, place: Place | None = None) -> list[dict[str, Any]]:
    """The nodes of the executed plan of one page of 100 that look at the big table."""
    statement, params = world.engine.feeds.page(delta, place, limit=100)
    params |= {
        "user": claims.user_id,
        "session": claims.session_id,
        "device": claims.device_name,
        "guess": delta.now.digest,
    }
    async with world.engine.indexed.connection() as conn:
        cursor = AsyncRawCursor(conn)
        await cursor.execute(
            "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + statement.text, [params[name] for name in statement.names]
        )
        row = await cursor.fetchone()
    assert row is not None
    found: list[dict[str, Any]] = []

    def walk(node: dict[str, Any]) -> bool:
        """Whether the big table is in or below this node. No sort may stand above it."""
        below = [walk(child) for child in node.get("Plans", ())]
        if node.get("Relation Name") == BIG:
            found.append(node)
            return True
        assert "Sort" not in node["Node Type"] or not any(below)
        return any(below)

    walk(row[0][0]["Plan"])
    return found


async def _held(world: World, claims: Claims) -> ScopeSet:
    async with world.engine.database.connection() as conn:
        rows = (await held_statement(world.engine.bound.scope_names()).run(conn, {"user": claims.user_id})).rows
    return ScopeSet.of(scope for (scope,) in rows)


def _read(nodes: list[dict[str, Any]]) -> int:
    """Rows that the scans of the big table looked at."""
    return int(
        sum((node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"] for node in nodes)
    )


@both_servers
@pytest.mark.parametrize("role", ["WORKER", "OWNER"])
async def test_a_page_in_the_middle_of_a_first_sync_reads_a_page_of_rows(world: World, role: str) -> None:
    team = await world.team()
    await _fill(world, team)
    claims = await world.person(role, team)
    held = await _held(world, claims)
    first = await world.page(claims, None, limit=ROWS // 2)
    token = world.read(claims, first["next_token"])
    assert token.place is not None

    nodes = await _explain(world, claims, Delta(None, NOTHING, NOTHING, token.until, held, None, 0), token.place)

    assert {node["Node Type"] for node in nodes} == {"Index Scan"}
    assert 90 <= _read(nodes) <= 110


@both_servers
async def test_a_plan_made_for_one_team_serves_a_table_of_many(world: World) -> None:
    """Plans are kept. One made while the table held one team's rows must not walk over everybody's later."""
    mine, other = await world.team(), await world.team()
    await world.execute(
        "INSERT INTO demo.items (team_id, title) SELECT %s, 'item ' || n FROM generate_series(1, 150) n", [mine]
    )
    await world.execute("ANALYZE demo.items")
    claims = await world.person("WORKER", mine)
    held = await _held(world, claims)
    before = await world.page(claims, None, limit=100)
    await _fill(world, other, analyze=False)

    nodes = await _explain(world, claims, Delta(None, NOTHING, NOTHING, None, held, None, 0))

    assert before["has_more"] is True
    assert 90 <= _read(nodes) <= 110


@both_servers
async def test_an_empty_delta_reads_nothing_of_a_large_table(world: World) -> None:
    team = await world.team()
    await _fill(world, team)
    claims = await world.person("WORKER", team)
    held = await _held(world, claims)
    replica = await world.sync(claims)
    assert replica.token is not None
    since = world.read(claims, replica.token).since
    assert since is not None
    assert len(replica.payloads("item")) == ROWS

    nodes = await _explain(world, claims, Delta(since, held, NOTHING, None, held, None, 0))

    assert nodes
    assert {node["Node Type"] for node in nodes} <= {"Index Scan", "Index Only Scan"}
    assert _read(nodes) <= 1
    # Nor of its index: a comparison that the index cannot begin at would walk over every entry of the key.
    assert sum(node["Shared Hit Blocks"] + node["Shared Read Blocks"] for node in nodes) <= 12


async def test_many_scopes_and_few_changes_start_from_the_changes(world: World) -> None:
    mine = await world.team()
    await _fill(world, mine)
    claims = await world.person("WORKER", mine)
    await world.execute(
        "WITH made AS (INSERT INTO demo.teams (name) SELECT 'team' FROM generate_series(1, 2000) RETURNING id)"
        " INSERT INTO demo.members (team_id, user_id) SELECT id, %s FROM made",
        [claims.user_id],
    )
    held = await _held(world, claims)
    rows = await world.execute("SELECT pg_current_snapshot()::text")
    since = Snapshot.parse(rows[0][0])
    await world.execute("UPDATE demo.items SET title = 'changed' WHERE title = 'item 7'")

    nodes = await _explain(world, claims, Delta(since, held, NOTHING, None, held, None, 1))

    assert len(held.scopes) == 2001
    assert _read(nodes) <= 2
    assert sum(node["Actual Loops"] for node in nodes) <= 2


async def test_the_page_of_the_plan_is_the_page_of_the_answer(world: World) -> None:
    """The statement that is explained above brings what a pull brings."""
    team = await world.team()
    claims = await world.person("WORKER", team)
    await world.execute(
        "INSERT INTO demo.items (team_id, title) SELECT %s, 'item ' || n FROM generate_series(1, 5) n", [team]
    )
    held = await _held(world, claims)
    statement, params = world.engine.feeds.page(Delta(None, NOTHING, NOTHING, None, held, None, 0), None, limit=100)
    params |= {
        "user": claims.user_id,
        "session": claims.session_id,
        "device": claims.device_name,
        "guess": held.digest,
    }
    async with world.engine.indexed.connection() as conn:
        rows = (await statement.run(conn, params)).rows

    page = await world.page(claims, None, limit=100)

    assert [json.loads(row[5]) for row in rows[1:]] == page["changes"]
    assert len(page["changes"]) == 6
