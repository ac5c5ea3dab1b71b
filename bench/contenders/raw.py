"""What PostgreSQL itself does with the same rows: one INSERT from arrays a batch, from one process a connection."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import asyncpg
import uvloop

from bench.cluster import Cluster
from bench.rows import GENERATED, Row, chunks, rows

SCHEMA = """
CREATE TABLE items (
    id uuid PRIMARY KEY, title text NOT NULL, status text NOT NULL, quantity integer NOT NULL, notes text NOT NULL,
    updated_at timestamptz NOT NULL
)
"""
INSERT = """
INSERT INTO items SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::integer[], $5::text[], $6::timestamptz[])
"""


class Raw:
    """No server: its pushers talk to PostgreSQL, and nobody pulls."""

    name = "raw"

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.url = cluster.create("bench_raw")
        cluster.run("bench_raw", SCHEMA)

    def fill(self, wanted: int) -> None:
        missing = wanted - self._cluster.run("bench_raw", "SELECT count(*) FROM items")[0][0]
        if missing > 0:
            self._cluster.run("bench_raw", f"INSERT INTO items {GENERATED}", {"rows": missing})
            self._cluster.run("bench_raw", "VACUUM ANALYZE items")

    def pusher(self, *, seed: int, items: int, batch: int) -> Callable[[], list[float]]:
        """Connect and bind the batches; the function returned sends them and gives each one's seconds."""
        loop = uvloop.new_event_loop()
        batches = [_columns(part) for part in chunks(rows(items, seed=seed), batch)]
        connection = loop.run_until_complete(asyncpg.connect(self.url))
        statement = loop.run_until_complete(connection.prepare(INSERT))

        async def send() -> list[float]:
            times = []
            for arguments in batches:
                start = time.perf_counter()
                await statement.fetch(*arguments)
                times.append(time.perf_counter() - start)
            return times

        def run() -> list[float]:
            return loop.run_until_complete(send())

        return run


def _columns(batch: Sequence[Row]) -> tuple[list[Any], ...]:
    now = datetime.now(UTC)
    return (
        [row.id for row in batch],
        [row.title for row in batch],
        [row.status for row in batch],
        [row.quantity for row in batch],
        [row.notes for row in batch],
        [now] * len(batch),
    )
