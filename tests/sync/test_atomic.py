"""All or nothing: with one item in the way nothing of the batch is applied, and everybody is told which one it was."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sync.bad_items import surroundings
from tests.sync.scene import Caller, Scene, create, delete, ok, update, without

CULPRITS: list[tuple[str, Any, str, str]] = [
    ("not an item", lambda _: b"5", "error", "invalid_value"),
    ("unknown table", lambda _: create("nothing", a=1), "error", "unknown_table"),
    ("unknown column", lambda c: create("shelf", team_id=c["team"], nothing=1), "error", "unknown_column"),
    ("value", lambda c: create("shelf", team_id=c["team"], name="x", size="x"), "error", "invalid_value"),
    ("constraint", lambda c: create("shelf", team_id=c["team"], name=""), "error", "check_failed"),
    ("elsewhere", lambda c: create("shelf", team_id=c["elsewhere"], name="x"), "error", "forbidden"),
    ("reference", lambda c: create("good", team_id=c["team"], title="x", shelf_id=c["foreign"]), "error", "fk_missing"),
    ("taken", lambda c: create("shelf", team_id=c["team"], name="x", code=c["taken"]), "conflict", "unique"),
    ("exists", lambda c: create("shelf", id=c["mine"], team_id=c["team"], name="x"), "conflict", "exists"),
    ("version", lambda c: update("shelf", c["mine"], 9, name="x"), "conflict", "stale_epoch"),
    ("deleted", lambda c: update("shelf", c["gone"], 1, name="x"), "conflict", "deleted"),
    ("not found", lambda c: update("shelf", c["foreign"], 1, name="x"), "error", "not_found"),
    ("referenced", lambda c: delete("shelf", c["used"], 1), "error", "still_referenced"),
    ("prepare", lambda c: create("good", team_id=c["team"], title="refused by prepare"), "error", "check_failed"),
    ("check", lambda c: create("good", team_id=c["team"], title="refused by check"), "error", "check_failed"),
    ("effect", lambda c: create("good", team_id=c["team"], title="refused by effect"), "error", "check_failed"),
]
WRITTEN = (
    "shop.shelves",
    "shop.goods",
    "shop.labels_printed",
    "homing.history",
    "homing.conflicts",
    "homing.departures",
)


@pytest.mark.parametrize(("culprit", "status", "code"), [row[1:] for row in CULPRITS], ids=[row[0] for row in CULPRITS])
def test_one_culprit_stops_the_batch(scene: Scene, culprit: Any, status: str, code: str) -> None:
    """Wherever it stands, whatever it is."""
    found = surroundings(scene)
    device: Caller = found["person"]
    for place in (0, 2, 4):
        items: list[Any] = [
            create("shelf", f"s{place}", team_id=device.team, name="rest"),
            update("shelf", found["other"], 1, name="rest"),
            create("good", f"g{place}", team_id=device.team, title="rest"),
            delete("good", found["good"], 1),
        ]
        items.insert(place, culprit(found))
        before = scene.rowcount(*WRITTEN)
        token = f"{device.device_id}-{place}"
        results = device.push(*items, atomic=True, batch_token=token)
        assert (results[place]["status"], results[place]["code"]) == (status, code)
        assert "conflict_id" not in results[place]
        for result in results[:place] + results[place + 1 :]:
            assert without(result, "index", "client_temp_id") == {
                "status": "error",
                "code": "group_aborted",
                "error": f"Nothing of the batch was applied: item {place} was refused ({code}).",
            }
        assert scene.rowcount(*WRITTEN) == before
        assert device.push(*items, atomic=True, batch_token=token) == results
    # The office is shown the culprits alone; what only a device can mend, by a resync, is not shown at all.
    shown = ok(scene.office().get("/mobile/quarantine", device_id=device.device_id))["items"]
    expected = [] if code == "stale_epoch" else [(4, code), (2, code), (0, code)]
    assert [(item["index"], item["code"]) for item in shown] == expected


def test_without_a_culprit_everything_is_applied(scene: Scene) -> None:
    device = scene.person()
    mine, stock = scene.shelf(device.team), scene.good(device.team)
    results = device.push(
        create("shelf", "s", team_id=device.team, name="new"),
        create("good", "g", team_id=device.team, title="new", shelf_id="s"),
        update("shelf", mine, 1, name="changed"),
        delete("good", stock, 1),
        atomic=True,
    )
    assert [result["status"] for result in results] == ["ok"] * 4
    assert scene.rows("SELECT name FROM shop.shelves WHERE team_id = %s ORDER BY name", device.team) == [
        ("changed",),
        ("new",),
    ]
    assert scene.rows("SELECT title FROM shop.goods WHERE team_id = %s", device.team) == [("new",)]


def test_mended_it_goes_through_whole(scene: Scene) -> None:
    device = scene.person()
    good = create("good", "g", team_id=device.team, title="new", shelf_id="s")
    first = device.push(create("shelf", "s", team_id=device.team, name=""), good, atomic=True)
    assert [result["code"] for result in first] == ["check_failed", "group_aborted"]
    second = device.push(create("shelf", "s", team_id=device.team, name="mended"), good, atomic=True)
    assert [result["status"] for result in second] == ["ok", "ok"]


def test_a_replay_of_such_a_batch_is_whole_too(scene: Scene) -> None:
    office, found = scene.office(), surroundings(scene)
    device: Caller = found["person"]
    device.push(
        create("shelf", "s", team_id=device.team, name="rest"),
        create("good", "g", team_id=device.team, title="late", shelf_id=found["foreign"]),
        atomic=True,
    )
    batch = scene.value("SELECT id FROM homing.sync_batches WHERE device_id = %s", device.device_row)
    before = scene.rowcount(*WRITTEN)
    again = ok(office.post(f"/mobile/batches/{batch}/replay"))["results"]
    assert [result["code"] for result in again] == ["group_aborted", "fk_missing"]
    assert scene.rowcount(*WRITTEN) == before
    scene.join(device, found["elsewhere"])
    done = ok(office.post(f"/mobile/batches/{batch}/replay"))["results"]
    assert [result["status"] for result in done] == ["ok", "ok"]
