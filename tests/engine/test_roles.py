"""The API's role: row-level security holds for it, whatever a query forgot to say, and it changes nothing but rows."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import pytest

from homing.declare import ALL, App, DeclarationError
from homing.engine.caller import Claims
from homing.postgres.database import Database
from homing.postgres.sql import Connection
from tests.engine.demo import demo
from tests.engine.world import World, create, item, opened, update
from tests.fixtures.engine import both_servers

POLICY = """
ALTER TABLE demo.items ENABLE ROW LEVEL SECURITY;
CREATE POLICY team_of_the_caller ON demo.items USING (EXISTS (
    SELECT FROM demo.members m WHERE m.team_id = items.team_id AND m.user_id = (SELECT homing.current_user_id())))
"""


def careless() -> App:
    """The demo, but whoever wrote its scopes forgot to ask who holds what."""
    app = App("demo")
    app.scope("team", held_by="SELECT id FROM demo.teams")
    app.table("teams", in_scopes={"team": "id"}, write={"OWNER": ALL})
    app.table("items", in_scopes={"team": "team_id"}, write={"WORKER": ALL}, hide=("secret",))
    return app


@asynccontextmanager
async def as_api(world: World, actor: object) -> AsyncIterator[Connection]:
    """A transaction of the API that says it acts for ``actor``; None: it says nothing."""
    async with world.engine.database.connection() as conn, conn.transaction(force_rollback=True):
        if actor is not None:
            await conn.execute("SELECT set_config('homing.actor', %s, true)", [str(actor)])
        yield conn


async def titles(world: World, actor: object) -> list[str]:
    """What a query without any WHERE gives the API."""
    async with as_api(world, actor) as conn:
        rows = await (await conn.execute("SELECT title FROM demo.items ORDER BY title")).fetchall()
    return [title for (title,) in rows]


async def two_teams(world: World) -> tuple[Claims, Claims, str, str]:
    """Two people of two teams, an item each."""
    ours, theirs = await world.team("ours"), await world.team("theirs")
    we, they = await world.person("WORKER", ours), await world.person("WORKER", theirs)
    await world.push(we, item(ours, title="ours"))
    await world.push(they, item(theirs, title="theirs"))
    return we, they, ours, theirs


@both_servers
async def test_a_query_without_a_where_gives_a_caller_only_what_the_policy_gives(world: World) -> None:
    we, they, _, _ = await two_teams(world)
    assert await titles(world, we.user_id) == ["ours", "theirs"]
    await world.execute(POLICY)
    assert await titles(world, we.user_id) == ["ours"]
    assert await titles(world, they.user_id) == ["theirs"]
    assert sorted(title for (title,) in await world.execute("SELECT title FROM demo.items")) == ["ours", "theirs"]


@pytest.mark.parametrize(
    "actor", [None, "", "outside", "00000000-0000-0000-0000-000000000000", "' OR true --"], ids=repr
)
async def test_who_does_not_say_for_whom_gets_nothing(world: World, actor: str | None) -> None:
    await two_teams(world)
    assert await titles(world, actor) == ["ours", "theirs"]
    await world.execute(POLICY)
    assert await titles(world, actor) == []


async def test_what_one_transaction_said_is_not_there_in_the_next(world: World) -> None:
    we, _, _, _ = await two_teams(world)
    await world.execute(POLICY)
    database = Database(world.url, pool_size=1, options={"role": "homing_api"})
    await database.open()
    try:
        async with database.transaction(actor=str(we.user_id)) as conn:
            assert await (await conn.execute("SELECT title FROM demo.items")).fetchall() == [("ours",)]
        async with database.connection() as conn:
            assert await (await conn.execute("SELECT title FROM demo.items")).fetchall() == []
    finally:
        await database.close()


async def test_scopes_that_give_everything_away_leak_nothing_through_a_policy(demo_url: str) -> None:
    async with opened(demo_url, [careless()]) as world:
        we, they, _, theirs = await two_teams(world)
        everything = await world.sync(we)
        assert sorted(row["title"] for row in everything.payloads("item").values()) == ["ours", "theirs"]
        foreign = next(row for row in everything.payloads("item").values() if row["title"] == "theirs")

        await world.execute(POLICY)
        guarded = await world.sync(we)
        assert [row["title"] for row in guarded.payloads("item").values()] == ["ours"]
        assert sorted(row["name"] for row in guarded.payloads("team").values()) == ["ours", "theirs"]
        assert [row["title"] for row in (await world.sync(they)).payloads("item").values()] == ["theirs"]

        changed, made = await world.push(
            we,
            update("item", foreign["id"], 1, title="taken over"),
            create("item", team_id=theirs, title="smuggled in"),
        )
        absent = await world.push(we, update("item", "00000000-0000-4000-8000-000000000000", 1, title="taken over"))
        assert (changed["status"], changed["code"]) == ("error", "not_found")
        assert {**changed, "index": 0, "server_id": None} == {**absent[0], "server_id": None}
        assert (made["status"], made["code"]) == ("error", "forbidden")
        assert sorted(await world.execute("SELECT title FROM demo.items")) == [("ours",), ("theirs",)]


@both_servers
async def test_under_a_policy_a_device_pulls_and_pushes_as_before(world: World) -> None:
    await world.execute(POLICY)
    we, _, ours, _ = await two_teams(world)
    replica = await world.sync(we)
    (mine,) = replica.payloads("item").values()
    first, second = await world.push(we, update("item", mine["id"], 1, title="changed"), item(ours, title="another"))
    assert (first["status"], first["server_version"], second["status"]) == ("ok", 2, "ok")
    replica = await world.sync(we, replica)
    assert sorted(row["title"] for row in replica.payloads("item").values()) == ["another", "changed"]
    (conflict,) = await world.push(await world.another_device(we), update("item", mine["id"], 1, title="too late"))
    assert (conflict["status"], conflict["server_payload"]["title"]) == ("conflict", "changed")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE homing.history SET actor = 'nobody'",
        "DELETE FROM homing.history",
        "TRUNCATE homing.history",
        "INSERT INTO homing.keys (purpose, secret) VALUES ('access', decode(repeat('00', 32), 'hex'))",
        "UPDATE homing.epoch SET epoch = gen_random_uuid()",
        "TRUNCATE demo.items",
        "ALTER TABLE demo.items DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE demo.items DISABLE TRIGGER ALL",
        "CREATE TABLE demo.own ()",
        "SET session_replication_role = replica",
    ],
)
async def test_the_api_changes_nothing_but_rows(world: World, statement: str) -> None:
    async with as_api(world, None) as conn:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await conn.execute(statement)  # type: ignore[call-overload]


async def test_the_role_owns_nothing_and_is_above_no_policy(world: World) -> None:
    rows = await world.execute(
        "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication,"
        " (SELECT count(*) FROM pg_class WHERE relowner = r.oid) FROM pg_roles r WHERE rolname = 'homing_api'"
    )
    assert rows == [(False, False, False, False, False, False, 0)]
    async with as_api(world, None) as conn:
        row = await (await conn.execute("SELECT current_user")).fetchone()
    assert row == ("homing_api",)


async def test_a_scope_that_reads_what_the_api_may_not_is_a_mistake_in_the_declaration(world: World) -> None:
    await world.execute("CREATE SCHEMA payroll; CREATE TABLE payroll.staff (user_id uuid, team_id uuid)")
    app = demo()
    app.scope("staff", held_by="SELECT team_id FROM payroll.staff WHERE user_id = %(user)s")
    with pytest.raises(DeclarationError) as raised:
        async with opened(world.url, [app]):
            pass
    assert "permission denied for schema payroll: GRANT SELECT on it TO homing_api" in str(raised.value)
    await world.execute("GRANT USAGE ON SCHEMA payroll TO homing_api; GRANT SELECT ON payroll.staff TO homing_api")
    async with opened(world.url, [app]) as granted:
        assert (await granted.sync(await granted.person())).rows == {}
