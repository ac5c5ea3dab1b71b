"""An epoch is one unbroken line of transaction ids: a token of another line is told so, never answered with less."""

import asyncio
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import pytest

from homing.declare import ALL, App
from homing.engine import epoch
from homing.engine.caller import Claims
from homing.postgres.embedded import binaries
from homing.protocol import token as tokens
from homing.protocol.errors import Problem
from homing.protocol.token import Snapshot
from tests.engine.demo import demo
from tests.engine.world import KEYS, Replica, World, item, opened, update
from tests.fixtures.cluster import Cluster
from tests.fixtures.engine import both_servers
from tests.fixtures.postgres15 import BINARIES


async def refusal(world: World, claims: Claims, token: str | None) -> tuple[int | None, str, str, Any]:
    """How a token is refused: status, code, what the client does next, the reason."""
    with pytest.raises(Problem) as caught:
        await world.page(claims, token)
    problem = caught.value
    return problem.code.status, problem.code.code, problem.code.action.value, problem.extra.get("reason")


RESYNC = (410, "resync_required", "resync")


async def settled(world: World) -> tuple[UUID, str]:
    (found,) = await world.execute("SELECT epoch, reason FROM homing.epoch")
    return found


async def one_team(world: World) -> tuple[str, Claims]:
    team = await world.team()
    return team, await world.person("WORKER", team)


async def is_whole(world: World, claims: Claims) -> Replica:
    """Start from nothing; then nothing more is to come, and later changes come by themselves."""
    replica = await world.sync(claims)
    assert (await world.page(claims, replica.token))["next_token"] == replica.token
    ids = await world.execute("SELECT id::text FROM demo.items")
    assert {(row_id,) for row_id in replica.payloads("item")} == set(ids)
    await world.execute("UPDATE demo.items SET title = 'changed since' WHERE id::text = %s", [min(ids)[0]])
    changes = (await world.page(claims, replica.token))["changes"]
    assert [change["payload"]["title"] for change in changes] == ["changed since"]
    return replica


async def test_a_restart_is_no_new_epoch(demo_url: str) -> None:
    async with opened(demo_url, [demo()]) as world:
        team, claims = await one_team(world)
        await world.push(claims, item(team))
        replica = await world.sync(claims)
        before = await settled(world)
    async with opened(demo_url, [demo()]) as world:
        assert await settled(world) == before
        assert (await world.page(claims, replica.token))["next_token"] == replica.token


@pytest.mark.parametrize("tables", ["slots", "items CASCADE", "teams CASCADE"])
async def test_truncating_a_synced_table_is_an_epoch(world: World, tables: str) -> None:
    team, claims = await one_team(world)
    await world.push(claims, item(team))
    replica, paged = await world.sync(claims), await world.page(claims, limit=1)
    before, _ = await settled(world)
    await world.execute(f"TRUNCATE demo.{tables}")
    after, reason = await settled(world)
    assert after != before
    assert reason.startswith("truncate of demo.")
    assert await refusal(world, claims, replica.token) == (*RESYNC, "epoch")
    assert await refusal(world, claims, paged["next_token"]) == (*RESYNC, "epoch")
    assert len((await world.sync(claims)).payloads("item")) == (tables == "slots")


async def test_a_truncation_that_is_rolled_back_is_none(world: World) -> None:
    team, claims = await one_team(world)
    await world.push(claims, item(team))
    replica = await world.sync(claims)
    with psycopg.connect(world.url) as conn:
        conn.execute("TRUNCATE demo.items CASCADE")
        conn.rollback()
    assert (await world.page(claims, replica.token))["next_token"] == replica.token


async def test_a_token_from_the_future_is_refused(world: World) -> None:
    """A server that was set back to an earlier point, and did not notice."""
    team, claims = await one_team(world)
    await world.push(claims, item(team))
    complete, paged = (await world.sync(claims)).token, (await world.page(claims, limit=1))["next_token"]
    assert complete is not None
    later = Snapshot(10**9, 10**9)
    for text, changed in ((complete, {"since": later}), (paged, {"until": later})):
        fields = {name: getattr(world.read(claims, text), name) for name in tokens.Token.__struct_fields__} | changed
        future = tokens.encode(tokens.Token(**fields), KEYS)
        assert await refusal(world, claims, future) == (*RESYNC, "future")


async def test_a_token_below_the_floor_is_refused(world: World) -> None:
    team, claims = await one_team(world)
    await world.push(claims, item(team))
    replica, paged = await world.sync(claims), await world.page(claims, limit=1)
    await world.push(claims, item(team))
    await world.execute("UPDATE homing.epoch SET floor = pg_current_xact_id()")
    assert await refusal(world, claims, replica.token) == (*RESYNC, "too_old")
    assert await refusal(world, claims, paged["next_token"]) == (*RESYNC, "too_old")
    await is_whole(world, claims)


async def test_somebody_may_say_so(world: World) -> None:
    team, claims = await one_team(world)
    await world.push(claims, item(team))
    replica = await world.sync(claims)
    async with world.engine.owner.connection() as conn:
        await epoch.begin(conn, "a copy of the files")
    with pytest.raises(Problem, match="a copy of the files"):
        await world.page(claims, replica.token)
    await is_whole(world, claims)


# --------------------------------------------------------------------------------------------------- declarations


def shop(*, hide: tuple[str, ...] = (), scope: str = "owner_id", held_by: str = "SELECT id FROM homing.users") -> App:
    app = App("shop")
    app.scope("own", held_by=f"{held_by} WHERE id = %(user)s")
    app.table("goods", in_scopes={"own": scope}, hide=hide, write={"WORKER": ALL})
    return app


async def test_other_columns_or_other_scope_keys_are_an_epoch_and_other_rights_are_not(demo_url: str) -> None:
    async with opened(demo_url, []) as bare:
        await bare.execute("CREATE SCHEMA shop; CREATE TABLE shop.goods (id int PRIMARY KEY, owner_id uuid, cost int)")
        claims = await bare.person()
    epochs = []
    for app in (
        shop(),
        shop(held_by="SELECT DISTINCT id FROM homing.users"),
        shop(hide=("cost",)),
        shop(hide=("cost",), scope="coalesce(owner_id, owner_id)"),
        shop(scope="coalesce(owner_id, owner_id)"),
    ):
        async with opened(demo_url, [app]) as world:
            epochs.append((await settled(world))[0])
            await world.sync(claims)
    assert epochs[0] == epochs[1]
    assert len(set(epochs[1:])) == 4


async def test_two_nodes_that_start_at_once_agree(demo_url: str) -> None:
    async def start() -> UUID:
        async with opened(demo_url, [demo()]) as world:
            return (await settled(world))[0]

    found = await asyncio.gather(*(start() for _ in range(4)))
    assert len(set(found)) == 1


# ---------------------------------------------------------------------------------------------- another database


async def test_a_clone_is_another_line(demo_url: str, engine_cluster: Cluster) -> None:
    async with opened(demo_url, [demo()]) as world:
        team, claims = await one_team(world)
        await world.push(claims, item(team), item(team))
        replica = await world.sync(claims)
    clone = engine_cluster.create_database(demo_url.partition("?")[0].rpartition("/")[2])
    try:
        async with opened(clone, [demo()]) as world:
            assert (await settled(world))[1] == "another database"
            assert await refusal(world, claims, replica.token) == (*RESYNC, "epoch")
            await is_whole(world, claims)
    finally:
        engine_cluster.drop_database(clone)


def run(*command: str | Path, given: bytes = b"") -> bytes:
    done = subprocess.run(command, input=given, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def tools(cluster: Cluster) -> Path:
    """The client programs of the cluster's own version."""
    with psycopg.connect(cluster.admin) as conn:
        return BINARIES if conn.info.server_version < 160000 else binaries()


def move_ahead(url: str, transactions: int) -> None:
    """Make the database as one that has seen so many more transactions."""
    with psycopg.connect(url) as conn:
        names = conn.execute(
            "SELECT tgname FROM pg_trigger WHERE tgrelid = 'demo.items'::regclass AND NOT tgisinternal"
        )
        conn.execute("ALTER TABLE demo.items DISABLE TRIGGER USER")
        for table, column in (("demo.items", "changed"), ("homing.departures", "xid"), ("homing.history", "xid")):
            conn.execute(f"UPDATE {table} SET {column} = ({column}::text::bigint + {transactions})::text::xid8")
        for (name,) in names.fetchall():
            always = "ALWAYS" if name.startswith("zz_") else ""
            conn.execute(f"ALTER TABLE demo.items ENABLE {always} TRIGGER {name}")


@both_servers
@pytest.mark.parametrize("later", [0, 10_000_000])
async def test_a_dump_that_is_restored_is_another_line(demo_url: str, engine_cluster: Cluster, later: int) -> None:
    """``later``: how many transactions ahead the dumped cluster was of the one that the dump is restored to."""
    async with opened(demo_url, [demo()]) as world:
        team, claims = await one_team(world)
        ids = [r["server_id"] for r in await world.push(claims, *(item(team, title=f"t{n}") for n in range(5)))]
        await world.push(claims, update("item", ids[0], 1, title="second"))
        await world.execute("DELETE FROM demo.items WHERE id = %s", [ids[4]])
        replica, paged = await world.sync(claims), await world.page(claims, limit=1)
        before = replica.rows
        await world.execute(
            "INSERT INTO homing.push_notifications (user_id, platform, notification_type, title, body)"
            " SELECT id, 'web', 'test', 'A title', 'A body' FROM homing.users LIMIT 1"
        )
        if later:
            move_ahead(demo_url, later)
            await world.execute(
                "UPDATE homing.push_notifications SET caused = (caused::text::bigint + %s)::text::xid8", [later]
            )
    programs = tools(engine_cluster)
    dump = run(programs / "pg_dump", "--format=custom", demo_url)
    restored = engine_cluster.create_database()
    try:
        run(programs / "pg_restore", f"--dbname={restored}", "--exit-on-error", given=dump)
        async with opened(restored, [demo()]) as world:
            assert await refusal(world, claims, replica.token) == (*RESYNC, "epoch")
            assert await refusal(world, claims, paged["next_token"]) == (*RESYNC, "epoch")
            again = await world.sync(claims)
            assert {key: payload for key, (_, payload) in again.rows.items()} == {
                key: payload for key, (_, payload) in before.items()
            }
            assert (await world.page(claims, again.token))["changes"] == []
            # What was done before the dump is still history: an edit on an old base meets it.
            other = await world.person("WORKER", team)
            version = again.rows["item", ids[1]][0]
            results = await world.push(
                other, update("item", ids[0], 1, title="mine"), update("item", ids[1], version, status="s")
            )
            assert [(r["status"], r.get("code")) for r in results] == [("conflict", "version_conflict"), ("ok", None)]
            await is_whole(world, claims)
            told = await world.execute(
                "SELECT caused IS NULL OR caused < pg_current_xact_id() FROM homing.push_notifications"
            )
            assert told == [(True,)]
    finally:
        engine_cluster.drop_database(restored)


# ------------------------------------------------------------------------------------------------------ staleness


@both_servers
async def test_a_transaction_left_open_anywhere_stalls_nothing(
    world: World, engine_cluster: Cluster, new_database: Callable[..., str]
) -> None:
    """In this database and in another one of the cluster, for the whole test. A horizon would send the same again and
    again, or nothing."""
    elsewhere = engine_cluster.create_database()
    team, claims = await one_team(world)
    try:
        with psycopg.connect(elsewhere) as far, psycopg.connect(world.url) as near:
            far.execute("CREATE TABLE t (a int)")
            near.execute("INSERT INTO demo.items (team_id, title) VALUES (%s, 'late')", [team])
            replica = await world.sync(claims)
            for n in range(5):
                row = (await world.push(claims, item(team, title=f"t{n}")))[0]["server_id"]
                page = await world.page(claims, replica.token)
                assert [(change["id"], change["action"]) for change in page["changes"]] == [(row, "create")]
                assert not page["has_more"]
                replica.apply(page)
                empty = await world.page(claims, replica.token)
                assert (empty["changes"], empty["next_token"]) == ([], replica.token)
            assert replica.token is not None
            token = world.read(claims, replica.token)
            assert token.since is not None
            assert len(token.since.running) >= 1
            near.commit()
            page = await world.page(claims, replica.token)
            assert [change["payload"]["title"] for change in page["changes"]] == ["late"]
            replica.apply(page)
            far.rollback()
            assert (await world.page(claims, replica.token))["changes"] == []
    finally:
        engine_cluster.drop_database(elsewhere)


async def test_with_more_open_transactions_than_a_token_names_nothing_is_lost(demo_url: str) -> None:
    async with opened(demo_url, [demo()]) as world:
        limits = msgspec.structs.replace(world.engine.limits, token_xids_max=5)
        world.engine = replace(world.engine, limits=limits)
        team, claims = await one_team(world)
        open_ones = [psycopg.connect(demo_url) for _ in range(12)]
        try:
            for n, conn in enumerate(open_ones):
                conn.execute("INSERT INTO demo.items (team_id, title) VALUES (%s, %s)", [team, f"late {n}"])
            await world.push(claims, item(team, title="first"))
            replica = await world.sync(claims)
            token = world.read(claims, replica.token or "")
            assert token.since is not None
            assert token.since.running == ()
            for conn in open_ones:
                conn.commit()
                await world.sync(claims, replica)
            titles = {row["title"] for row in replica.payloads("item").values()}
            assert titles == {"first", *(f"late {n}" for n in range(12))}
        finally:
            for conn in open_ones:
                conn.close()
