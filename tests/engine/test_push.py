"""Batches: one bad item costs itself only; temp ids, chains and bases; all or nothing; a bound on round trips.
Over 500 lines, because every case of a batch stands beside the others it must agree with."""

import asyncio
import json
import secrets
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from psycopg.pq import Trace

from homing.engine.caller import Caller, Claims
from homing.engine.conflicts import settle
from homing.engine.replay import replay
from homing.postgres.database import Database
from homing.protocol.errors import Problem
from homing.protocol.messages import ResolveRequest
from tests.engine.world import Json, World, create, delete, item, update
from tests.fixtures.engine import both_servers


@dataclass
class Place:
    """Who is there before a batch comes: two teams, rows of each, and devices of both."""

    world: World
    own: str
    foreign: str
    device: Claims
    stranger: Claims
    row: str
    parent: str
    deleted: str
    theirs: str
    random: str


async def furnish(world: World) -> Place:
    own, foreign = await world.team("own"), await world.team("foreign")
    device, stranger = await world.person("WORKER", own), await world.person("WORKER", foreign)
    row, parent, deleted = [
        r["server_id"] for r in await world.push(device, item(own, code="taken"), item(own), item(own))
    ]
    await world.push(device, item(own, parent_id=parent, title="child"), delete("item", deleted, 1))
    theirs = (await world.push(stranger, item(foreign, "tmp-stranger", code="theirs")))[0]["server_id"]
    return Place(world, own, foreign, device, stranger, row, parent, deleted, theirs, str(uuid4()))


ERROR, CONFLICT = "error", "conflict"
Bad = dict[str, tuple[Callable[[Place], Json | bytes], str, str]]


def raw(text: str) -> Callable[[Place], bytes]:
    return lambda place: text.encode()


def shaped(**changes: Any) -> Callable[[Place], Json]:
    """A good create with members of the item itself changed."""
    return lambda place: item(place.own, "bad") | changes


def given(**values: Any) -> Callable[[Place], Json]:
    """A create with these values; a function is given the place."""
    return lambda place: item(place.own, "bad", **{k: v(place) if callable(v) else v for k, v in values.items()})


def edited(row: str, version: int | None = 1, **values: Any) -> Callable[[Place], Json]:
    return lambda place: update(
        "item", getattr(place, row, row), version, **{k: v(place) if callable(v) else v for k, v in values.items()}
    )


TABLES = [
    "foo", "pg_authid", "users", "homing.users", "sync_items", 'item"; DROP TABLE demo.items;--', "ITEM", "items",
    "demo.items", "public.item", "\u0456tem", "x" * 64, "", "item ", " item", "item\u0000",
]  # fmt: skip

BAD: Bad = {
    **{f"table {name[:20]!r}": (shaped(resource_type=name), ERROR, "unknown_table") for name in TABLES},
    **{
        f"shape {text[:20]}": (raw(text), ERROR, "invalid_value")
        for text in ("5", "null", "[]", '"x"', "{}", '{"resource_type":"item"}', "{", '{"resource_type":5}')
    },
    "action upsert": (shaped(action="upsert"), ERROR, "invalid_value"),
    "action null": (shaped(action=None), ERROR, "invalid_value"),
    **{f"payload {value!r}": (shaped(payload=value), ERROR, "invalid_value") for value in ([], "x", 5, None, [{}])},
    "payload of a megabyte": (given(notes="x" * (1 << 20)), ERROR, "too_large"),
    "temp id empty": (shaped(client_temp_id=""), ERROR, "invalid_value"),
    "temp id long": (shaped(client_temp_id="x" * 10_000), ERROR, "invalid_value"),
    "temp id a number": (shaped(client_temp_id=5), ERROR, "invalid_value"),
    "temp id with NUL": (shaped(client_temp_id="a\x00"), ERROR, "invalid_value"),
    **{f"version {v!r}": (shaped(client_version=v), ERROR, "invalid_value") for v in (-1, 2**31, "1", 1.5, True)},
    "edited at noon": (shaped(edited_at="noon"), ERROR, "invalid_value"),
    "edited without offset": (shaped(edited_at="2026-01-01T00:00:00"), ERROR, "invalid_value"),
    "base of two kinds": (shaped(base={"none": True, "version": 1}), ERROR, "invalid_value"),
    "base of no kind": (shaped(base={}), ERROR, "invalid_value"),
    "base unknown": (shaped(base={"moon": 1}), ERROR, "invalid_value"),
    "column foo": (given(foo=1), ERROR, "unknown_column"),
    "column with a quote": (given(**{'ti"tle': "x"}), ERROR, "unknown_column"),
    "column as an expression": (given(**{"notes->>'a'": "x"}), ERROR, "unknown_column"),
    "column with a semicolon": (given(**{"notes;--": "x"}), ERROR, "unknown_column"),
    "column hidden": (given(secret="x"), ERROR, "unknown_column"),
    "column version": (given(version=7), ERROR, "read_only_column"),
    "column changed": (given(changed="7"), ERROR, "read_only_column"),
    "column of the server": (given(author=lambda place: str(uuid4())), ERROR, "read_only_column"),
    "text with NUL": (given(title="a\x00b"), ERROR, "invalid_value"),
    "text for a number": (given(quantity="5"), ERROR, "invalid_value"),
    "number too large": (given(quantity=2**31), ERROR, "invalid_value"),
    "number with too many digits": (given(price=1.005), ERROR, "invalid_value"),
    "array with NUL": (given(tags=["a\x00"]), ERROR, "invalid_value"),
    "null where none may be": (given(title=None), ERROR, "invalid_value"),
    "uuid in braces": (given(parent_id="{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}"), ERROR, "dependency_failed"),
    "id not a uuid": (given(id="seven"), ERROR, "invalid_value"),
    "id a list": (given(id=[1]), ERROR, "invalid_value"),
    "no title": (lambda place: create("item", "bad", team_id=place.own), ERROR, "missing_value"),
    "index key too large": (given(code=secrets.token_hex(8000)), ERROR, "too_large"),
    "rule of the table": (given(title="indecent"), ERROR, "check_failed"),
    "rule of a check": (given(title="refused by check"), ERROR, "check_failed"),
    "rule of prepare": (given(title="refused by prepare"), ERROR, "check_failed"),
    "rule of an effect": (given(title="refused by effect"), ERROR, "check_failed"),
    "value taken": (given(code="taken"), CONFLICT, "unique"),
    "value taken by somebody else": (given(code="theirs"), CONFLICT, "unique"),
    "id taken": (given(id=lambda place: place.row), CONFLICT, "exists"),
    "id taken by somebody else": (given(id=lambda place: place.theirs), ERROR, "not_found"),
    "team of others": (given(team_id=lambda place: place.foreign), ERROR, "fk_missing"),
    "team that is none": (given(team_id=lambda place: place.random), ERROR, "fk_missing"),
    "parent of others": (given(parent_id=lambda place: place.theirs), ERROR, "fk_missing"),
    "parent that is none": (given(parent_id=lambda place: place.random), ERROR, "fk_missing"),
    "scope of others": (lambda place: create("part", "bad", team_id=place.foreign, name="x"), ERROR, "forbidden"),
    "scope of the office": (lambda place: create("notice", "bad", body="x"), ERROR, "forbidden"),
    "table for reading": (lambda place: create("team", "bad", name="x"), ERROR, "forbidden"),
    "edit of nothing": (edited("random"), ERROR, "not_found"),
    "edit of somebody else's": (edited("theirs", title="x"), ERROR, "not_found"),
    "edit of no uuid": (edited("seven", title="x"), ERROR, "not_found"),
    "edit without id": (lambda place: update("item", "", 1) | {"payload": {"title": "x"}}, ERROR, "invalid_value"),
    "edit without base": (edited("row", None, title="x"), ERROR, "invalid_value"),
    "edit from the future": (edited("row", 9, title="x"), CONFLICT, "stale_epoch"),
    "edit of the deleted": (edited("deleted", title="x"), CONFLICT, "deleted"),
    "edit out of reach": (edited("row", team_id=lambda place: place.foreign), ERROR, "fk_missing"),
    "edit against the table's rule": (edited("row", title="indecent"), ERROR, "check_failed"),
    "edit that a check refuses": (edited("row", title="refused by check"), ERROR, "check_failed"),
    "edit that an effect refuses": (edited("row", title="refused by effect"), ERROR, "check_failed"),
    "edit to a taken value": (edited("parent", code="taken"), CONFLICT, "unique"),
    "edit to others' parent": (edited("row", parent_id=lambda place: place.theirs), ERROR, "fk_missing"),
    "edit of the absent": (lambda p: update("item", p.row, 1) | {"base": {"absent": True}}, ERROR, "invalid_value"),
    "team edited": (lambda place: update("team", place.own, 1, name="x"), ERROR, "forbidden"),
    "team deleted": (lambda place: delete("team", place.own, 1), ERROR, "forbidden"),
    "delete of nothing": (lambda place: delete("item", place.random, 1), ERROR, "not_found"),
    "delete of somebody else's": (lambda place: delete("item", place.theirs, 1), ERROR, "not_found"),
    "delete of a parent": (lambda place: delete("item", place.parent, 1), ERROR, "still_referenced"),
    "temp id of nobody": (given(parent_id="tmp-nobody"), ERROR, "dependency_failed"),
    "temp id of somebody else": (given(parent_id="tmp-stranger"), ERROR, "dependency_failed"),
    "temp id of later": (given(parent_id="good-after"), ERROR, "dependency_failed"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
async def test_one_bad_item_costs_itself_only(world: World, kind: str) -> None:
    place = await furnish(world)
    make, status, code = BAD[kind]
    before = {row["title"] for row in (await world.sync(place.device)).payloads("item").values()}
    journal = "SELECT count(*)::int FROM demo.journal"
    told = set()
    for position in range(5):
        (noted,) = (await world.execute(journal))[0]
        good = [item(place.own, f"good-{position}-{n}", title=f"good {position}-{n}") for n in range(4)]
        last = item(place.own, f"good-after-{position}", title=f"good {position}-after")
        bad = make(place)
        if isinstance(bad, dict) and bad.get("client_temp_id") == "bad":
            bad["client_temp_id"] = f"bad {position}"
        batch = [*good[:position], bad, *good[position:], last]
        if isinstance(bad, dict) and bad["payload"] and "good-after" in json.dumps(bad["payload"]):
            batch[position] = bad | {"payload": {**bad["payload"], "parent_id": f"good-after-{position}"}}
        results = await world.push(place.device, *batch)
        assert [result["index"] for result in results] == list(range(6))
        wrong = results.pop(position)
        assert (wrong["status"], wrong["code"]) == (status, code), wrong
        assert wrong["error"]
        assert "server_version" not in wrong or status == CONFLICT
        assert wrong["client_temp_id"] in (None, f"bad {position}")
        told.add(json.dumps({**wrong, "index": 0, "conflict_id": "", "client_temp_id": ""}, sort_keys=True))
        assert results == [
            {
                "index": result["index"],
                "client_temp_id": sent["client_temp_id"],
                "status": "ok",
                "server_id": result["server_id"],
                "server_version": 1,
            }
            for sent, result in zip([*good, last], results, strict=True)
        ]
        assert (await world.execute(journal))[0] == (noted + 5,)
    rows = (await world.sync(place.device)).payloads("item")
    assert len(rows) == 3 + 25
    assert {row["title"] for row in rows.values()} == before | {
        f"good {position}-{n}" for position in range(5) for n in (0, 1, 2, 3, "after")
    }
    if "later" not in kind and "unique" not in code:
        assert len(told) == 1, "the same item is refused in the same words, wherever it stands"
    stored = await world.execute("SELECT status::text, code FROM homing.sync_items WHERE code IS NOT NULL")
    assert stored == [(status, code)] * 5
    quarantined = await world.execute("SELECT count(*) FROM homing.sync_items WHERE quarantined_at IS NOT NULL")
    waits = code in ("dependency_failed", "stale_epoch", "deleted", "version_conflict")  # sent again, or a conflict
    assert quarantined == [(0 if waits else 5,)]


async def test_the_invisible_and_the_absent_are_answered_alike(world: World) -> None:
    """To the byte, whatever is asked of them."""
    place = await furnish(world)

    async def told(target: str) -> str:
        hidden = await world.push(
            place.device,
            update("item", target, 1, title="x"),
            update("item", target, 9, title="x"),
            update("item", target, None, title="x") | {"base": {"none": True}},
            update("item", target, None, title="x") | {"base": {"row": {"title": "y"}}},
            delete("item", target, 1),
            delete("item", target),
            item(place.own, parent_id=target),
            update("item", place.row, 1, parent_id=target),
        )
        for result in hidden:
            result.pop("server_id", None)
        return json.dumps(hidden)

    assert await told(place.theirs) == await told(place.random)
    teams = []
    for team in (place.foreign, place.random):
        results = await world.push(place.device, item(team), update("item", place.row, 1, team_id=team))
        teams.append([result | {"server_id": None} for result in results])
    assert teams[0] == teams[1]


# --------------------------------------------------------------------------------------------------- the envelope


async def test_an_empty_batch_leaves_nothing(world: World) -> None:
    place = await furnish(world)
    before = await world.execute("SELECT count(*) FROM homing.sync_batches")
    assert await world.push(place.device, batch_token="empty") == []
    assert await world.execute("SELECT count(*) FROM homing.sync_batches") == before


async def test_too_many_items_are_refused_whole(world: World) -> None:
    place = await furnish(world)
    before = (await world.sync(place.device)).rows
    limit = world.engine.limits.batch_items_max
    with pytest.raises(Problem) as caught:
        await world.push(place.device, *(item(place.own) for _ in range(limit + 1)))
    assert (caught.value.code.code, caught.value.code.status) == ("too_many_items", 413)
    assert caught.value.extra == {"limit": limit}
    assert (await world.sync(place.device)).rows == before
    results = await world.push(place.device, *(item(place.own) for _ in range(limit)))
    assert Counter(result["status"] for result in results) == {"ok": limit}


async def test_a_batch_of_another_device_or_of_nobody_is_refused(world: World) -> None:
    place = await furnish(world)
    before = (await world.sync(place.device)).rows

    async def refusal(claims: Claims, **envelope: Any) -> str:
        with pytest.raises(Problem) as caught:
            await world.push(claims, item(place.own), **envelope)
        return caught.value.code.code

    assert place.stranger.device_name is not None
    unnamed = replace(place.device, device_name=None)
    assert await refusal(place.device, device_id=place.stranger.device_name) == "device_mismatch"
    assert await refusal(unnamed, device_id=place.stranger.device_name) == "device_unknown"
    assert await refusal(unnamed, device_id="nobody's") == "device_unknown"
    assert await refusal(place.device, batch_token="") == "invalid_envelope"
    assert await refusal(place.device, batch_token="x" * 201) == "invalid_envelope"
    assert await refusal(place.device, batch_token="a\x00") == "invalid_envelope"
    assert await refusal(replace(place.device, role="OWNER")) == "unauthenticated"
    assert await refusal(replace(place.device, session_id=uuid4())) == "unauthenticated"
    status = "UPDATE homing.mobile_devices SET status = %s WHERE device_id = %s"
    await world.execute(status, ["suspended", place.device.device_name])
    assert await refusal(place.device) == "device_suspended"
    await world.execute(status, ["revoked", place.device.device_name])
    assert await refusal(place.device) == "device_revoked"
    assert await refusal(unnamed, device_id=place.device.device_name) == "device_revoked"
    assert (await world.sync(unnamed)).rows == before


async def test_a_web_client_needs_no_device(world: World) -> None:
    place = await furnish(world)
    web = await world.person("WORKER", place.own, device=False)
    results = await world.push(
        web, item(place.own, "t"), item(place.own, parent_id="t"), update("item", place.row, 1, title="web")
    )
    assert [result["status"] for result in results] == ["ok", "ok", "ok"]
    history = "SELECT actor, device_id FROM homing.history WHERE row_id = %s AND version = 2"
    assert await world.execute(history, [place.row]) == [(str(web.user_id), None)]


async def test_a_device_of_low_trust_is_held_for_review(world: World) -> None:
    place = await furnish(world)
    before = (await world.sync(place.stranger)).rows
    await world.execute("UPDATE homing.mobile_devices SET trust_score = 0.2")
    results = await world.push(place.stranger, item(place.foreign, "t"), item(place.foreign, foo=1))
    assert [(r["status"], r["code"]) for r in results] == [("error", "held_for_review")] * 2
    assert (await world.sync(place.stranger)).rows == before
    assert await world.execute("SELECT status::text FROM homing.sync_batches ORDER BY created_at DESC LIMIT 1") == [
        ("received",)
    ]


# ------------------------------------------------------------------------------------------------------- temp ids


async def test_temp_ids_stand_for_rows_in_this_batch_and_in_later_ones(world: World) -> None:
    place = await furnish(world)
    results = await world.push(
        place.device,
        item(place.own, "a"),
        item(place.own, "b", parent_id="a"),
        update("item", "b", 1, title="b, edited"),
        create("part", "p", team_id=place.own, item_id="b", name="part"),
        create("slot", "s", team_id=place.own, part_id="p", label="slot"),
        item(place.own, "self", parent_id="self"),
    )
    assert [result["status"] for result in results] == ["ok"] * 6
    a, b, edit, part, slot, itself = [result["server_id"] for result in results]
    assert edit == b
    later = await world.push(
        place.device,
        item(place.own, "c", parent_id="a"),
        create("slot", team_id=place.own, part_id="p", label="second"),
        update("item", "a", 1, title="a, edited"),
        update("part", "p", 1, name="renamed"),
        delete("slot", "s", 1),
    )
    assert [(r["status"], r["server_id"]) for r in later][2:] == [("ok", a), ("ok", part), ("ok", slot)]
    replica = await world.sync(place.device)
    items, parts, slots = (replica.payloads(name) for name in ("item", "part", "slot"))
    assert items[b]["parent_id"] == items[later[0]["server_id"]]["parent_id"] == a
    assert (items[a]["title"], items[b]["title"]) == ("a, edited", "b, edited")
    assert items[itself]["parent_id"] == itself
    assert parts[part] == {"id": int(part), "team_id": place.own, "item_id": b, "name": "renamed"}
    assert [(row["label"], row["part_id"]) for row in slots.values()] == [("second", int(part))]


async def test_a_temp_id_is_the_devices_own(world: World) -> None:
    place = await furnish(world)
    second = await world.another_device(place.device)
    one = (await world.push(place.device, item(place.own, "same", title="one")))[0]
    two = (await world.push(second, item(place.own, "same", title="two")))[0]
    assert one["server_id"] != two["server_id"]
    results = await world.push(second, item(place.own, parent_id="same"), update("item", "same", 1, title="edited"))
    assert [r["status"] for r in results] == ["ok", "ok"]
    items = (await world.sync(place.device)).payloads("item")
    assert items[results[0]["server_id"]]["parent_id"] == two["server_id"]
    assert (items[one["server_id"]]["title"], items[two["server_id"]]["title"]) == ("one", "edited")


async def test_what_refers_to_a_failed_create_fails_with_it_and_can_be_sent_again(world: World) -> None:
    place = await furnish(world)
    batch = [
        item(place.own, "parent", title="indecent"),
        item(place.own, "child", parent_id="parent"),
        item(place.own, "grandchild", parent_id="child"),
        create("part", "part", team_id=place.own, item_id="grandchild", name="x"),
        update("item", "child", 1, title="edited"),
        item(place.own, "bystander"),
    ]
    results = await world.push(place.device, *batch)
    assert [(r["status"], r.get("code")) for r in results] == [
        ("error", "check_failed"),
        *[("error", "dependency_failed")] * 4,
        ("ok", None),
    ]
    batch[0] = item(place.own, "parent", title="decent")
    again = await world.push(place.device, *batch)
    assert [r["status"] for r in again] == ["ok"] * 6
    assert again[5]["server_id"] == results[5]["server_id"]
    items = (await world.sync(place.device)).payloads("item")
    assert items[again[2]["server_id"]]["parent_id"] == again[1]["server_id"]
    assert items[again[1]["server_id"]]["title"] == "edited"


@pytest.mark.parametrize("title", ["refused by check", "refused by prepare", "refused by effect", "indecent", "a\x00"])
async def test_whatever_refuses_the_parent_the_child_depends_on_it(world: World, title: str) -> None:
    place = await furnish(world)
    results = await world.push(
        place.device,
        item(place.own, "parent", title=title),
        item(place.own, "child", parent_id="parent"),
        update("item", "parent", 1, status="x"),
        delete("item", "parent", 1),
    )
    assert [r["status"] for r in results] == ["error"] * 4
    assert [r["code"] for r in results[1:]] == ["dependency_failed"] * 3


async def test_cycles_are_refused_and_cost_nobody_else(world: World) -> None:
    place = await furnish(world)
    results = await world.push(
        place.device,
        item(place.own, "x", parent_id="y"),
        item(place.own, "y", parent_id="x"),
        item(place.own, "z"),
    )
    assert [(r["status"], r.get("code")) for r in results] == [
        ("error", "dependency_failed"),
        ("error", "dependency_failed"),
        ("ok", None),
    ]


async def test_a_lost_answer_gives_the_same_temp_ids(world: World) -> None:
    place = await furnish(world)
    first = await world.push(place.device, item(place.own, "a"), create("part", "p", team_id=place.own, name="x"))
    again = await world.push(
        place.device,
        item(place.own, "b", parent_id="a"),
        item(place.own, "a"),
        create("part", "p", team_id=place.own, name="x"),
        create("slot", team_id=place.own, part_id="p", label="x"),
    )
    assert [r["status"] for r in again] == ["ok"] * 4
    assert [again[1]["server_id"], again[2]["server_id"]] == [r["server_id"] for r in first]
    items = (await world.sync(place.device)).payloads("item")
    assert items[again[0]["server_id"]]["parent_id"] == first[0]["server_id"]


async def test_a_row_may_bring_its_own_id(world: World) -> None:
    place = await furnish(world)
    own, upper = str(uuid4()), str(uuid4()).upper()
    results = await world.push(
        place.device,
        item(place.own, "t", id=own),
        item(place.own, id=upper, parent_id=own),
        create("place", code="corner", team_id=place.own, label="x"),
        create("place", id="square", team_id=place.own, label="x"),
        create("slot", id=77, team_id=place.own, label="x"),
        update("item", "t", 1, title="by temp id"),
    )
    assert [r["status"] for r in results] == ["ok"] * 6, results
    assert [r["server_id"] for r in results] == [own, upper.lower(), "corner", "square", "77", own]


# ----------------------------------------------------------------------------------------------------- chains, bases


async def test_a_chain_of_edits_is_no_conflict(world: World) -> None:
    """In one batch, in several, with the version told or only foretold."""
    place = await furnish(world)
    results = await world.push(
        place.device,
        item(place.own, "t", title="1"),
        update("item", "t", 1, title="2"),
        update("item", "t", 1, title="3"),
        update("item", "t", 2, title="4", quantity=5),
        update("item", "t", 4, quantity=6),
    )
    assert [(r["status"], r["server_version"]) for r in results] == [("ok", n) for n in (1, 2, 3, 4, 5)]
    row = results[0]["server_id"]
    assert all(r["server_id"] == row for r in results)
    results = await world.push(place.device, update("item", row, 2, title="5"), update("item", row, 1, status="s"))
    assert [(r["status"], r["server_version"]) for r in results] == [("ok", 6), ("ok", 7)]
    assert not any(r.get("merged") for r in results)
    results = await world.push(
        place.device, delete("item", row, 3), update("item", row, 3, title="6"), delete("item", row, 3)
    )
    assert [(r["status"], r.get("code")) for r in results] == [("ok", None), ("conflict", "deleted"), ("ok", None)]


async def test_a_chain_counts_for_what_it_changed_however_it_is_cut(world: World) -> None:
    """Each edit names the version that the device knows, and says what its row is now: the device never pulls."""
    place = await furnish(world)
    other = await world.person("WORKER", place.own)
    counted = [{"quantity": 5, "tags": ["a"]}, {"quantity": 7, "tags": ["b"]}, {"quantity": 4, "tags": ["b", "c"]}]

    async def end(*batches: list[Json]) -> tuple[int, set[str]]:
        row = (await world.push(place.device, item(place.own)))[0]["server_id"]
        await world.push(other, update("item", row, 1, quantity=30, tags=["theirs"]))
        for batch in batches:
            results = await world.push(place.device, *(update("item", row, 1, **values) for values in batch))
            assert [(r["status"], r["merged"]) for r in results] == [("ok", True)] * len(batch)
        payload = (await world.sync(other)).payloads("item")[row]
        return payload["quantity"], set(payload["tags"])

    first, second, third = counted
    for batches in ([counted], [[first], [second], [third]], [[first, second], [third]], [[first], [second, third]]):
        assert await end(*batches) == (34, {"theirs", "b", "c"})


async def test_what_the_device_did_first_and_then_others_is_no_news_to_it(world: World) -> None:
    """The device is the first; then others; then the device goes on from its own edit, and takes back what it did."""
    place = await furnish(world)
    other = await world.person("WORKER", place.own)
    token = (await world.sync(place.device)).token
    for n, base in enumerate(({"version": 1}, {"token": token})):
        row = place.row if n else (await world.push(place.device, item(place.own)))[0]["server_id"]
        sent = [
            (place.device, {"quantity": 5, "tags": ["a", "b"], "status": "mine"}),
            (other, {"quantity": 30, "tags": ["theirs"], "status": "theirs"}),
            (place.device, {"quantity": 6, "tags": ["b"], "status": "mine"}),
            (place.device, {"quantity": 0, "tags": []}),
        ]
        results = [
            (
                await world.push(
                    who, update("item", row, None, **values) | {"base": base if who is place.device else {"version": 1}}
                )
            )[0]
            for who, values in sent
        ]
        assert [(r["status"], r.get("code")) for r in results[:1] + results[2:]] == [("ok", None)] * 3
        payload = (await world.sync(other)).payloads("item")[row]
        assert (payload["quantity"], payload["tags"]) == (30, ["theirs"])


@pytest.mark.parametrize("known", ["in one batch", "on its way", "known"])
@pytest.mark.parametrize(("resolution", "title"), [("accept_client", "mine"), ("accept_server", "theirs")])
async def test_what_counts_counts_once_whoever_wins_a_conflict(
    world: World, known: str, resolution: str, title: str
) -> None:
    """An edit counts 5 and is in conflict for its title. The device counts 2 more: from 5 while it does not know of the
    conflict, and else from nothing, for then it shows what the server has. Others count; then the office decides."""
    place = await furnish(world)
    other, office = await world.person("WORKER", place.own), await world.person("OWNER", device=False)
    row = (await world.push(place.device, item(place.own)))[0]["server_id"]
    await world.push(other, update("item", row, 1, title="theirs", quantity=30, tags=["theirs"]))
    one = update("item", row, 1, title="mine", quantity=5, tags=["a"])
    more = {"quantity": 2, "tags": ["b"]} if known == "known" else {"quantity": 7, "tags": ["a", "b"]}
    two = update("item", row, 1, **more) | ({} if known == "known" else {"edited_at": "2026-01-01T00:00:00Z"})
    batches = [[one, two]] if known == "in one batch" else [[one], [two]]
    results = [result for batch in batches for result in await world.push(place.device, *batch)]
    assert [result["status"] for result in results] == ["conflict", "ok"]
    assert (await world.sync(other)).payloads("item")[row]["quantity"] == 32
    await world.push(other, update("item", row, 3, quantity=132))
    caller = Caller(office.user_id, "OWNER", "default", "web", office.session_id, None, None)
    await settle(world.engine, caller, UUID(results[0]["conflict_id"]), ResolveRequest(resolution=resolution))
    payload = (await world.sync(other)).payloads("item")[row]
    won = resolution == "accept_client"
    counted = 30 + 2 + 100 + (5 if won else 0)
    assert (payload["title"], payload["quantity"]) == (title, counted)
    assert set(payload["tags"]) == {"theirs", "b"} | ({"a"} if won else set())


@pytest.mark.parametrize("cut", [False, True])
async def test_a_conflict_counts_from_what_its_device_had(world: World, cut: bool) -> None:
    """An edit counts 5; the next says 7, and is in conflict for its title: 2 are new when the office accepts it."""
    place = await furnish(world)
    other, office = await world.person("WORKER", place.own), await world.person("OWNER", device=False)
    row = (await world.push(place.device, item(place.own)))[0]["server_id"]
    await world.push(other, update("item", row, 1, title="theirs", quantity=30))
    edits = [update("item", row, 1, quantity=5), update("item", row, 1, title="mine", quantity=7)]
    batches = [[edit] for edit in edits] if cut else [edits]
    results = [result for batch in batches for result in await world.push(place.device, *batch)]
    assert [result["status"] for result in results] == ["ok", "conflict"]
    caller = Caller(office.user_id, "OWNER", "default", "web", office.session_id, None, None)
    await settle(world.engine, caller, UUID(results[1]["conflict_id"]), ResolveRequest(resolution="accept_client"))
    payload = (await world.sync(other)).payloads("item")[row]
    assert (payload["title"], payload["quantity"]) == ("mine", 37)


async def test_what_is_replayed_counts_from_what_its_device_had_then(world: World) -> None:
    """5, then a refused 6, then 9 in later batches; then the office repairs the refused one: it adds 1, as it said."""
    place = await furnish(world)
    other, office = await world.person("WORKER", place.own), await world.person("OWNER", device=False)
    row = (await world.push(place.device, item(place.own)))[0]["server_id"]
    await world.push(other, update("item", row, 1, quantity=30))
    statuses = []
    for values in ({"quantity": 5}, {"quantity": 6, "title": "refused by check"}, {"quantity": 9}):
        statuses += [r["status"] for r in await world.push(place.device, update("item", row, 1, **values))]
    assert statuses == ["ok", "error", "ok"]
    before = (await world.sync(other)).payloads("item")[row]["quantity"]
    ((batch, refused),) = await world.execute("SELECT batch_id, id FROM homing.sync_items WHERE status = 'error'")
    caller = Caller(office.user_id, "OWNER", "default", "web", office.session_id, None, None)
    (result,) = await replay(world.engine, caller, batch, item=refused, payload={"id": row, "quantity": 6})
    assert (result.status, result.merged) == ("ok", True)
    assert (before, (await world.sync(other)).payloads("item")[row]["quantity"]) == (39, 40)


async def test_agreeing_with_others_is_not_having_seen_them(world: World) -> None:
    """Both set the same: the device may take that back, and its next edit is no news of what else others did."""
    place = await furnish(world)
    other = await world.person("WORKER", place.own)
    await world.push(other, update("item", place.row, 1, title="same", status="theirs"))
    (agreed,) = await world.push(place.device, update("item", place.row, 1, title="same"))
    assert (agreed["status"], agreed["merged"], agreed["server_version"]) == ("ok", True, 2)
    (back,) = await world.push(place.device, update("item", place.row, 1, title="an item"))
    assert (back["status"], back["code"]) == ("conflict", "version_conflict")


async def test_edits_of_others_merge_by_field_and_conflict_where_they_overlap(world: World) -> None:
    place = await furnish(world)
    other = await world.person("WORKER", place.own)
    await world.push(other, update("item", place.row, 1, title="theirs", price="1.00"))
    results = await world.push(
        place.device,
        update("item", place.row, 1, status="mine"),
        update("item", place.row, 1, title="mine"),
        update("item", place.row, 1, title="theirs"),
        update("item", place.row, 1, price=1),
    )
    results += await world.push(place.device, update("item", place.row, 3, title="knowing it"))
    assert [(r["status"], r.get("code"), r.get("merged", False), r["server_version"]) for r in results] == [
        ("ok", None, True, 3),
        ("conflict", "version_conflict", False, 3),
        ("ok", None, True, 3),
        ("ok", None, True, 3),
        ("ok", None, False, 4),
    ]
    assert results[1]["server_payload"]["title"] == "theirs"
    (found,) = await world.execute(
        "SELECT id::text, base_payload ->> 'title', server_payload ->> 'title', client_payload ->> 'title', fields,"
        " base_version, server_version, resolution::text FROM homing.conflicts"
    )
    assert found == (results[1]["conflict_id"], "an item", "theirs", "mine", ["title"], 1, 3, "pending")


async def test_an_edit_that_waits_gets_the_conflict_it_has(world: World) -> None:
    place = await furnish(world)
    other = await world.person("WORKER", place.own)
    await world.push(other, update("item", place.row, 1, title="theirs"))
    edit = update("item", place.row, 1, title="mine")
    ids = {(await world.push(place.device, edit))[0]["conflict_id"] for _ in range(3)}
    ids |= {r["conflict_id"] for r in await world.push(place.device, edit, edit)}
    assert len(ids) == 1
    second = await world.another_device(place.device)
    assert (await world.push(second, edit))[0]["conflict_id"] not in ids


async def test_the_five_kinds_of_base(world: World) -> None:
    place = await furnish(world)
    other = await world.person("WORKER", place.own)
    token = (await world.sync(place.device)).token

    async def push(base: Json, **values: Any) -> tuple[str, str | None, bool]:
        edit = update("item", place.row, None, **values) | {"base": base}
        result = (await world.push(place.device, edit))[0]
        return result["status"], result.get("code"), result.get("merged", False)

    old = (await world.sync(place.device)).payloads("item")[place.row]
    assert await push({"token": token}, title="a") == ("ok", None, False)  # nobody wrote since
    await world.push(other, update("item", place.row, 2, title="theirs"))
    assert await push({"version": 2}, title="b") == ("conflict", "version_conflict", False)
    assert await push({"version": 2}, price="2.00") == ("ok", None, True)
    assert await push({"version": 3}, title="c") == ("ok", None, False)
    await world.push(other, update("item", place.row, 5, title="theirs again"))
    assert await push({"token": token}, title="d") == ("conflict", "version_conflict", False)
    assert await push({"token": token}, price="3.00") == ("ok", None, True)
    assert await push({"row": old}, title="e") == ("conflict", "version_conflict", False)
    assert await push({"row": {**old, "title": "theirs again"}}, title="f") == ("ok", None, True)
    now = (await world.sync(place.device)).payloads("item")[place.row]
    assert await push({"row": now}, title="g") == ("ok", None, False)
    await world.push(other, update("item", place.row, None, title="theirs") | {"base": {"none": True}})
    assert await push({"none": True}, title="h") == ("ok", None, False)
    create_only = item(place.own, id=place.row) | {"base": {"absent": True}}
    result = (await world.push(place.device, create_only))[0]
    assert (result["status"], result["code"]) == ("conflict", "exists")
    fresh = item(place.own, id=str(uuid4())) | {"base": {"absent": True}}
    assert (await world.push(place.device, fresh))[0]["status"] == "ok"
    titles = (await world.sync(place.device)).payloads("item")[place.row]["title"]
    assert titles == "h"


async def test_deletes_meet_edits_of_others(world: World) -> None:
    place = await furnish(world)
    other = await world.person("WORKER", place.own)
    await world.push(other, update("item", place.row, 1, title="theirs"))
    results = await world.push(place.device, delete("item", place.row, 1))
    assert (results[0]["status"], results[0]["code"]) == ("conflict", "version_conflict")
    assert (await world.push(place.device, delete("item", place.row, 2)))[0]["status"] == "ok"
    assert (await world.push(place.device, delete("item", place.row, 2)))[0]["status"] == "ok"
    late = (await world.push(other, update("item", place.row, 2, title="late")))[0]
    assert (late["status"], late["code"]) == ("conflict", "deleted")


async def test_a_soft_delete_stays_a_row(world: World) -> None:
    place = await furnish(world)
    await world.push(place.device, create("place", code="corner", team_id=place.own, label="x"))
    results = await world.push(place.device, delete("place", "corner", 1))
    assert [(r["status"], r["server_version"]) for r in results] == [("ok", 2)]
    assert (await world.sync(place.device)).payloads("place")["corner"]["gone"] is True


# ---------------------------------------------------------------------------------------------------- all or nothing


WHOLE = [
    "rule of the table", "rule of a check", "rule of an effect", "column foo", "value taken", "edit of nothing",
    "edit from the future", "edit of the deleted",
]  # fmt: skip


@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize("position", [0, 2, 4])
async def test_all_or_nothing(world: World, kind: str, position: int) -> None:
    place = await furnish(world)
    make, status, code = BAD[kind]
    before = (await world.sync(place.device)).rows
    batch: list[Any] = [
        item(place.own, "a"),
        update("item", place.parent, 1, title="edited"),
        item(place.own, "b", parent_id="a"),
        create("part", "p", team_id=place.own, item_id="b", name="x"),
    ]
    batch.insert(position, make(place))
    results = await world.push(place.device, *batch, atomic=True)
    wrong = results.pop(position)
    assert (wrong["status"], wrong["code"]) == (status, code)
    assert [(r["status"], r["code"]) for r in results] == [("error", "group_aborted")] * 4
    assert all(f"item {position} " in r["error"] for r in results)
    assert not any({"server_version", "conflict_id"} & set(r) for r in [*results, wrong] if r["status"] == "error")
    assert (await world.sync(place.device)).rows == before
    assert await world.execute("SELECT count(*) FROM homing.conflicts") == [(0,)]
    # Sent again without the bad one, it is applied: what was aborted does not bind.
    del batch[position]
    results = await world.push(place.device, *batch, atomic=True)
    assert [r["status"] for r in results] == ["ok"] * 4


# -------------------------------------------------------------------------------------------------------- racing


@both_servers
async def test_ten_devices_race_for_one_value(world: World) -> None:
    place = await furnish(world)
    devices = [await world.person("WORKER", place.own) for _ in range(10)]
    answers = await asyncio.gather(
        *(world.push(d, item(place.own, "t", code="the one"), item(place.own)) for d in devices)
    )
    first = Counter((r[0]["status"], r[0].get("code")) for r in answers)
    assert first == {("ok", None): 1, ("conflict", "unique"): 9}
    assert all(r[1]["status"] == "ok" for r in answers)


@both_servers
async def test_devices_that_edit_the_same_rows_in_any_order_all_get_through(world: World) -> None:
    """Rows are locked in one order, so nobody waits in a circle; whoever comes second merges."""
    place = await furnish(world)
    rows = [r["server_id"] for r in await world.push(place.device, *(item(place.own) for _ in range(12)))]
    devices = [await world.person("WORKER", place.own) for _ in range(6)]

    async def edit(n: int, claims: Claims) -> list[Json]:
        found = []
        for turn in range(4):
            order = sorted(rows, key=lambda row, turn=turn: hash((row, n, turn)))
            values = {"quantity": n, "tags": [f"{n}-{m}" for m in range(turn + 1)]}
            found += await world.push(claims, *(update("item", row, 1, **values) for row in order))
        return found

    results = [r for part in await asyncio.gather(*(edit(n, d) for n, d in enumerate(devices, 1))) for r in part]
    assert Counter(r["status"] for r in results) == {"ok": 6 * 4 * 12}
    for payload in (await world.sync(place.device)).payloads("item").values():
        if payload["id"] in rows:
            assert payload["quantity"] == 1 + 2 + 3 + 4 + 5 + 6
            assert set(payload["tags"]) == {f"{n}-{turn}" for n in range(1, 7) for turn in range(4)}


# ---------------------------------------------------------------------------------------------------- round trips


class Traced:
    """A database that counts what its connections send: a round trip ends where the client waits for everything."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.round_trips = 0
        self.statements = 0

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        with tempfile.NamedTemporaryFile("r") as log:
            async with self._database.connection() as conn:
                conn.pgconn.trace(log.fileno())
                conn.pgconn.set_trace_flags(Trace.SUPPRESS_TIMESTAMPS)
                try:
                    yield conn
                finally:
                    conn.pgconn.untrace()
            log.seek(0)  # libpq and we share one position in the file
            sent = Counter(line.split("\t")[2].strip() for line in log if line.startswith("F\t"))
            assert sent["Sync"], "the trace holds nothing"
            self.round_trips += sent["Sync"] + sent["Query"]
            self.statements += sent["Execute"] + sent["Query"]


async def cost(world: World, claims: Claims, *items: Json) -> tuple[int, int]:
    """Round trips and statements of a batch whose statements are prepared already."""
    for _ in range(2):
        name = secrets.token_hex(4)
        traced = Traced(world.engine.indexed)
        again = World(replace(world.engine, indexed=traced), world.url)  # type: ignore[arg-type]
        batch = json.loads(json.dumps(items).replace("@", f"{name}-"))
        results = await again.push(claims, *batch)
        assert {result["status"] for result in results} == {"ok"}, results
    return traced.round_trips, traced.statements


async def test_round_trips_do_not_grow_with_the_batch(world: World) -> None:
    place = await furnish(world)
    rows = [r["server_id"] for r in await world.push(place.device, *(item(place.own) for _ in range(100)))]

    def creates(count: int) -> list[Json]:
        return [item(place.own, f"@{n}", parent_id=None if n % 2 else place.row) for n in range(count)]

    def updates(count: int) -> list[Json]:
        return [update("item", row, 1, title="@edited") for row in rows[:count]]

    def everything(count: int) -> list[Json]:
        return [
            *creates(count),
            *(create("part", f"@p{n}", team_id=place.own, item_id=f"@{n}", name="x") for n in range(count)),
            *(create("slot", f"@s{n}", team_id=place.own, part_id=f"@p{n}", label="x") for n in range(count)),
            *updates(count),
            *(delete("slot", f"@s{n}", 1) for n in range(count)),
        ]

    for make in (creates, updates, everything):
        small, large = await cost(world, place.device, *make(5)), await cost(world, place.device, *make(50))
        assert small == large, make.__name__
        assert small[0] <= 14, make.__name__
    assert (
        await cost(world, place.device, *(create("part", f"@{n}", team_id=place.own, name="x") for n in range(50)))
    )[0] <= 6


async def test_a_large_batch_of_everything(world: World) -> None:
    """More values than a statement may have parameters."""
    place = await furnish(world)
    world.engine = replace(world.engine, limits=msgspec.structs.replace(world.engine.limits, batch_items_max=20_000))
    batch = [item(place.own, f"t{n}", title=f"{n}", tags=[str(n)], price=n) for n in range(10_000)]
    results = await world.push(place.device, *batch)
    assert Counter(r["status"] for r in results) == {"ok": 10_000}
