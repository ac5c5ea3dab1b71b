"""A live client always equals its scope as its token's snapshot saw it, whoever writes and whatever is lost.

Random writers change rows, rights and roles, keep transactions open and roll back; live clients apply what they are
sent, are cut and come back with their last token, and hints are lost. After every delta the client is compared with the
past of its token's scopes, made again at its token's snapshot (yard.py), and in the end with what its user may have of
the tables as they are.
"""

import asyncio
import random
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from uuid import UUID

import msgspec
import pytest

from homing.engine.caller import Claims
from homing.engine.engine import Along
from homing.postgres.sql import Answer
from homing.protocol.errors import Problem
from homing.protocol.live import Subscribe
from homing.server.live import Live
from homing.server.live_subscriber import Subscriber
from tests.engine import yard
from tests.engine.test_oracle import MOST, Writer, furnished
from tests.engine.traffic import TEAMS, Puller, Tally, writer_connection
from tests.engine.world import Json, World, create, delete, update
from tests.fixtures.engine import both_servers

FOREVER = 1e12
COMPARED = 0.15
"""Part of the deltas after which the past is made again: that takes longer than the delta."""


class Client(Puller):
    """One live client. It is its own outlet; a puller, to compare itself as those do."""

    subscriber: Subscriber

    def __init__(self, world: World, live: Live, claims: Claims, rng: random.Random, tally: Tally) -> None:
        super().__init__(world, claims, rng, tally)
        self.live = live
        self.inbox: asyncio.Queue[Json | None] = asyncio.Queue()
        self.caught_up = asyncio.Event()

    def connect(self) -> None:
        self.inbox = asyncio.Queue()
        self.caught_up.clear()
        asked = Subscribe(token="", since_token=self.replica.token)
        self.subscriber = self.live.subscribe(self.claims, FOREVER, asked, self)

    def send(self, messages: Sequence[bytes], token: bytes | None = None) -> bool:
        for message in messages:
            self.inbox.put_nowait(msgspec.json.decode(message))
        return True

    def close(self, problem: Problem) -> None:
        self.inbox.put_nowait({"type": "bye", "code": problem.code.code})
        self.inbox.put_nowait(None)

    async def held(self) -> Sequence[str]:
        """The scopes of the token. Live delivery asks for rights after it read the rows, so that it sends nothing to
        somebody who may no longer have it: a right of the moment between, given and taken away, is not in it."""
        assert self.replica.token is not None
        digest = self.world.read(self.claims, self.replica.token).held
        assert digest is not None
        async with self.world.engine.database.connection() as conn:
            return (await self.world.engine.scope_sets.get(conn, digest)).scopes

    async def drained(self) -> None:
        await asyncio.sleep(0)

    async def read(self, over: asyncio.Event) -> None:
        """Apply what comes until ``over``, and then until the client knows that it is up to date."""
        self.connect()
        while not (over.is_set() and self.caught_up.is_set() and self.inbox.empty()):
            message = await self.inbox.get()
            if message is None:
                self.connect()
            else:
                await self._take(message)
            if not over.is_set() and self.rng.random() < 0.01:  # the line is cut
                self.tally.replays += 1
                self.live.unsubscribe(self.subscriber)
                self.connect()

    async def _take(self, message: Json) -> None:
        match message["type"]:
            case "entity_update":
                self.caught_up.clear()
                self.tally.pages += 1
                key = (message["entity"], message["id"])
                if message["action"] == "delete":
                    self.tally.removals += self.replica.rows.pop(key, None) is not None
                else:
                    self.replica.rows[key] = (message["server_version"], message["data"])
                self.replica.token = message["next_token"]
                if message["has_more"] or self.rng.random() > COMPARED:
                    return
                self.compare(await yard.of_scopes(self.world, await self.held(), self.snapshot()))
            case "current":
                self.replica.token = message["next_token"]
                self.caught_up.set()
            case "bye":
                await self._come_back(message["code"])

    async def _come_back(self, code: str) -> None:
        match code:
            case "resync_required":
                self.replica = type(self.replica)()
                self.tally.resyncs += 1
            case "unauthenticated":
                query = "SELECT role FROM homing.users WHERE id = %s"
                role = (await self.world.execute(query, [self.claims.user_id]))[0][0]
                self.claims = replace(self.claims, role=role)
                self.tally.restarts += 1
            case _:
                raise AssertionError(code)


class Late:
    """Between the pushes and a hub: what they bring comes late now and then, in another order."""

    def __init__(self, hub: Live, rng: random.Random, tally: Tally) -> None:
        self.hub, self.rng, self.tally = hub, rng, tally

    def along(self, items: int, made: Sequence[str], user: UUID) -> Along:
        calls, done = self.hub.along(items, made, user)
        self.tally.along += any("pg_current_snapshot" in call.text for call in calls)

        def later(answers: Sequence[Answer]) -> None:
            if self.rng.random() < 0.3:
                asyncio.get_running_loop().call_later(self.rng.random() * 0.01, done, answers)
            else:
                done(answers)

        return Along(calls, later)


async def push_somewhat(world: World, office: Claims, rng: random.Random) -> None:
    """Create, change or delete a box or two. What is said to that does not matter here."""
    items = []
    for _ in range(rng.choice([1, 1, 2])):
        box, note = rng.randrange(MOST), f"pushed {rng.getrandbits(40)}"
        row = {"id": box, "note": note, "team": rng.choice([*TEAMS, None])}
        version = rng.choice([None, 1, 2])
        made = create("box", **row), update("box", str(box), version, note=note), delete("box", str(box), version)
        items.append(rng.choices(made, [5, 3, 2])[0])
    try:
        await world.push(office, *items)
    except Problem as problem:
        if problem.code.code != "unavailable":  # its rows are changed too often by the others
            raise


async def traffic(url: str, seed: int, *, lost: float, transactions: int, clients: int, **least: int) -> Tally:
    """Free traffic at two nodes' hubs on one database, with this part of the hints lost, until ``least`` was seen."""
    rng, tally = random.Random(seed), Tally()
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(yard.open_yard(url))
        people = await furnished(world, rng, clients)
        users = [claims.user_id for claims in people]
        # One asks about everybody at once, the other about one after the other while it sends.
        hubs = [Live(world.engine, poll_seconds=0.1), Live(world.engine, poll_seconds=0.1, few=0, at_once=1)]
        for hub in hubs:
            hub.hints.heard = lambda _: rng.random() >= lost
        world.engine.listeners.extend(Late(hub, rng, tally) for hub in hubs)
        office = await world.person("OWNER")
        over = asyncio.Event()

        async def push() -> None:
            chosen = random.Random(rng.random())
            while tally.goes_on(transactions, least):
                await push_somewhat(world, office, chosen)

        async def write() -> None:
            async with await writer_connection(world, "200ms") as conn:
                writer = Writer(conn, random.Random(rng.random()), users, tally)
                while tally.goes_on(transactions, least):
                    if await writer.step() and rng.random() >= lost:
                        rng.choice(hubs).written()
                while writer.todo:
                    await writer.step()

        listeners = [
            Client(world, hubs[n % 2], claims, random.Random(rng.random()), tally) for n, claims in enumerate(people)
        ]
        stack.push_async_callback(lambda: asyncio.gather(*[hub.close() for hub in hubs]))
        async with asyncio.TaskGroup() as group:
            reading = [group.create_task(each.read(over)) for each in listeners]
            await asyncio.gather(group.create_task(push()), *[group.create_task(write()) for _ in range(4)])
            for each in listeners:  # each joins once more, and is told when it has everything
                each.live.unsubscribe(each.subscriber)
                each.inbox.put_nowait(None)
                each.caught_up.clear()
            over.set()
            await asyncio.gather(*reading)
        for each in listeners:
            each.compare(await yard.now(world, each.claims.user_id))
    return tally


@pytest.mark.parametrize("lost", [0, 0.5, 1])
async def test_live_clients_equal_their_scopes(demo_url: str, lost: float) -> None:
    least = {"rolled_back": 20, "pages": 300, "exact": 10, "removals": 60, "replays": 5, "along": 10}
    tally = await traffic(demo_url, int(lost * 10) + 3, lost=lost, transactions=250, clients=5, **least)
    tally.at_least(**least)


@both_servers
async def test_on_both_servers(demo_url: str) -> None:
    least = {"pages": 100, "exact": 8}
    tally = await traffic(demo_url, 1, lost=0.2, transactions=120, clients=4, **least)
    tally.at_least(**least)
