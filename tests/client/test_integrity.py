"""A replica can prove itself: to itself by its base and outbox, to the server by digests (P48)."""

from __future__ import annotations

from pathlib import Path

import pytest

from homing.client import Difference
from homing.client.exchange import Answer, Request, Response
from tests.client.device import Device, enrolled
from tests.client.peer import Peer


@pytest.fixture
def device(folder: Path) -> Device:
    peer = Peer(page=4)
    for number in range(10):
        peer.write("site", f"s{number}", name=f"n{number}", data={"n": [number, 0.1]})
        peer.write("visit", f"v{number}", site_id=f"s{number}", text="t")
    return enrolled(folder / "r.db", peer)


def test_a_sound_replica_is_verified_by_one_question(device: Device) -> None:
    device.peer.calls.clear()
    assert device.sync(verify=True).verified is True
    assert device.peer.calls == ["POST /mobile/sync/pull", "POST /mobile/sync/verify"]


def test_open_edits_are_not_part_of_the_digest(device: Device) -> None:
    before = device.replica.digests()
    device.replica.update("site", "s1", name="mine")
    device.replica.create("site", {"name": "new"})
    assert device.replica.digests() == before


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE _base SET payload = replace(payload, 'n3', 'nX') WHERE resource_type = 'site'",
        "UPDATE _base SET version = version + 1 WHERE id = 's3'",
        "DELETE FROM _base WHERE id = 's3'",
        "INSERT INTO _base VALUES ('site', 's99', 1, '{}')",
    ],
)
def test_any_damage_to_what_the_server_sent_is_found_and_only_that_table_pulled(device: Device, damage: str) -> None:
    device.replica.update("visit", "v1", text="an edit on the way")
    device.replica.store.connection.execute(damage)
    asked = []

    def line(request: Request) -> Answer:
        if request.target.endswith("/pull"):
            asked.append(request.body)
        return device.peer(request)

    report = device.sync(verify=True, line=line)
    assert (report.ok, report.verified, report.repaired) == (True, True, ["site"])
    assert sum(b'"tables":["site"]' in body for body in asked if isinstance(body, bytes)) == 3
    assert device.everything() == device.peer.visible()
    assert device.replica.check() == []


def test_rows_that_change_during_the_question_are_pulled_first(device: Device) -> None:
    def line(request: Request) -> Answer:
        if request.target.endswith("/verify") and device.peer.head == 20:
            device.peer.write("site", "s1", name="just now")
        return device.peer(request)

    report = device.sync(verify=True, line=line)
    assert (report.verified, report.repaired) == (True, [])
    assert device.everything() == device.peer.visible()


def test_a_repair_shows_one_instant_only(device: Device) -> None:
    """Site and visit are written in one go each time: a replica that shows as many of both shows one instant."""
    device.replica.store.connection.execute("DELETE FROM _base WHERE id = 's3'")
    seen = []

    def line(request: Request) -> Answer:
        seen.append((len(device.replica.rows("site")), len(device.replica.rows("visit"))))
        if request.target.endswith("/pull") and 2 < len(seen) < 8:
            device.peer.write("site", f"extra{len(seen)}", name="x")
            device.peer.write("visit", f"extra{len(seen)}", text="x")
        return device.peer(request)

    report = device.sync(verify=True, line=line)
    assert (report.verified, report.repaired) == (True, ["site"])
    assert device.everything() == device.peer.visible()
    assert {sites - visits for sites, visits in seen} == {0}
    assert len(seen) > 8


def test_a_server_that_never_agrees_is_told_not_fought(device: Device) -> None:
    body = b'{"equal": false, "current": true, "differ": ["site"], "digests": {}}'

    def line(request: Request) -> Answer:
        if request.target.endswith("/verify"):
            return Response(200, {"content-type": "application/json"}, body)
        return device.peer(request)

    report = device.sync(verify=True, line=line)
    assert (report.ok, report.verified, report.repaired) == (True, False, ["site"])
    assert device.everything() == device.peer.visible()


def test_rows_changed_behind_our_back_are_found_and_made_again(device: Device) -> None:
    device.replica.update("site", "s2", name="an edit on the way")
    before = device.replica.rows("site")
    for damage in (
        "UPDATE sites SET name = 'x' WHERE id = 's1'",
        "UPDATE sites SET name = 'x' WHERE id = 's2'",
        "DELETE FROM sites WHERE id = 's3'",
        "INSERT INTO sites (id) VALUES ('s99')",
    ):
        device.replica.store.connection.execute(damage)
    differences = [Difference("site", row_id) for row_id in ("s1", "s2", "s3", "s99")]
    assert device.replica.check() == differences
    assert device.replica.repair() == differences
    assert device.replica.check() == []
    assert device.replica.rows("site") == before
