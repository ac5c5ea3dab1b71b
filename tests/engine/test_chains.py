"""Chains: what devices that never pull make of a row together, however their edits are cut into batches and mixed."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.engine.world import Json, World, item, update

TAGS = ("ab", "cd", "ef")
"""Tags by device: whether one that two devices add and one takes away should stay, nobody can say."""

Edit = tuple[int | None, list[str] | None]
"""What a device makes of the row: a number, tags, or None where it lets them be."""


@st.composite
def a_batch(draw: st.DrawFn) -> tuple[int, list[Edit]]:
    device = draw(st.integers(0, len(TAGS) - 1))
    tags = st.lists(st.sampled_from([*TAGS[device], "base"]), unique=True)
    edit = st.tuples(st.none() | st.integers(-3, 9), st.none() | tags)
    return device, draw(st.lists(edit, min_size=1, max_size=3))


@settings(suppress_health_check=list(HealthCheck))
@given(batches=st.lists(a_batch(), min_size=2, max_size=8))
async def test_every_edit_counts_for_what_it_changed(world: World, batches: list[tuple[int, list[Edit]]]) -> None:
    team = await world.team()
    devices = [await world.person("WORKER", team) for _ in TAGS]
    (made,) = await world.push(devices[0], item(team, quantity=10, tags=["base"]))
    row = made["server_id"]
    has: list[Json] = [{"quantity": 10, "tags": ["base"]} for _ in devices]
    for device, edits in batches:
        sent = []
        for quantity, tags in edits:
            wants: dict[str, Any] = {"quantity": quantity, "tags": tags}
            changed = {name: v for name, v in wants.items() if v is not None and v != has[device][name]}
            has[device] |= changed
            sent.append(update("item", row, 1, **changed))
        results = await world.push(devices[device], *sent)
        assert [result["status"] for result in results] == ["ok"] * len(sent)
    payload = (await world.sync(devices[0])).payloads("item")[row]
    assert payload["quantity"] == 10 + sum(mine["quantity"] - 10 for mine in has)
    added = {tag for mine in has for tag in mine["tags"]} - {"base"}
    assert set(payload["tags"]) - {"base"} == added
