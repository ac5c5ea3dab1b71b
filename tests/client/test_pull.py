"""Pull: what the application sees is always one instant of the server, and a reset never costs an edit."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from homing.client.exchange import Answer, Request
from homing.client.pages import Change, Page, apply, place
from tests.client.device import Device, enrolled
from tests.client.peer import Peer, cut

ACCOUNTS = 7


def bank(peer: Peer) -> None:
    for number in range(ACCOUNTS):
        peer.write("site", f"s{number}", name="account", count=100)


def transfer(peer: Peer, rng: Random) -> None:
    """Money moves between two rows: at every instant the sum is the same."""
    one, other = rng.sample(range(ACCOUNTS), 2)
    amount = rng.randint(1, 30)
    for number, change in ((one, -amount), (other, amount)):
        row = peer.rows["site", f"s{number}"]
        assert row.payload is not None
        peer.write("site", f"s{number}", count=row.payload["count"] + change)


def total(device: Device) -> int:
    (row,) = device.replica.query("SELECT sum(count) AS total FROM sites")
    return int(row["total"])


@pytest.mark.parametrize("seed", range(5))
def test_no_page_shows_half_a_transfer(folder: Path, seed: int) -> None:
    peer = Peer(page=2)
    bank(peer)
    device = enrolled(folder / "r.db", peer)
    rng = Random(seed)
    seen = []

    def line(request: Request) -> Answer:
        seen.append(total(device))
        if len(seen) < 20:
            transfer(peer, rng)  # between any two pages
        if rng.random() < 0.2:
            return cut()
        return peer(request)

    for _ in range(10):
        transfer(peer, rng)
    for _ in range(4):
        device.sync(line=line)
        device.reopen()
        seen.append(total(device))
    assert device.sync().ok
    assert set(seen) == {100 * ACCOUNTS}
    assert device.everything() == peer.visible()


def test_a_first_sync_shows_its_pages_and_says_that_it_is_not_complete(folder: Path) -> None:
    peer = Peer(page=2)
    bank(peer)
    device = Device(folder / "r.db", peer)
    device.login()
    seen = []

    def line(request: Request) -> Answer:
        if request.target.endswith("/pull"):
            seen.append((device.replica.complete, len(device.replica.rows("site"))))
        return peer(request)

    device.sync(line=line)
    assert seen == [(False, 0), (False, 2), (False, 4), (False, 6)]
    assert (device.replica.complete, len(device.replica.rows("site"))) == (True, 7)


def test_a_cut_pull_goes_on_at_its_page(folder: Path) -> None:
    peer = Peer(page=2)
    bank(peer)
    device = Device(folder / "r.db", peer)
    device.login()
    pulls = []

    def line(request: Request) -> Answer:
        if request.target.endswith("/pull"):
            pulls.append(device.replica.status().rows.get("site", 0))
            if len(pulls) in (3, 4, 5, 6, 7):
                return cut()
        return peer(request)

    assert device.sync(line=line).code == "unreachable"
    device.reopen()
    assert device.sync(line=line).ok
    assert pulls == [0, 2, 4, 4, 4, 4, 4, 4, 6]
    assert device.everything() == peer.visible()


def test_pages_grow_while_the_line_holds(folder: Path) -> None:
    peer = Peer(page=100_000)
    for number in range(4000):
        peer.write("site", f"s{number:05}", count=number)
    device = enrolled(folder / "r.db", peer)
    report = device.sync()
    assert report.pulled.pages == 1
    assert device.replica.status().rows == {"site": 4000}
    assert peer.calls.count("POST /mobile/sync/pull") == 5  # 500, 1000, 2000, 500, and the empty one just now


def test_nothing_new_writes_nothing(folder: Path) -> None:
    peer = Peer()
    bank(peer)
    device = enrolled(folder / "r.db", peer)
    device.replica.store.checkpoint()
    assert device.sync().ok
    assert Path(f"{device.path}-wal").stat().st_size == 0


def test_a_page_somebody_else_has_applied_is_dropped(folder: Path) -> None:
    peer = Peer()
    bank(peer)
    device = enrolled(folder / "r.db", peer)
    store = device.replica.store
    asked = place(store)
    peer.write("site", "s1", count=1)
    device.sync()
    before = device.everything(), device.replica.status().token
    late = Page("tok-1-1", [Change(id="s1", resource_type="site", action="delete")])
    assert apply(store, asked, late).finished is False
    assert (device.everything(), device.replica.status().token) == before


def test_applying_an_old_page_again_ends_in_the_same(folder: Path) -> None:
    peer = Peer()
    bank(peer)
    device = enrolled(folder / "r.db", peer)
    peer.write("site", "s1", count=1)
    peer.remove("site", "s2")
    device.sync()
    device.replica.store.set_state(token="tok-1-3")  # the answer was lost after all
    device.sync()
    assert device.everything() == peer.visible()


@pytest.mark.parametrize("cause", ["epoch", "too_old", "not ours"])
def test_a_reset_keeps_every_edit_and_shows_the_old_rows_meanwhile(folder: Path, tmp_path: Path, cause: str) -> None:
    peer = Peer(page=2)
    bank(peer)
    device = enrolled(folder / "r.db", peer)
    tmp = device.replica.create("site", {"name": "mine"})
    device.replica.create("visit", {"site_id": tmp})
    device.replica.update("site", "s1", note="edited")
    photo = tmp_path / "p.jpg"
    photo.write_bytes(b"photo")
    device.replica.attach("site", "s2", "media", photo, "image/jpeg")
    peer.hide("site", "s3")
    match cause:
        case "epoch":
            peer.epoch += 1
        case "too_old":
            peer.floor = peer.head
        case "not ours":
            device.replica.store.set_state(token="somebody's")
    seen = []

    def line(request: Request) -> Answer:
        seen.append(len(device.replica.rows("site")))
        return peer(request)

    report = device.sync(line=line, verify=True)
    assert (report.ok, report.pulled.resyncs, report.pushed.applied, report.verified) == (True, 1, 4, True)
    assert min(seen) >= 7
    assert device.everything() == peer.visible()
    assert device.replica.check() == []


def test_a_first_sync_that_is_reset_forgets_what_came_before(folder: Path) -> None:
    peer = Peer(page=2)
    bank(peer)
    device = Device(folder / "r.db", peer)
    device.login()
    pulls = 0

    def line(request: Request) -> Answer:
        nonlocal pulls
        if request.target.endswith("/pull"):
            pulls += 1
            if pulls == 3:
                peer.remove("site", "s0")
                peer.epoch += 1
        return peer(request)

    assert device.sync(line=line).ok
    assert device.everything() == peer.visible()


def test_only_the_tables_that_were_asked_for_are_pulled(folder: Path) -> None:
    peer = Peer()
    bank(peer)
    peer.write("visit", "v1", text="x")
    device = enrolled(folder / "r.db", peer, tables=["site"])
    assert device.replica.status().rows == {"site": 7}
    device.replica.update("site", "s1", note="kept")
    device.reopen(tables=["site", "visit"])
    assert device.sync(verify=True).verified is True
    assert device.replica.status().rows == {"site": 7, "visit": 1}
    device.reopen(tables=["visit"])
    assert device.sync(verify=True).verified is True
    assert device.replica.status().rows == {"visit": 1}


def test_what_left_leaves_nothing_behind(folder: Path, tmp_path: Path) -> None:
    peer = Peer()
    for number in range(50):
        peer.write("site", f"s{number}", name="ordinary", note="long " * number)
    peer.write("site", "gone", note="the-secret " * 3000, name="the-secret name")
    device = enrolled(folder / "r.db", peer)
    photo = tmp_path / "p.jpg"
    photo.write_bytes(b"the-secret in a photo")
    device.replica.attach("site", "gone", "media", photo, "image/jpeg")
    device.replica.update("site", "gone", count=1)
    peer.write("site", "gone", count=2)
    device.sync()
    (conflict,) = device.replica.conflicts()
    assert "the-secret" in conflict.server_payload["note"]
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert any(b"the-secret" in path.read_bytes() for path in files)
    peer.hide("site", "gone")
    device.sync()
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert [path for path in files if b"the-secret" in path.read_bytes()] == []
    (conflict,) = device.replica.conflicts()
    assert (conflict.payload, conflict.server_payload) == ({"count": 1}, None)


def test_edits_of_a_row_that_left_are_refused_and_seen(folder: Path) -> None:
    peer = Peer()
    bank(peer)
    device = enrolled(folder / "r.db", peer)
    peer.hide("site", "s1")
    device.replica.update("site", "s1", count=5)
    device.sync()
    (refused,) = device.replica.refused()
    assert (refused.code, refused.payload) == ("not_found", {"count": 5})
    assert device.everything() == peer.visible()
