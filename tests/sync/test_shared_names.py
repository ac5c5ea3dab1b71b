"""Two applications with tables of one name: the shop's goods and the stall's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from homing.client import Client
from homing.settings import Settings
from tests.fixtures.accounts import PASSWORD, create_user
from tests.fixtures.cluster import Cluster
from tests.sync.scene import Scene, create, delete, ok, problem, update

APPS = ("tests.sync.shop", "tests.sync.stall")


@pytest.fixture(scope="module")
def shop_settings(cluster: Cluster, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """The shop beside the stall."""
    url = cluster.create_database(template)
    yield Settings(database_url=url, data_dir=tmp_path_factory.mktemp("data"), apps=APPS, pool_size=4)
    cluster.drop_database(url)


def test_a_shared_name_is_sent_with_its_app_and_another_one_plain(scene: Scene) -> None:
    device = scene.person()
    tables = {table["resource_type"]: table for table in ok(device.get("/mobile/schema"))["tables"]}
    assert set(tables) == {"shelf", "shop.good", "crate", "parcel", "aisle", "memo", "stall.good", "ticket"}
    (reference,) = [c["references"] for c in tables["ticket"]["columns"] if c["name"] == "good_id"]
    assert reference == {"resource_type": "stall.good", "column": "id"}
    apps = {app["name"]: app["tables"] for app in ok(device.get("/capabilities"))["apps"]}
    assert apps == {
        "shop": ["shelf", "shop.good", "crate", "parcel", "aisle", "memo"],
        "stall": ["stall.good", "ticket"],
    }


def test_push_knows_every_table_by_its_app_and_a_shared_name_by_nothing_else(scene: Scene) -> None:
    device = scene.person()
    shelf, good = str(uuid4()), str(uuid4())
    answer = ok(
        device.send(
            create("shelf", "a", id=shelf, team_id=device.team, name="one"),
            create("shop.shelf", "b", team_id=device.team, name="two"),
            create("good", "c", team_id=device.team, title="whose?"),
            create("shop.good", "d", team_id=device.team, title="the shop's"),
            create("stall.good", "e", id=good, title="the stall's"),
            create("stall.ticket", "f", good_id="e"),
            update("stall.shelf", shelf, 1, name="three"),
        )
    )
    unknown = "unknown_table"
    assert [result.get("code") for result in answer["results"]] == [None, None, unknown, None, None, None, unknown]
    changes, _ = device.pull()
    assert sorted((c["resource_type"], c["payload"].get("title") or c["payload"].get("name")) for c in changes) == [
        ("shelf", "one"),
        ("shelf", "two"),
        ("shop.good", "the shop's"),
        ("stall.good", "the stall's"),
        ("ticket", None),
    ]
    office = scene.office()
    batch = ok(office.get(f"/mobile/batches/{answer['batch_id']}"))
    assert [item["resource_type"] for item in batch["items"]] == [
        "shelf",
        "shelf",
        "good",
        "shop.good",
        "stall.good",
        "ticket",
        "stall.shelf",
    ]
    theirs = [ok(office.get("/mobile/quarantine", resource_type=n))["items"] for n in ("good", "shop.good")]
    assert [[item["client_temp_id"] for item in items] for items in theirs] == [["c"], []]


def test_what_leaves_is_named_as_what_came(scene: Scene) -> None:
    device = scene.person()
    mine, sold, bought = scene.good(device.team), scene.good(device.team), str(uuid4())
    device.push(create("stall.good", id=bought, title="bought"))
    _, token = device.pull()
    scene.execute("UPDATE shop.goods SET team_id = %s WHERE id = %s", str(uuid4()), mine)
    device.push(delete("shop.good", sold, 1), delete("stall.good", bought, 1))
    changes, token = device.pull(token)
    assert sorted((c["resource_type"], c["id"], c["reason"]) for c in changes) == sorted(
        [("shop.good", mine, "out_of_scope"), ("shop.good", sold, "deleted"), ("stall.good", bought, "deleted")]
    )
    kept = scene.good(device.team)
    _, token = device.pull(token)
    scene.leave(device, device.team)
    changes, _ = device.pull(token)
    assert ("shop.good", kept, "out_of_scope") in [(c["resource_type"], c["id"], c.get("reason")) for c in changes]


def test_a_pull_of_some_tables_and_verify_take_both_names(scene: Scene) -> None:
    device = scene.person()
    good, shelf = scene.good(device.team), scene.shelf(device.team)
    for names in (["shop.good", "shelf"], ["shop.shelf", "shop.good"]):
        changes, token = device.pull(tables=names)
        assert sorted((c["resource_type"], c["id"]) for c in changes) == [("shelf", shelf), ("shop.good", good)]
    problem(device.post("/mobile/sync/pull", {"since_token": None, "tables": ["good"]}), 422, "invalid_envelope")

    asked = {"token": token, "digests": {}}
    answer = ok(device.post("/mobile/sync/verify", asked))
    assert (sorted(answer["digests"]), sorted(answer["differ"])) == (["shelf", "shop.good"],) * 2
    given = {"shop.shelf": answer["digests"]["shelf"], "shop.good": answer["digests"]["shop.good"]}
    assert ok(device.post("/mobile/sync/verify", asked | {"digests": given}))["equal"] is True
    problem(
        device.post("/mobile/sync/verify", asked | {"digests": {"good": given["shop.good"]}}), 422, "invalid_envelope"
    )


def test_conflicts_and_explanations(scene: Scene) -> None:
    office, device = scene.office(), scene.person()
    good, shelf = scene.good(device.team, title="base"), scene.shelf(device.team, name="base")
    ok(office.send(update("shop.good", good, 1, title="theirs"), update("shelf", shelf, 1, name="theirs")))
    results = device.push(update("shop.good", good, 1, title="ours"), update("shop.shelf", shelf, 1, name="ours"))
    assert [result["code"] for result in results] == ["version_conflict"] * 2

    def listed(name: str) -> list[tuple[str, str]]:
        items = ok(office.get("/mobile/conflicts", resource_type=name, device_id=device.device_id))["items"]
        return [(item["resource_type"], item["resource_id"]) for item in items]

    assert listed("shop.good") == [("shop.good", good)]
    assert (listed("good"), listed("stall.good")) == ([], [])
    assert listed("shelf") == listed("shop.shelf") == [("shelf", shelf)]
    for result in results:
        path = f"/mobile/conflicts/{result['conflict_id']}"
        assert "ours" in ok(office.get(path))["client_payload"].values()
        ok(office.post(f"{path}/resolve", {"resolution": "accept_client"}))
    assert scene.value("SELECT title FROM shop.goods WHERE id = %s", good) == "ours"
    path = f"/mobile/devices/{device.device_row}/explain"
    assert ok(office.get(path, table="shop.good", row=good))["resource_type"] == "shop.good"
    assert ok(office.get(path, table="shop.shelf", row=shelf))["resource_type"] == "shelf"
    problem(office.get(path, table="good", row=good), 404, "not_found")


def test_a_batch_sent_again_under_the_other_name_is_the_same_batch(scene: Scene) -> None:
    device = scene.person()
    first = ok(device.send(create("shelf", "a", team_id=device.team, name="one"), batch_token=(token := str(uuid4()))))
    again = ok(device.send(create("shop.shelf", "a", team_id=device.team, name="one"), batch_token=token))
    assert again == first
    goods = ok(
        device.send(create("shop.good", "b", team_id=device.team, title="one"), batch_token=(token := str(uuid4())))
    )
    assert goods["results"][0]["status"] == "ok"
    other = device.send(create("good", "b", team_id=device.team, title="one"), batch_token=token)
    problem(other, 409, "reused_with_other_body")


def test_the_client_keeps_them_apart(scene: Scene, shop_settings: Settings, tmp_path: Path) -> None:
    assert shop_settings.database_url is not None
    user, team = create_user(shop_settings.database_url, "wilma", "WORKER"), str(uuid4())
    scene.execute("INSERT INTO shop.members (team_id, user_id) VALUES (%s, %s)", team, user)
    theirs = scene.good(team, title="the shop's")
    client = Client(tmp_path / "wilma.db", scene.server.url)
    try:
        client.login("wilma", PASSWORD)
        client.register_device(device_type="tablet", os_version="1", app_version="1.0.0")
        assert client.sync(verify=True).verified
        replica = client.replica
        assert replica.get("shop.good", theirs)["title"] == "the shop's"
        with replica.together():
            good = replica.create("stall.good", {"title": "the client's"})
            replica.create("ticket", {"good_id": good})
            replica.update("shop.good", theirs, title="seen")
        report = client.sync(verify=True)
        assert (report.ok, report.verified, report.repaired) == (True, True, [])
        assert [row["title"] for row in replica.rows("stall.good", "title = 'the client''s'")] == ["the client's"]
        (ticket,) = [
            row
            for row in replica.rows("ticket")
            if replica.get("stall.good", row["good_id"])["title"] == "the client's"
        ]
        assert scene.value(
            "SELECT g.title FROM stall.tickets t JOIN stall.goods g ON g.id = t.good_id WHERE t.id = %s", ticket["id"]
        )
        assert replica.query("SELECT title FROM shop_goods WHERE id = ?", [theirs])[0]["title"] == "seen"
        assert scene.value("SELECT title FROM shop.goods WHERE id = %s", theirs) == "seen"
        scene.execute("DELETE FROM shop.goods WHERE id = %s", theirs)
        assert client.sync(verify=True).verified
        assert (replica.get("shop.good", theirs), replica.rows("shop.good")) == (None, [])
    finally:
        client.close()
