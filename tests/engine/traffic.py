"""Random traffic in the yard: people who write past the engine, and devices that pull.

Everything random comes from one seeded generator a writer or device. ``Tally`` counts what happened, so that a test can
insist that the hard cases were there at all.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields, replace
from typing import Any
from uuid import UUID

import psycopg

from homing.engine.caller import Claims
from homing.engine.scopes import ScopeSets
from homing.postgres.database import Database
from homing.protocol.errors import Problem
from tests.engine import yard
from tests.engine.world import Json, Replica, World

TEAMS, SIZES, SHELVES = range(1, 7), range(4), ("a", "b", "ü c", "d:e")


@dataclass
class Tally:
    transactions: int = 0
    rolled_back: int = 0
    pages: int = 0
    exact: int = 0
    """Complete pages after which the replica was compared, and was equal."""
    removals: int = 0
    """Removals of rows that the replica had."""
    restarts: int = 0
    """Pages of deltas that began again because rights had changed."""
    long_deltas: int = 0
    """Deltas of more than one page."""
    resyncs: int = 0
    by_change: int = 0
    """Statements that read what changed instead of asking each of many held keys."""
    replays: int = 0
    """Pages asked for again with an older token, as after a lost answer or from a backup."""
    along: int = 0
    """Rounds that pushes took along for live delivery."""

    def has(self, least: dict[str, int]) -> bool:
        return all(getattr(self, name) >= number for name, number in least.items())

    def at_least(self, **least: int) -> None:
        """The vacuity guard: what a run must have seen."""
        assert self.has(least), f"too little happened: {self}"

    def goes_on(self, transactions: int, least: dict[str, int]) -> bool:
        """Whether writers go on: until this many transactions are done, and for up to nine times as many more while
        less than ``least`` was seen. How often a device is complete depends on how busy the machine is."""
        return self.transactions < transactions or (self.transactions < 10 * transactions and not self.has(least))

    def __iadd__(self, other: "Tally") -> "Tally":
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))
        return self


# --------------------------------------------------------------------------------------------------- writing


STATEMENTS = {
    """INSERT INTO yard.boxes (id, team, other, hot, weight, note)
       VALUES (%(box)s, %(team)s, %(other)s, %(hot)s, %(weight)s, %(note)s)
       ON CONFLICT (id) DO UPDATE SET team = excluded.team, note = excluded.note""": 14,
    "UPDATE yard.boxes SET note = %(note)s WHERE id = %(box)s": 8,
    "UPDATE yard.boxes SET team = %(team)s, other = %(other)s WHERE id = %(box)s": 8,
    "UPDATE yard.boxes SET hot = NOT hot, weight = %(weight)s WHERE id = %(box)s": 6,
    "UPDATE yard.boxes SET team = %(team)s WHERE id BETWEEN %(box)s AND %(box)s + 20": 3,
    "UPDATE yard.boxes SET note = %(note)s WHERE team = %(team)s": 3,
    "DELETE FROM yard.boxes WHERE id = %(box)s": 4,
    "DELETE FROM yard.boxes WHERE id BETWEEN %(box)s AND %(box)s + 5": 2,
    """INSERT INTO yard.books (id, shelf, note) VALUES (%(book)s, %(shelf)s, %(note)s)
       ON CONFLICT (id) DO UPDATE SET shelf = excluded.shelf""": 6,
    "UPDATE yard.books SET note = %(note)s WHERE id = %(book)s": 4,
    "DELETE FROM yard.books WHERE id = %(book)s": 3,
    "INSERT INTO yard.signs (id, note) VALUES (%(sign)s, %(note)s) ON CONFLICT (id) DO NOTHING": 3,
    "DELETE FROM yard.signs WHERE id = %(sign)s": 1,
    "INSERT INTO yard.grants (user_id, kind, key) VALUES (%(user)s, %(kind)s, %(key)s) ON CONFLICT DO NOTHING": 7,
    "DELETE FROM yard.grants WHERE user_id = %(user)s AND kind = %(kind)s AND key = %(key)s": 4,
    "DELETE FROM yard.grants WHERE user_id = %(user)s AND kind = %(kind)s": 2,
    """INSERT INTO yard.grants (user_id, kind, key) SELECT %(user)s, 'team', n FROM generate_series(100, 199) n
       ON CONFLICT DO NOTHING""": 1,
    "UPDATE homing.users SET role = %(role)s WHERE id = %(user)s AND role <> %(role)s": 1,
}
"""What writers do, and how often."""


def statement(rng: random.Random, users: list[UUID], most: int) -> tuple[str, dict[str, Any]]:
    """One random statement of a writer. ``most``: rows of the yard to choose from."""
    kind = rng.choice(["team", "team", "team", "size", "shelf", "hot"])
    chosen = {
        "box": rng.randrange(most),
        "team": rng.choice([*TEAMS, None]),
        "other": rng.choice([*TEAMS, None, None, None]),
        "hot": rng.random() < 0.3,
        "weight": rng.randrange(-4, 12),
        "note": f"note {rng.getrandbits(40)}",
        "book": f"isbn {rng.randrange(most)}",
        "shelf": rng.choice(SHELVES),
        "sign": UUID(int=rng.randrange(most)),
        "user": rng.choice(users),
        "role": rng.choice(["OWNER", "WORKER", "WORKER", "WORKER"]),
        "kind": kind,
        "key": str(rng.choice({"team": TEAMS, "size": SIZES, "shelf": SHELVES, "hot": ["hot"]}[kind])),
    }
    return rng.choices(list(STATEMENTS), list(STATEMENTS.values()))[0], chosen


REFUSED = (psycopg.errors.DeadlockDetected, psycopg.errors.LockNotAvailable, psycopg.errors.UniqueViolation)


def program(rng: random.Random, users: list[UUID], most: int) -> list[tuple[str, dict[str, Any]]]:
    """One random transaction, statement by statement: some of it taken back by savepoints, some of them rolled back."""
    if rng.random() < 0.01:  # by itself: it stands in the way of every reader until it is committed
        return [("TRUNCATE yard.signs", {})]
    steps: list[tuple[str, dict[str, Any]]] = [("BEGIN", {})]
    for _ in range(rng.choice([1, 1, 1, 2, 3, 6])):
        if rng.random() < 0.15:
            steps += [
                ("SAVEPOINT here", {}),
                statement(rng, users, most),
                (rng.choice(["ROLLBACK TO SAVEPOINT here", "RELEASE SAVEPOINT here"]), {}),
            ]
        else:
            steps.append(statement(rng, users, most))
    return [*steps, ("ROLLBACK" if rng.random() < 0.15 else "COMMIT", {})]


async def writer_connection(world: World, lock_timeout: str) -> psycopg.AsyncConnection[Any]:
    conn = await psycopg.AsyncConnection.connect(world.url, autocommit=True)
    await conn.execute(f"SET lock_timeout = '{lock_timeout}'")
    await conn.execute("SET deadlock_timeout = '20ms'")
    return conn


# --------------------------------------------------------------------------------------------------- pulling


class Steps:
    """Lets a task run from one gate to the next: a statement at a time."""

    def __init__(self) -> None:
        self._permits = asyncio.Semaphore(0)
        self._arrivals: asyncio.Queue[None] = asyncio.Queue()
        self._task: asyncio.Task[Any] | None = None

    async def gate(self) -> None:
        self._arrivals.put_nowait(None)
        await self._permits.acquire()

    async def advance(self, start: Callable[[], Coroutine[Any, Any, Json | None]]) -> "asyncio.Task[Any] | None":
        """Run what ``start`` begins up to its first gate, or past the gate it waits at; the task, if it ended."""
        if self._task is None:
            self._task = asyncio.create_task(start())
        else:
            self._permits.release()
        arrival = asyncio.create_task(self._arrivals.get())
        await asyncio.wait({self._task, arrival}, return_when=asyncio.FIRST_COMPLETED)
        if not self._task.done():
            return None
        arrival.cancel()
        done, self._task = self._task, None
        return done

    async def finish(self) -> None:
        """Let what is under way run to its end."""
        if self._task is not None:
            while not self._task.done():
                self._permits.release()
                await asyncio.sleep(0)


class Gated:
    """A database whose every statement waits at ``gate`` first."""

    def __init__(self, database: Database, gate: Callable[[], Any]) -> None:
        self._database = database
        self._gate = gate

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        async with self._database.connection() as conn:
            wait = conn.wait

            async def wait_at_gate(*args: Any, **options: Any) -> Any:
                await self._gate()
                return await wait(*args, **options)

            conn.wait = wait_at_gate  # type: ignore[method-assign]
            try:
                yield conn
            finally:
                del conn.wait


class Puller:
    """One device: pulls pages of random sizes, loses answers, goes back to backups; compares itself when complete."""

    def __init__(self, world: World, claims: Claims, rng: random.Random, tally: Tally) -> None:
        # A node of its own, as it were: nothing is remembered that another device brought into memory.
        self.world = World(replace(world.engine, scope_sets=ScopeSets()), world.url)
        self.claims = claims
        self.rng = rng
        self.tally = tally
        self.replica = Replica()
        self.backup = Replica()
        self.length = 0
        self.limit = 0
        self.limits = [1, 2, 3, 7, 20, 60, 150, 400]

    async def pull(self) -> Json | None:
        """One page. None: there was an answer, but no page: the device starts again, or signs in again."""
        self.limit = self.rng.choice(self.limits)
        try:
            page = await self.world.page(self.claims, self.replica.token, limit=self.limit)
        except Problem as problem:
            match problem.code.code:
                case "resync_required":
                    self.replica = Replica()
                    self.tally.resyncs += 1
                case "unauthenticated":  # the role has changed: a new access token, the same sync token
                    query = "SELECT role FROM homing.users WHERE id = %s"
                    role = (await self.world.execute(query, [self.claims.user_id]))[0][0]
                    self.claims = replace(self.claims, role=role)
                case "unavailable":  # rights that change with every page: ask again
                    pass
                case _:
                    raise
            return None
        self.tally.pages += 1
        if self.rng.random() < 0.05:  # the answer is lost on the way
            self.tally.replays += 1
            return None
        if self.rng.random() < 0.03:  # the device is set up again from a backup
            self.tally.replays += 1
            self._copy(self.backup, self.replica)
            return None
        if self.rng.random() < 0.05:
            self._copy(self.replica, self.backup)
        return self._apply(page)

    @staticmethod
    def _copy(source: Replica, target: Replica) -> None:
        target.rows, target.token = dict(source.rows), source.token

    def _apply(self, page: Json) -> Json:
        before = self.replica.rows.keys()
        self.tally.removals += sum(
            change["action"] == "delete" and (change["resource_type"], change["id"]) in before
            for change in page["changes"]
        )
        assert len(page["changes"]) <= self.limit
        self.replica.apply(page)
        assert self.replica.token is not None
        if self.world.read(self.claims, self.replica.token).possible is not None:
            self.tally.restarts += 1
        self.length += 1
        if not page["has_more"]:
            self.tally.long_deltas += self.length > 1
            self.length = 0
        return page

    def snapshot(self) -> str:
        """The snapshot of the complete token the device has."""
        assert self.replica.token is not None
        token = self.world.read(self.claims, self.replica.token)
        assert token.since is not None
        assert token.until is None
        return str(token.since)

    def compare(self, truth: yard.Rows) -> None:
        wrong = {key: (self.replica.rows.get(key), truth.get(key)) for key in self.replica.rows.keys() ^ truth.keys()}
        wrong |= {key: (row, truth[key]) for key, row in self.replica.rows.items() if truth.get(key, row) != row}
        assert wrong == {}, f"(on the device, in truth) at {self.replica.token and self.snapshot()}: {wrong}"
        self.tally.exact += 1
