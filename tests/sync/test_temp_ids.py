"""Temp ids: what a device called its rows before the server did."""

from uuid import uuid4

import pytest

from tests.sync.scene import Scene, create, delete, ok, update


def test_an_item_refers_to_what_the_batch_made_before(scene: Scene) -> None:
    device = scene.person()
    results = device.push(
        create("shelf", "shelf-1", team_id=device.team, name="a shelf"),
        create("good", "good-1", team_id=device.team, title="below", shelf_id="shelf-1"),
        create("good", "good-2", team_id=device.team, title="above", shelf_id="shelf-1", parent_id="good-1"),
        update("shelf", "shelf-1", 1, "renamed", name="renamed"),
        update("good", "good-1", 1, title="renamed", parent_id="good-2"),
        delete("good", "good-2"),
    )
    assert [(result["status"], result.get("code")) for result in results] == [
        *[("ok", None)] * 5,
        ("error", "still_referenced"),
    ]
    shelf, below, above = (result["server_id"] for result in results[:3])
    assert [(result["server_id"], result["server_version"]) for result in results[3:5]] == [(shelf, 2), (below, 2)]
    assert scene.rows(
        "SELECT id::text, shelf_id::text, parent_id::text FROM shop.goods WHERE team_id = %s ORDER BY title DESC",
        device.team,
    ) == [(below, shelf, above), (above, shelf, below)]


def test_temp_ids_stand_for_rows_of_earlier_batches(scene: Scene) -> None:
    device = scene.person()
    shelf, crate = device.push(
        create("shelf", "s", team_id=device.team, name="a shelf"), create("crate", "c", team_id=device.team, name="one")
    )
    good, parcel, renamed = device.push(
        create("good", "g", team_id=device.team, title="a good", shelf_id="s"),
        create("parcel", "p", team_id=device.team, crate_id="c"),
        update("crate", "c", 1, name="renamed"),
    )
    assert (good["status"], parcel["status"]) == ("ok", "ok")
    assert (renamed["server_id"], renamed["server_version"]) == (crate["server_id"], 2)
    assert scene.value("SELECT shelf_id::text FROM shop.goods WHERE id = %s", good["server_id"]) == shelf["server_id"]
    assert (
        scene.value("SELECT crate_id::text FROM shop.parcels WHERE id = %s", parcel["server_id"])
        == (crate["server_id"])
    )
    (gone,) = device.push(delete("good", "g", 1))
    assert (gone["status"], gone["server_id"]) == ("ok", good["server_id"])


def test_a_lost_answer_does_not_make_a_second_row(scene: Scene) -> None:
    """The device never heard of its first batch. It sends the item again, in another batch and with more."""
    device = scene.person()
    item = create("shelf", "s", team_id=device.team, name="a shelf")
    crate = create("crate", "c", team_id=device.team, name="a crate")
    device.push(item, crate)
    shelf, again, good = device.push(
        item, crate, create("good", "g", team_id=device.team, title="a good", shelf_id="s"), batch_token=str(uuid4())
    )
    assert scene.rows("SELECT id::text FROM shop.shelves WHERE team_id = %s", device.team) == [(shelf["server_id"],)]
    assert scene.rows("SELECT id::text FROM shop.crates WHERE team_id = %s", device.team) == [(again["server_id"],)]
    assert scene.rows("SELECT id::text, shelf_id::text FROM shop.goods WHERE team_id = %s", device.team) == [
        (good["server_id"], shelf["server_id"])
    ]


@pytest.mark.parametrize("first", ["", "refused by prepare"])
def test_what_depends_on_a_refused_create_is_refused(scene: Scene, first: str) -> None:
    """However deep, and nothing else. ``first``: refused by the database, or before it is asked."""
    device = scene.person()
    root = (
        create("shelf", "root", team_id=device.team, name="")
        if not first
        else create("good", "root", team_id=device.team, title=first)
    )
    column = "shelf_id" if not first else "parent_id"
    results = device.push(
        root,
        create("good", "child", team_id=device.team, title="child", **{column: "root"}),
        create("good", "grandchild", team_id=device.team, title="grandchild", parent_id="child"),
        update("good" if first else "shelf", "root", 1, **{"title" if first else "name": "renamed"}),
        delete("good", "child"),
        create("good", "other", team_id=device.team, title="other"),
    )
    assert [(result["status"], result.get("code")) for result in results] == [
        ("error", "check_failed"),
        *[("error", "dependency_failed")] * 4,
        ("ok", None),
    ]
    assert scene.rows("SELECT title FROM shop.goods WHERE team_id = %s", device.team) == [("other",)]
    # What only fell with it is not for the office to mend: the device sends it again.
    quarantined = ok(scene.office().get("/mobile/quarantine", device_id=device.device_id))["items"]
    assert [item["client_temp_id"] for item in quarantined] == ["root"]


def test_what_depended_on_a_refused_create_goes_with_it_when_mended(scene: Scene) -> None:
    device = scene.person()
    child = create("good", "child", team_id=device.team, title="child", shelf_id="root")
    first = device.push(create("shelf", "root", team_id=device.team, name=""), child)
    assert [result["code"] for result in first] == ["check_failed", "dependency_failed"]
    second = device.push(child)
    assert [(result["code"], result["path"]) for result in second] == [("dependency_failed", "/shelf_id")]
    third = device.push(create("shelf", "root", team_id=device.team, name="mended"), child)
    assert [result["status"] for result in third] == ["ok", "ok"]


def test_forward_references_are_refused(scene: Scene) -> None:
    device = scene.person()
    results = device.push(
        create("good", "g", team_id=device.team, title="too early", shelf_id="s"),
        update("shelf", "s", 1, name="too early"),
        create("shelf", "s", team_id=device.team, name="a shelf"),
    )
    assert results == [
        {
            "index": 0,
            "client_temp_id": "g",
            "status": "error",
            "code": "dependency_failed",
            "error": "/shelf_id refers to 's', which comes later in the batch",
            "path": "/shelf_id",
        },
        {
            "index": 1,
            "client_temp_id": None,
            "status": "error",
            "code": "dependency_failed",
            "error": "/id refers to 's', which comes later in the batch",
            "path": "/id",
        },
        {
            "index": 2,
            "client_temp_id": "s",
            "status": "ok",
            "server_id": results[2]["server_id"],
            "server_version": 1,
        },
    ]


def test_cycles_are_refused_and_self_references_are_not(scene: Scene) -> None:
    device = scene.person()
    one, two, own, crate = device.push(
        create("good", "one", team_id=device.team, title="one", parent_id="two"),
        create("good", "two", team_id=device.team, title="two", parent_id="one"),
        create("good", "own", team_id=device.team, title="own", parent_id="own"),
        create("crate", "crate", team_id=device.team, name="in itself", inside_id="crate"),
    )
    assert [one["code"], two["code"], own["status"], crate["status"]] == ["dependency_failed"] * 2 + ["ok"] * 2
    assert scene.rows("SELECT id::text, parent_id::text FROM shop.goods WHERE team_id = %s", device.team) == [
        (own["server_id"], own["server_id"])
    ]
    assert scene.rows("SELECT id, inside_id FROM shop.crates WHERE team_id = %s", device.team) == [
        (int(crate["server_id"]), int(crate["server_id"]))
    ]


def test_a_temp_id_is_its_devices_own(scene: Scene) -> None:
    device = scene.person()
    other = scene.signed_in(device)
    (made,) = device.push(create("shelf", "s", team_id=device.team, name="the first device's"))
    results = other.push(
        update("shelf", "s", 1, name="x"), create("good", team_id=device.team, title="x", shelf_id="s")
    )
    assert [result["code"] for result in results] == ["not_found", "dependency_failed"]
    (own,) = other.push(create("shelf", "s", team_id=device.team, name="the other device's"))
    assert own["server_id"] != made["server_id"]
    assert [r["server_id"] for d in (device, other) for r in d.push(update("shelf", "s", 1, size=1))] == [
        made["server_id"],
        own["server_id"],
    ]


def test_temp_ids_never_made_and_not_of_this_kind(scene: Scene) -> None:
    """A text that can be no key at all can only be a temp id that was never made."""
    device = scene.person()
    results = device.push(
        create("good", team_id=device.team, title="x", shelf_id="never"),
        create("parcel", team_id=device.team, crate_id="never"),
        create("shelf", "team-like", team_id="never", name="not a reference"),
    )
    assert [(result["code"], result["path"]) for result in results] == [
        ("dependency_failed", "/shelf_id"),
        ("dependency_failed", "/crate_id"),
        ("invalid_value", "/team_id"),
    ]


def test_only_ids_and_references_are_replaced(scene: Scene) -> None:
    device = scene.person()
    (result,) = device.push(
        create("shelf", "tmp", id="tmp", team_id=device.team, name="tmp", code="tmp", plan={"id": "tmp"}, tags=["tmp"])
    )
    assert scene.rows("SELECT id::text, name, code, plan, tags FROM shop.shelves WHERE team_id = %s", device.team) == [
        (result["server_id"], "tmp", "tmp", {"id": "tmp"}, ["tmp"])
    ]


def test_tables_that_number_their_rows(scene: Scene) -> None:
    """The batch that makes a row may refer to it, though the database gives the number."""
    device = scene.person()
    results = device.push(
        create("crate", "outer", team_id=device.team, name="outer"),
        create("crate", "inner", team_id=device.team, name="inner", inside_id="outer"),
        create("parcel", "p", team_id=device.team, crate_id="inner"),
        update("crate", "outer", 1, name="renamed"),
        update("parcel", "p", 1, crate_id="outer"),
        create("crate", id=1_000_000, team_id=device.team, name="its own number"),
    )
    outer, inner = int(results[0]["server_id"]), int(results[1]["server_id"])
    assert [(result["status"], result.get("server_version")) for result in results] == [
        ("ok", 1),
        ("ok", 1),
        ("ok", 1),
        ("ok", 2),
        ("ok", 2),
        ("ok", 1),
    ]
    assert scene.rows("SELECT id, name, inside_id FROM shop.crates WHERE team_id = %s ORDER BY id", device.team) == [
        (outer, "renamed", None),
        (inner, "inner", outer),
        (1_000_000, "its own number", None),
    ]
    assert scene.rows("SELECT crate_id FROM shop.parcels WHERE team_id = %s", device.team) == [(outer,)]
    changes, _ = device.pull(tables=["crate"])
    assert sorted((change["id"], change["payload"]["inside_id"]) for change in changes) == sorted(
        [(str(outer), None), (str(inner), outer), ("1000000", None)]
    )


def test_rows_keyed_by_text(scene: Scene) -> None:
    device = scene.person()
    code = f"aisle-{uuid4()}"
    made, renamed, gone = device.push(
        create("aisle", "tmp", code=code, team_id=device.team, label="made"),
        update("aisle", "tmp", 1, label="renamed"),
        delete("aisle", code, 2),
    )
    assert [(result["server_id"], result["server_version"]) for result in (made, renamed, gone)] == [
        (code, 1),
        (code, 2),
        (code, 3),
    ]
    assert scene.rows("SELECT code, label, gone FROM shop.aisles WHERE team_id = %s", device.team) == [
        (code, "renamed", True)
    ]
