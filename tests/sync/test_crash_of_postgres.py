"""PostgreSQL ends without warning while devices push, and comes back: nothing that was answered is lost or doubled.

The cluster is the test's own and flushes to disk, as it does by default. A backend is killed in the middle of a push,
upon which PostgreSQL ends all others and recovers; or all of it is stopped at once, or its first process is killed, and
it is started again. Homing runs on: it answers 200 or 503, and nobody restarts it.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime
from itertools import count
from pathlib import Path
from threading import Event
from time import monotonic
from typing import TypeVar

import anyio
import httpx
import psycopg
import pytest

from homing import jobs
from homing.postgres.database import Database
from homing.postgres.embedded import EmbeddedError, embedded
from homing.postgres.migrations import migrate
from homing.server.live import POLL_SECONDS
from homing.settings import Settings
from tests.fixtures.cluster import folder_in_memory, shipped_migrations
from tests.sync.bench import Bench, Blow, Node
from tests.sync.conftest import APPS
from tests.sync.errand import Way
from tests.sync.live import Listener, listening
from tests.sync.scene import Caller, Json, Scene, create, ok
from tests.sync.wire import STATEMENTS, Place, Side, Wire

SECONDS = 60
"""How long PostgreSQL, and then Homing, may take to come back on a slow machine."""

T = TypeVar("T")


def when(ready: Callable[[], T]) -> T:
    """Its answer, as soon as it has one."""
    until = monotonic() + SECONDS
    while True:
        try:
            return ready()
        except (psycopg.OperationalError, EmbeddedError):
            # A killed PostgreSQL cannot be started before its last backend has noticed.
            if monotonic() > until:
                raise


class Postgres:
    """A cluster in ``folder`` that can be ended."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack
        self.url = self.start()

    def start(self) -> str:
        return when(lambda: self._stack.enter_context(embedded(self._folder)))

    def connect(self) -> psycopg.Connection:
        return self._stack.enter_context(when(lambda: psycopg.connect(self.url, autocommit=True)))

    def stop_at_once(self, _backend: int = 0) -> None:
        """What ``pg_ctl stop -m immediate`` does: nobody finishes anything, nothing is written down."""
        self._end(signal.SIGQUIT)

    def kill_first_process(self, _backend: int = 0) -> None:
        self._end(signal.SIGKILL)

    @staticmethod
    def kill_backend(backend: int) -> None:
        os.kill(backend, signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        pid = int((self._folder / "postgres" / "postmaster.pid").read_text().split()[0])
        ended = select.poll()
        ended.register(process := os.pidfd_open(pid), select.POLLIN)
        os.kill(pid, how)
        assert ended.poll(SECONDS * 1000)
        os.close(process)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    # Not pytest's folder: PostgreSQL's user must get through.
    folder = folder_in_memory("homing-crash-")
    try:
        with ExitStack() as stack:
            yield Postgres(folder, stack)
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def shop_settings(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Instead of the quick cluster's: everything in this module runs on this one."""

    async def prepare() -> None:
        database = Database(postgres.url, pool_size=1)
        await database.open()
        try:
            await migrate(database, shipped_migrations())
            await jobs.install(database)
        finally:
            await database.close()

    anyio.run(prepare)
    return Settings(database_url=postgres.url, data_dir=tmp_path_factory.mktemp("data"), apps=APPS, pool_size=6)


@pytest.fixture
def bench(postgres: Postgres, scene: Scene, wired: Node, wire: Wire) -> Bench:
    def mend() -> None:
        postgres.start()
        scene.conn.close()
        scene.conn = postgres.connect()

    blows = {
        "backend": postgres.kill_backend,
        "stop": postgres.stop_at_once,
        "first process": postgres.kill_first_process,
    }
    return Bench(scene.person(), wired, wire, blows, mend, patience=SECONDS)


class Pusher:
    """A device that pushes one row after the other, each until it is answered."""

    def __init__(self, device: Caller, http: httpx.Client) -> None:
        self.device = replace(device, scene=replace(device.scene, http=http))
        self.told: dict[str, Json] = {}
        self.statuses: Counter[int] = Counter()

    def push(self, name: str) -> Json:
        until = monotonic() + 2 * SECONDS
        while True:
            item = create("shelf", name, team_id=self.device.team, name=name)
            answer = self.device.send(item, batch_token=f"the token of {name}")
            self.statuses[answer.status_code] += 1
            if answer.status_code == 200:
                return ok(answer)
            assert (answer.status_code, answer.json()["action"]) == (503, "retry"), answer.text
            assert monotonic() < until, "it does not come back"

    def push_on(self, over: Event) -> None:
        for number in count():
            if over.is_set():
                return
            name = f"{self.device.device_id} {number}"
            self.told[name] = self.push(name)

    def check(self, scene: Scene) -> None:
        """What was answered ok is there, each once, and nothing else; and it is answered the same again."""
        team, device = self.device.team, self.device.device_id
        rows = dict(scene.rows("SELECT name, id::text FROM shop.shelves WHERE team_id = %s", team))
        assert scene.value("SELECT count(*) FROM shop.shelves WHERE team_id = %s", team) == len(rows)
        assert {
            name: [(result["status"], result["server_id"]) for result in answer["results"]]
            for name, answer in self.told.items()
        } == {name: [("ok", row)] for name, row in rows.items()}
        query = "SELECT row_id, action::text FROM homing.history WHERE row_id = ANY (%s)"
        assert sorted(scene.rows(query, list(rows.values()))) == sorted((row, "create") for row in rows.values())
        query = "SELECT i.client_temp_id FROM homing.sync_items i JOIN homing.mobile_devices d ON d.id = i.device_id"
        assert sorted(scene.rows(f"{query} WHERE d.device_id = %s", device)) == sorted((name,) for name in rows)
        for name, answer in [*self.told.items()][-20:]:
            assert self.push(name) == answer


@contextmanager
def pushing(bench: Bench) -> Iterator[list[Pusher]]:
    """Devices push at both nodes while the block runs."""
    scene, over = bench.device.scene, Event()
    with bench.node.client() as http, ThreadPoolExecutor(4) as pool:
        pushers = [Pusher(scene.person(), client) for client in (http, http, scene.http, scene.http)]
        running = [pool.submit(pusher.push_on, over) for pusher in pushers]
        try:
            yield pushers
        finally:
            over.set()
        for each in running:
            each.result()
        for pusher in pushers:
            assert set(pusher.statuses) <= {200, 503}
            pusher.check(scene)


HOW = ("backend", "stop", "first process")


@pytest.mark.parametrize(
    ("how", "committed"),
    [
        pytest.param("backend", False, id="a backend is killed before the verdicts are kept"),
        pytest.param("stop", True, id="all is stopped at once after the commit"),
        pytest.param("first process", False, id="the first process is killed before the verdicts are kept"),
    ],
)
def test_it_ends_in_the_middle_of_a_push(bench: Bench, how: str, committed: bool) -> None:
    least = bench.counted(way="fast")
    side: Side = "heard" if committed else "said"
    last = Place(side, least.count(side, STATEMENTS[side]) - (0 if committed else 2), STATEMENTS[side])
    with pushing(bench) as pushers:
        blow = bench.strike(last, how, way="fast", by_token=True)
    assert blow == Blow(committed=committed, heard=503)
    assert all(len(pusher.told) > 1 for pusher in pushers)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("way", ["fast", "careful"])
@pytest.mark.parametrize("how", HOW)
def test_it_ends_at_any_statement_of_a_push(bench: Bench, how: str, way: Way) -> None:
    with pushing(bench):
        for side in ("said", "heard"):
            blows = bench.sweep(side, STATEMENTS[side], how, way=way, by_token=False)
            assert len(blows) >= (40 if way == "careful" else 13)


@pytest.mark.parametrize("how", ["backend", "stop", pytest.param("first process", marks=pytest.mark.soak)])
def test_who_listens_hears_of_what_is_written_afterwards(bench: Bench, postgres: Postgres, how: str) -> None:
    scene, reader = bench.device.scene, bench.device
    listeners = "SELECT pid FROM pg_stat_activity WHERE application_name = 'homing live'"

    def listener() -> int:
        found = scene.rows(listeners)
        if not found:
            raise psycopg.OperationalError("nobody listens yet")
        return int(found[0][0])

    def has_beaten(since: datetime) -> None:
        if not scene.rows("SELECT FROM homing.live_nodes WHERE seen_at > %s", since):
            raise psycopg.OperationalError("no node has said yet that it is alive again")

    def push(title: str) -> str:
        with bench.node.client() as http:
            pusher = Pusher(scene.signed_in(reader), http)
            return str(pusher.push(f"{title} {next(scene.numbers)}")["results"][0]["server_id"])

    scene.server.tenant.live.poll_seconds = POLL_SECONDS
    with listening(reader) as live:
        live.current()
        know_of_each_other(scene, push)
        hear_of(reader, live, push(f"before {how}"))
        scene.server.tenant.live.poll_seconds = 30  # so that only a hint can bring it in time
        before = when(listener)
        ((struck,),) = when(lambda: scene.rows("SELECT now()"))
        bench.blows[how](before)
        bench.mend()
        assert when(listener) != before
        when(lambda: has_beaten(struck))  # a hint is given only where another node is known to be alive
        hear_of(reader, live, push(f"after {how}"))


def know_of_each_other(scene: Scene, push: Callable[[str], str]) -> None:
    """Push until the pushing node gives hints: it looks now and then whether another one has listeners."""
    assert scene.server.node.settings.database_url is not None
    with psycopg.connect(scene.server.node.settings.database_url, autocommit=True) as ear:
        ear.execute("LISTEN homing_live")
        until = monotonic() + SECONDS
        while not list(ear.notifies(timeout=0.2, stop_after=1)):
            assert monotonic() < until
            push("does anybody listen")


def hear_of(reader: Caller, live: Listener, row: str) -> None:
    """By the connection there is, or where that was given up, by another that goes on from its token."""
    while ("shelf", row) not in live.rows:
        if live.next("entity_update", "current", "bye")["type"] == "bye":
            with listening(reader, live.token) as again:
                again.until(lambda: ("shelf", row) in again.rows)
            return
