"""How many analytics events a second get in, durably, in batches of 100: one phone, then eight.

Raw is PostgreSQL with the same table, the same indexes and the same rows, ready made: one ``INSERT ... SELECT FROM
jsonb_to_recordset`` a batch and transaction, and ``COPY``, which cannot tell what it has already. Homing is all of it:
HTTP, signed in, every event checked, keyed, and answered for.
"""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import msgspec
import psycopg

from bench.contenders.homing import BASE
from bench.figures import Figure, Spent
from bench.load import drive
from bench.meter import Meter
from bench.plan import Bench
from bench.server import free_port, running
from bench.wire import Connection
from homing.accounts.access import issue_access
from homing.accounts.keys import load_keys
from homing.postgres.database import Database
from homing.postgres.sql import load
from homing.server.tenant import TENANT

DATABASE = "bench_analytics"
BATCH = 100
CLIENTS = (1, 8)
PAGES = ("map", "chat", "jobs", "profile", "photos")

ADD = """
WITH u AS (INSERT INTO homing.users (username, name, role) VALUES (%(login)s, 'somebody', 'WORKER') RETURNING id)
INSERT INTO homing.sessions (user_id, expires_at) SELECT id, now() + interval '1 day' FROM u RETURNING user_id, id
"""
COLUMNS = "user_id, key, month, device_id, event, properties, platform, os, os_version, model, at, said_at, created_at"
COPY = f"COPY homing.analytics_events ({COLUMNS}) FROM STDIN"


@dataclass(frozen=True)
class _Person:
    user_id: uuid.UUID
    token: str


def analytics(bench: Bench) -> Iterator[Figure]:
    url = bench.cluster.create(DATABASE)
    with _node(url) as (port, pid):
        people = asyncio.run(_people(bench, url, max(CLIENTS)))
        for clients in CLIENTS:
            batches = max(20, bench.plan.push_items[clients] // BATCH // clients)
            spent = {name: Spent() for name in ("raw INSERT", "raw COPY", "homing")}
            for number in range(bench.plan.rounds + 1):
                for name, prepare in (
                    ("raw INSERT", partial(_insert, url, people, batches)),
                    ("raw COPY", partial(_copy, url, people, batches)),
                    ("homing", partial(_send, port, people, batches)),
                ):
                    before = _count(bench)
                    with Meter({"server": pid, "PostgreSQL": bench.cluster.pid}) as meter:
                        leg = drive(clients, prepare)
                    if _count(bench) - before != sum(leg.results) or sum(leg.results) != clients * batches * BATCH:
                        raise SystemExit(f"analytics: {name} lost or repeated events")
                    if number:  # the first round warms up
                        spent[name].add(sum(leg.results), leg.seconds, meter.cpu)
            case = f"{clients} client{'s' if clients > 1 else ''}"
            for name, each in spent.items():
                yield each.rate("analytics events", case, name, {"a batch": BATCH}, unit="events/s")
                yield each.cpu("analytics events", case, name, unit="µs/event")


@contextmanager
def _node(url: str) -> Iterator[tuple[int, int]]:
    port = free_port()
    environ = {"HOMING_DATABASE_URL": url, "HOMING_PORT": str(port)}
    command = [sys.executable, "-m", "bench.servers.homing"]
    with running(command, port=port, environ=environ, name="a node for analytics") as server:
        yield port, server.pid


async def _people(bench: Bench, url: str, count: int) -> list[_Person]:
    database = Database(url, pool_size=1)
    await database.open()
    keys = await load_keys(database)
    await database.close()
    people = []
    for number in range(count):
        ((user, session),) = bench.cluster.run(DATABASE, ADD, {"login": f"user {number}"})
        token = issue_access(
            keys, user_id=user, role="WORKER", tenant=TENANT, device_id=None, platform="mobile", session_id=session,
            now=datetime.now(UTC), seconds=3600,
        )  # fmt: skip
        people.append(_Person(user, token))
    return people


def _count(bench: Bench) -> int:
    ((count,),) = bench.cluster.run(DATABASE, "SELECT count(*) FROM homing.analytics_events")
    return int(count)


def _events() -> list[dict[str, Any]]:
    """A batch as a phone has it: what was done in the last minutes."""
    now = datetime.now(UTC)
    return [
        {
            "id": str(uuid.uuid4()),
            "event": "feature_usage",
            "properties": {
                "feature": PAGES[n % 5],
                "duration": n * 1.5,
                "completion_rate": n / BATCH,
                "screen": "main",
            },
            "timestamp": (now - timedelta(seconds=10 * n)).isoformat(),
            "deviceInfo": {"platform": "android", "version": "16", "model": "Pixel 9"},
        }
        for n in range(BATCH)
    ]


def _rows() -> list[dict[str, Any]]:
    """The same as rows, as ``keep_events`` takes them."""
    return [
        {
            "key": uuid.UUID(event["id"]),
            "event": event["event"],
            "properties": event["properties"],
            "platform": "mobile",
            "os": "android",
            "os_version": "16",
            "model": "Pixel 9",
            "said_at": event["timestamp"],
        }
        for event in _events()
    ]


def _insert(url: str, people: list[_Person], batches: int, number: int) -> Callable[[], int]:
    bodies = [msgspec.json.encode(_rows()).decode() for _ in range(batches)]
    conn = psycopg.connect(url, autocommit=True)
    query = load("homing.telemetry", "keep_events")

    def run() -> int:
        kept = 0
        for body in bodies:
            params = {"user_id": people[number].user_id, "device_id": None, "events": body}
            kept += conn.execute(query, params, prepare=True).rowcount
        return kept

    return run


def _copy(url: str, people: list[_Person], batches: int, number: int) -> Callable[[], int]:
    now = datetime.now(UTC)
    month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    ready = []
    for _ in range(batches):
        lines = []
        for row in _rows():
            at = min(datetime.fromisoformat(row["said_at"]), now)
            begun = min(month, at.replace(day=1, hour=0, minute=0, second=0, microsecond=0))
            properties = msgspec.json.encode(row["properties"]).decode()
            values = [people[number].user_id, row["key"], begun, r"\N", row["event"], properties, "mobile", "android"]
            lines.append("\t".join(map(str, [*values, "16", "Pixel 9", at, at, now])) + "\n")
        ready.append("".join(lines).encode())
    conn = psycopg.connect(url, autocommit=True)

    def run() -> int:
        for body in ready:
            with conn.cursor() as cursor, cursor.copy(COPY) as copy:
                copy.write(body)
        return batches * BATCH

    return run


def _send(port: int, people: list[_Person], batches: int, number: int) -> Callable[[], int]:
    bodies = [msgspec.json.encode({"events": _events()}) for _ in range(batches)]
    connection = Connection(port, {"Authorization": f"Bearer {people[number].token}"})
    head = connection.head("POST", f"{BASE}/mobile/analytics/events")

    def run() -> int:
        accepted = 0
        for body in bodies:
            answer = connection.send(head, body)
            assert answer.status == 200, answer
            accepted += int(msgspec.json.decode(answer.body)["accepted"])
        return accepted

    return run
