"""The rows every contender gets: a task of a field team, about 300 bytes of compact JSON."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import msgspec

T = TypeVar("T")

WORDS = (
    *("inspected", "repaired", "pending", "urgent", "valve", "pump", "filter", "gauge", "customer", "north", "south"),
    *("depot", "replace", "order", "stock", "checked", "leak", "pressure", "monthly", "annual", "report", "missing"),
    *("label", "crate"),
)
STATUSES = ("open", "in_progress", "blocked", "done")
NOTE_LENGTH = 150

# Where rows are made inside PostgreSQL (filling a table before it is read), they have the same sizes and types.
GENERATED = """
SELECT gen_random_uuid() AS id,
       'Task ' || lpad((g::bigint * 7919 %% 1000000)::text, 6, '0') || ' urgent' AS title,
       (ARRAY['open', 'in_progress', 'blocked', 'done'])[1 + g %% 4] AS status,
       (g %% 1000)::integer AS quantity,
       rpad('valve monthly pending customer urgent checked stock ' || md5(g::text)
            || ' report replace filter urgent checked inspected replace order annual inspected label', 150, 'x')
       AS notes,
       timestamptz '2026-11-01' + g * interval '7 ms' AS updated_at
FROM generate_series(1, %(rows)s::integer) AS g
"""


class Row(msgspec.Struct, frozen=True):
    id: uuid.UUID
    title: str
    status: str
    quantity: int
    notes: str
    updated_at: datetime


def rows(count: int, *, seed: int) -> list[Row]:
    """``count`` random rows. The same seed gives the same rows."""
    source = random.Random(seed)
    return [_row(source) for _ in range(count)]


def chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _row(source: random.Random) -> Row:
    notes = " ".join(source.choices(WORDS, k=40))[:NOTE_LENGTH]
    return Row(
        id=uuid.UUID(int=source.getrandbits(128), version=4),
        title=f"Task {source.randrange(10**6):06d} {source.choice(WORDS)}",
        status=source.choice(STATUSES),
        quantity=source.randrange(1000),
        notes=notes,
        updated_at=datetime(2026, 11, 1, tzinfo=UTC) + timedelta(milliseconds=source.randrange(27 * 86_400_000)),
    )
