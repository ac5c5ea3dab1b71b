"""What counting a request costs, with the marketplace's rates: 100 requests of a browser in 15 minutes.

Users come one after the other, each with a burst that stays below the bound. Through HTTP every counted request is next
to one of the same handler that is not counted, on the same connection: their difference is the cost. And the limiter is
called by itself, in this process, where no network and no server hides it. At two nodes each request goes to the other
one than the last.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from bench.cluster import Cluster
from bench.contenders.homing import BASE
from bench.figures import Figure, milliseconds
from bench.plan import Bench
from bench.server import free_port, running
from bench.wire import Connection
from homing.accounts.access import issue_access
from homing.accounts.keys import load_keys
from homing.accounts.rates import Rates
from homing.postgres.database import Database
from homing.postgres.roles import AS_API
from homing.protocol.rates import Rate
from homing.server.tenant import TENANT

DATABASE = "bench_limits"
BURST = 80
"""Requests of one user, of the 100 they may make."""
USERS_WARM = 3
RATES = {"web": Rate(100, 900), "mobile": Rate(200, 900)}

ADD = """
WITH u AS (INSERT INTO homing.users (username, name, role) VALUES (%(login)s, 'somebody', 'WORKER') RETURNING id)
INSERT INTO homing.sessions (user_id, expires_at) SELECT id, now() + interval '1 day' FROM u RETURNING user_id, id
"""


@dataclass
class _Cost:
    """Seconds of each request, counted and not, in pairs."""

    counted: list[float]
    uncounted: list[float]


def limits(bench: Bench) -> Iterator[Figure]:
    users = bench.plan.samples // 2
    with ExitStack() as stack:
        url = bench.cluster.create(DATABASE)
        ports = [stack.enter_context(_node(url)) for _ in range(2)]
        people = asyncio.run(_people(bench.cluster, url, 2 * (users + USERS_WARM)))
        half = len(people) // 2
        for case, there, who in (("one node", ports[:1], people[:half]), ("two nodes", ports, people[half:])):
            cost = _through_http(there, who)
            pairs = [on - off for on, off in zip(cost.counted, cost.uncounted, strict=True)]
            yield _figure("limits: a counted request, more", case, statistics.median(pairs), {
                "p50 counted": milliseconds(cost.counted, 0.5), "uncounted": milliseconds(cost.uncounted, 0.5),
                "p99 counted": milliseconds(cost.counted, 0.99), "p99 uncounted": milliseconds(cost.uncounted, 0.99),
                "mean more": round(statistics.mean(pairs) * 1000, 3), "requests": len(pairs),
            })  # fmt: skip
        for nodes, case in ((1, "one node"), (2, "two nodes")):
            yield asyncio.run(_by_itself(url, case, nodes=nodes, users=users, burst=BURST))
        # What each request would cost if each asked the database, and what the first of a minute does cost.
        yield asyncio.run(_by_itself(url, "every request another user's", nodes=1, users=20 * users, burst=1))


@contextmanager
def _node(url: str) -> Iterator[int]:
    """A node of its own; its port."""
    port = free_port()
    environ = {"HOMING_DATABASE_URL": url, "HOMING_PORT": str(port), "HOMING_APPS": "bench.limited"}
    command = [sys.executable, "-m", "bench.servers.homing"]
    with running(command, port=port, environ=environ, name="a node with rates"):
        yield port


async def _people(cluster: Cluster, url: str, count: int) -> list[str]:
    """Access tokens of so many users."""
    database = Database(url, pool_size=1)
    await database.open()
    keys = await load_keys(database)
    await database.close()
    tokens = []
    for number in range(count):
        ((user, session),) = cluster.run(DATABASE, ADD, {"login": f"user {number}"})
        tokens.append(
            issue_access(
                keys, user_id=user, role="WORKER", tenant=TENANT, device_id=None, platform="web", session_id=session,
                now=datetime.now(UTC), seconds=3600,
            )
        )  # fmt: skip
    return tokens


def _through_http(ports: Sequence[int], tokens: Sequence[str]) -> _Cost:
    cost = _Cost([], [])
    for number, token in enumerate(tokens):
        connections = [Connection(port, {"Authorization": f"Bearer {token}"}) for port in ports]
        heads = [(c, c.head("GET", f"{BASE}/counted"), c.head("GET", f"{BASE}/uncounted")) for c in connections]
        for turn in range(BURST):
            connection, counted, uncounted = heads[turn % len(heads)]
            for head, times in _in_turn((counted, cost.counted), (uncounted, cost.uncounted), turn):
                began = time.perf_counter()
                answer = connection.send(head)
                spent = time.perf_counter() - began
                assert answer.status == 200, answer
                if number >= USERS_WARM:
                    times.append(spent)
        for connection in connections:
            connection.close()
    return cost


def _in_turn(
    one: tuple[bytes, list[float]], other: tuple[bytes, list[float]], turn: int
) -> tuple[tuple[bytes, list[float]], tuple[bytes, list[float]]]:
    """Neither is always the second, which finds everything warm."""
    return (one, other) if turn // 2 % 2 else (other, one)


async def _by_itself(url: str, case: str, *, nodes: int, users: int, burst: int) -> Figure:
    databases = [Database(url, pool_size=2, options=AS_API) for _ in range(nodes)]
    for database in databases:
        await database.open()
    limiters = [Rates(database, dict(RATES), secret=b"bench" * 8) for database in databases]
    times = []
    for number in range(USERS_WARM + users):
        who = f"user {uuid.uuid4()}"
        for turn in range(burst):
            began = time.perf_counter()
            await limiters[turn % nodes].take(("web", who))
            if number >= USERS_WARM:
                times.append(time.perf_counter() - began)
    asked = sum(limiter.asked for limiter in limiters) / (burst * (users + USERS_WARM))
    for limiter, database in zip(limiters, databases, strict=True):
        await limiter.close()
        await database.close()
    return _figure("limits: the limiter by itself", case, statistics.median(times), {
        "mean ms": round(statistics.mean(times) * 1000, 4), "p90 ms": milliseconds(times, 0.9),
        "p99 ms": milliseconds(times, 0.99), "requests that ask the database": f"{asked:.0%}", "requests": len(times),
    })  # fmt: skip


def _figure(measure: str, case: str, seconds: float, extra: dict[str, object]) -> Figure:
    return Figure(
        measure=measure, case=case, contender="homing", unit="ms p50", better="lower",
        rounds=[round(seconds * 1000, 4)], extra=extra,
    )  # fmt: skip
