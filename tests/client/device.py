"""A device of the tests: a replica with its own clock and ids, on a line that can be cut."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from homing.client import Replica, Report, login, sync
from homing.client.exchange import Progress, Wait
from tests.client.peer import Line, Peer, drive


class Clock:
    """A second passes with every look."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


class Device:
    def __init__(self, path: Path, peer: Peer, *, name: str = "d", tables: list[str] | None = None) -> None:
        self.path = path
        self.peer = peer
        self.clock = Clock()
        self.numbers: Iterator[int] = itertools.count(1)
        self.name = name
        self.waits: list[Wait] = []
        self.told: list[Progress] = []
        self.replica = self._open(tables)

    def _open(self, tables: list[str] | None = None) -> Replica:
        return Replica(
            self.path, clock=self.clock, new_id=lambda: f"{self.name}{next(self.numbers):05d}", tables=tables
        )

    def reopen(self, tables: list[str] | None = None) -> None:
        self.replica.close()
        self.replica = self._open(tables)

    def login(self) -> None:
        drive(login.login(self.replica.store, login="ana", password="secret"), self.peer)

    def sync(self, *, verify: bool = False, line: Line | None = None) -> Report:
        self.waits.clear()
        self.told.clear()
        steps = sync(self.replica.store, verified=verify)
        return drive(steps, line or self.peer, waits=self.waits, told=self.told)

    def rows(self, resource_type: str) -> dict[str, dict[str, Any]]:
        """Rows by key as the application sees them, values as the wire says them."""
        found = {}
        for row in self.replica.rows(resource_type):
            values = self.replica.get(resource_type, str(row["id"]))
            assert values is not None, row
            found[str(row["id"])] = values
        return found

    def everything(self) -> dict[tuple[str, str], dict[str, Any]]:
        """All rows, keyed as ``Peer.visible``."""
        names = self.replica.store.tables()
        return {(name, row_id): row for name in names for row_id, row in self.rows(name).items()}


def enrolled(path: Path, peer: Peer, *, name: str = "d", tables: list[str] | None = None) -> Device:
    """A device that is signed in and has synced once."""
    device = Device(path, peer, name=name, tables=tables)
    device.login()
    report = device.sync()
    assert report.ok, report
    return device
