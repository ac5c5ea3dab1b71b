"""The fast way and the careful way of a batch mean the same.

An item that only the database can refuse sends its batch the careful way. So the same batch is pushed twice, onto the
same rows: as it is, and with such an item somewhere in it, which must cost itself only. Verdicts, rows, history and
conflicts of all the others must be equal but for the ids that the server gives.
"""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from homing.engine.caller import Claims
from tests.engine.world import Json, World, create, delete, item, update

EMPTY = """
TRUNCATE demo.slots, demo.parts, demo.items, demo.places, demo.journal, homing.history, homing.departures,
         homing.conflicts, homing.sync_items, homing.sync_batches RESTART IDENTITY CASCADE
"""

TEAMS = [f"{n}0000000-0000-4000-8000-000000000000" for n in (1, 2, 3)]  # the third is not the device's
ROWS = [f"a0000000-0000-4000-8000-00000000000{n}" for n in range(5)]  # the fourth is not, the fifth is nobody's
NEW = [f"b0000000-0000-4000-8000-00000000000{n}" for n in range(3)]
TEMPS = ["t0", "t1", "t2"]

row_ids = st.sampled_from([*ROWS, *ROWS[:3], *NEW, *TEMPS])
fields = st.fixed_dictionaries(
    {},
    optional={
        "title": st.sampled_from(["one", "two", "refused by check", "refused by effect", "a\x00"]),
        "status": st.sampled_from(["s", None]),
        "stage": st.sampled_from(["new", "done"]),
        "quantity": st.integers(0, 3),
        "tags": st.lists(st.sampled_from("xyz"), unique=True, max_size=2),
        "code": st.sampled_from(["k0", "k1", "taken", None]),
        "parent_id": st.one_of(row_ids, st.none()),
        "team_id": st.sampled_from([TEAMS[0], TEAMS[0], TEAMS[1], TEAMS[2]]),
    },
)
temps = st.sampled_from([None, None, *TEMPS])
versions = st.integers(1, 4)


@st.composite
def a_create(draw: st.DrawFn) -> Json:
    values = {"team_id": TEAMS[0], "title": "made", **draw(fields)}
    made = draw(st.sampled_from([None, None, *NEW, ROWS[0]]))
    if made is not None:
        values["id"] = made
    return create("item", draw(temps), **values)


@st.composite
def a_part(draw: st.DrawFn) -> Json:
    return create("part", draw(temps), team_id=TEAMS[0], name="part", item_id=draw(row_ids))


items = st.one_of(
    a_create(),
    st.builds(lambda row, version, values: update("item", row, version, **values), row_ids, versions, fields),
    st.builds(lambda row, version, values: update("item", row, version, **values), row_ids, versions, fields),
    st.builds(lambda row, values: update("item", row, None, **values) | {"base": {"none": True}}, row_ids, fields),
    st.builds(lambda row, version: delete("item", row, version), row_ids, versions),
    a_part(),
    st.builds(lambda code, gone: (delete if gone else update)("place", code, 1), st.sampled_from("pq"), st.booleans()),
)


class Stage:
    """Two devices of one team, and rows with a past."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.device: Claims
        self.other: Claims

    async def people(self) -> None:
        for team in TEAMS:
            await self.world.execute("INSERT INTO demo.teams (id, name) VALUES (%s, 'team')", [team])
        self.device = await self.world.person("WORKER", *TEAMS[:2])
        self.other = await self.world.person("WORKER", *TEAMS)

    async def rows(self) -> None:
        await self.world.execute(EMPTY)
        one, two, three, foreign, _ = ROWS
        await self.world.push(
            self.other,
            item(TEAMS[0], id=one, code="taken", tags=["x"]),
            item(TEAMS[0], id=two, parent_id=one),
            item(TEAMS[1], id=three),
            item(TEAMS[2], id=foreign),
            create("place", code="p", team_id=TEAMS[0], label="p"),
        )
        await self.world.push(self.other, update("item", one, 1, title="theirs", quantity=1, tags=["x", "y"]))
        await self.world.push(self.device, update("item", two, 1, status="own"))

    async def outcome(self, batch: list[Json], poison: int | None) -> Json:
        """What becomes of a batch, with every id of the server's replaced by the item it came from."""
        await self.rows()
        sent: list[Json] = list(batch)
        if poison is not None:
            sent.insert(poison, item(TEAMS[0], title="indecent"))
        results = await self.world.push(self.device, *sent)
        if poison is not None:
            refused = results.pop(poison)
            assert (refused["status"], refused["code"]) == ("error", "check_failed")
        told = json.dumps({"results": results, "tables": await self.tables()}, sort_keys=True, default=str)
        found = json.loads(told)
        for n, result in enumerate(results):
            result["index"] = n
        names = {
            result[member]: f"<{member} of {n}>"
            for n, result in enumerate(results)
            for member in ("server_id", "conflict_id")
            if member in result and result[member] not in (*ROWS, *NEW, "p", "q")
        }
        found["results"] = results
        told = json.dumps(found, sort_keys=True, default=str)
        for chosen, name in names.items():
            told = told.replace(json.dumps(chosen), json.dumps(name))
        outcome: Json = json.loads(told)
        for table, rows in outcome["tables"].items():
            outcome["tables"][table] = sorted(rows, key=json.dumps)
        return outcome

    async def tables(self) -> dict[str, list[Any]]:
        asked = {
            "items": "SELECT to_jsonb(t) - 'changed' FROM demo.items t",
            "parts": "SELECT to_jsonb(t) - 'changed' - 'id' FROM demo.parts t",
            "places": "SELECT to_jsonb(t) - 'changed' FROM demo.places t",
            "history": "SELECT jsonb_build_array(row_id, version, action, changes) FROM homing.history",
            "conflicts": "SELECT jsonb_build_array(row_id, fields, code, base_payload, server_payload, client_payload,"
            " policy, resolution) FROM homing.conflicts",
        }
        return {name: [row for (row,) in await self.world.execute(query)] for name, query in asked.items()}


@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@settings(max_examples=60, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@example(batch=[item(TEAMS[0], id=ROWS[0], title="refused by check")], place=0)
@example(batch=[item(TEAMS[0], id=ROWS[0]), update("item", ROWS[0], 1, status="s")], place=0)
@example(batch=[item(TEAMS[0], id=NEW[0], title="refused by check"), update("item", NEW[0], 1, status="s")], place=1)
@example(batch=[create("part", team_id=TEAMS[0], name="p", item_id=NEW[0]), item(TEAMS[0], id=NEW[0])], place=2)
@example(batch=[delete("item", ROWS[0], 2), delete("item", ROWS[1], 2)], place=0)
@given(batch=st.lists(items, min_size=1, max_size=6), place=st.integers(0, 6))
async def test_a_bad_item_changes_nothing_of_what_becomes_of_the_others(
    world: World, batch: list[Json], place: int
) -> None:
    stage = Stage(world)
    await world.execute("TRUNCATE demo.teams, demo.members CASCADE")
    await stage.people()
    fast = await stage.outcome(batch, None)
    careful = await stage.outcome(batch, min(place, len(batch)))
    assert careful == fast
