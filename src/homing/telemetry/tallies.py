"""How requests went, by the platform of who asked: counted in memory, added to a table about once a minute.

Every node adds what it measured to the hour's row, so the table is the sum of all. What a node that is killed had not
added yet, a minute at most, is lost; Prometheus asks each node by itself and does not need the table.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from homing.postgres.database import Database
from homing.postgres.sql import execute, load

BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds. One more bucket holds what was slower. Rows that are there count by these: change none, add at the end."""


class Tally(msgspec.Struct):
    """Of one platform. ``client_errors`` are answers of 4xx, ``server_errors`` of 5xx."""

    platform: str
    requests: int = 0
    client_errors: int = 0
    server_errors: int = 0
    seconds: float = 0.0
    buckets: list[int] = msgspec.field(default_factory=lambda: [0] * (len(BOUNDS) + 1))

    def count(self, status: int, seconds: float) -> None:
        self.requests += 1
        self.seconds += seconds
        self.buckets[bisect_left(BOUNDS, seconds)] += 1
        if status >= 500:
            self.server_errors += 1
        elif status >= 400:
            self.client_errors += 1

    def add(self, other: Tally) -> None:
        self.requests += other.requests
        self.client_errors += other.client_errors
        self.server_errors += other.server_errors
        self.seconds += other.seconds
        self.buckets = [mine + theirs for mine, theirs in zip(self.buckets, other.buckets, strict=True)]


async def keep(db: Database, tallies: Mapping[str, Tally], *, now: datetime) -> None:
    """Add the tallies, by platform, to those of this hour. Raises Problem("unavailable")."""
    params = {"now": now, "tallies": msgspec.json.encode(list(tallies.values())).decode()}
    async with db.connection() as conn:
        await execute(conn, load("homing.telemetry", "keep_tallies"), params)


def quantile(buckets: Sequence[int], part: float) -> float:
    """Seconds under which ``part`` of all were, evenly spread within a bucket; the last bucket has no end and counts as
    its beginning."""
    wanted = part * sum(buckets)
    seen = 0
    for place, count in enumerate(buckets[: len(BOUNDS)]):
        if count and seen + count >= wanted:
            low = BOUNDS[place - 1] if place else 0.0
            return low + (BOUNDS[place] - low) * (wanted - seen) / count
        seen += count
    return BOUNDS[-1]
