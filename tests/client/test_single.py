"""One sync at a time: two processes on one replica neither send anything twice nor set the token back (P46)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from homing.client import Replica, single
from homing.client.exchange import Answer, Request
from tests.client.device import Device, enrolled
from tests.client.peer import Peer
from tests.client.peer_server import listening


def test_a_second_sync_is_told_that_one_is_running(folder: Path) -> None:
    device = enrolled(folder / "r.db", Peer())
    other = Device(device.path, device.peer, name="o")
    reports = []

    def line(request: Request) -> Answer:
        reports.append(other.sync())
        return device.peer(request)

    assert device.sync(line=line).ok
    assert {(report.action, report.code) for report in reports} == {("retry", "busy")}
    assert other.sync().ok
    other.replica.close()


def test_the_lock_ends_with_a_sync_that_fails(folder: Path) -> None:
    path = folder / "r.db"
    with pytest.raises(RuntimeError, match="a bug"), single.flight(path):
        raise RuntimeError("a bug")
    with single.flight(path):
        pass


WORKER = """
import sys, random
from homing.client import Client
path, server, name, seed = sys.argv[1:5]
rng = random.Random(int(seed))
client = Client(path, server, sleep=lambda seconds: None)
busy = 0
for number in range(25):
    client.replica.create("visit", {"text": f"{name}{number}"})
    if rng.random() < 0.7:
        report = client.sync()
        assert report.ok or report.code == "busy", report
        busy += report.code == "busy"
        print(client.replica.status().token, flush=True)
print("busy", busy)
client.close()
"""


def test_two_processes_on_one_replica(folder: Path) -> None:
    peer = Peer(page=5)
    for number in range(20):
        peer.write("site", f"s{number}", count=0)
    device = enrolled(folder / "r.db", peer)
    device.replica.close()
    with listening(peer) as server:
        workers = [
            subprocess.Popen(
                [sys.executable, "-c", WORKER, str(device.path), server, name, str(seed)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            )
            for seed, name in enumerate(("a", "b"))
        ]
        outputs = [worker.communicate(timeout=120) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], outputs
    for out, _ in outputs:
        places = [int(line.split("-")[2]) for line in out.splitlines() if line.startswith("tok")]
        assert places == sorted(places)
        assert len(places) >= 10
    device.reopen()
    assert device.sync(verify=True).verified is True
    assert device.everything() == peer.visible()
    assert len(device.replica.rows("visit")) == 50
    assert set(peer.effects.values()) == {1}


def test_a_replica_can_be_read_and_edited_while_it_is_synced(folder: Path) -> None:
    peer = Peer(page=1)
    for number in range(5):
        peer.write("site", f"s{number}", count=0)
    device = enrolled(folder / "r.db", peer)
    for number in range(5):
        peer.write("site", f"s{number}", count=1)
    seen = []

    def line(request: Request) -> Answer:
        with Replica(device.path) as other:
            seen.append(sum(row["count"] for row in other.rows("site")))
            other.update("site", "s0", note=f"n{len(seen)}")
        return peer(request)

    assert device.sync(line=line).ok
    assert set(seen) == {0, 5}
    while device.replica.status().waiting:
        assert device.sync().ok
    assert device.everything() == peer.visible()
