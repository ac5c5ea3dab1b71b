"""The people of the season and what they carry: a replica each, on a line of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from types import MappingProxyType
from uuid import uuid4

import httpx
import msgspec

from homing.cli._demo.line import LossyLine
from homing.cli._demo.office import PASSWORD
from homing.client import Client, Replica, Report
from homing.protocol.errors import Action

SYNCS_MAX = 30
"""Times a device tries on the last evening. With one message in four lost, a tenth of that is plenty."""


@dataclass(slots=True)
class Tally:
    """What one device did, over all its syncs."""

    syncs: int = 0
    sent: int = 0
    merged: int = 0
    conflicts: int = 0
    refused: int = 0
    received: int = 0
    removed: int = 0

    def add(self, report: Report) -> None:
        self.syncs += 1
        self.sent += report.pushed.sent
        self.merged += report.pushed.merged
        self.conflicts += report.pushed.conflicts
        self.refused += report.pushed.refused
        self.received += report.pulled.rows
        self.removed += report.pulled.removed


class DeviceOutcome(msgspec.Struct, kw_only=True):
    """One line of a scenario's table. ``lost``: messages that its line lost; ``equal``: it holds exactly its user's
    rows, or nothing more once it was wiped."""

    device: str
    user: str
    syncs: int
    sent: int
    merged: int
    conflicts: int
    refused: int
    received: int
    removed: int
    lost: int
    wiped: bool
    rows: dict[str, int]
    equal: bool
    wrong: list[str]


@dataclass(slots=True)
class Device:
    """``login`` carries it; ``path`` is the replica's file."""

    name: str
    login: str
    path: Path
    client: Client
    line: LossyLine
    tally: Tally = field(default_factory=Tally)
    wiped: bool = False

    @property
    def replica(self) -> Replica:
        return self.client.replica

    def sync(self) -> Report:
        """One sync over the line as it is. Everything but "no line" and "wipe" would be a failure of the demo."""
        report = self.client.sync()
        self.tally.add(report)
        self.wiped = report.action is Action.WIPE
        if report.action not in (None, Action.RETRY, Action.WIPE):
            raise RuntimeError(f"{self.name}: {report.code}: {report.detail}")
        return report

    def settle(self) -> bool:
        """Sync until nothing waits; whether anything was new."""
        before = (self.tally.sent, self.tally.received, self.tally.removed)
        for _ in range(SYNCS_MAX):
            if self.sync().ok and self.replica.status().waiting == 0:
                return before != (self.tally.sent, self.tally.received, self.tally.removed)
        raise RuntimeError(f"{self.name} did not get its outbox through in {SYNCS_MAX} syncs")

    def result(self, rows: dict[str, int], wrong: list[str]) -> DeviceOutcome:
        """What it did. ``rows`` by table, as its user may see them; ``wrong``: where it differs."""
        return DeviceOutcome(
            device=self.name,
            user=self.login,
            lost=self.line.losses.requests + self.line.losses.answers,
            wiped=self.wiped,
            rows=rows,
            equal=not wrong,
            wrong=wrong,
            **asdict(self.tally),
        )


@contextmanager
def devices(
    url: str,
    folder: Path,
    carried: dict[str, str],
    *,
    seed: int,
    clocks: Mapping[str, Callable[[], datetime]] = MappingProxyType({}),
) -> Iterator[dict[str, Device]]:
    """Devices by name, signed in and registered; ``carried``: device → login. ``clocks``: those that go wrong."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        made: dict[str, Device] = {}
        for name, login in carried.items():
            line = LossyLine(Random(f"{seed} {name}"))  # noqa: S311 - a season that can be played again
            http = stack.enter_context(httpx.Client(transport=line, timeout=30))
            path = folder / f"{name}.sqlite"
            replica = Replica(path, clock=clocks.get(name, utc_now), new_id=ids(name).__next__)
            # Nobody waits for a bad line here: the days between are what a season's devices wait for.
            client = stack.enter_context(Client(replica, url, http=http, sleep=lambda _: None))
            line.good = True
            client.login(login, PASSWORD)
            client.register_device(device_type="tablet", os_version="1", app_version="1.0.0")
            made[name] = Device(name, login, path, client, line)
        yield made


def utc_now() -> datetime:
    return datetime.now(UTC)


def ids(name: str) -> Iterator[str]:
    """The first id that a replica makes is its own: a name that people can tell from the others."""
    yield name
    while True:
        yield uuid4().hex
