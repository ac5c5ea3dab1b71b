"""Pages: what they hold, when a device is complete, and rights that change between two of them."""

import random
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from homing.engine.scopes import NOTHING, ScopeSet
from homing.protocol.errors import Problem
from tests.engine import yard
from tests.engine.demo import demo
from tests.engine.world import Json, Replica, World, delete, item, opened, update


def kinds(page: Json) -> list[tuple[str, str, str | None]]:
    return [(change["resource_type"], change["action"], change.get("reason")) for change in page["changes"]]


async def pages(world: World, claims: Any, replica: Replica, limit: int) -> list[Json]:
    """Pull until complete; every page."""
    found = []
    while not found or found[-1]["has_more"]:
        found.append(await world.page(claims, replica.token, limit=limit))
        replica.apply(found[-1])
    return found


async def fill(world: World, team: str, count: int) -> None:
    await world.execute(
        "INSERT INTO demo.items (team_id, title) SELECT %s, 'item ' || n FROM generate_series(1, %s) n", [team, count]
    )


async def test_a_change_is_the_whole_row_and_says_what_happened(world: World) -> None:
    team = await world.team("red")
    claims = await world.person("WORKER", team)
    given = {"title": "a", "tags": ["x"], "price": "1.50", "status": None, "quantity": 3}
    row = (await world.push(claims, item(team, **given)))[0]["server_id"]
    page = await world.page(claims)
    payload = {
        "id": row, "team_id": team, "parent_id": None, "title": "a", "status": None, "stage": None, "notes": None,
        "tags": ["x"], "quantity": 3, "price": "1.50", "code": None, "author": str(claims.user_id),
    }  # fmt: skip
    created = {"action": "create", "server_version": 1}
    assert page == {
        "next_token": page["next_token"],
        "changes": [
            {"id": team, "resource_type": "team", **created, "payload": {"id": team, "name": "red"}},
            {"id": row, "resource_type": "item", **created, "payload": payload},
        ],
        "has_more": False,
        "server_time": page["server_time"],
    }  # fmt: skip
    await world.push(claims, update("item", row, 1, title="b"))
    page = await world.page(claims, page["next_token"])
    changed = {"id": row, "resource_type": "item", "action": "update", "payload": payload | {"title": "b"}}
    assert page["changes"] == [changed | {"server_version": 2}]
    await world.push(claims, delete("item", row, 2))
    page = await world.page(claims, page["next_token"])
    gone = {"id": row, "resource_type": "item", "action": "delete", "payload": None, "server_version": None}
    assert page["changes"] == [gone | {"reason": "deleted"}]


async def test_nothing_new_is_the_same_token(world: World) -> None:
    team, foreign = await world.team(), await world.team()
    claims = await world.person("WORKER", team)
    await fill(world, team, 3)
    replica = await world.sync(claims)
    await fill(world, foreign, 3)  # something happened, not for this device
    page = await world.page(claims, replica.token)
    assert (page["changes"], page["next_token"], page["has_more"]) == ([], replica.token, False)


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 10, 11, 12, 1000])
async def test_pages_of_any_size_bring_the_same_rows_once(world: World, limit: int) -> None:
    teams = [await world.team() for _ in range(3)]
    claims = await world.person("WORKER", *teams[:2])
    for team in teams:
        await fill(world, team, 5)
    replica = Replica()
    found = await pages(world, claims, replica, limit)
    assert len(replica.payloads("item")) == 10
    assert len(replica.payloads("team")) == 2
    assert sum(len(page["changes"]) for page in found) == 12
    assert all(len(page["changes"]) == limit for page in found[:-1])
    assert all(page["has_more"] for page in found[:-1])


async def test_limits_are_kept(world: World) -> None:
    claims = await world.person("OWNER")
    for wrong in (0, -1):
        with pytest.raises(Problem, match="invalid_envelope"):
            await world.page(claims, limit=wrong)
    await fill(world, await world.team(), 30)
    assert len((await world.page(claims, limit=10**9))["changes"]) == 31


async def test_a_transaction_longer_than_a_page_is_never_half_complete(world: World) -> None:
    """Accounts whose sum is constant: the device shows it right whenever it may show anything."""
    team = await world.team()
    claims = await world.person("WORKER", team)
    await fill(world, team, 20)
    await world.execute("UPDATE demo.items SET quantity = 100")
    replica, rng, complete = Replica(), random.Random(3), 0
    transfer = """
        WITH chosen AS (SELECT id FROM demo.items ORDER BY random() LIMIT 10),
             signed AS (SELECT id, (row_number() OVER () - 1) / 5 AS side FROM chosen)
        UPDATE demo.items i SET quantity = i.quantity + 7 - 14 * s.side FROM signed s WHERE s.id = i.id
    """
    for _ in range(120):
        if rng.random() < 0.4:
            await world.execute(transfer)
        page = await world.page(claims, replica.token, limit=3)
        replica.apply(page)
        if not page["has_more"]:
            complete += 1
            assert sum(row["quantity"] for row in replica.payloads("item").values()) == 2000
    assert complete >= 5


async def test_a_page_asked_for_again_is_the_same_page(world: World) -> None:
    team = await world.team()
    claims = await world.person("WORKER", team)
    await fill(world, team, 10)
    first = await world.page(claims, limit=4)
    second = [await world.page(claims, first["next_token"], limit=4) for _ in range(2)]
    assert second[0]["changes"] == second[1]["changes"]


async def test_an_older_token_over_newer_rows_ends_in_the_same_state(world: World) -> None:
    """As long as rights do not change; for those the device's backup holds both, rows and token."""
    team = await world.team()
    claims = await world.person("WORKER", team)
    await fill(world, team, 6)
    old = await world.sync(claims)
    ids = sorted(old.payloads("item"))
    await world.execute("UPDATE demo.items SET title = 'new' WHERE id = %s", [ids[0]])
    await world.execute("DELETE FROM demo.items WHERE id = %s", [ids[1]])
    await fill(world, team, 2)
    new = Replica()
    new.rows, new.token = dict(old.rows), old.token
    await world.sync(claims, new)
    await world.execute("DELETE FROM demo.items WHERE title = 'item 1' AND id <> ALL (%s::uuid[])", [ids])
    replayed = Replica()
    replayed.rows, replayed.token = dict(new.rows), old.token
    assert (
        (await world.sync(claims, replayed)).rows
        == (await world.sync(claims, new)).rows
        == (await world.sync(claims)).rows
    )


async def test_a_pull_may_be_narrowed_to_tables(world: World) -> None:
    team = await world.team()
    claims = await world.person("WORKER", team)
    await fill(world, team, 3)
    replica = await world.sync(claims, tables=["item"])
    assert {kind for kind, _ in replica.rows} == {"item"}
    row = min(replica.payloads("item"))
    await world.execute("UPDATE demo.teams SET name = 'renamed'")
    await world.execute("DELETE FROM demo.items WHERE id = %s", [row])
    page = await world.page(claims, replica.token, tables=["item"])
    assert kinds(page) == [("item", "delete", "deleted")]


# ------------------------------------------------------------------------------------------------- rights that change


async def test_leaving_a_scope_removes_its_rows_and_entering_brings_them(world: World) -> None:
    red, blue = await world.team("red"), await world.team("blue")
    claims = await world.person("WORKER", red, blue)
    await fill(world, red, 3)
    await fill(world, blue, 2)
    replica = await world.sync(claims)
    await world.execute("DELETE FROM demo.members WHERE team_id = %s", [red])
    page = await world.page(claims, replica.token)
    assert kinds(page) == [("team", "delete", "out_of_scope"), *[("item", "delete", "out_of_scope")] * 3]
    replica.apply(page)
    assert {row["team_id"] for row in replica.payloads("item").values()} == {blue}
    await fill(world, blue, 1000)  # much happens before the rights come back: the old rows still come whole
    await world.sync(claims, replica)
    await world.execute("INSERT INTO demo.members (team_id, user_id) VALUES (%s, %s)", [red, claims.user_id])
    page = await world.page(claims, replica.token)
    assert kinds(page) == [("team", "create", None), *[("item", "create", None)] * 3]


async def test_rights_taken_and_given_back_between_two_pulls_are_no_change(world: World) -> None:
    team = await world.team()
    claims = await world.person("WORKER", team)
    await fill(world, team, 3)
    replica = await world.sync(claims)
    await world.execute("DELETE FROM demo.members")
    await world.execute("INSERT INTO demo.members (team_id, user_id) VALUES (%s, %s)", [team, claims.user_id])
    page = await world.page(claims, replica.token)
    assert (page["changes"], page["next_token"]) == ([], replica.token)


async def test_rights_and_rows_that_change_in_one_transaction_come_together(world: World) -> None:
    red, blue = await world.team("red"), await world.team("blue")
    claims = await world.person("WORKER", red)
    await fill(world, red, 2)
    await fill(world, blue, 2)
    replica = await world.sync(claims)
    with psycopg.connect(world.url) as conn:
        conn.execute("UPDATE demo.members SET team_id = %s", [blue])
        moved = "UPDATE demo.items SET title = 'moved', team_id = %s WHERE team_id = %s AND title = 'item 1'"
        conn.execute(moved, [blue, red])
        conn.execute("DELETE FROM demo.items WHERE title = 'item 2' AND team_id = %s", [red])
    page = await world.page(claims, replica.token)
    replica.apply(page)
    assert not page["has_more"]
    assert sorted(row["title"] for row in replica.payloads("item").values()) == ["item 1", "item 2", "moved"]
    assert [row["name"] for row in replica.payloads("team").values()] == ["blue"]


async def test_a_row_in_two_held_scopes_stays_until_both_are_gone(demo_url: str) -> None:
    async with yard.open_yard(demo_url) as world:
        claims = await world.person()
        grant = "INSERT INTO yard.grants (user_id, kind, key) VALUES (%s, 'team', %s)"
        for team in "12":
            await world.execute(grant, [claims.user_id, team])
        await world.execute("INSERT INTO yard.boxes (id, team, other) VALUES (1, 1, 2)")
        replica = await world.sync(claims)
        assert list(replica.rows) == [("box", "1")]
        await world.execute("DELETE FROM yard.grants WHERE key = '1'")
        page = await world.page(claims, replica.token)
        assert page["changes"] == []
        replica.apply(page)
        await world.execute("UPDATE yard.boxes SET other = 3, team = 2")
        page = await world.page(claims, replica.token)
        assert kinds(page) == [("box", "update", None)]
        replica.apply(page)
        await world.execute("UPDATE yard.boxes SET team = 3")
        page = await world.page(claims, replica.token)
        assert kinds(page) == [("box", "delete", "out_of_scope")]


async def paged(world: World, claims: Any, replica: Replica, count: int, limit: int) -> None:
    for _ in range(count):
        page = await world.page(claims, replica.token, limit=limit)
        assert page["has_more"]
        replica.apply(page)


async def test_rights_revoked_between_two_pages_of_a_first_pull(world: World) -> None:
    red, blue = await world.team("red"), await world.team("blue")
    claims = await world.person("WORKER", red, blue)
    await fill(world, red, 10)
    await fill(world, blue, 10)
    replica = Replica()
    await paged(world, claims, replica, 3, 5)
    assert {row["team_id"] for row in replica.payloads("item").values()} == {red, blue}
    await world.execute("DELETE FROM demo.members WHERE team_id = %s", [red])
    await world.sync(claims, replica, limit=5)
    assert {row["team_id"] for row in replica.payloads("item").values()} == {blue}
    assert len(replica.payloads("item")) == 10


async def test_a_scope_whose_removal_had_begun_comes_whole_when_it_is_given_back(world: World) -> None:
    """The first correction: its rows are partly gone from the device, so it no longer counts as held."""
    red, blue = await world.team("red"), await world.team("blue")
    claims = await world.person("WORKER", red, blue)
    await fill(world, red, 10)
    replica = await world.sync(claims)
    await world.execute("DELETE FROM demo.members WHERE team_id = %s", [red])
    await paged(world, claims, replica, 1, 6)
    assert 0 < len(replica.payloads("item")) < 10
    await world.execute("INSERT INTO demo.members (team_id, user_id) VALUES (%s, %s)", [red, claims.user_id])
    await world.sync(claims, replica, limit=6)
    assert len(replica.payloads("item")) == 10


async def test_a_scope_that_an_abandoned_delta_brought_is_removed_again(world: World) -> None:
    """The second correction: what an abandoned delta may have brought is remembered until it is gone."""
    red, blue, green = [await world.team(name) for name in ("red", "blue", "green")]
    claims = await world.person("WORKER", blue)
    for team in (red, blue, green):
        await fill(world, team, 10)
    replica = await world.sync(claims)
    await world.execute("INSERT INTO demo.members (team_id, user_id) VALUES (%s, %s)", [red, claims.user_id])
    await paged(world, claims, replica, 1, 6)
    brought = [row for row, payload in replica.payloads("item").items() if payload["team_id"] == red]
    assert brought
    # One of those rows is deleted, one moves on, and the right to all is taken back for another.
    await world.execute("DELETE FROM demo.items WHERE id = %s", [brought[0]])
    await world.execute("UPDATE demo.items SET team_id = %s WHERE id = %s", [green, brought[1]])
    await world.execute("UPDATE demo.members SET team_id = %s WHERE team_id = %s", [green, red])
    await paged(world, claims, replica, 1, 3)
    await world.execute("DELETE FROM demo.members WHERE team_id = %s", [green])
    await world.sync(claims, replica, limit=3)
    assert {row["team_id"] for row in replica.payloads("item").values()} == {blue}
    assert replica.rows == (await world.sync(claims)).rows


async def test_a_row_made_again_while_its_removal_is_paged_does_not_stay(world: World) -> None:
    red, blue = await world.team("red"), await world.team("blue")
    claims = await world.person("WORKER", red, blue)
    make = "INSERT INTO demo.places (code, team_id, label) VALUES ('X', %s, 'made')"
    await world.execute(make, [red])
    replica = await world.sync(claims)
    await fill(world, red, 3)
    await world.execute("DELETE FROM demo.places")
    replica.apply(await world.page(claims, replica.token, limit=2))
    await world.execute(make, [blue])  # after the delta's snapshot: it comes with the next one, if it is held then
    while world.read(claims, str(replica.token)).until is not None:
        replica.apply(await world.page(claims, replica.token, limit=2))
    assert replica.payloads("place") == {}
    await world.execute("DELETE FROM demo.members WHERE team_id = %s", [blue])
    await pages(world, claims, replica, 2)
    assert replica.payloads("place") == {}


async def test_a_role_that_is_lowered_takes_the_rows_with_it(world: World) -> None:
    team = await world.team()
    owner = await world.person("OWNER")
    await fill(world, team, 3)
    replica = await world.sync(owner)
    assert len(replica.rows) == 4
    await world.execute("UPDATE homing.users SET role = 'WORKER' WHERE id = %s", [owner.user_id])
    with pytest.raises(Problem, match="unauthenticated"):
        await world.page(owner, replica.token)
    worker = replace(owner, role="WORKER")
    await world.sync(worker, replica)
    assert replica.rows == {}


async def test_people_sessions_and_devices_are_asked_for_on_every_page(world: World) -> None:
    team = await world.team()

    async def refusal(statement: str) -> str:
        claims = await world.person("WORKER", team)
        token = (await world.page(claims, limit=1))["next_token"]
        await world.execute(
            statement, {"user": claims.user_id, "session": claims.session_id, "device": claims.device_name}
        )
        with pytest.raises(Problem) as caught:
            await world.page(claims, token)
        return caught.value.code.code

    await fill(world, team, 3)
    devices = "UPDATE homing.mobile_devices SET {} WHERE device_id = %(device)s"
    assert [
        await refusal("UPDATE homing.users SET is_active = false WHERE id = %(user)s"),
        await refusal("UPDATE homing.sessions SET revoked_at = now() WHERE id = %(session)s"),
        await refusal("UPDATE homing.sessions SET expires_at = now() WHERE id = %(session)s"),
        await refusal("DELETE FROM homing.sessions WHERE id = %(session)s"),
        await refusal(devices.format("status = 'revoked'")),
        await refusal(devices.format("status = 'suspended'")),
        await refusal("DELETE FROM homing.mobile_devices WHERE device_id = %(device)s"),
        await refusal(devices.format("user_id = NULL")),
    ] == ["unauthenticated"] * 4 + ["device_revoked", "device_suspended", "device_unknown", "device_unknown"]


async def test_ten_thousand_scopes_and_three_changes(world: World) -> None:
    claims = await world.person("WORKER")
    await world.execute(
        "INSERT INTO demo.teams (id, name) SELECT md5(n::text)::uuid, 'team' FROM generate_series(1, 10000) n"
    )
    await world.execute("INSERT INTO demo.members SELECT id, %s FROM demo.teams", [claims.user_id])
    replica = await world.sync(claims, limit=5000)
    assert len(replica.rows) == 10_000
    (chosen,) = await world.execute("SELECT array_agg(id::text) FROM (SELECT id FROM demo.teams LIMIT 3) t")
    await world.execute("UPDATE demo.teams SET name = 'renamed' WHERE id = ANY (%s::uuid[])", [chosen[0]])
    page = await world.page(claims, replica.token)
    assert sorted(change["id"] for change in page["changes"]) == sorted(chosen[0])
    await world.execute("DELETE FROM demo.teams WHERE id = ANY (%s::uuid[])", [chosen[0]])
    page = await world.page(claims, page["next_token"])
    assert kinds(page) == [("team", "delete", "deleted")] * 3


# ------------------------------------------------------------------------------------------------------ scope sets


def test_scope_sets_are_sets() -> None:
    one, two = ScopeSet.of(["a:1", "b:x:y", "a:1"]), ScopeSet.of(["b:x:y", "c:"])
    assert one.scopes == ("a:1", "b:x:y")
    assert (one | two).scopes == ("a:1", "b:x:y", "c:")
    assert (one - two).scopes == ("a:1",)
    assert (one & two).scopes == ("b:x:y",)
    assert (one - one, one & NOTHING, NOTHING | one) == (NOTHING, NOTHING, one)
    assert one.keys == {"a": ["1"], "b": ["x:y"]}
    assert one.digest == ScopeSet.of(["b:x:y", "a:1"]).digest != two.digest


def test_no_key_that_people_choose_makes_two_sets_look_alike() -> None:
    assert ScopeSet.of(["a:x\x1eb:y"]).digest != ScopeSet.of(["a:x", "b:y"]).digest
    assert ScopeSet.of(["a:x", "b:y"]).digest != ScopeSet.of(["a:x\x00b:y"]).digest
    assert ScopeSet.of([""]).digest != NOTHING.digest


async def test_odd_keys_of_scopes_are_held_as_they_are(demo_url: str) -> None:
    shelves = ["a", "", " ", "x\x1eyard.shelf:a", "\x1e", "é\u2028", 'q"\\', "12:ab"]
    async with yard.open_yard(demo_url) as world:
        claims = await world.person()
        for n, shelf in enumerate(shelves):
            grant = "INSERT INTO yard.grants (user_id, kind, key) VALUES (%s, 'shelf', %s)"
            await world.execute(grant, [claims.user_id, shelf])
            await world.execute("INSERT INTO yard.books (id, shelf) VALUES (%s, %s)", [f"book {n}", shelf])
        replica = await world.sync(claims)
        assert replica.rows == await yard.now(world, claims.user_id)
        assert len(replica.rows) == len(shelves)
        await world.execute("DELETE FROM yard.grants WHERE key IN ('a', 'x\x1eyard.shelf:a')")
        await world.sync(claims, replica)
        assert replica.rows == await yard.now(world, claims.user_id)


async def test_nodes_share_scope_sets(demo_url: str) -> None:
    async with opened(demo_url, [demo()]) as one, opened(demo_url, [demo()]) as two:
        team = await one.team()
        claims = await one.person("WORKER", team)
        await fill(one, team, 5)
        replica = Replica()
        for world in (one, two, one, two):
            replica.apply(await world.page(claims, replica.token, limit=2))
        assert len(replica.payloads("item")) == 5
        await one.execute("DELETE FROM demo.members")
        assert len((await two.page(claims, replica.token))["changes"]) == 6


async def test_odd_keys_of_rows_are_told_as_they_are(world: World) -> None:
    keys = ['a"', '"', '"""', "\\", 'x\\"', "", " ", "é\u2028", "{}", "a/b:c", "\x01\x1e", "%s", "'"]
    team = await world.team()
    claims = await world.person("WORKER", team)
    for key in keys:
        await world.execute("INSERT INTO demo.places (code, team_id, label) VALUES (%s, %s, %s)", [key, team, key])
    replica = await world.sync(claims, limit=2)
    assert replica.payloads("place") == {
        key: {"code": key, "team_id": team, "label": key, "gone": False} for key in keys
    }
    results = await world.push(claims, *(update("place", key, 1, label="new") for key in keys))
    assert [(r["status"], r["server_id"], r["server_version"]) for r in results] == [("ok", key, 2) for key in keys]
    await world.execute("UPDATE demo.places SET team_id = gen_random_uuid() WHERE length(code) > 1")
    await world.execute("DELETE FROM demo.places WHERE code = '\"'")
    await world.sync(claims, replica, limit=2)
    assert set(replica.payloads("place")) == {key for key in keys if len(key) <= 1} - {'"'}
    await world.execute("DELETE FROM demo.members")
    assert (await world.sync(claims, replica, limit=2)).rows == {}
