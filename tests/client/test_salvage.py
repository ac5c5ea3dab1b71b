"""A damaged file is found before it is used and put aside; its edits are saved, and nothing is deleted by it (P45)."""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from homing.client import Replica
from homing.client.entries import scan
from tests.client.device import Device, enrolled
from tests.client.peer import Peer

ROWS = 40
EDITS = 30


@pytest.fixture
def device(folder: Path) -> Device:
    """A replica with rows, and edits in every stage, closed."""
    peer = Peer()
    peer.refuse["bad"] = "check_failed"
    for number in range(ROWS):
        peer.write("site", f"s{number}", name=f"n{number}", note="x" * 200, count=0)
    device = enrolled(folder / "r.db", peer)
    device.replica.update("site", "s0", name="bad")
    device.replica.update("site", "s1", name="mine")
    peer.write("site", "s1", name="office")
    device.sync()
    tmp = device.replica.create("site", {"name": "made here"})
    for number in range(EDITS):
        device.replica.create("visit", {"site_id": tmp, "text": f"edit {number}"})
    device.replica.delete("site", "s7")
    assert device.sync(line=lambda request: device.peer(request) if "push" not in request.target else None).code
    for number in range(2, 6):
        device.replica.update("site", f"s{number}", count=number)
    device.replica.close()
    return device


def expect_everything(device: Device) -> None:
    """All edits arrive, once; the one delete that a person made is the only one."""
    device.login()
    for _ in range(2):
        assert device.sync(verify=True).verified is True
    assert device.everything() == device.peer.visible()
    assert set(device.peer.effects.values()) == {1}
    deletes = [op for op, action in device.peer.effects if action == "delete"]
    assert len(deletes) == 1
    assert sorted(row["text"] for row in device.replica.rows("visit")) == sorted(f"edit {n}" for n in range(EDITS))
    assert [device.rows("site")[f"s{number}"]["count"] for number in range(2, 6)] == [2, 3, 4, 5]


def reopen(device: Device, path: Path | None = None, peer: Peer | None = None) -> Device:
    return Device(path or device.path, peer or device.peer, name="again-")


def test_a_sound_file_is_left_alone(device: Device) -> None:
    found = reopen(device)
    assert found.replica.salvaged is None
    expect_everything(found)
    found.replica.close()


def test_a_broken_table_costs_nothing_that_cannot_be_pulled_again(device: Device) -> None:
    with device.path.open("r+b") as file:
        data = file.read()
        at = data.index(b'"note": "xxxx') // 8192 * 8192
        file.seek(at)
        file.write(b"\x00" * 8192)
    found = reopen(device)
    assert found.replica.salvaged is not None
    assert (found.replica.salvaged.lost, found.replica.salvaged.raw) == (0, False)
    assert found.replica.complete is False
    assert found.replica.status().rows == {}
    assert len(found.replica.rows("visit")) == EDITS, "the edits show at once, before anything is pulled"
    assert len(found.replica.refused()) == len(found.replica.conflicts()) == 1
    assert found.replica.salvaged.damaged.exists()
    expect_everything(found)
    found.replica.close()


def test_a_file_sqlite_cannot_open_gives_its_edits_up_byte_by_byte(device: Device) -> None:
    with device.path.open("r+b") as file:
        file.write(b"\x00" * 100)
    found = reopen(device)
    assert found.replica.salvaged is not None
    assert found.replica.salvaged.raw is True
    assert found.replica.status().device_id == "d00001", "the server's keys belong to this name"
    for _ in range(2):
        found.login()
        found.sync()
    expect_everything(found)
    found.replica.close()


def test_an_empty_file_is_a_new_replica(folder: Path) -> None:
    (folder / "r.db").touch()
    with Replica(folder / "r.db") as replica:
        assert replica.salvaged is None
        assert replica.status().outbox == {}


def test_a_file_that_is_something_else_is_put_aside_not_overwritten(folder: Path) -> None:
    (folder / "r.db").write_text("my diary " * 1000)
    with Replica(folder / "r.db") as replica:
        assert replica.salvaged is not None
        assert replica.salvaged.damaged.read_text().startswith("my diary")


@pytest.mark.timeout(600)
def test_truncated_anywhere_and_flipped_anywhere(device: Device, folder: Path) -> None:
    size = device.path.stat().st_size
    rng = Random(5)
    seen: Counter[str] = Counter()
    for number in range(120):
        path = folder / f"n{number}" / "r.db"
        path.parent.mkdir()
        shutil.copyfile(device.path, path)
        with path.open("r+b") as file:
            if number % 2:
                file.truncate(rng.randrange(1, size))
                seen["truncated"] += 1
            else:
                for _ in range(rng.choice((1, 5, 50))):
                    at = rng.randrange(size)
                    file.seek(at)
                    byte = file.read(1)[0] ^ (1 << rng.randrange(8))
                    file.seek(at)
                    file.write(bytes([byte]))
                seen["flipped"] += 1
        peer = copy.deepcopy(device.peer)
        whole = {entry.op for entry in scan(path.read_bytes())}
        found = reopen(device, path, peer)
        try:
            assert whole <= {row["op"] for row in found.replica.query("SELECT op FROM _outbox")}
            salvaged = found.replica.salvaged
            seen["salvaged"] += salvaged is not None
            seen["raw"] += salvaged is not None and salvaged.raw
            seen["lost"] += salvaged is not None and salvaged.lost > 0
            found.login()
            for _ in range(3):
                report = found.sync(verify=True)
                assert report.ok, report
            assert report.verified is True, (number, report)
            queued = found.replica.query("SELECT row_id FROM _outbox WHERE status = 'queued'")
            waiting = {verdict.row_id for verdict in found.replica.refused()} | {row["row_id"] for row in queued}
            here = {key: row for key, row in found.everything().items() if key[1] not in waiting}
            assert here == {key: row for key, row in peer.visible().items() if key[1] not in waiting}, number
            assert max(peer.effects.values(), default=1) == 1
            assert {key for key, row in peer.rows.items() if row.payload is None} <= {("site", "s7")}
            assert found.replica.check() == []
            seen["kept of truncated" if number % 2 else "kept of flipped"] += len(found.replica.rows("visit"))
        except AssertionError as error:
            error.add_note(f"damage {number}")
            raise
        finally:
            found.replica.close()
        shutil.rmtree(path.parent)
    assert seen["salvaged"] >= 60
    assert seen["raw"] >= 5
    assert seen["kept of flipped"] >= 60 * EDITS * 0.95
    assert seen["kept of truncated"] >= 1, "nearly all the edits were in what was cut off"


KILLED = """
import os, sys
from homing.client import Replica
path, at = sys.argv[1], int(sys.argv[2])
seen = 0
def count(event, args):
    global seen
    if event in ("os.rename", "os.remove", "shutil.copyfile"):
        seen += 1
        if seen == at:
            os._exit(9)
sys.addaudithook(count)
Replica(path).close()
"""


def test_a_kill_during_the_salvage_is_made_good(device: Device, folder: Path) -> None:
    with device.path.open("r+b") as file:
        file.seek(8192 * 3)
        file.write(b"\x00" * 8192)
    killed = 0
    for at in range(1, 40):
        path = folder / f"k{at}" / "r.db"
        path.parent.mkdir()
        shutil.copyfile(device.path, path)
        child = subprocess.run(
            [sys.executable, "-c", KILLED, str(path), str(at)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        if child.returncode == 0:
            break
        assert child.returncode == 9, child.stderr
        killed += 1
        found = reopen(device, path, copy.deepcopy(device.peer))
        expect_everything(found)
        found.replica.close()
    assert killed >= 4
