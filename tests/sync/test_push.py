"""Push through HTTP: what is answered, what is then in the database, and what one bad item costs the others. A little
over 500 lines, because the rows of one table of bad input belong on one page.
"""

import json
import threading
from typing import Any
from uuid import uuid4

import pytest

from tests.sync.bad_items import BAD, NOWHERE, surroundings
from tests.sync.scene import Caller, Scene, create, delete, ok, problem, update, without

KEPT = ("homing.sync_batches", "homing.sync_items", "homing.conflicts", "homing.history", "shop.shelves", "shop.goods")


def test_the_examples_of_the_specification_as_they_stand(scene: Scene) -> None:
    """Spec 2's request, with real ids in place of f-1 and m-123, and its answer."""
    office, device = scene.office(), scene.person()
    form = ok(office.post("/forms", {"code": "f-1", "name": "A form", "schema": {"type": "object"}}), 201)
    ok(office.post("/forms/f-1/publish", {"version": "v2"}))
    team = ok(office.post("/teams", {"name": "Dream"}), 201)["id"]
    ok(office.request("PUT", f"/teams/{team}/members/{device.user_id}"))
    meter = ok(office.post("/meters", {"code": "m-123", "reading": 1, "team_id": team}), 201)["id"]
    for reading in range(45, 51):
        ok(office.request("PATCH", f"/meters/{meter}", json={"reading": reading}))
    _, token = device.pull()
    body = {
        "device_id": device.device_id,
        "client_sync_token": token,
        "items": [
            {
                "client_temp_id": "tmp-1",
                "resource_type": "submission",
                "action": "create",
                "payload": {"form_id": "f-1", "form_version": "v2", "data": {"fieldA": "ok"}},
                "client_version": 1,
            },
            {
                "resource_type": "meter",
                "action": "update",
                "payload": {"id": meter, "reading": 42},
                "client_version": 5,
            },
        ],
    }
    answer = ok(device.post("/mobile/sync/push", body))
    assert set(answer) == {"batch_id", "batch_token", "processed_at", "server_sync_token", "results"}
    assert answer["processed_at"].endswith("Z")
    made, refused = answer["results"]
    assert made == {
        "index": 0,
        "client_temp_id": "tmp-1",
        "status": "ok",
        "server_id": made["server_id"],
        "server_version": 1,
    }
    assert without(refused, "conflict_id", "server_payload") == {
        "index": 1,
        "client_temp_id": None,
        "status": "conflict",
        "server_id": meter,
        "server_version": 7,
        "code": "version_conflict",
        "error": "Version mismatch: server_version=7, client_version=5",
    }
    assert refused["server_payload"]["reading"] == 50
    assert scene.rows(
        "SELECT form_id::text, form_version, data, team_id::text, author_id::text FROM fieldwork.submissions"
    ) == [(form["id"], "v2", {"fieldA": "ok"}, team, device.user_id)]
    conflict = ok(device.get(f"/mobile/conflicts/{refused['conflict_id']}"))
    assert conflict["server_payload"] == refused["server_payload"]
    assert conflict["client_payload"] == {"id": meter, "reading": 42}

    changes = device.page(answer["server_sync_token"])
    (change,) = changes["changes"]
    assert without(change, "payload") == {
        "id": made["server_id"],
        "resource_type": "submission",
        "action": "create",
        "server_version": 1,
    }
    acked = ok(device.post("/mobile/sync/ack", {"ack_token": changes["next_token"]}))
    assert set(acked) == {"acked_at", "synced"}
    resolved = ok(office.post(f"/mobile/conflicts/{refused['conflict_id']}/resolve", {"resolution": "accept_client"}))
    assert (resolved["resolution"], resolved["resolution_action"], resolved["resolved_version"]) == (
        "resolved",
        "accept_client",
        8,
    )
    (change,) = device.page(changes["next_token"])["changes"]
    assert (change["id"], change["payload"]["reading"], change["server_version"]) == (meter, 42, 8)


def test_every_action_and_what_becomes_of_the_rows(scene: Scene) -> None:
    device = scene.person()
    changed, removed = scene.shelf(device.team, name="old"), scene.shelf(device.team)
    own = str(uuid4())
    results = device.push(
        create("shelf", "a", team_id=device.team, name="made"),
        update("shelf", changed, 1, "b", name="new", size=3),
        delete("shelf", removed, 1, "c"),
        create("shelf", id=own, team_id=device.team, name="with its own id"),
    )
    made = results[0]["server_id"]
    assert results == [
        {"index": 0, "client_temp_id": "a", "status": "ok", "server_id": made, "server_version": 1},
        {"index": 1, "client_temp_id": "b", "status": "ok", "server_id": changed, "server_version": 2},
        {"index": 2, "client_temp_id": "c", "status": "ok", "server_id": removed, "server_version": 1},
        {"index": 3, "client_temp_id": None, "status": "ok", "server_id": own, "server_version": 1},
    ]
    assert sorted(
        scene.rows("SELECT id::text, name, size, version FROM shop.shelves WHERE team_id = %s", device.team)
    ) == sorted([(made, "made", None, 1), (changed, "new", 3, 2), (own, "with its own id", None, 1)])
    assert scene.rows(
        "SELECT action::text, version, actor, device_id::text FROM homing.history WHERE row_id = ANY (%s) AND actor <> "
        "'outside' ORDER BY action::text, version",
        [made, changed, removed, own],
    ) == [
        ("create", 1, device.user_id, device.device_row),
        ("create", 1, device.user_id, device.device_row),
        ("delete", 1, device.user_id, device.device_row),
        ("update", 2, device.user_id, device.device_row),
    ]


def test_values_come_back_as_they_were_sent(scene: Scene) -> None:
    device = scene.person()
    sent = {
        "team_id": device.team,
        "name": "=cmd|' /C calc'!A0 <script>alert(1)</script> \U0001f9ca é e\u0301  ",
        "code": "trailing blanks  ",
        "size": -(2**31),
        "places": "9223372036854775807",
        "rent": "12345678.90",
        "height": 0.1,
        "built": "2023-06-01T12:00:00.123456Z",
        "closed": "9999-12-31",
        "plan": {"b": [1, 2.5, None, True], "a": {"ü": "\\"}},
        "mark": "12345678",
        "tags": ["x", "", "x"],
        "lit": False,
        "paint": "",
    }
    (result,) = device.push(create("shelf", **sent))
    changes, _ = device.pull(tables=["shelf"])
    assert [change["payload"] for change in changes] == [{"id": result["server_id"], **sent, "inspector": None}]


@pytest.mark.parametrize(("bad", "expected"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_a_bad_item_costs_itself_only(scene: Scene, bad: Any, expected: dict[str, Any]) -> None:
    """At every place of a batch of five: the other four applied, exact results, exact rows, and the quarantine."""
    found = surroundings(scene)
    person: Caller = found["person"]
    item = bad(found)
    before = scene.rows("SELECT id::text, version FROM shop.shelves WHERE team_id = %s ORDER BY id", person.team)
    made: list[str] = []
    for place in range(5):
        items: list[Any] = [
            create("good", f"{place}-{n}", team_id=person.team, title=f"{place}-{n}")
            if n % 2
            else create("shelf", f"{place}-{n}", team_id=person.team, name=f"{place}-{n}")
            for n in range(4)
        ]
        items.insert(place, item)
        results = person.push(*items)
        assert [(result["index"], result["status"]) for result in results] == [
            (n, "error" if n == place else "ok") for n in range(5)
        ]
        bad_result = results.pop(place)
        temp_id = None if isinstance(item, bytes) or bad_result["client_temp_id"] is None else item["client_temp_id"]
        assert bad_result == {"index": place, "client_temp_id": temp_id, **expected}
        for n, result in enumerate(results):
            assert result == {
                "index": n + (n >= place),
                "client_temp_id": f"{place}-{n}",
                "status": "ok",
                "server_id": result["server_id"],
                "server_version": 1,
            }
            made.append(result["server_id"])
    names = [f"{place}-{n}" for place in range(5) for n in range(4)]
    assert scene.rows(
        "SELECT id::text, name FROM shop.shelves WHERE team_id = %s AND name LIKE '_-_'"
        " UNION ALL SELECT id::text, title FROM shop.goods WHERE team_id = %s AND title LIKE '_-_' ORDER BY 2",
        person.team,
        person.team,
    ) == list(zip(made, names, strict=True))
    assert (
        scene.rows(
            "SELECT id::text, version FROM shop.shelves WHERE team_id = %s AND name NOT LIKE '_-_' ORDER BY id",
            person.team,
        )
        == before
    )
    assert scene.rows("SELECT title, version FROM shop.goods WHERE id = %s", found["good"]) == [("a good", 1)]
    assert scene.value("SELECT count(*) FROM shop.labels_printed WHERE title LIKE 'refused%%'") == 0
    office = scene.office()
    quarantined = ok(office.get("/mobile/quarantine", device_id=person.device_id))["items"]
    assert [(q["index"], q["status"], q["code"], q["error"]) for q in reversed(quarantined)] == [
        (place, "error", expected["code"], expected["error"]) for place in range(5)
    ]


def test_bad_batches_do_not_spoil_a_connection(scene: Scene) -> None:
    """Every statement is met for the second time, which is when it is prepared, behind one that fails."""
    device = scene.person()
    for n in range(8):
        good, bad = {"team_id": device.team, "name": str(n)}, {"team_id": device.team, "name": ""}
        statuses = [
            [result["status"] for result in device.push(*items)]
            for items in (
                [create("shelf", **good)],
                [create("shelf", **bad), create("crate", **good), create("aisle", team_id=device.team, label="a")],
                [create("shelf", **good), create("crate", **good), create("aisle", team_id=device.team, label="a")],
            )
        ]
        assert statuses == [["ok"], ["error", "ok", "ok"], ["ok", "ok", "ok"]]


def test_conflicts_cost_themselves_only_too(scene: Scene) -> None:
    """B12, B25, B27, and a value that is taken: conflicts, each with what the server has."""
    found = surroundings(scene)
    person: Caller = found["person"]
    results = person.push(
        create("shelf", "first", team_id=person.team, name="fine"),
        create("shelf", id=found["mine"], team_id=person.team, name="exists"),
        update("shelf", found["other"], 5, name="from the future"),
        update("shelf", found["gone"], 1, name="deleted"),
        create("shelf", team_id=person.team, name="taken", code=found["taken"]),
        update("shelf", found["used"], 1, code=found["taken"]),
        delete("shelf", found["gone"], 1),
        delete("shelf", found["gone"]),
        {**create("shelf", id=found["mine"], team_id=person.team, name="absent"), "base": {"absent": True}},
        update("shelf", found["other"], 1, name="fine too"),
    )
    (payload,) = [r["server_payload"] for r in results if r["index"] == 1]
    assert payload == {
        "id": found["mine"],
        "team_id": person.team,
        "name": "a shelf",
        "paint": "white",
        **dict.fromkeys(
            ("code", "size", "places", "rent", "height", "built", "closed", "plan", "mark", "tags", "lit", "inspector")
        ),
    }
    conflicts = [result.pop("conflict_id", None) for result in results]
    taken = {"status": "conflict", "code": "unique", "error": "Another row has this value already (shelves_code_key)."}
    exists = {
        "status": "conflict",
        "server_id": found["mine"],
        "server_version": 1,
        "server_payload": payload,
        "code": "exists",
        "error": "A row with this id exists already.",
    }
    gone = {"status": "ok", "server_id": found["gone"]}
    expected = [
        {"status": "ok", "server_id": results[0]["server_id"], "server_version": 1},
        exists,
        {
            **exists,
            "server_id": found["other"],
            "server_payload": {**payload, "id": found["other"]},
            "code": "stale_epoch",
            "error": "Version mismatch: server_version=1, client_version=5",
        },
        {
            "status": "conflict",
            "server_id": found["gone"],
            "code": "deleted",
            "error": "The row was deleted; the edit is kept for the office.",
        },
        taken,
        {**taken, "server_id": found["used"]},
        gone,
        gone,
        exists,
        {"status": "ok", "server_id": found["other"], "server_version": 2},
    ]
    assert results == [
        {"index": n, "client_temp_id": "first" if n == 0 else None, **result} for n, result in enumerate(expected)
    ]
    assert [conflict is not None for conflict in conflicts] == [n == 3 for n in range(10)]
    assert scene.rows("SELECT name, version FROM shop.shelves WHERE id = %s", found["other"]) == [("fine too", 2)]


def test_what_is_invisible_is_answered_as_what_is_absent(scene: Scene) -> None:
    """B11, B14: byte for byte, whatever the item."""
    found = surroundings(scene)
    person: Caller = found["person"]
    crate = scene.crate(found["elsewhere"])
    pairs: list[tuple[Any, Any, Any]] = [
        (found["foreign"], NOWHERE, lambda key: update("shelf", key, 1, name="x")),
        (found["foreign"], NOWHERE, lambda key: update("shelf", key, 1, name="")),
        (found["foreign"], NOWHERE, lambda key: update("shelf", key, 9, name="x")),
        (found["foreign"], NOWHERE, lambda key: {**update("shelf", key, None, name="x"), "base": {"none": True}}),
        (found["foreign"], NOWHERE, lambda key: {**update("shelf", key, None), "base": {"row": {"name": "a shelf"}}}),
        (found["foreign"], NOWHERE, lambda key: delete("shelf", key, 1)),
        (found["foreign"], NOWHERE, lambda key: delete("shelf", key)),
        (found["gone_elsewhere"], NOWHERE, lambda key: delete("shelf", key)),
        (found["foreign"], NOWHERE, lambda key: create("good", team_id=person.team, title="x", shelf_id=key)),
        (found["foreign"], NOWHERE, lambda key: update("good", found["good"], 1, shelf_id=key)),
        (crate, crate + 10_000, lambda key: update("crate", key, 1, name="x")),
        (crate, crate + 10_000, lambda key: create("parcel", team_id=person.team, crate_id=key)),
    ]
    for invisible, absent, item in pairs:
        answers = [
            json.dumps(ok(scene.signed_in(person).send(item(key)))["results"]).replace(str(key), "KEY")
            for key in (invisible, absent)
        ]
        assert answers[0] == answers[1]
        assert json.loads(answers[0])[0]["code"] in ("not_found", "fk_missing")


def test_nothing_is_written_for_nothing(scene: Scene) -> None:
    """B1."""
    device = scene.person()
    before = scene.rowcount(*KEPT)
    answer = ok(device.send(batch_token="empty"))
    assert (answer["results"], answer["batch_token"]) == ([], "empty")
    assert scene.rowcount(*KEPT) == before
    assert len(device.push(create("shelf", team_id=device.team, name="x"), batch_token="empty")) == 1


def test_too_many_items_are_refused_as_a_whole(scene: Scene) -> None:
    """B2, B32: 501 items are refused, 500 with every column in one batch are not."""
    device = scene.person()
    columns = {"team_id": device.team, "size": 1, "places": 1, "rent": "1", "height": 1.0, "mark": "m", "lit": True}
    items = [create("shelf", f"t{n}", name=str(n), **columns) for n in range(501)]
    before = scene.rowcount(*KEPT)
    assert problem(device.send(*items), 413, "too_many_items")["limit"] == 500
    assert scene.rowcount(*KEPT) == before
    results = device.push(*items[:500])
    assert [result["status"] for result in results] == ["ok"] * 500
    assert scene.value("SELECT count(DISTINCT name) FROM shop.shelves WHERE team_id = %s", device.team) == 500


def test_a_batch_sent_again_gets_the_stored_answer(scene: Scene) -> None:
    found = surroundings(scene)
    person: Caller = found["person"]
    items = [
        create("shelf", "t1", team_id=person.team, name="one"),
        create("shelf", "t2", team_id=person.team, name=""),
        create("shelf", "t3", team_id=person.team, size="x", name="three"),
        update("shelf", found["gone"], 1, name="x"),
        update("shelf", found["mine"], 7, name="x"),
        create("shelf", id=found["mine"], team_id=person.team, name="exists"),
        create("good", "t4", team_id=person.team, title="refused by effect"),
        b"5",
    ]
    first = ok(person.send(*items, batch_token="again"))
    before = scene.rowcount(*KEPT)
    assert ok(person.send(*items, batch_token="again")) == first
    assert ok(person.send(*items, batch_token="again", client_time="2020-01-01T00:00:00Z", pending=5)) == first
    assert scene.rowcount(*KEPT) == before


def test_the_same_batch_written_otherwise_is_the_same_batch(scene: Scene) -> None:
    device = scene.person()
    mine = scene.shelf(device.team)
    items: list[Any] = [
        create("shelf", "t1", team_id=device.team, name="one", plan={"a": 1, "b": [2]}),
        create("shelf", team_id=device.team, name=""),
        {**update("shelf", mine, None, name="x"), "base": {"version": 1}},
        {**update("shelf", mine, None, size=4), "base": {"none": True}},
    ]
    first = ok(device.send(*items, batch_token="written"))
    written = [json.dumps(dict(reversed(item.items())), indent=3).encode() for item in items]
    assert ok(device.send(*written, batch_token="written")) == first
    for other in (
        [*written, written[0]],
        written[:3],
        [items[0] | {"client_temp_id": "t2"}, *written[1:]],
        [*written[:2], items[2] | {"base": {"none": True}}, written[3]],
        [*written[:3], items[3] | {"action": "delete"}],
        [*written[:3], b"5"],
    ):
        problem(device.send(*other, batch_token="written"), 409, "reused_with_other_body")


def test_a_batch_token_is_for_one_body_and_one_sender(scene: Scene) -> None:
    device = scene.person()
    item = create("shelf", team_id=device.team, name="one")
    ok(device.send(item, batch_token="mine"))
    before = scene.rowcount(*KEPT)
    problem(device.send({**item, "client_version": 2}, batch_token="mine"), 409, "reused_with_other_body")
    problem(device.send(item, item, batch_token="mine"), 409, "reused_with_other_body")
    problem(device.send(item, batch_token="mine", atomic=True), 409, "reused_with_other_body")
    problem(scene.signed_in(device).send(item, batch_token="mine"), 409, "reused_with_other_body")
    problem(scene.person(team=device.team).send(item, batch_token="mine"), 409, "reused_with_other_body")
    for token in ("", "x" * 201):
        problem(device.send(item, batch_token=token), 422, "invalid_envelope")
    problem(device.send(item, batch_token="\0"), 400, "invalid_json")
    assert scene.rowcount(*KEPT) == before


def test_an_item_sent_again_in_another_batch_gets_its_verdict(scene: Scene) -> None:
    device = scene.person()
    mine = scene.shelf(device.team)
    items = [
        create("shelf", "made", team_id=device.team, name="one"),
        update("shelf", mine, 1, "changed", name="two"),
        update("shelf", mine, 9, "conflict", name="three"),
        delete("good", scene.good(device.team), 1, "deleted"),
    ]
    first = device.push(*items)
    before = scene.rowcount("homing.conflicts", "homing.history", "shop.shelves", "shop.goods")
    scene.execute("UPDATE shop.shelves SET name = 'by others' WHERE id = %s", first[0]["server_id"])
    again = device.push(*reversed(items), create("shelf", "new", team_id=device.team, name="four"))
    assert [without(result, "index", "server_payload") for result in again[:4]] == [
        without(result, "index", "server_payload") for result in reversed(first)
    ]
    assert [result["index"] for result in again] == [0, 1, 2, 3, 4]
    assert scene.rowcount("homing.conflicts", "homing.history", "shop.shelves", "shop.goods") == [
        before[0],
        before[1] + 2,  # somebody's update, and the new shelf
        before[2] + 1,
        before[3],
    ]


def test_an_items_key_is_for_one_payload(scene: Scene) -> None:
    """B3, across batches and within one: the same payload gets the same verdict, another is refused."""
    device = scene.person()
    item = create("shelf", "key", team_id=device.team, name="one")
    other = create("shelf", "key", team_id=device.team, name="other")
    results = device.push(item, item, other)
    made = results[0]["server_id"]
    same = {"client_temp_id": "key", "status": "ok", "server_id": made, "server_version": 1}
    refused = {"client_temp_id": "key", "status": "error", "code": "reused_with_other_body"}
    assert results == [
        {"index": 0, **same},
        {"index": 1, **same},
        {"index": 2, **refused, "error": "another item of this batch has the same key and another payload"},
    ]
    assert device.push(other, item) == [
        {
            "index": 0,
            **refused,
            "error": "this client_temp_id, client_version and action were used for another payload",
        },
        {"index": 1, **same},
    ]
    assert scene.rows("SELECT id::text, name FROM shop.shelves WHERE team_id = %s", device.team) == [(made, "one")]
    # The key is the device's own.
    (result,) = scene.signed_in(device).push(other)
    assert (result["status"], result["server_id"] != made) == ("ok", True)


def test_a_refused_item_may_be_sent_again_mended(scene: Scene) -> None:
    device = scene.person()
    (refused,) = device.push(create("shelf", "key", team_id=device.team, name=""))
    (made,) = device.push(create("shelf", "key", team_id=device.team, name="mended"))
    assert (refused["code"], made["status"]) == ("check_failed", "ok")
    assert device.push(create("shelf", "key", team_id=device.team, name="mended")) == [made]


def test_whose_device_it_is(scene: Scene) -> None:
    """B33."""
    device, other, web = scene.person(), scene.person(), scene.person(device=False)
    item = create("shelf", team_id=device.team, name="one")
    before = scene.rowcount(*KEPT)
    problem(device.send(item, device_id=other.device_id), 403, "device_mismatch")
    problem(web.send(item, device_id=other.device_id), 403, "device_unknown")
    problem(device.send(item, device_id="never registered"), 403, "device_mismatch")
    assert scene.rowcount(*KEPT) == before
    ok(device.send(item, device_id=device.device_id))
    ok(web.send(create("shelf", team_id=web.team, name="from a browser")))
    assert scene.rows(
        "SELECT device_id::text FROM homing.history WHERE actor IN (%s, %s) ORDER BY xid",
        device.user_id,
        web.user_id,
    ) == [(device.device_row,), (None,)]


def test_ten_devices_want_the_same_value_at_once(scene: Scene) -> None:
    """B36: one gets it, nine are told so."""
    people = [scene.person() for _ in range(10)]
    barrier = threading.Barrier(10)
    results: list[Any] = []

    def claim(person: Caller) -> None:
        barrier.wait()
        results.append(person.push(create("shelf", team_id=person.team, name="x", code="the one"))[0])

    threads = [threading.Thread(target=claim, args=[person]) for person in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    outcomes = sorted((result["status"], result.get("code")) for result in results)
    assert outcomes == [("conflict", "unique")] * 9 + [("ok", None)]
    assert scene.value("SELECT count(*) FROM shop.shelves WHERE code = 'the one'") == 1


def test_the_same_batch_sent_ten_times_at_once_is_applied_once(scene: Scene) -> None:
    device = scene.person()
    items = [create("good", f"t{n}", team_id=device.team, title=f"g{n}") for n in range(5)]
    barrier = threading.Barrier(10)
    answers: list[Any] = []

    def send() -> None:
        barrier.wait()
        answers.append(ok(device.send(*items, batch_token="ten times")))

    threads = [threading.Thread(target=send) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [answers[0]] * 10
    assert scene.value("SELECT count(*) FROM shop.goods WHERE team_id = %s", device.team) == 5
    assert scene.value("SELECT count(*) FROM shop.labels_printed WHERE title IN ('g0', 'g1', 'g2', 'g3', 'g4')") == 5
