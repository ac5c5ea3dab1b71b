"""A month's edits, and a server that lets a device make only so many requests at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import msgspec
import psycopg
import pytest

from homing.client import Client
from homing.protocol.rates import Rate
from homing.server.tenant import Tenant
from homing.settings import Settings
from tests.accounts.later import Time
from tests.apps.fieldwork.scene import publish_form
from tests.fixtures.accounts import PASSWORD, Person, create_user
from tests.fixtures.server import Server, serving

EDITS = 700
RATE = Rate(10, 240)
"""Of sync, by device: a fortieth of what a device may do, so that a fortieth of a large backlog is too much."""


@pytest.fixture
def time(database_url: str) -> Iterator[Time]:
    clock = Time(database_url)
    yield clock
    clock.close()


@pytest.fixture
def server(settings: Settings, time: Time) -> Iterator[Server]:
    def prepare(tenant: Tenant) -> None:
        tenant.rates.clock = time

    with serving(msgspec.structs.replace(settings, rates={"sync": RATE}), prepare) as running:
        yield running


def test_it_drains_by_waiting_as_long_as_it_is_told(
    settings: Settings, server: Server, owner: Person, time: Time, tmp_path: Path
) -> None:
    """One sync of the Python client: refused with 429, it waits for Retry-After, no longer and no more often than it
    must, and goes on. Nothing is lost and nothing doubled."""
    database_url = settings.database_url or ""
    publish_form(owner)
    create_user(database_url, "wim", "WORKER")
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        time.pass_by(seconds=seconds)

    with Client(tmp_path / "wim.db", server.url, rng=Random(1), sleep=sleep) as client:
        client.login("wim", PASSWORD)
        client.register_device(device_type="tablet", os_version="1", app_version="1.0.0")
        assert client.sync().ok
        for number in range(EDITS):
            data = {"species": "Adelie", "mass": 3000 + number}
            client.replica.create("submission", {"form_id": "penguins", "form_version": "v1", "data": data})
        report = client.sync()
        assert (report.ok, report.pushed.applied, report.pushed.refused) == (True, EDITS, 0), report
        assert client.replica.status().waiting == 0
    with psycopg.connect(database_url) as conn:
        found = conn.execute("SELECT count(*), count(DISTINCT data) FROM fieldwork.submissions").fetchone()
    assert found == (EDITS, EDITS)
    # Each wait is one window at most, with the slot that counts it and the jitter; each lets a window's requests pass.
    assert 1 <= len(waits) <= 3
    assert all(seconds <= RATE.seconds * 16 / 15 + 2 for seconds in waits), waits
