"""Many tenants on one node: what opening one costs, what an open one costs, and what it costs to have too few places.

The tenants' databases are copies of one, with a worker in it; so is the default tenant's, which the others are compared
with. Every request is the worker's pull of nothing: the same work everywhere.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql

from bench.cluster import Cluster
from bench.contenders.homing import BASE
from bench.figures import Figure, milliseconds
from bench.meter import Meter, tree
from bench.meter import memory as memory_of
from bench.plan import Bench
from bench.server import Server, free_port, running
from bench.wire import Connection
from homing.accounts.access import issue_access
from homing.accounts.keys import Keys
from homing.server.node import open_control
from homing.server.tenant import open_tenant
from homing.settings import Settings

APP = "fieldwork"
"""What ships with Homing: opening a tenant costs by the number of its tables."""
TEMPLATE, DEFAULT = "bench_tenant_template", "bench_tenants"
TOKEN_SECONDS = 3600
PLACES_PART = 10
"""Going round more tenants than have room: so many times more."""
PROBE_SECONDS = 0.005
WARM_UP = 10
MAKE_WORKER = """
WITH u AS (INSERT INTO homing.users (username, name, role, user_type)
           VALUES ('tenant worker', 'worker', 'WORKER', 'mobile') RETURNING id),
     s AS (INSERT INTO homing.sessions (user_id, expires_at)
           SELECT id, now() + interval '1 day' FROM u RETURNING id, user_id)
SELECT user_id, id FROM s
"""
ENTER = "INSERT INTO homing_control.tenants (name, database_name, status) VALUES (%s, %s, 'active')"
BODY = b'{"since_token":null}'


@dataclass(frozen=True)
class Worker:
    """The same one in every tenant, with the same keys: only the tenant's name in the token differs."""

    user_id: UUID
    session_id: UUID
    keys: Keys

    def token(self, tenant: str) -> str:
        return issue_access(
            self.keys, user_id=self.user_id, role="WORKER", tenant=tenant, device_id=None, platform="mobile",
            session_id=self.session_id, now=datetime.now(UTC), seconds=TOKEN_SECONDS,
        )  # fmt: skip


@dataclass
class Asking:
    """Pulls of a node's tenants over one connection; ``seconds`` of each."""

    connection: Connection
    heads: dict[str, bytes]

    @classmethod
    def of(cls, port: int, worker: Worker, names: Sequence[str]) -> Asking:
        connection = Connection(port)
        heads = {
            name: connection.head("POST", f"{BASE}/mobile/sync/pull", Authorization=f"Bearer {worker.token(name)}")
            for name in names
        }
        return cls(connection, heads)

    def seconds(self, name: str) -> float:
        began = time.perf_counter()
        answer = self.connection.send(self.heads[name], BODY)
        took = time.perf_counter() - began
        assert answer.status == 200, (name, answer)
        return took


def tenants(bench: Bench) -> Iterator[Figure]:
    count = bench.plan.tenants
    names = [f"t{number:04}" for number in range(count)]
    worker = _make(bench.cluster, names)
    with _node(bench.cluster, places=count) as server:
        yield from _opening(bench, server, worker, names)
        yield from _open_ones(bench, server, worker, names)
    with _node(bench.cluster, places=count // PLACES_PART) as server:
        yield from _round(bench, server, worker, names)


def _opening(bench: Bench, server: Server, worker: Worker, names: Sequence[str]) -> Iterator[Figure]:
    """Each for the first time: the request that opens it, the processor's time, and what it holds from then on."""
    asking = Asking.of(server.port, worker, ["default", *names])
    for _ in range(WARM_UP):
        asking.seconds("default")
    quiet = _probed(server.port, lambda: [asking.seconds("default") for _ in range(200)])
    first = [asking.seconds(name) for name in names[:WARM_UP]]
    before = memory_of(server.pid).rss
    alone, watched = names[WARM_UP : len(names) // 2], names[len(names) // 2 :]
    with Meter({"server": server.pid, "PostgreSQL": bench.cluster.pid}) as meter:
        first += [asking.seconds(name) for name in alone]
    # Apart, because whoever looks costs processor time as well.
    stalls = _probed(server.port, lambda: [asking.seconds(name) for name in watched])
    held = (memory_of(server.pid).rss - before) * 1024 / (len(names) - WARM_UP)
    case = f"each of {len(names):,} for the first time"
    cpu = {name: round(used / len(alone) * 1000, 1) for name, used in meter.cpu.items()}
    yield _figure("open a tenant", case, "ms p50", milliseconds(first, 0.5),
                  {"p99 ms": milliseconds(first, 0.99), "max ms": milliseconds(first, 1)})  # fmt: skip
    yield _figure("CPU of open a tenant", case, "ms", round(sum(cpu.values()), 1), cpu)
    yield _figure("event loop stall", "while tenants are opened", "ms p50", milliseconds(stalls, 0.5),
                  {"p99 ms": milliseconds(stalls, 0.99), "max ms": milliseconds(stalls, 1),
                   "without openings, p99 ms": milliseconds(quiet, 0.99)})  # fmt: skip
    yield _figure("memory of an open tenant", f"{len(names):,} open", "KiB RSS", round(held, 1),
                  {"server MiB": memory_of(server.pid).rss})  # fmt: skip


def _open_ones(bench: Bench, server: Server, worker: Worker, names: Sequence[str]) -> Iterator[Figure]:
    """The default tenant, one that is used all the time, and going round all of them, alternating.

    Going round, most requests find their tenant without a connection: those are given back soon.
    """
    asking = Asking.of(server.port, worker, ["default", *names])
    found: dict[str, list[float]] = {"default tenant": [], "one open tenant": [], "round all open ones": []}
    for name in ("default", names[0]):
        for _ in range(WARM_UP):
            asking.seconds(name)
    for sample in range(max(bench.plan.samples * 10, len(names))):
        found["default tenant"].append(asking.seconds("default"))
        found["one open tenant"].append(asking.seconds(names[0]))
        found["round all open ones"].append(asking.seconds(names[sample % len(names)]))
    for case, values in found.items():
        yield _figure("request of a tenant", case, "ms p50", milliseconds(values, 0.5),
                      {"p99 ms": milliseconds(values, 0.99), "samples": len(values)})  # fmt: skip


def _round(bench: Bench, server: Server, worker: Worker, names: Sequence[str]) -> Iterator[Figure]:
    """One tenant after the other, with room for a tenth: every request closes a tenant and opens another."""
    asking = Asking.of(server.port, worker, ["default", *names])
    places = len(names) // PLACES_PART
    for name in names[-places:]:
        asking.seconds(name)
    before = memory_of(server.pid).rss
    with Meter({"server": server.pid, "PostgreSQL": bench.cluster.pid}) as meter:
        values = [asking.seconds(name) for name in names]
    grown = memory_of(server.pid).rss - before
    page = asking.connection.request("GET", "/metrics", Accept="text/plain").body.decode()
    (closed,) = (line.split()[1] for line in page.splitlines() if line.startswith("homing_tenants_closed "))
    case = f"round {len(names):,} with {places:,} places"
    cpu = {name: round(used / len(names) * 1000, 1) for name, used in meter.cpu.items()}
    yield _figure("request of a tenant", case, "ms p50", milliseconds(values, 0.5),
                  {"p99 ms": milliseconds(values, 0.99), "CPU ms": cpu, "server grew by MiB": round(grown, 1),
                   "closed": int(float(closed)),
                   "PostgreSQL's processes": len(tree(bench.cluster.pid))})  # fmt: skip


def _probed(port: int, work: Any) -> list[float]:
    """Do ``work`` while somebody asks for an address that touches no database: it waits for the event loop only."""
    found: list[float] = []
    done = threading.Event()

    def probe() -> None:
        connection = Connection(port)
        head = connection.head("GET", "/health/live")
        while not done.wait(PROBE_SECONDS):
            began = time.perf_counter()
            assert connection.send(head).status == 200
            found.append(time.perf_counter() - began)
        connection.close()

    thread = threading.Thread(target=probe)
    thread.start()
    try:
        work()
    finally:
        done.set()
        thread.join()
    return found


def _figure(measure: str, case: str, unit: str, found: float, extra: dict[str, Any]) -> Figure:
    return Figure(
        measure=measure, case=case, contender="homing", unit=unit, better="lower", rounds=[found], extra=extra
    )


# ------------------------------------------------------------------------------------------------------- the databases


def _make(cluster: Cluster, names: Sequence[str]) -> Worker:
    """The databases, which go with the cluster, and the entries that name them."""
    worker = asyncio.run(_make_template(cluster))
    _copy(cluster, DEFAULT)
    asyncio.run(_make_control(cluster.url(DEFAULT)))
    databases = [f"bench_{name}" for name in names]
    with _careless(cluster):
        for database in databases:
            _copy(cluster, database)
    with psycopg.connect(cluster.url(DEFAULT), autocommit=True) as conn, conn.cursor() as cursor:
        cursor.executemany(ENTER, list(zip(names, databases, strict=True)))
    cluster.checkpoint()
    return worker


async def _make_template(cluster: Cluster) -> Worker:
    url = cluster.create(TEMPLATE)
    with tempfile.TemporaryDirectory(prefix="homing-bench-files-") as folder:
        settings = Settings(database_url=url, data_dir=Path(folder), apps=(APP,), pool_size=1)
        async with open_tenant(settings) as tenant, tenant.engine.owner.connection() as conn:
            row = await (await conn.execute(MAKE_WORKER)).fetchone()
            await conn.execute("ANALYZE")
            assert row is not None
            return Worker(row[0], row[1], tenant.keys)


async def _make_control(url: str) -> None:
    async with open_control(Settings(database_url=url)):
        return


def _copy(cluster: Cluster, database: str) -> None:
    query = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY wal_log")
    cluster.run("postgres", query.format(sql.Identifier(database), sql.Identifier(TEMPLATE)))


@contextmanager
def _careless(cluster: Cluster) -> Iterator[None]:
    """Without waiting for the disk, whose time for a thousand databases is half an hour and says nothing of Homing."""
    _set_fsync(cluster, "off")
    try:
        yield
    finally:
        _set_fsync(cluster, "on")
        cluster.checkpoint()
        os.sync()
        assert cluster.settings()["fsync"] == "on"


def _set_fsync(cluster: Cluster, value: str) -> None:
    cluster.run("postgres", sql.SQL("ALTER SYSTEM SET fsync = {}").format(sql.Literal(value)))
    cluster.run("postgres", "SELECT pg_reload_conf()")


@contextmanager
def _node(cluster: Cluster, *, places: int) -> Iterator[Server]:
    """A node of these tenants with room for so many besides the default one."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="homing-bench-node-") as folder:
        environ = {
            "HOMING_DATABASE_URL": cluster.url(DEFAULT),
            "HOMING_PORT": str(port),
            "HOMING_APPS": APP,
            "HOMING_DATA_DIR": folder,
            "HOMING_TENANTS_OPEN_MAX": str(places),
        }
        command = [sys.executable, "-m", "bench.servers.homing"]
        with running(command, port=port, environ=environ, name="the node of tenants") as server:
            yield server
