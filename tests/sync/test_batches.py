"""Batches as the office sees them: lists, the quarantine, replay, review of devices that are not trusted."""

from __future__ import annotations

import threading
from typing import Any
from uuid import uuid4

import pytest

from tests.sync.scene import Caller, Scene, create, delete, ok, problem, update, without

NOWHERE = str(uuid4())
HELD = {
    "status": "error",
    "code": "held_for_review",
    "error": "The office looks at this device's edits before they are applied.",
}
ALL = (
    "shop.shelves",
    "shop.goods",
    "homing.history",
    "homing.sync_items",
    "homing.conflicts",
    "homing.sync_item_history",
)


def distrust(scene: Scene, device: Caller, score: float = 0.2) -> None:
    scene.execute("UPDATE homing.mobile_devices SET trust_score = %s WHERE id = %s", score, device.device_row)


def batch_of(scene: Scene, device: Caller) -> str:
    """The device's latest batch."""
    return str(
        scene.value(
            "SELECT id FROM homing.sync_batches WHERE device_id = %s ORDER BY created_at DESC LIMIT 1",
            device.device_row,
        )
    )


def test_batches_are_listed_and_shown(scene: Scene) -> None:
    office, device = scene.office(), scene.person()
    for n in range(3):
        device.push(
            create("shelf", f"t{n}", team_id=device.team, name=str(n)),
            create("shelf", team_id=device.team, name=""),
            batch_token=f"{device.device_id}-{n}",
        )
    found: list[Any] = []
    after = None
    while True:
        page = ok(
            office.get("/mobile/batches", device_id=device.device_id, limit=2, **({"after": after} if after else {}))
        )
        found += page["items"]
        after = page["next"]
        if after is None:
            break
    assert [without(batch, "id", "created_at", "processed_at") for batch in found] == [
        {
            "batch_token": f"{device.device_id}-{n}",
            "device_id": device.device_id,
            "user": device.username,
            "status": "completed",
            "items_count": 2,
            "atomic": False,
            "held_reason": None,
            "outcomes": {"ok": 1, "error": 1},
        }
        for n in (2, 1, 0)
    ]
    shown = ok(office.get(f"/mobile/batches/{found[0]['id']}"))
    assert {name: shown[name] for name in found[0]} == found[0]
    assert [(item["index"], item["client_temp_id"], item["status"], item["payload"]) for item in shown["items"]] == [
        (0, "t2", "ok", {"team_id": device.team, "name": "2"}),
        (1, None, "error", {"team_id": device.team, "name": ""}),
    ]
    again = device.push(
        create("shelf", "t2", team_id=device.team, name="2"),
        create("shelf", team_id=device.team, name=""),
        batch_token=f"{device.device_id}-2",
    )
    assert shown["results"] == again
    assert ok(office.get("/mobile/batches", device_id=device.device_id, status="received"))["items"] == []
    problem(office.get("/mobile/batches", status="unheard of"), 400, "invalid_parameter")
    problem(office.get(f"/mobile/batches/{NOWHERE}"), 404, "not_found")
    problem(office.post(f"/mobile/batches/{NOWHERE}/replay"), 404, "not_found")


def test_only_the_office_may_look(scene: Scene) -> None:
    device = scene.person()
    device.push(create("shelf", team_id=device.team, name=""))
    batch = batch_of(scene, device)
    for answer in (
        device.get("/mobile/batches"),
        device.get(f"/mobile/batches/{batch}"),
        device.post(f"/mobile/batches/{batch}/replay"),
        device.get("/mobile/quarantine"),
        device.post(f"/mobile/quarantine/{NOWHERE}/replay"),
        device.post(f"/mobile/quarantine/{NOWHERE}/discard", {"reason": "x"}),
        device.request("PATCH", f"/mobile/quarantine/{NOWHERE}", json={"payload": {}}),
    ):
        problem(answer, 403, "forbidden")


def test_a_dry_run_shows_verdicts_and_keeps_nothing(scene: Scene) -> None:
    office, device = scene.office(), scene.person()
    results = device.push(
        create("shelf", "s", team_id=device.team, name="fine"),
        create("good", "g", team_id=device.team, title="t", shelf_id=NOWHERE),
        create("good", "h", team_id=device.team, title="refused by effect"),
        update("shelf", "s", 7, name="conflict"),
    )
    scene.execute("INSERT INTO shop.shelves (id, team_id, name) VALUES (%s, %s, 'late')", NOWHERE, device.team)
    batch, before = batch_of(scene, device), scene.rowcount(*ALL)
    shown = ok(office.get(f"/mobile/batches/{batch}"))
    answer = ok(office.post(f"/mobile/batches/{batch}/replay", {"dry_run": True}))
    good = answer["results"][1]["server_id"]
    # Now the shelf is a row like any; in the batch that made it, it was what the batch had sent.
    stood = {"id": results[0]["server_id"], "team_id": device.team, "name": "fine", "paint": "white"}
    now = dict.fromkeys(answer["results"][3]["server_payload"]) | stood
    assert answer == {
        "batch_id": batch,
        "dry_run": True,
        "results": [
            results[0],
            {"index": 1, "client_temp_id": "g", "status": "ok", "server_id": good, "server_version": 1},
            results[2],
            results[3] | {"server_payload": now},
        ],
    }
    assert scene.rowcount(*ALL) == before
    assert ok(office.get(f"/mobile/batches/{batch}")) == shown

    replayed = ok(office.post(f"/mobile/batches/{batch}/replay"))
    good = replayed["results"][1]["server_id"]
    assert [result["status"] for result in replayed["results"]] == ["ok", "ok", "error", "conflict"]
    assert scene.rows("SELECT id::text, title FROM shop.goods WHERE team_id = %s", device.team) == [(good, "t")]
    # By the device's user, who wanted it, and on behalf of that device; what it took is kept.
    assert scene.rows("SELECT actor, device_id::text, batch_id::text FROM homing.history WHERE row_id = %s", good) == [
        (device.user_id, device.device_row, batch)
    ]
    assert scene.rows(
        "SELECT h.actor, h.changes -> 'status' FROM homing.sync_item_history h"
        " JOIN homing.sync_items i ON i.id = h.item_id WHERE i.batch_id = %s AND i.client_temp_id = 'g'",
        batch,
    ) == [(office.user_id, ["error", "ok"])]
    again = ok(office.post(f"/mobile/batches/{batch}/replay"))
    assert again["results"] == replayed["results"]
    assert scene.value("SELECT count(*) FROM shop.goods WHERE team_id = %s", device.team) == 1


def test_the_quarantine_is_mended_replayed_and_discarded(scene: Scene) -> None:
    office, device = scene.office(), scene.person()
    taken = f"code-{uuid4()}"
    scene.shelf(str(uuid4()), code=taken)
    device.push(
        create("shelf", "empty", team_id=device.team, name=""),
        create("shelf", "wrong", team_id=device.team, name="x", size="x"),
        create("shelf", "taken", team_id=device.team, name="x", code=taken),
        create("nothing", "unknown", a=1),
    )
    found = ok(office.get("/mobile/quarantine", device_id=device.device_id))["items"]
    assert [(item["client_temp_id"], item["code"]) for item in sorted(found, key=lambda item: item["index"])] == [
        ("empty", "check_failed"),
        ("wrong", "invalid_value"),
        ("taken", "unique"),
        ("unknown", "unknown_table"),
    ]
    empty, wrong, twice, unknown = (item["id"] for item in sorted(found, key=lambda item: item["index"]))
    assert len(ok(office.get("/mobile/quarantine", device_id=device.device_id, limit=3))["items"]) == 3
    only = ok(office.get("/mobile/quarantine", device_id=device.device_id, resource_type="nothing"))["items"]
    assert [item["id"] for item in only] == [unknown]
    assert ok(device.get("/mobile/sync/status"))["quarantined"] == 4

    mended = ok(
        office.request(
            "PATCH", f"/mobile/quarantine/{empty}", json={"payload": {"team_id": device.team, "name": "mended"}}
        )
    )
    assert (mended["id"], mended["payload"]["name"], mended["code"]) == (empty, "mended", "check_failed")
    dry = ok(office.post(f"/mobile/quarantine/{empty}/replay", {"dry_run": True}))
    assert (dry["status"], scene.value("SELECT count(*) FROM shop.shelves WHERE team_id = %s", device.team)) == (
        "ok",
        0,
    )
    done = ok(office.post(f"/mobile/quarantine/{empty}/replay"))
    assert without(done, "server_id") == {
        "index": 0,
        "client_temp_id": "empty",
        "status": "ok",
        "server_version": 1,
    }
    assert scene.rows("SELECT id::text, name FROM shop.shelves WHERE team_id = %s", device.team) == [
        (done["server_id"], "mended")
    ]
    problem(office.post(f"/mobile/quarantine/{empty}/replay"), 404, "not_found")

    still = ok(office.post(f"/mobile/quarantine/{wrong}/replay"))
    assert (still["code"], still["path"]) == ("invalid_value", "/size")
    scene.execute("UPDATE shop.shelves SET code = NULL WHERE code = %s", taken)
    assert ok(office.post(f"/mobile/quarantine/{twice}/replay"))["status"] == "ok"

    assert office.post(f"/mobile/quarantine/{unknown}/discard", {"reason": "an old app"}).status_code == 204
    problem(office.post(f"/mobile/quarantine/{unknown}/discard", {"reason": "again"}), 404, "not_found")
    problem(office.post(f"/mobile/quarantine/{unknown}/replay"), 404, "not_found")
    problem(office.request("PATCH", f"/mobile/quarantine/{unknown}", json={"payload": {}}), 404, "not_found")
    left = ok(office.get("/mobile/quarantine", device_id=device.device_id))["items"]
    assert [item["id"] for item in left] == [wrong]
    shown = ok(office.get(f"/mobile/batches/{batch_of(scene, device)}"))["items"]
    assert [(item["discard_reason"], item["discarded_at"] is not None) for item in shown] == [
        *[(None, False)] * 3,
        ("an old app", True),
    ]
    assert ok(device.get("/mobile/sync/status"))["quarantined"] == 1


def test_an_item_that_the_device_mended_itself_is_not_applied_twice(scene: Scene) -> None:
    """It was refused because of something else, sent again when that was there, and then replayed as well."""
    office, device = scene.office(), scene.person()
    shelf = str(uuid4())
    item = create("good", "g", team_id=device.team, title="once", shelf_id=shelf)
    device.push(item)
    batch = batch_of(scene, device)
    scene.execute("INSERT INTO shop.shelves (id, team_id, name) VALUES (%s, %s, 'late')", shelf, device.team)
    (made,) = device.push(item)
    assert made["status"] == "ok"
    assert ok(office.post(f"/mobile/batches/{batch}/replay"))["results"] == [made]
    assert scene.value("SELECT count(*) FROM shop.goods WHERE team_id = %s", device.team) == 1
    assert ok(office.get("/mobile/quarantine", device_id=device.device_id))["items"] == []


def test_low_trust_is_held_for_review_and_replay_approves_it(scene: Scene) -> None:
    office, device = scene.office(), scene.person()
    mine = scene.shelf(device.team)
    _, token = device.pull()
    distrust(scene, device)
    items = [
        create("shelf", "s", team_id=device.team, name="held"),
        update("shelf", mine, 1, name="renamed"),
        {**update("shelf", mine, None, size=3), "base": {"token": True}},
        create("good", "g", team_id=device.team, title="held", shelf_id="s"),
        create("nothing", a=1),
    ]
    before = scene.rowcount("shop.shelves", "shop.goods", "homing.history")
    answer = ok(device.send(*items, batch_token="held", client_sync_token=token))
    assert [without(result, "index", "client_temp_id") for result in answer["results"][:4]] == [HELD] * 4
    assert answer["results"][4]["code"] == "unknown_table"
    assert scene.rowcount("shop.shelves", "shop.goods", "homing.history") == before
    again = ok(device.send(*items, batch_token="held", client_sync_token=token))
    assert without(again, "processed_at") == without(answer, "processed_at")
    (held,) = ok(office.get("/mobile/batches", held=True, device_id=device.device_id))["items"]
    assert (held["status"], held["held_reason"], held["outcomes"]) == (
        "received",
        "trust 0.20 is below 0.50",
        {"pending": 4, "error": 1},
    )
    dry = ok(office.post(f"/mobile/batches/{held['id']}/replay", {"dry_run": True}))["results"]
    assert [result["status"] for result in dry] == ["ok"] * 4 + ["error"]
    assert scene.rowcount("shop.shelves", "shop.goods", "homing.history") == before

    approved = ok(office.post(f"/mobile/batches/{held['id']}/replay"))["results"]
    assert [(result["status"], result.get("server_version")) for result in approved] == [
        ("ok", 1),
        ("ok", 2),
        ("ok", 3),
        ("ok", 1),
        ("error", None),
    ]
    assert scene.rows("SELECT name, size, version FROM shop.shelves WHERE id = %s", mine) == [("renamed", 3, 3)]
    assert ok(device.send(*items, batch_token="held"))["results"] == approved
    assert ok(office.get("/mobile/batches", held=True, device_id=device.device_id))["items"] == []


def test_held_items_sent_again_are_applied_once(scene: Scene) -> None:
    """In the same batch, in another one, before and after the review."""
    office, device = scene.office(), scene.person()
    distrust(scene, device)
    item = create("good", "g", team_id=device.team, title="once")
    update_it = update("good", "g", 1, "u", title="twice")
    first = device.push(item, item, update_it, batch_token=f"{device.device_id}-1")
    batch = batch_of(scene, device)
    second = device.push(item, batch_token=f"{device.device_id}-2")
    other = batch_of(scene, device)
    assert [result["code"] for result in (*first, *second)] == ["held_for_review"] * 4
    approved = ok(office.post(f"/mobile/batches/{batch}/replay"))["results"]
    made = approved[0]["server_id"]
    assert [(result["status"], result["server_id"], result["server_version"]) for result in approved] == [
        ("ok", made, 1),
        ("ok", made, 1),
        ("ok", made, 2),
    ]
    # The other batch's item is the same one: its retry hears so, with or without a review of its own.
    (heard,) = device.push(item, batch_token=f"{device.device_id}-2")
    assert (heard["status"], heard["server_id"]) == ("ok", made)
    assert ok(office.post(f"/mobile/batches/{other}/replay"))["results"] == [heard]
    assert device.push(item, item, update_it, batch_token=f"{device.device_id}-1") == approved
    (again,) = device.push(item)
    assert again == heard
    assert scene.rows("SELECT id::text, title FROM shop.goods WHERE team_id = %s", device.team) == [(made, "twice")]


def test_what_waited_for_review_was_edited_when_it_was_sent(scene: Scene) -> None:
    """Last write wins by the time of the edit, not by the time of the approval."""
    office, device = scene.office(), scene.person()
    good = scene.good(device.team, note="first")
    distrust(scene, device)
    device.push(update("good", good, 1, note="held"))
    batch = batch_of(scene, device)
    (later,) = office.push(update("good", good, 1, note="later"))
    assert later["status"] == "ok"
    (result,) = ok(office.post(f"/mobile/batches/{batch}/replay"))["results"]
    assert (result["status"], result["merged"]) == ("ok", True)
    assert scene.value("SELECT note FROM shop.goods WHERE id = %s", good) == "later"


@pytest.mark.parametrize(("status", "code"), [("suspended", "device_suspended"), ("revoked", "device_revoked")])
def test_barred_devices(scene: Scene, status: str, code: str) -> None:
    """Nothing is accepted or delivered; what a revoked device sent before is not replayed either."""
    office, device = scene.office(), scene.person()
    _, token = device.pull()
    device.push(create("shelf", "s", team_id=device.team, name=""), batch_token=f"{device.device_id}")
    batch = batch_of(scene, device)
    ok(office.request("PATCH", f"/mobile/devices/{device.device_row}", json={"status": status, "reason": "lost"}))
    before = scene.rowcount(*ALL)
    answers = [
        device.send(create("shelf", team_id=device.team, name="x")),
        device.send(create("shelf", "s", team_id=device.team, name=""), batch_token=f"{device.device_id}"),
        device.send(),
        device.post("/mobile/sync/pull", {"since_token": token}),
        device.post("/mobile/sync/ack", {"ack_token": token}),
        device.post("/mobile/sync/verify", {"token": token, "digests": {}}),
        device.get("/mobile/sync/status"),
    ]
    for answer in answers:
        assert problem(answer, 403, code)["action"] == ("wipe" if status == "revoked" else "stop")
    assert scene.rowcount(*ALL) == before
    replay = office.post(f"/mobile/batches/{batch}/replay")
    if status == "revoked":
        assert problem(replay, 409, "state_conflict")["detail"] == "The device that sent this batch is revoked."
    else:
        assert ok(replay)["results"][0]["code"] == "check_failed"


def test_replayed_by_ten_people_at_once_it_is_applied_once(scene: Scene) -> None:
    device = scene.person()
    offices = [scene.office() for _ in range(10)]
    distrust(scene, device)
    device.push(*(create("good", f"t{n}", team_id=device.team, title=f"replayed {n}") for n in range(3)))
    batch = batch_of(scene, device)
    barrier, answers = threading.Barrier(10), []

    def replay(office: Caller) -> None:
        barrier.wait()
        answers.append(ok(office.post(f"/mobile/batches/{batch}/replay"))["results"])

    threads = [threading.Thread(target=replay, args=[office]) for office in offices]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [answers[0]] * 10
    assert [result["status"] for result in answers[0]] == ["ok"] * 3
    assert scene.value("SELECT count(*) FROM shop.goods WHERE team_id = %s", device.team) == 3


def test_a_replay_has_the_rights_of_who_sent_it(scene: Scene) -> None:
    office, device = scene.office(), scene.person()
    memo, elsewhere = create("memo", body="not for workers"), str(uuid4())
    device.push(memo, create("shelf", team_id=elsewhere, name="x"), delete("shelf", scene.shelf(elsewhere), 1))
    batch = batch_of(scene, device)
    before = scene.rowcount("shop.memos", "shop.shelves")
    results = ok(office.post(f"/mobile/batches/{batch}/replay"))["results"]
    assert [result["code"] for result in results] == ["forbidden", "forbidden", "not_found"]
    assert scene.rowcount("shop.memos", "shop.shelves") == before
    scene.join(device, elsewhere)
    results = ok(office.post(f"/mobile/batches/{batch}/replay"))["results"]
    assert [result["status"] for result in results] == ["error", "ok", "ok"]


def test_a_key_reused_with_what_cannot_be_stored(scene: Scene) -> None:
    device = scene.person()
    (made,) = device.push(create("shelf", "key", team_id=device.team, name="one"))
    other, fine = device.push(
        create("shelf", "key", team_id=device.team, name="\0"), create("shelf", team_id=device.team, name="fine")
    )
    assert (made["status"], other["code"], fine["status"]) == ("ok", "reused_with_other_body", "ok")
