"""Batches that go in one round trip: what they were decided on is made untrue, and every one of them must then end as
it would have, had everything been read first."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from homing.engine.caller import Claims
from homing.protocol.errors import Problem
from tests.engine.test_push import cost
from tests.engine.world import Json, World, create, delete
from tests.fixtures.engine import both_servers


@dataclass
class Known:
    """A device that pushed a place, and may push the next at once."""

    world: World
    team: str
    device: Claims
    place: str

    async def push(self, *items: Json, **envelope: Any) -> list[Json]:
        return await self.world.push(self.device, *items, **envelope)

    async def places(self) -> dict[str, str]:
        return dict(await self.world.execute("SELECT code, label FROM demo.places ORDER BY code"))

    def expects(self) -> bool:
        return self.device.device_name in self.world.engine.devices


def place(known: Known, temp_id: str, label: str = "next", **values: Any) -> Json:
    return create("place", temp_id, **{"team_id": known.team, "label": label, **values})


@pytest.fixture
async def known(world: World) -> Known:
    team = await world.team()
    device = await world.person("WORKER", team)
    found = Known(world, team, device, "")
    (made,) = await found.push(place(found, "first", "first", code="p1"))
    assert (made["status"], found.expects()) == ("ok", True)
    found.place = made["server_id"]
    return found


@both_servers
async def test_creates_that_need_nothing_read_take_one_round_trip(known: Known) -> None:
    world, team = known.world, known.team
    assert await cost(world, known.device, *(place(known, f"@{n}", code=f"@k{n}") for n in range(50))) == (1, 6)
    assert await cost(world, known.device, *(place(known, f"@{n}") for n in range(50))) == (1, 6)
    # What a hook looks into, what the database numbers, and what is no create is read first.
    others = create("item", "@i", team_id=team, title="x"), create("part", "@p", team_id=team, name="x")
    for other in others:
        assert (await cost(world, known.device, other))[0] > 1
    later = await world.person("WORKER", team)
    assert known.device.device_name != later.device_name
    await world.push(later, delete("place", known.place, 1))
    assert (await known.places())["p1"] == "first"  # deleted softly


async def test_everything_of_such_a_batch_is_kept(known: Known) -> None:
    results = await known.push(
        place(known, "t1", code="p2"), place(known, "t2", "third"), batch_token="b", pending=2, client_sync_token=None
    )
    assert [(r["index"], r["client_temp_id"], r["status"], r["server_version"]) for r in results] == [
        (0, "t1", "ok", 1),
        (1, "t2", "ok", 1),
    ]
    assert await known.places() == {"p1": "first", "p2": "next", results[1]["server_id"]: "third"}
    kept = await known.world.execute(
        "SELECT b.batch_token, b.status::text, b.items_count, i.client_temp_id, i.row_id, i.status::text, d.device_id"
        " FROM homing.sync_batches b JOIN homing.sync_items i ON i.batch_id = b.id"
        " JOIN homing.mobile_devices d ON d.id = i.device_id WHERE b.batch_token = 'b' ORDER BY i.position"
    )
    name = known.device.device_name
    assert kept == [
        ("b", "completed", 2, "t1", "p2", "ok", name),
        ("b", "completed", 2, "t2", results[1]["server_id"], "ok", name),
    ]
    history = await known.world.execute(
        "SELECT h.actor, d.device_id, b.batch_token FROM homing.history h JOIN homing.mobile_devices d"
        " ON d.id = h.device_id JOIN homing.sync_batches b ON b.id = h.batch_id WHERE h.row_id = 'p2'"
    )
    assert history == [(str(known.device.user_id), name, "b")]


Change = Callable[[Known], Awaitable[object]]


def said(query: str) -> Change:
    return lambda known: known.world.execute(
        query, {"user": known.device.user_id, "session": known.device.session_id, "device": known.device.device_name}
    )


BARRED: dict[str, tuple[Change, str]] = {
    "session ended": (said("UPDATE homing.sessions SET revoked_at = now() WHERE id = %(session)s"), "unauthenticated"),
    "session expired": (
        said("UPDATE homing.sessions SET expires_at = now() WHERE id = %(session)s"),
        "unauthenticated",
    ),
    "user inactive": (said("UPDATE homing.users SET is_active = false WHERE id = %(user)s"), "unauthenticated"),
    "role changed": (said("UPDATE homing.users SET role = 'OWNER' WHERE id = %(user)s"), "unauthenticated"),
    "user deleted": (said("DELETE FROM homing.users WHERE id = %(user)s"), "unauthenticated"),
    "revoked": (
        said("UPDATE homing.mobile_devices SET status = 'revoked' WHERE device_id = %(device)s"),
        "device_revoked",
    ),
    "suspended": (
        said("UPDATE homing.mobile_devices SET status = 'suspended' WHERE device_id = %(device)s"),
        "device_suspended",
    ),
    "device gone": (
        said("UPDATE homing.mobile_devices SET device_id = 'other' WHERE device_id = %(device)s"),
        "device_unknown",
    ),
}


@pytest.mark.parametrize("name", BARRED)
async def test_who_was_let_in_before_is_asked_again(known: Known, name: str) -> None:
    change, code = BARRED[name]
    await change(known)
    with pytest.raises(Problem) as refused:
        await known.push(place(known, "t", code="p2"))
    assert refused.value.code.code == code
    assert await known.places() == {"p1": "first"}


async def test_a_device_that_is_no_longer_trusted_is_held(known: Known) -> None:
    await said("UPDATE homing.mobile_devices SET trust_score = 0.1 WHERE device_id = %(device)s")(known)
    for n in range(2):
        (result,) = await known.push(place(known, f"t{n}", code=f"q{n}"))
        assert (result["status"], result["code"]) == ("error", "held_for_review")
        assert not known.expects()
    assert await known.places() == {"p1": "first"}


async def test_a_device_of_that_name_that_is_another_one_now(known: Known) -> None:
    """Removed and registered again: what is written bears the new one's id."""
    await said("UPDATE homing.mobile_devices SET device_id = 'old' WHERE device_id = %(device)s")(known)
    await said("INSERT INTO homing.mobile_devices (device_id, user_id) VALUES (%(device)s, %(user)s)")(known)
    (result,) = await known.push(place(known, "t", code="p2"))
    assert result["status"] == "ok"
    rows = await known.world.execute(
        "SELECT d.device_id FROM homing.sync_items i JOIN homing.mobile_devices d ON d.id = i.device_id"
        " WHERE i.row_id = 'p2'"
    )
    assert rows == [(known.device.device_name,)]


async def test_a_batch_sent_again_gets_its_first_answer(known: Known) -> None:
    first = await known.push(place(known, "t", code="p2"), batch_token="b")
    assert await known.push(place(known, "t", code="p2"), batch_token="b") == first
    with pytest.raises(Problem) as refused:
        await known.push(place(known, "t", code="p3"), batch_token="b")
    assert refused.value.code.code == "reused_with_other_body"
    assert await known.places() == {"p1": "first", "p2": "next"}


async def test_an_item_sent_again_in_another_batch_gets_its_first_verdict(known: Known) -> None:
    (first,) = await known.push(place(known, "t", "third"))
    again, other = await known.push(place(known, "t", "third"), place(known, "u", code="p4"))
    assert again == first
    assert other["status"] == "ok"
    assert await known.places() == {"p1": "first", first["server_id"]: "third", "p4": "next"}


async def test_a_temp_id_of_an_earlier_batch_still_stands_for_its_row(known: Known) -> None:
    """As the key of a create it means: give me a new one."""
    (first,) = await known.push(place(known, "t", "third"))
    (second,) = await known.push(place(known, "u", "fourth", code="t"))
    assert second["server_id"] not in ("t", first["server_id"])
    assert "t" not in await known.places()


async def test_the_key_of_a_row_that_is_there_or_was_is_refused(known: Known) -> None:
    """Those of others too, who may be there since the device pushed last."""
    (taken,) = await known.push(place(known, "t", code="p1"))
    assert (taken["status"], taken["code"]) == ("conflict", "exists")
    assert known.expects()  # the ordinary way was done after, and found the device as it was
    await known.push(place(known, "u", code="p2"))
    await known.world.execute("DELETE FROM demo.places WHERE code = 'p2'")
    (former,) = await known.push(place(known, "v", code="p2"))
    assert former["status"] != "ok"
    assert await known.places() == {"p1": "first"}


async def test_two_creates_of_one_key_in_a_batch(known: Known) -> None:
    one, two = await known.push(place(known, "t", "one", code="p2"), place(known, "u", "two", code="p2"))
    assert (one["status"], two["status"]) == ("ok", "conflict")
    assert two["code"] == "exists"
    assert await known.places() == {"p1": "first", "p2": "one"}


async def test_one_bad_item_costs_itself_only(known: Known) -> None:
    foreign = await known.world.team()
    good, bad, wrong = await known.push(
        place(known, "t", code="p2"), place(known, "u", code="p3", team_id=foreign), place(known, "v", label=None)
    )
    assert [(r["status"], r.get("code")) for r in (good, bad, wrong)] == [
        ("ok", None),
        ("error", "forbidden"),
        ("error", "invalid_value"),
    ]
    assert await known.places() == {"p1": "first", "p2": "next"}


async def test_a_time_by_the_device_s_clock_is_corrected(known: Known) -> None:
    """By the offset that the database knows, where the batch brings none."""
    now = datetime.now(UTC)
    slow = (now - timedelta(hours=5)).isoformat().replace("+00:00", "Z")
    await known.push(place(known, "t", code="p2"), client_time=slow)
    dated = place(known, "u", code="p3") | {"edited_at": slow}
    await known.push(dated)
    ((edited,),) = await known.world.execute("SELECT edited_at FROM homing.sync_items WHERE row_id = 'p3'")
    assert abs(edited - now) < timedelta(minutes=5)
    await known.push(place(known, "v", code="p4") | {"edited_at": slow}, client_time=slow)
    ((edited,),) = await known.world.execute("SELECT edited_at FROM homing.sync_items WHERE row_id = 'p4'")
    assert abs(edited - now) < timedelta(minutes=5)
