"""What a push writes of its device: when it was seen, how far its clock is off, and how its sync stands."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from homing.engine.caller import Claims
from tests.engine.world import World, item
from tests.fixtures.engine import both_servers

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
READ = """
SELECT d.last_seen, d.clock_offset, d.xmin::text, m.last_sync_timestamp, m.sync_status, m.pending_outgoing_count
FROM homing.mobile_devices d LEFT JOIN homing.sync_metadata m USING (device_id) WHERE d.device_id = %s
"""


class Phone:
    """A device that pushes at times of its own choosing."""

    def __init__(self, world: World, claims: Claims, team: str) -> None:
        self._world, self._claims, self._team = world, claims, team

    async def push(self, seconds: float, *, off: float | None = None, pending: int | None = None) -> None:
        """``off``: seconds that its clock is slow, where it says so."""
        now = NOON + timedelta(seconds=seconds)
        said = None if off is None else (now - timedelta(seconds=off)).isoformat()
        world = World(replace(self._world.engine, clock=lambda: now), self._world.url)
        (result,) = await world.push(self._claims, item(self._team), client_time=said, pending=pending)
        assert result["status"] == "ok"

    async def read(self) -> tuple[float, float | None, float, str, int]:
        """Seen, the clock's offset, and the last sync, in seconds; the state of its sync, and what waits."""
        ((seen, offset, _, synced, status, pending),) = await self._world.execute(READ, [self._claims.device_name])
        off = None if offset is None else offset.total_seconds()
        return (seen - NOON).total_seconds(), off, (synced - NOON).total_seconds(), status, pending

    async def written_by(self) -> str:
        """The transaction that wrote the device last."""
        return str((await self._world.execute(READ, [self._claims.device_name]))[0][2])


@pytest.fixture
async def phone(world: World) -> Phone:
    team = await world.team()
    return Phone(world, await world.person("WORKER", team), team)


@both_servers
async def test_a_device_that_pushes_often_is_written_once_a_minute(phone: Phone) -> None:
    await phone.push(0)
    assert await phone.read() == (0, None, 0, "idle", 0)
    first = await phone.written_by()
    for seconds in (0.5, 30, 60):
        await phone.push(seconds)
    assert (await phone.read(), await phone.written_by()) == ((0, None, 60, "idle", 0), first)
    await phone.push(61.5)
    assert await phone.read() == (61.5, None, 61.5, "idle", 0)
    await phone.push(-3600)  # the server's clock was set back
    assert await phone.read() == (-3600, None, -3600, "idle", 0)


@both_servers
async def test_how_far_its_clock_is_off_is_written_when_it_moved(phone: Phone) -> None:
    for seconds, off, kept in ((0, 10.0, 10), (1, 10.9, 10), (2, 11.1, 11.1), (3, None, 11.1), (4, -600, -600)):
        await phone.push(seconds, off=off)
        assert (await phone.read())[1] == kept


@both_servers
async def test_how_its_sync_stands_is_written_when_it_changed_or_a_second_later(phone: Phone) -> None:
    for seconds, pending, found in (
        (0, None, (0, "idle", 0)),
        (0.9, None, (0, "idle", 0)),
        (0.9, 1, (0.9, "idle", 1)),
        (0.9, 7, (0.9, "syncing", 7)),
        (5, 7, (0.9, "syncing", 7)),
        (5.1, 1, (5.1, "idle", 1)),
        (6.2, None, (6.2, "idle", 1)),
    ):
        await phone.push(seconds, pending=pending)
        assert (await phone.read())[2:] == found


@both_servers
async def test_of_two_pushes_at_once_the_later_says_how_the_sync_stands(world: World, phone: Phone) -> None:
    """It waits for the device, and must not go by how the sync stood when it began to wait."""
    await phone.push(0, pending=1)
    assert (await phone.read())[2:] == (0, "idle", 1)
    blocked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    async with world.engine.owner.transaction() as conn:
        await conn.execute("SELECT FROM homing.mobile_devices FOR UPDATE", prepare=False)
        pushing = asyncio.create_task(phone.push(0.5, pending=1))
        while await world.execute(blocked) != [(1,)]:
            pass
        await conn.execute("UPDATE homing.sync_metadata SET sync_status = 'syncing', pending_outgoing_count = 9")
    await pushing
    assert (await phone.read())[2:] == (0.5, "idle", 1)
