"""A replica killed before any statement is found again as it was before or after a whole step, never in between (P43).

One run of a device's day is stopped before every single statement: the files are copied as they are at that moment,
which is what a killed process leaves behind, together with the state of the server. Each copy must open sound, and go
on to the same end. A real kill of a real process shows that the copies do not lie.
"""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from homing.client import Replica
from tests.client.device import Device
from tests.client.peer import Peer

PARTS = ("", "-wal")


@dataclass
class Moment:
    """The device's files and the server, as they stood before statement ``number``."""

    number: int
    statement: str
    path: Path
    peer: Peer
    promised: set[str]


class Camera:
    """Takes a picture before every statement the replica runs."""

    def __init__(self, device: Device, folder: Path) -> None:
        self.device, self.folder = device, folder
        self.moments: list[Moment] = []
        self.promised: set[str] = set()
        self.watch()

    def watch(self) -> None:
        self.device.replica.store.connection.set_trace_callback(self.take)

    def take(self, statement: str) -> None:
        number = len(self.moments)
        to = self.folder / f"m{number}" / "r.db"
        to.parent.mkdir()
        for part in PARTS:
            source = Path(f"{self.device.path}{part}")
            if source.exists():
                shutil.copyfile(source, f"{to}{part}")
        files = self.device.replica.store.folder
        if files.exists():
            shutil.copytree(files, f"{to}.files")
        self.moments.append(Moment(number, statement, to, copy.deepcopy(self.device.peer), set(self.promised)))


def a_day(device: Device, camera: Camera, photo: Path) -> None:
    """Edits, a sync that meets a conflict, a refusal, a moved row and a file, and edits after it."""
    replica = device.replica
    assert device.sync().ok  # the first, of three pages

    def saved(op: str | None) -> None:
        assert op is not None
        camera.promised.add(op)

    tmp = replica.create("site", {"name": "mine", "count": 1})
    saved(tmp)
    saved(replica.create("visit", {"site_id": tmp, "text": "hello"}))
    saved(replica.update("site", tmp, note="chained"))
    saved(replica.update("site", "s1", name="local"))
    saved(replica.update("site", "s2", count=5))
    saved(replica.create("visit", {"site_id": "s3", "text": "refuse me"}))
    saved(replica.delete("visit", "v1"))
    replica.attach("site", "s4", "media", photo, "image/jpeg")
    saved(replica.query("SELECT op FROM _outbox ORDER BY seq DESC LIMIT 1")[0]["op"])
    device.peer.write("site", "s1", name="office")
    device.peer.write("site", "s2", note="office")
    device.peer.hide("site", "s5")
    assert device.sync().ok
    saved(replica.update("site", tmp, note="after"))
    (refused,) = replica.refused()
    saved(replica.retry(refused.op, {"site_id": "s3", "text": "fine"}))
    (conflict,) = replica.conflicts()
    camera.promised -= {conflict.op}
    replica.discard(conflict.op)
    device.peer.floor = device.peer.head + 1
    device.peer.write("site", "s6", name="after the floor")
    assert device.sync(verify=True).ok


def begin(folder: Path) -> tuple[Device, Path]:
    peer = Peer(page=3)
    peer.refuse["refuse me"] = "check_failed"
    for number in range(7):
        peer.write("site", f"s{number}", name="first", count=0)
    peer.write("visit", "v1", site_id="s1", text="first")
    photo = folder / "photo.jpg"
    photo.write_bytes(os.urandom(3000))
    device = Device(folder / "r.db", peer)
    device.login()
    return device, photo


def test_a_kill_before_any_statement_loses_nothing_and_doubles_nothing(folder: Path) -> None:
    device, photo = begin(folder)
    camera = Camera(device, folder)
    a_day(device, camera, photo)
    device.replica.close()
    assert len(camera.moments) > 400
    kinds = {moment.statement.split()[0] for moment in camera.moments}
    assert {"BEGIN", "COMMIT", "INSERT", "UPDATE", "DELETE", "SELECT"} <= kinds
    tokens = set()
    for moment in camera.moments:
        found = Device(moment.path, moment.peer, name=f"n{moment.number}-")
        try:
            assert found.replica.salvaged is None, moment
            assert found.replica.check() == [], moment
            tokens.add(found.replica.status().token)
            assert_saved(found, moment)
            discarded = finish_the_day(found)
            done = {op for op, _ in moment.peer.effects}
            assert moment.promised - done - discarded == set(), moment
            assert found.everything() == moment.peer.visible(), moment
            assert max(moment.peer.effects.values(), default=1) == 1, moment
        except AssertionError as error:
            error.add_note(f"killed before statement {moment.number}: {moment.statement}")
            raise
        finally:
            found.replica.close()
    assert len(tokens) >= 3


def assert_saved(device: Device, moment: Moment) -> None:
    """What the application was told is saved is in the outbox, or the server has judged it."""
    here = {row["op"] for row in device.replica.query("SELECT op FROM _outbox")}
    judged = {key[1] for key in moment.peer.verdicts}
    assert moment.promised - here - judged == set()


def finish_the_day(device: Device) -> set[str]:
    """Whatever had happened, everything goes through now: the server refuses nothing any more. Conflicts are given up,
    and returned."""
    device.peer.refuse.clear()
    discarded = set()
    if not device.replica.complete:
        device.login()
    for _ in range(3):
        report = device.sync(verify=True)
        # A kill leaves nothing to repair: a token that ran ahead of its rows would show here.
        assert (report.ok, report.verified, report.repaired, report.remade) == (True, True, [], 0), report
        for verdict in device.replica.refused():
            device.replica.retry(verdict.op)
        for verdict in device.replica.conflicts():
            discarded |= set(device.replica.discard(verdict.op))
    report = device.sync(verify=True)
    assert (report.ok, report.verified, report.repaired) == (True, True, [])
    outbox = device.replica.status().outbox
    assert {status for status, count in outbox.items() if count} <= {"settled"}
    return discarded


KILLED = """
import os, sys
from homing.client import Replica
path, at = sys.argv[1], int(sys.argv[2])
replica = Replica(path)
seen = 0
def count(statement):
    global seen
    seen += 1
    if seen == at:
        os._exit(9)
replica.store.connection.set_trace_callback(count)
for number in range(20):
    op = replica.update("site", "s1", count=number + 1)
    print(op, flush=True)
"""


def test_a_killed_process_leaves_what_it_had_said_was_saved(folder: Path) -> None:
    device, _ = begin(folder)
    assert device.sync().ok
    device.replica.close()
    for at in (2, 17, 40, 95):
        killed = subprocess.run(
            [sys.executable, "-c", KILLED, str(device.path), str(at)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert killed.returncode == 9, killed.stderr
        with Replica(device.path) as replica:
            assert replica.salvaged is None
            assert replica.check() == []
            ops = {row["op"] for row in replica.query("SELECT op FROM _outbox")}
            assert set(killed.stdout.split()) <= ops
            for op in ops:
                replica.discard(op)
