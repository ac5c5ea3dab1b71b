"""Old client and new schema, new client and old server: nothing is nulled, nothing is lost (P49)."""

from __future__ import annotations

import copy
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from homing.client import EditError
from tests.client.device import Device, enrolled
from tests.client.peer import Peer, column


@pytest.fixture
def device(folder: Path) -> Device:
    peer = Peer()
    peer.write("site", "s1", name="first", data={"a": 1})
    return enrolled(folder / "r.db", peer)


def with_column(peer: Peer, *columns: dict[str, Any]) -> None:
    peer.tables[0]["columns"] += columns
    peer.schema_version += 1


def test_a_new_column_arrives_with_the_first_row_that_has_it(device: Device) -> None:
    device.replica.query("SELECT name FROM sites")
    device.replica.store.connection.execute("CREATE INDEX mine ON sites (name)")
    with_column(device.peer, column("color", "text"))
    device.peer.write("site", "s2", name="second", color="red")
    device.replica.update("site", "s1", note="edited before the upgrade")
    device.sync()
    assert [(row["id"], row["color"]) for row in device.replica.rows("site")] == [("s1", None), ("s2", "red")]
    assert device.replica.query("SELECT name FROM sqlite_master WHERE name = 'mine'") == [{"name": "mine"}]
    device.replica.update("site", "s1", color="blue")
    assert device.sync(verify=True).verified is True
    assert device.everything() == device.peer.visible()
    assert device.replica.check() == []


def test_what_an_older_schema_could_not_show_was_kept_all_the_time(device: Device) -> None:
    new = copy.deepcopy(device.peer.tables)
    device.peer.write("site", "s1", color="red", shape={"sides": 5})  # the server sends it before it says so
    device.peer.write("gadget", "g1", name="unknown table")
    device.sync()
    assert "color" not in device.replica.rows("site")[0]
    device.replica.update("site", "s1", note="an edit that knows nothing of colors")
    device.sync()
    assert device.peer.visible()["site", "s1"]["color"] == "red"
    new[0]["columns"] += [column("color", "text"), column("shape", "polygon")]
    new.append({"name": "gadgets", "resource_type": "gadget", "app": "x", "columns": [column("id", "uuid"),
                column("name", "text")]})  # fmt: skip
    device.peer.tables = new
    device.clock.now += timedelta(days=2)
    device.peer.calls.clear()
    device.sync(verify=True)
    assert device.peer.calls.count("GET /mobile/schema") == 1
    (site,) = device.replica.rows("site")
    assert (site["color"], site["shape"]) == ("red", '{"sides": 5}')
    assert [row["name"] for row in device.replica.rows("gadget")] == ["unknown table"]
    assert device.everything() == device.peer.visible()


def test_a_column_the_server_no_longer_has_is_emptied_and_stays(device: Device) -> None:
    gone = device.peer.tables[0]["columns"].pop(1)
    assert gone["name"] == "name"
    for row in device.peer.rows.values():
        assert row.payload is not None
        del row.payload["name"]
    device.clock.now += timedelta(days=2)
    device.sync()
    assert device.replica.query("SELECT name FROM sites") == [{"name": None}]
    with pytest.raises(EditError, match="has no name"):
        device.replica.update("site", "s1", name="x")
    assert device.replica.check() == []


def test_a_column_of_another_type_is_made_again(device: Device) -> None:
    device.replica.update("site", "s1", note="an edit on the way")
    device.peer.tables[0]["columns"][3] = column("count", "text")
    device.peer.write("site", "s1", count="007")
    device.clock.now += timedelta(days=2)
    device.sync()
    assert [(row["count"], row["note"]) for row in device.replica.rows("site")] == [("007", "an edit on the way")]
    assert device.replica.check() == []


def test_a_recent_schema_is_not_asked_for_again(device: Device) -> None:
    device.peer.calls.clear()
    device.sync()
    device.sync()
    assert "GET /mobile/schema" not in device.peer.calls


def test_an_app_too_old_for_the_server_keeps_its_outbox(device: Device) -> None:
    device.replica.update("site", "s1", note="kept")
    device.peer.answer_with = "client_too_old"
    report = device.sync()
    assert (report.action, report.code, device.replica.status().waiting) == ("upgrade", "client_too_old", 1)
    device.peer.answer_with = None
    assert device.sync().pushed.applied == 1


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        (lambda replica: replica.create("nothing", {}), "unknown_table"),
        (lambda replica: replica.create("site", {"nme": "x"}), "unknown_column"),
        (lambda replica: replica.update("site", "s1", author="me"), "read_only_column"),
        (lambda replica: replica.update("site", "s1", id="other"), "read_only_column"),
        (lambda replica: replica.update("site", "absent", name="x"), "not_found"),
        (lambda replica: replica.delete("site", "absent"), "not_found"),
        (lambda replica: replica.create("site", {"id": "s1"}), "exists"),
        (lambda replica: replica.get("nothing", "s1"), "unknown_table"),
    ],
)
def test_edits_that_are_wrong_at_sight_are_refused_at_once(device: Device, edit: Any, code: str) -> None:
    with pytest.raises(EditError) as refused:
        edit(device.replica)
    assert refused.value.code == code
    assert device.replica.status().outbox == {}


def test_what_the_role_may_not_do_is_refused_at_once(device: Device) -> None:
    device.peer.tables[0] |= {"create": False, "delete": False}
    device.clock.now += timedelta(days=2)
    device.sync()
    for edit in (lambda: device.replica.create("site", {}), lambda: device.replica.delete("site", "s1")):
        with pytest.raises(EditError) as refused:
            edit()
        assert refused.value.code == "forbidden"


def test_a_query_cannot_write(device: Device) -> None:
    with pytest.raises(Exception, match="readonly"):
        device.replica.query("DELETE FROM sites")
    assert device.replica.check() == []
