"""The market day by day: how many jobs were posted, how many payments came in, and what they add up to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from homing.postgres.sql import Connection, fetch_all, load

DAYS: Final = 30
DAY_SECONDS: Final = 86_400
ROWS_MAX: Final = 20_000
"""Rows of each kind that are counted: the latest. A market with more a month has its figures in the usage metrics."""


@dataclass(frozen=True, slots=True)
class Days:
    """``times``: Unix seconds at which each day (UTC) began, the oldest first; the others one value each. ``paid`` is
    in whole units of ``currency``, the one that most payments were made in, less what was given back; None:
    nothing was paid."""

    times: list[int]
    posted: list[int]
    payments: list[int]
    currency: str | None
    paid: list[float]


async def read_days(conn: Connection, *, now: datetime, days: int = DAYS) -> Days:
    """The last ``days``, today among them."""
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    since = today - timedelta(days=days - 1)
    asked = {"since": since, "limit": ROWS_MAX}
    posted: dict[int, int] = dict(await fetch_all(conn, load(__package__, "count_posted_days"), asked))
    paid = await fetch_all(conn, load(__package__, "sum_paid_days"), asked)
    times = [int(since.timestamp()) + DAY_SECONDS * n for n in range(days)]
    counts: dict[str, int] = {}
    payments: dict[int, int] = {}
    for at, currency, count, _ in paid:
        counts[currency] = counts.get(currency, 0) + count
        payments[at] = payments.get(at, 0) + count
    usual = min(counts, key=lambda each: (-counts[each], each)) if counts else None
    amounts = {at: cents / 100 for at, currency, _, cents in paid if currency == usual}
    return Days(
        times=times,
        posted=[posted.get(at, 0) for at in times],
        payments=[payments.get(at, 0) for at in times],
        currency=usual,
        paid=[amounts.get(at, 0.0) for at in times],
    )
