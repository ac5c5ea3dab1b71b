"""What an edit was based on, in each of the five ways, and chains of edits of one device."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from tests.sync.scene import Caller, Json, Scene, create, delete, ok, update, without


def based(base: Any, row_id: str, /, **values: Any) -> Json:
    """An update of a shelf that names its base."""
    return {**update("shelf", row_id, None, **values), "base": base}


def outcome(result: Json) -> tuple[Any, ...]:
    return result["status"], result.get("code"), result.get("server_version"), result.get("merged", False)


def test_a_version(scene: Scene) -> None:
    """The default, as client_version or by name: other fields merge, the same field conflicts, equal values do not."""
    device, office = scene.person(), scene.office()
    for edit in (
        lambda row, version, **values: update("shelf", row, version, **values),
        lambda row, version, **values: based({"version": version}, row, **values),
    ):
        mine = scene.shelf(device.team)
        office.push(update("shelf", mine, 1, name="theirs"))
        assert [
            outcome(device.push(edit(mine, version, **values))[0])
            for version, values in (
                (2, {"size": 1}),
                (1, {"size": 2}),
                (1, {"name": "theirs"}),
                (1, {"name": "ours"}),
                (3, {"name": "ours"}),
                (99, {"size": 5}),
            )
        ] == [
            ("ok", None, 3, False),
            ("ok", None, 4, True),
            ("ok", None, 4, True),
            ("conflict", "version_conflict", 4, False),
            ("ok", None, 5, False),
            ("conflict", "stale_epoch", 5, False),
        ]
        assert scene.rows("SELECT name, size, version FROM shop.shelves WHERE id = %s", mine) == [("ours", 2, 5)]


def test_a_token(scene: Scene) -> None:
    """Unchanged since that pull: its own token, or the batch's."""
    device, office = scene.person(), scene.office()
    mine = scene.shelf(device.team)
    _, before = device.pull()
    office.push(update("shelf", mine, 1, name="theirs"))
    _, after = device.pull()
    assert [outcome(result) for result in device.push(based({"token": after}, mine, size=1))] == [
        ("ok", None, 3, False)
    ]
    results = device.push(
        based({"token": before}, mine, size=2),
        based({"token": before}, mine, name="ours"),
        based({"token": True}, mine, name="ours"),
        based({"token": "tok1_nonsense"}, mine, name="x"),
        based({"token": office.pull()[1]}, mine, name="x"),
        client_sync_token=after,
    )
    assert [outcome(result) for result in results] == [
        ("ok", None, 4, True),
        ("conflict", "version_conflict", 4, False),
        ("ok", None, 5, False),
        ("error", "invalid_value", None, False),
        ("error", "invalid_value", None, False),
    ]
    assert results[1]["error"] == "The row changed since it was read: server_version=4"
    (without_token,) = device.push(based({"token": True}, mine, name="x"))
    assert (without_token["code"], without_token["path"]) == ("invalid_value", "/base/token")


def test_the_whole_previous_row(scene: Scene) -> None:
    device, office = scene.person(), scene.office()
    mine = scene.shelf(device.team, size=1, rent="10.50", tags=["a"])
    (change,) = device.pull(tables=["shelf"])[0]
    seen = change["payload"]
    assert outcome(device.push(based({"row": seen}, mine, size=2))[0]) == ("ok", None, 2, False)
    office.push(update("shelf", mine, 2, name="theirs", rent="11"))
    seen = {**seen, "size": 2}
    results = device.push(
        based({"row": seen}, mine, size=3),
        based({"row": {"name": "a shelf"}}, mine, name="ours"),
        based({"row": {**seen, "name": "theirs", "size": 3, "rent": "11"}}, mine, rent="12.00"),
        based({"row": {"name": 5, "size": {}, "rent": [], "built": True, "no such": 1}}, mine, paint="red"),
        based({"row": [1]}, mine, paint="red"),
    )
    assert [outcome(result) for result in results] == [
        ("ok", None, 4, True),
        ("conflict", "version_conflict", 4, False),
        ("ok", None, 5, False),
        ("ok", None, 6, True),
        ("error", "invalid_value", None, False),
    ]
    conflict = ok(office.get(f"/mobile/conflicts/{results[1]['conflict_id']}"))
    assert (conflict["fields"], conflict["base_payload"]["name"], conflict["server_payload"]["name"]) == (
        ["name"],
        "a shelf",
        "theirs",
    )


def test_nothing_and_absent(scene: Scene) -> None:
    """A field patch never conflicts; what must not exist yet does."""
    device, office = scene.person(), scene.office()
    mine, other = scene.shelf(device.team), str(uuid4())
    for n in range(3):
        office.push(update("shelf", mine, n + 1, name=f"theirs {n}"))
    absent = {"base": {"absent": True}}
    results = device.push(
        based({"none": True}, mine, name="ours"),
        create("shelf", id=other, team_id=device.team, name="new") | absent,
        create("shelf", id=other, team_id=device.team, name="newer") | absent,
        {**delete("shelf", mine), "base": {"none": True}},
        delete("shelf", str(uuid4())) | absent,
        delete("shelf", other) | absent,
    )
    assert [outcome(result) for result in results] == [
        ("ok", None, 5, False),
        ("ok", None, 1, False),
        ("conflict", "exists", 1, False),
        ("ok", None, 5, False),
        ("ok", None, None, False),
        ("error", "already_exists", None, False),
    ]
    assert scene.rows("SELECT id::text, name FROM shop.shelves WHERE team_id = %s", device.team) == [(other, "new")]


def test_deletes(scene: Scene) -> None:
    """Of a row that somebody else changed: a conflict, unless the delete names no base."""
    device, office = scene.person(), scene.office()
    rows = [scene.shelf(device.team) for _ in range(4)]
    for row in rows[1:]:
        office.push(update("shelf", row, 1, name="theirs"))
    results = device.push(
        delete("shelf", rows[0], 1), delete("shelf", rows[1], 1), delete("shelf", rows[2], 2), delete("shelf", rows[3])
    )
    assert [outcome(result) for result in results] == [
        ("ok", None, 1, False),
        ("conflict", "version_conflict", 2, False),
        ("ok", None, 2, False),
        ("ok", None, 2, False),
    ]
    assert scene.rows("SELECT id::text FROM shop.shelves WHERE team_id = %s", device.team) == [(rows[1],)]
    conflict = ok(office.get(f"/mobile/conflicts/{results[1]['conflict_id']}"))
    assert (conflict["action"], conflict["client_payload"]) == ("delete", {"id": rows[1]})


@pytest.mark.parametrize("batches", ["one", "several", "several, answers lost"])
def test_a_devices_own_chain_never_conflicts(scene: Scene, batches: str) -> None:
    """Each edit names the version that was there when it was made, or the one that its predecessor would lead to."""
    device = scene.person()
    mine = scene.good(device.team)
    edits = [
        update("good", mine, 1, "e1", title="1"),
        update("good", mine, 1, "e2", title="2", colour="red"),
        update("good", mine, 2, "e3", title="3"),
        update("good", mine, 4, "e4", stock=4),
        update("good", mine, 1, "e5", title="5", stock=5),
    ]
    results = device.push(*edits) if batches == "one" else [device.push(edit)[0] for edit in edits]
    assert [outcome(result) for result in results] == [("ok", None, n, False) for n in range(2, 7)]
    if batches == "several, answers lost":
        again = device.push(*reversed(edits))
        assert [outcome(result) for result in again] == [("ok", None, n, False) for n in range(6, 1, -1)]
    assert scene.rows("SELECT title, colour, stock, version FROM shop.goods WHERE id = %s", mine) == [
        ("5", "red", 5, 6)
    ]


def test_a_chain_on_what_somebody_else_changed(scene: Scene) -> None:
    """The chain stands on its first link's base: it conflicts only where somebody else changed the same field."""
    device, office = scene.person(), scene.office()
    mine = scene.good(device.team)
    office.push(update("good", mine, 1, title="theirs"))
    results = device.push(
        update("good", mine, 1, label="ours"),
        update("good", mine, 2, title="ours"),
        update("good", mine, 3, label="ours still"),
    )
    assert [outcome(result) for result in results] == [
        ("ok", None, 3, True),
        ("conflict", "version_conflict", 3, False),
        ("ok", None, 4, True),
    ]
    assert scene.rows("SELECT title, label FROM shop.goods WHERE id = %s", mine) == [("theirs", "ours still")]


def test_a_chain_whose_first_link_changes_nothing(scene: Scene) -> None:
    """The device counts a version for each of its edits; the server counts only what changed something."""
    device = scene.person()
    mine = scene.shelf(device.team, name="the same")
    results = device.push(update("shelf", mine, 1, name="the same"), update("shelf", mine, 2, size=2))
    assert [outcome(result) for result in results] == [("ok", None, 1, False), ("ok", None, 2, False)]


def test_create_edit_and_delete_in_one_batch(scene: Scene) -> None:
    device = scene.person()
    own = str(uuid4())
    results = device.push(
        create("shelf", "s", id=own, team_id=device.team, name="1"),
        update("shelf", own, 1, name="2"),
        update("shelf", "s", 2, size=3),
        delete("shelf", own, 3),
        update("shelf", own, 3, name="too late"),
        delete("shelf", own, 3),
        create("shelf", id=own, team_id=device.team, name="again"),
        {**create("shelf", id=own, team_id=device.team, name="again"), "base": {"none": True}},
    )
    assert [outcome(result) for result in results] == [
        ("ok", None, 1, False),
        ("ok", None, 2, False),
        ("ok", None, 3, False),
        ("ok", None, 3, False),
        ("conflict", "deleted", None, False),
        ("ok", None, None, False),
        ("conflict", "deleted", None, False),
        ("ok", None, 4, False),
    ]
    assert scene.rows("SELECT name, size, version FROM shop.shelves WHERE id = %s", own) == [("again", None, 4)]


def test_a_row_made_again_has_a_history_of_its_own(scene: Scene) -> None:
    """What happened to the row in its first life is nobody's change since a base in its second."""
    device, office = scene.person(), scene.office()
    own = scene.shelf(device.team)
    for n in range(4):
        office.push(update("shelf", own, n + 1, name=f"first life {n}"))
    office.push(delete("shelf", own))
    office.push({**create("shelf", id=own, team_id=device.team, name="second life"), "base": {"none": True}})
    office.push(update("shelf", own, 6, size=2))
    (result,) = device.push(update("shelf", own, 6, name="ours"))
    assert outcome(result) == ("ok", None, 8, True)
    assert scene.rows("SELECT name, size FROM shop.shelves WHERE id = %s", own) == [("ours", 2)]


def test_a_row_deleted_meanwhile(scene: Scene) -> None:
    device, office = scene.person(), scene.office()
    mine = scene.shelf(device.team, name="before")
    office.push(delete("shelf", mine, 1))
    for item in (
        update("shelf", mine, 1, name="ours"),
        based({"version": 1}, mine, name="ours"),
        based({"none": True}, mine, name="ours"),
        based({"row": {"name": "before"}}, mine, name="ours"),
    ):
        (result,) = scene.signed_in(device).push(item)
        assert without(result, "conflict_id") == {
            "index": 0,
            "client_temp_id": None,
            "status": "conflict",
            "server_id": mine,
            "code": "deleted",
            "error": "The row was deleted; the edit is kept for the office.",
        }
        assert result["conflict_id"] is not None


def test_two_devices_of_one_user_are_two_devices(scene: Scene) -> None:
    one = scene.person()
    two: Caller = scene.signed_in(one)
    mine = scene.shelf(one.team)
    assert outcome(one.push(update("shelf", mine, 1, name="one"))[0]) == ("ok", None, 2, False)
    assert outcome(two.push(update("shelf", mine, 1, name="two"))[0]) == ("conflict", "version_conflict", 2, False)


def test_somebody_who_writes_past_the_api_counts(scene: Scene) -> None:
    device = scene.person()
    mine = scene.shelf(device.team)
    scene.execute("UPDATE shop.shelves SET name = 'psql' WHERE id = %s", mine)
    assert [outcome(device.push(update("shelf", mine, 1, **{field: "1"}))[0]) for field in ("name", "code")] == [
        ("conflict", "version_conflict", 2, False),
        ("ok", None, 3, True),
    ]


def test_the_id_of_a_deleted_row_is_not_given_to_another(scene: Scene) -> None:
    """B12. An edit of the former row would pass for an edit of the new one: both begin at version 1."""
    office, device = scene.office(), scene.person()
    colleague, stranger = scene.person(team=device.team), scene.person()
    shelf = scene.shelf(device.team)
    office.push(delete("shelf", shelf, 1))
    again = create("shelf", "again", id=shelf, team_id=device.team, name="again")
    told = {
        "client_temp_id": "again",
        "status": "conflict",
        "server_id": shelf,
        "code": "deleted",
        "error": "The row was deleted; the edit is kept for the office.",
    }
    for n, items in enumerate(([again], [again, create("shelf", team_id=device.team, name="")])):  # fast and careful
        sender = (device, colleague)[n]
        result = sender.push(*items)[0]
        conflict = result.pop("conflict_id")
        assert result == {"index": 0, **told}
        shown = ok(office.get(f"/mobile/conflicts/{conflict}"))
        assert (shown["action"], shown["code"], shown["server_payload"]) == ("create", "deleted", None)
    # To somebody who may not have seen the row, it is an id like any other.
    theirs = scene.shelf(device.team)
    office.push(delete("shelf", theirs, 1))
    pairs = [
        stranger.push(create("shelf", id=key, team_id=stranger.team, name="x"))[0] for key in (theirs, str(uuid4()))
    ]
    assert [without(result, "server_id") for result in pairs] == [
        {"index": 0, "client_temp_id": None, "status": "ok", "server_version": 1}
    ] * 2


def test_a_row_that_comes_back_goes_on_counting(scene: Scene) -> None:
    office, device = scene.office(), scene.person()
    colleague = scene.person(team=device.team)
    shelf = scene.shelf(device.team, size=1)
    scene.execute("UPDATE shop.shelves SET size = 2 WHERE id = %s", shelf)
    _, token = colleague.pull()
    office.push(delete("shelf", shelf, 2))
    back = {**create("shelf", id=shelf, team_id=device.team, name="back"), "base": {"none": True}}
    (result,) = device.push(back)
    assert result == {
        "index": 0,
        "client_temp_id": None,
        "status": "ok",
        "server_id": shelf,
        "server_version": 3,
    }
    (late,) = colleague.push(update("shelf", shelf, 2, name="an edit of the former one"))
    assert (late["status"], late["code"], late["server_version"]) == ("conflict", "version_conflict", 3)
    ((change,), _) = colleague.pull(token)
    assert (change["id"], change["action"], change["server_version"]) == (shelf, "update", 3)


def test_the_office_decides_whether_a_deleted_row_is_made_again(scene: Scene) -> None:
    office, device = scene.office(), scene.person()
    shelf = scene.shelf(device.team, size=4)
    office.push(delete("shelf", shelf, 1))
    (result,) = device.push(create("shelf", id=shelf, team_id=device.team, name="again"))
    answer = ok(office.post(f"/mobile/conflicts/{result['conflict_id']}/resolve", {"resolution": "accept_client"}))
    assert answer["resolved_version"] == 2
    assert scene.rows("SELECT name, size, version FROM shop.shelves WHERE id = %s", shelf) == [("again", None, 2)]


def test_an_edit_from_the_future_leaves_the_office_nothing_to_decide(scene: Scene) -> None:
    """The server was set back: the device resyncs, and sends its edit again on what it finds."""
    office, device = scene.office(), scene.person()
    mine = scene.shelf(device.team)
    (result,) = device.push(update("shelf", mine, 9, "edit", name="ours"))
    assert (result["code"], result["server_payload"]["name"], "conflict_id" in result) == (
        "stale_epoch",
        "a shelf",
        False,
    )
    assert ok(office.get("/mobile/conflicts", device_id=device.device_id))["items"] == []
    assert ok(office.get("/mobile/quarantine", device_id=device.device_id))["items"] == []
    assert device.push(update("shelf", mine, 9, "edit", name="ours")) == [result]
    assert outcome(device.push(update("shelf", mine, 1, "edit", name="ours"))[0]) == ("ok", None, 2, False)
