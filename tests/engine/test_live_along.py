"""Rounds that pushes take along behind their COMMIT: what the hub makes of them, whatever happened meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from uuid import UUID

import psycopg
import pytest

from homing.engine import epoch
from homing.engine.caller import Claims
from homing.engine.engine import Along
from homing.engine.live import ROUND_ROWS_MAX
from homing.postgres.sql import Answer
from homing.protocol.live import Subscribe
from homing.server.live import ALONG_ITEMS, Live
from tests.engine import yard
from tests.engine.test_live_rounds import FOREVER, Listener
from tests.engine.world import World, create
from tests.fixtures.engine import both_servers


@dataclass
class Between:
    """Stands between pushes and the hub, and keeps what they bring until it is handed over."""

    hub: Live
    waits: bool = False
    brought: list[Callable[[], None]] = field(default_factory=list)
    rounds: int = 0
    """How many of the pushes took a round along."""

    def along(self, items: int, made: Sequence[str], user: UUID) -> Along:
        calls, done = self.hub.along(items, made, user)
        self.rounds += any("pg_current_snapshot" in call.text for call in calls)

        def keep(answers: Sequence[Answer]) -> None:
            if self.waits:
                self.brought.append(partial(done, answers))
            else:
                done(answers)

        return Along(calls, keep)


@dataclass
class Scene:
    """The office pushes boxes, and listens to a hub that goes a round only when it is woken."""

    world: World
    office: Claims
    hub: Live
    between: Between
    listener: Listener
    pushing: list[int]
    """The connection that pushes take: nobody else wants one."""

    async def push(self, *boxes: int) -> None:
        results = await self.world.push(self.office, *(create("box", id=box) for box in boxes))
        assert [result["status"] for result in results] == ["ok"] * len(boxes)

    def arrived(self, listener: Listener | None = None) -> list[str]:
        messages = (listener or self.listener).messages
        return [message["id"] for message in messages if message["type"] == "entity_update"]

    async def until(self, *boxes: int, listener: Listener | None = None) -> None:
        wanted = {str(box) for box in boxes}
        found = listener or self.listener
        await found.until(lambda: wanted <= set(self.arrived(found)))

    async def listen(self, claims: Claims) -> Listener:
        listener = Listener()
        self.hub.subscribe(claims, FOREVER, Subscribe(token=""), listener)
        await listener.until(listener.is_current)
        return listener

    async def asks(self) -> list[object]:
        """The hub's own connection, and when it asked the last time there."""
        return await self.world.execute(
            "SELECT pid, query_start FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'homing live'"
        )


@asynccontextmanager
async def staged(url: str) -> AsyncIterator[Scene]:
    async with yard.open_yard(url) as world:
        hub = Live(world.engine, poll_seconds=3600, rest_seconds=0)
        between = Between(hub)
        async with world.engine.indexed.connection() as conn:
            pushing = [conn.info.backend_pid]
        try:
            scene = Scene(world, await world.person("OWNER"), hub, between, Listener(), pushing)
            scene.listener = await scene.listen(scene.office)
            world.engine.listeners.append(between)
            await scene.hub.resting.wait()
            yield scene
        finally:
            await hub.close()


@pytest.fixture
async def scene(demo_url: str) -> AsyncIterator[Scene]:
    async with staged(demo_url) as found:
        yield found


@both_servers
async def test_the_hub_asks_nothing_where_a_push_brought_it(scene: Scene) -> None:
    before = await scene.asks()
    assert len(before) == 1
    for box in range(3):
        await scene.push(box)
        await scene.until(box)
        await scene.hub.resting.wait()
    assert (scene.between.rounds, scene.arrived(), await scene.asks()) == (3, ["0", "1", "2"], before)
    token = scene.world.read(scene.office, scene.listener.messages[-1]["next_token"])
    rows = await yard.as_of(scene.world, scene.office.user_id, str(token.since))
    assert {row_id for _, row_id in rows} == {"0", "1", "2"}
    await scene.world.execute("INSERT INTO yard.boxes (id) VALUES (3)")
    scene.hub.wake()
    await scene.until(3)
    assert await scene.asks() != before


@both_servers
async def test_each_row_says_who_made_it(scene: Scene) -> None:
    await scene.world.execute("INSERT INTO yard.boxes (id) VALUES (9)")  # the hub is not told
    assert scene.arrived() == []
    await scene.push(1)
    await scene.until(1, 9)
    assert scene.between.rounds == 1
    found = {each["id"]: each["userId"] for each in scene.listener.messages if each["type"] == "entity_update"}
    assert found == {"1": str(scene.office.user_id), "9": None}


@both_servers
async def test_what_is_written_while_a_hint_is_heard_does_not_wait_for_the_poll(scene: Scene) -> None:
    """The hub has asked, and its task is not awake yet: what it is told then, its answer does not know of."""
    with psycopg.connect(scene.world.url, autocommit=True) as other:

        def asked() -> object:
            return other.execute(
                "SELECT query_start FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = 'homing live'"
            ).fetchone()

        def write() -> None:
            while asked() == before:
                pass
            other.execute("INSERT INTO yard.boxes (id) VALUES (1)")
            scene.hub.wake()

        def heard(_: str) -> bool:
            asyncio.get_running_loop().call_soon(write)
            return True

        before = asked()
        scene.hub.hints.heard = heard
        other.execute("SELECT pg_notify('homing_live', 'another node')")
        await scene.until(1)


async def test_the_connection_acts_for_clients_again_afterwards(scene: Scene) -> None:
    await scene.push(1)
    async with scene.world.engine.indexed.connection() as conn:
        assert conn.info.backend_pid in scene.pushing
        assert await (await conn.execute("SELECT current_user::text")).fetchone() == ("homing_api",)
    assert scene.between.rounds == 1


async def test_a_large_batch_takes_no_round_along(scene: Scene) -> None:
    await scene.push(*range(ALONG_ITEMS))
    await scene.until(*range(ALONG_ITEMS))
    await scene.hub.resting.wait()
    assert scene.between.rounds == 1
    more = range(100, 101 + ALONG_ITEMS)
    await scene.push(*more)
    await scene.until(*more)
    assert scene.between.rounds == 1


async def test_who_lost_their_session_before_the_push_gets_nothing(scene: Scene) -> None:
    other = await scene.world.person("OWNER")
    listener = await scene.listen(other)
    await scene.hub.resting.wait()
    await scene.world.execute("UPDATE homing.sessions SET revoked_at = now() WHERE id = %s", [other.session_id])
    await scene.push(1)
    await scene.until(1)
    assert (scene.between.rounds, scene.arrived(listener), listener.ended) == (1, [], "unauthenticated")


async def test_news_come_along_too(scene: Scene) -> None:
    """What others caused since the last round: that somebody is here, and a notification."""
    other = await scene.world.person("WORKER")
    await scene.world.execute(
        "INSERT INTO homing.presence (user_id, online, last_seen, changed)"
        " VALUES (%s, true, now(), pg_current_xact_id())",
        [other.user_id],
    )
    await scene.push(1)
    await scene.until(1)
    assert [m["userId"] for m in scene.listener.messages if m["type"] == "presence"][-1] == str(other.user_id)
    await scene.hub.resting.wait()
    await scene.world.execute(
        "INSERT INTO homing.push_notifications (user_id, platform, notification_type, title, body)"
        " VALUES (%s, 'web', 'news', 'a title', 'a body')",
        [scene.office.user_id],
    )
    await scene.push(2)
    await scene.listener.until(lambda: any(m.get("title") == "a title" for m in scene.listener.messages))
    await scene.until(2)
    assert (scene.between.rounds, scene.arrived()) == (2, ["1", "2"])


async def test_more_than_a_round_may_hold_is_pulled(scene: Scene) -> None:
    """Others wrote it without a word, and it comes along with a push."""
    await scene.world.execute(
        "INSERT INTO yard.boxes (id) SELECT n FROM generate_series(1, %s) n", [ROUND_ROWS_MAX + 1]
    )
    await scene.push(5000)
    await scene.until(5000, *range(1, ROUND_ROWS_MAX + 2))
    assert scene.between.rounds == 1


async def test_an_epoch_that_began_meanwhile(scene: Scene) -> None:
    async with scene.world.engine.owner.connection() as conn:
        await epoch.begin(conn, "a test")
    await scene.push(1)
    await scene.listener.until(lambda: scene.listener.ended is not None)
    assert (scene.between.rounds, scene.arrived(), scene.listener.ended) == (1, [], "resync_required")


async def test_a_round_that_comes_too_late_changes_nothing(scene: Scene) -> None:
    """Others wrote and were told meanwhile: what is brought then is of before."""
    scene.between.waits = True
    await scene.push(1)
    await scene.world.execute("INSERT INTO yard.boxes (id) VALUES (2)")
    scene.hub.wake()
    await scene.until(1, 2)
    await scene.world.execute("UPDATE yard.boxes SET note = 'newer' WHERE id = 1")
    await scene.world.execute("INSERT INTO yard.boxes (id) VALUES (3)")
    (late,) = scene.between.brought
    late()
    await scene.until(3)
    await scene.hub.resting.wait()
    assert scene.between.rounds == 1
    assert [m["data"]["note"] for m in scene.listener.messages if m.get("id") == "1"] == [None, "newer"]
    assert len(scene.arrived()) == 4  # box 1 twice


async def test_of_two_that_come_together_the_older_one_hides_nothing(scene: Scene) -> None:
    scene.between.waits = True
    await scene.push(1)
    await scene.push(2)
    older, newer = scene.between.brought
    assert scene.between.rounds == 2
    newer()
    older()
    await scene.until(1, 2)
    assert set(scene.arrived()) == {"1", "2"}


async def test_who_comes_while_a_round_is_on_its_way(scene: Scene) -> None:
    """They are told to be up to date by a round that began after they came."""
    scene.between.waits = True
    await scene.push(1)
    await scene.world.execute("INSERT INTO yard.boxes (id) VALUES (2)")
    token = (await scene.world.sync(scene.office)).token
    late = Listener()
    scene.hub.subscribe(scene.office, FOREVER, Subscribe(token="", since_token=token), late)
    scene.between.brought[0]()
    await late.until(late.is_current)
    await scene.until(1, 2)
    assert (scene.between.rounds, scene.arrived(late)) == (1, [])


async def test_a_round_that_fails_costs_the_push_nothing(scene: Scene) -> None:
    await scene.world.execute("ALTER TABLE homing.presence RENAME TO elsewhere")
    scene.between.waits = True
    for box in (1, 2):  # one that reads first, and one that goes at once
        await scene.push(box)
    assert (scene.between.rounds, len(scene.between.brought)) == (2, 2)
    found = await scene.world.execute("SELECT id FROM yard.boxes ORDER BY id")
    kept = await scene.world.execute("SELECT status::text, count(*) FROM homing.sync_batches GROUP BY 1")
    assert (found, kept) == ([(1,), (2,)], [("completed", 2)])
    await scene.world.execute("ALTER TABLE homing.elsewhere RENAME TO presence")
    for done in scene.between.brought:
        done()
    await scene.until(1, 2)


async def test_a_push_does_not_wait_for_locks_on_other_tables(scene: Scene) -> None:
    await scene.push(1)
    await scene.until(1)
    await scene.hub.resting.wait()
    with psycopg.connect(scene.world.url) as conn:
        conn.execute("LOCK TABLE yard.books IN ACCESS EXCLUSIVE MODE")
        async with asyncio.timeout(5):  # a round of the hub's own waits for ten seconds
            await scene.push(2)
    assert scene.between.rounds == 2
    await scene.until(2)
