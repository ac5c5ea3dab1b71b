"""Rounds of live delivery, one at a time: what somebody who joins at the wrong moment is told.

The oracle (test_live_oracle.py) meets these moments now and then; here they are made.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import msgspec
import psycopg

from homing.protocol.errors import Problem
from homing.protocol.live import Subscribe
from homing.server.live import Live
from tests.engine import yard
from tests.engine.world import Json, World

FOREVER = 1e12
UNTIL_SECONDS = 20
"""After which what does not come will never come."""


class Listener:
    """Keeps what it is sent. ``first``: done with the first change, within the round that brings it."""

    def __init__(self, first: Callable[[], None] = lambda: None) -> None:
        self.messages: list[Json] = []
        self._first: Callable[[], None] | None = first
        self._news = asyncio.Event()
        self.ended: str | None = None

    def send(self, messages: Sequence[bytes], token: bytes | None = None) -> bool:
        self.messages += [msgspec.json.decode(message) for message in messages]
        if self._first is not None and self.has_news():
            first, self._first = self._first, None
            first()
        self._news.set()
        return True

    def close(self, problem: Problem) -> None:
        self.ended = problem.code.code
        self._news.set()

    async def drained(self) -> None:
        await asyncio.sleep(0)

    def has_news(self) -> bool:
        return any(message["type"] == "entity_update" for message in self.messages)

    async def until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(UNTIL_SECONDS):
            while not done():
                self._news.clear()
                await self._news.wait()

    def is_current(self) -> bool:
        return any(message["type"] == "current" for message in self.messages)


@asynccontextmanager
async def hub(world: World) -> AsyncIterator[Live]:
    """One that goes a round only when it is woken."""
    live = Live(world.engine, poll_seconds=3600, few=0)
    try:
        yield live
    finally:
        await live.close()


async def test_nobody_is_current_by_what_was_read_before_they_came(demo_url: str) -> None:
    """A round has read the database and is sending; somebody writes, and connects: the round does not know of it."""
    async with yard.open_yard(demo_url) as world, hub(world) as live:
        office = await world.person("OWNER")
        late = Listener()

        def write_and_connect() -> None:
            with psycopg.connect(world.url, autocommit=True) as conn:
                conn.execute("INSERT INTO yard.boxes (id) VALUES (2)")
            token = early.messages[-1]["next_token"]
            live.subscribe(office, FOREVER, Subscribe(token="", since_token=token), late)

        early = Listener(write_and_connect)
        live.subscribe(office, FOREVER, Subscribe(token=""), early)
        await early.until(early.is_current)
        await world.execute("INSERT INTO yard.boxes (id) VALUES (1)")
        live.wake()
        await late.until(late.is_current)
        assert [(m["type"], m.get("id")) for m in late.messages] == [("entity_update", "2"), ("current", None)]


async def test_who_is_ahead_of_their_token_is_at_no_moment_less_than_it_says(demo_url: str) -> None:
    """A delta of two pages ends while others write: its second page removes a row that was deleted after the instant
    its token names. Whatever live delivery then calls complete is what the database held at one instant."""
    async with yard.open_yard(demo_url) as world, hub(world) as live:
        office, worker = await world.person("OWNER"), await world.person("WORKER")
        await world.execute("INSERT INTO yard.grants VALUES (%s, 'team', '7')", [worker.user_id])
        await world.execute("INSERT INTO yard.boxes (id, team) SELECT n, 7 FROM generate_series(1, 5) n")
        replica = await world.sync(worker)
        told = Listener()
        live.subscribe(office, FOREVER, Subscribe(token=""), told)
        await told.until(told.is_current)

        async def write(query: str, box: str) -> None:
            await world.execute(query)
            live.wake()
            await told.until(lambda: box in {message.get("id") for message in told.messages if "id" in message})

        await world.execute("DELETE FROM yard.boxes WHERE id IN (1, 3)")
        replica.apply(first := await world.page(worker, replica.token, limit=1))
        assert ([change["id"] for change in first["changes"]], first["has_more"]) == (["1"], True)
        told.messages.clear()
        await write("UPDATE yard.boxes SET note = 'new' WHERE id = 5", "5")
        await write("DELETE FROM yard.boxes WHERE id = 2", "2")
        replica.apply(second := await world.page(worker, replica.token, limit=10))
        assert {change["id"] for change in second["changes"]} == {"2", "3"}

        back = Listener()
        live.subscribe(worker, FOREVER, Subscribe(token="", since_token=replica.token), back)
        await back.until(back.is_current)
        complete = 0
        for message in back.messages[:-1]:
            change = message | {"resource_type": message["entity"], "payload": message["data"]}
            replica.apply({"changes": [change], "next_token": message["next_token"]})
            if not message["has_more"]:
                complete += 1
                since = world.read(worker, message["next_token"]).since
                assert replica.rows == await yard.as_of(world, worker.user_id, str(since))
        assert complete
