"""After every complete page a replica equals a direct query of its scope, at that instant, whatever happened meanwhile.

*One statement at a time*: a seeded scheduler picks, at each step, one of a few writers or devices and lets it run one
statement; pulls of several statements are taken apart too. When a device is complete nobody else runs, so the tables
themselves are the truth. *Free running*: many writers and devices at once; the truth is made again from the past, as
the token's own snapshot saw it.
"""

import asyncio
import random
from dataclasses import replace
from uuid import UUID

import psycopg
import pytest

from homing.engine.caller import Claims
from homing.engine.feeds import Kind
from tests.engine import yard
from tests.engine.traffic import REFUSED, Gated, Puller, Steps, Tally, program, statement, writer_connection
from tests.engine.world import World
from tests.fixtures.engine import both_servers


class Writer:
    """One connection that works through random transactions. A statement that is refused rolls its transaction back."""

    def __init__(self, conn: psycopg.AsyncConnection, rng: random.Random, users: list[UUID], tally: Tally) -> None:
        self.conn, self.rng, self.users, self.tally = conn, rng, users, tally
        self.todo: list[tuple[str, dict[str, object]]] = []

    async def step(self) -> bool:
        """One statement; whether it ended a transaction."""
        if not self.todo:
            self.todo = program(self.rng, self.users, MOST)[::-1]
        text, params = self.todo.pop()
        try:
            await self.conn.execute(text, params, prepare=False)
        except REFUSED:
            await self.conn.execute("ROLLBACK")
            self.todo.clear()
            text = "ROLLBACK"
        self.tally.transactions += text == "COMMIT"
        self.tally.rolled_back += text == "ROLLBACK"
        return not self.todo


MOST = 120
"""Rows of each table that the traffic is about: few enough to meet, enough for deltas of several pages."""


async def furnished(world: World, rng: random.Random, people: int) -> list[Claims]:
    """People with devices, and a yard that is not empty."""
    everybody = [await world.person() for _ in range(people)]
    users = [claims.user_id for claims in everybody]
    for _ in range(3 * MOST):
        await world.execute(*statement(rng, users, MOST))
    roles = dict(await world.execute("SELECT id, role FROM homing.users"))
    return [replace(claims, role=roles[claims.user_id]) for claims in everybody]


async def one_at_a_time(url: str, seed: int, steps: int, **least: int) -> Tally:
    """One scheduled history of three writers and two devices: so many steps, and up to nine times as many more while
    less than ``least`` was seen. Who waits too long for a lock gives up, so no two histories are the same."""
    rng, tally = random.Random(seed), Tally()
    async with yard.open_yard(url) as world:
        people = await furnished(world, rng, 2)
        users = [claims.user_id for claims in people]
        writers = [Writer(await writer_connection(world, "1ms"), rng, users, tally) for _ in range(3)]
        devices = [(Puller(world, claims, rng, tally), Steps()) for claims in people]
        for device, gates in devices:
            device.limits = [2, 5, 15, 40]
            gated = Gated(world.engine.indexed, gates.gate)
            device.world.engine = replace(device.world.engine, indexed=gated)  # type: ignore[arg-type]
        done = 0
        while done < steps or (done < 10 * steps and not tally.has(least)):
            done += 1
            if rng.random() < 0.75:
                await rng.choice(writers).step()
                continue
            device, gates = rng.choice(devices)
            pulled = await gates.advance(device.pull)
            page = pulled.result() if pulled is not None else None
            if page is None or page["has_more"]:
                continue
            snapshot = device.snapshot()
            device.compare(await yard.as_of(world, device.claims.user_id, snapshot))
            if (await world.execute("SELECT pg_current_snapshot()::text"))[0][0] == snapshot:
                device.compare(await yard.now(world, device.claims.user_id))
        for _, gates in devices:
            await gates.finish()
        for writer in writers:
            await writer.conn.close()
        tally.by_change = by_change(world)
    return tally


def by_change(world: World) -> int:
    """How many of the composed statements go along the changes."""
    feeds = world.engine.feeds
    chosen = {feed.number for feed in feeds._feeds if feed.kind in (Kind.CHANGED, Kind.DEPARTED_ANY)}
    return sum(bool(chosen & set(signature[0])) for signature in feeds._statements)


async def free_running(url: str, seed: int, transactions: int, *, writers: int, devices: int, **least: int) -> Tally:
    """Many writers and devices at once, until they have done ``transactions`` and ``least`` was seen; one of them
    holds its transactions open over many pages."""
    rng, tally = random.Random(seed), Tally()
    async with yard.open_yard(url) as world:
        people = await furnished(world, rng, devices)
        users = [claims.user_id for claims in people]
        pulled = asyncio.Condition()
        over, settled = asyncio.Event(), asyncio.Event()

        async def write() -> None:
            async with await writer_connection(world, "200ms") as conn:
                writer = Writer(conn, random.Random(rng.random()), users, tally)
                while tally.goes_on(transactions, least):
                    await writer.step()
                    tally.by_change = by_change(world)

        async def write_slowly() -> None:
            async with await writer_connection(world, "200ms") as conn:
                writer = Writer(conn, random.Random(rng.random()), users, tally)
                while not over.is_set():
                    until = tally.pages + 60
                    await writer.step()
                    if writer.todo and await writer.step():
                        continue
                    async with pulled:
                        await pulled.wait_for(lambda until=until: tally.pages >= until or over.is_set())

        async def pull(claims: Claims) -> None:
            device = Puller(world, claims, random.Random(rng.random()), tally)
            while not over.is_set():
                page = await device.pull()
                async with pulled:
                    pulled.notify_all()
                if page is not None and not page["has_more"]:
                    device.compare(await yard.as_of(world, device.claims.user_id, device.snapshot()))
            await settled.wait()
            while (page := await device.pull()) is None or page["has_more"]:
                pass
            device.compare(await yard.now(world, device.claims.user_id))

        async with asyncio.TaskGroup() as group:
            slow = group.create_task(write_slowly())
            pulls = [group.create_task(pull(claims)) for claims in people]
            busy = [group.create_task(write()) for _ in range(writers)]
            await asyncio.gather(*busy)
            over.set()
            async with pulled:
                pulled.notify_all()
            await slow  # closing its connection commits what it had open
            settled.set()
            await asyncio.gather(*pulls)
    return tally


@pytest.mark.parametrize("seed", range(4))
async def test_one_statement_at_a_time(demo_url: str, seed: int) -> None:
    least = {"transactions": 80, "rolled_back": 10, "pages": 80, "exact": 15, "removals": 20, "restarts": 1}
    tally = await one_at_a_time(demo_url, seed, 1200, **least, long_deltas=4)
    tally.at_least(**least, long_deltas=4)


@both_servers
async def test_free_running(demo_url: str) -> None:
    least = {"rolled_back": 60, "pages": 200, "exact": 40, "removals": 300, "restarts": 15, "long_deltas": 15}
    tally = await free_running(demo_url, 1, 600, writers=8, devices=4, **least, by_change=5)
    tally.at_least(**least, by_change=5)
