"""What the application was told is saved, is saved (P44); a full disk loses nothing (F13)."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import pytest

from homing.client import ClosedError, Replica
from tests.client.device import enrolled
from tests.client.peer import Peer


def test_every_connection_flushes_each_commit_and_erases_what_it_deletes(folder: Path) -> None:
    for _ in range(2):
        with Replica(folder / "r.db") as replica:
            names = ("journal_mode", "synchronous", "secure_delete", "foreign_keys")
            found = {name: replica.store.connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names}
            assert found == {"journal_mode": "wal", "synchronous": 2, "secure_delete": 1, "foreign_keys": 0}


def test_the_file_is_for_this_users_eyes_only(folder: Path) -> None:
    with Replica(folder / "r.db"):
        for path in folder.glob("r.db*"):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_a_full_disk_stops_at_a_whole_step_and_goes_on_when_there_is_room(folder: Path) -> None:
    peer = Peer(page=5)
    for number in range(10):
        peer.write("site", f"s{number}", name="first", count=0)
    device = enrolled(folder / "r.db", peer)
    connection = device.replica.store.connection
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    saved = 0
    with pytest.raises(sqlite3.OperationalError, match="full"):
        for number in range(10_000):
            device.replica.update("site", "s1", note=f"{number}" + "x" * 500)
            saved = number + 1
    assert saved > 0
    assert device.replica.status().waiting == saved
    assert device.replica.check() == []
    token = device.replica.status().token
    for number in range(200):
        peer.write("site", f"more{number}", note="x" * 500)
    report = device.sync()
    assert (report.action, report.code) == ("stop", "replica_full")
    assert device.replica.status().token == token
    assert device.replica.check() == []
    connection.execute("PRAGMA max_page_count = 1073741823")
    assert device.sync(verify=True).verified is True
    assert device.everything() == peer.visible()
    assert set(peer.effects.values()) == {1}
    assert len(peer.effects) == saved


def test_a_closed_replica_says_so(folder: Path) -> None:
    replica = Replica(folder / "r.db")
    replica.close()
    with pytest.raises(ClosedError, match="is closed"):
        replica.status()


def test_a_replica_of_a_newer_client_is_not_touched(folder: Path) -> None:
    with Replica(folder / "r.db") as replica:
        replica.store.connection.execute("PRAGMA user_version = 99")
    with pytest.raises(RuntimeError, match="newer client"):
        Replica(folder / "r.db")
