"""After the server came back from a backup, what it had confirmed and lost is offered again, once."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from tests.client.device import Device, enrolled
from tests.client.peer import Peer


@pytest.fixture
def device(folder: Path) -> Device:
    peer = Peer(page=3)
    for number in range(4):
        peer.write("site", f"s{number}", name="first", count=0)
    return enrolled(folder / "r.db", peer)


def test_confirmed_edits_that_were_lost_come_back(device: Device) -> None:
    backup = copy.deepcopy(device.peer)
    tmp = device.replica.create("site", {"name": "mine"})
    device.sync()
    device.replica.update("site", tmp, note="known by its real id")
    device.replica.create("visit", {"site_id": device.replica.resolve(tmp), "text": "child"})
    device.replica.update("site", "s1", count=5)
    device.replica.delete("site", "s2")
    device.sync()
    before = {row["name"] for row in device.replica.rows("site")}
    device.peer.restore(backup)
    device.replica.update("site", "s3", count=7)
    report = device.sync(verify=True)
    assert (report.ok, report.verified, report.pulled.resyncs) == (True, True, 1)
    assert device.everything() == device.peer.visible()
    assert {row["name"] for row in device.replica.rows("site")} == before
    assert device.rows("site")["s1"]["count"] == 5
    assert "s2" not in device.rows("site")
    (visit,) = device.rows("visit").values()
    site = device.rows("site")[visit["site_id"]]
    assert (site["name"], site["note"]) == ("mine", "known by its real id")
    assert device.replica.resolve(tmp) == visit["site_id"]
    assert device.replica.refused() == device.replica.conflicts() == []
    assert set(device.peer.effects.values()) == {1}


def test_edits_that_were_not_lost_have_no_second_effect(device: Device) -> None:
    device.replica.create("site", {"name": "mine"})
    device.replica.update("site", "s1", count=5)
    device.sync()
    device.peer.write("site", "s1", count=6)
    device.peer.epoch += 1
    assert device.sync(verify=True).verified is True
    assert device.everything() == device.peer.visible()
    assert device.rows("site")["s1"]["count"] == 6
    assert set(device.peer.effects.values()) == {1}


def test_an_edit_of_a_version_the_server_never_had_is_based_on_the_one_it_has(device: Device) -> None:
    backup = copy.deepcopy(device.peer)
    device.peer.write("site", "s1", note="lost in the restore")
    device.sync()
    device.peer.restore(backup)
    device.peer.epoch = 1  # the server does not notice by itself: a copy of the files
    device.replica.update("site", "s1", count=9)
    report = device.sync(verify=True)
    assert (report.ok, report.verified) == (True, True)
    assert device.rows("site")["s1"]["count"] == 9
    assert device.everything() == device.peer.visible()


def test_applied_edits_are_kept_for_a_week(device: Device) -> None:
    device.replica.update("site", "s1", count=5)
    device.sync()
    assert device.replica.status().outbox == {"settled": 1}
    device.clock.now = device.clock.now.replace(day=20)
    device.peer.write("site", "s1", count=6)
    device.sync()
    assert device.replica.status().outbox == {}
