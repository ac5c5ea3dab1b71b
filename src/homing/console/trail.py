"""The audit log: who changed what, over all tables, the latest first.

The history has no order but time, and grows without end: a page is looked for in spans that widen until it is full, so
that a busy database reads seconds and a quiet one its months.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from psycopg.rows import dict_row

from homing.engine.engine import Engine
from homing.engine.values import read_row
from homing.postgres.lines import load_with
from homing.server.pages import Page, page_of

SPANS = (
    timedelta(seconds=20),
    timedelta(minutes=10),
    timedelta(hours=6),
    timedelta(days=4),
    timedelta(days=60),
    timedelta(days=800),
)
"""How far back is looked, one after the other. Longer than history is kept, at the end."""

Place = tuple[datetime, int, str, int]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A change. ``kind``: ``app.type`` of its table, None where that is not declared any more; ``fields``: name → [old,
    new], or [old] of a delete."""

    table_id: int
    kind: str | None
    table: str
    row_id: str
    version: int
    action: str
    fields: dict[str, Any]
    actor: str
    by: str | None
    device: str | None
    at: datetime


async def read_trail(
    engine: Engine, *, filters: Mapping[str, Any], after: Place | None, limit: int, now: datetime
) -> Page[Entry]:
    """One page; ``filters``: table_id, action, actor."""
    asked = {name: value for name, value in filters.items() if value is not None}
    until = now + timedelta(minutes=1) if after is None else after[0] + timedelta(microseconds=1)
    on = frozenset(asked) | ({"after"} if after is not None else set())
    query = load_with(__package__, "list_changes", on)
    params: dict[str, Any] = {**asked, "until": until, "limit": limit + 1}
    if after is not None:
        params |= dict(zip(("after_at", "after_table", "after_row", "after_version"), after, strict=True))
    found: list[dict[str, Any]] = []
    async with engine.owner.connection() as conn, conn.cursor(row_factory=dict_row) as cursor:
        for span in SPANS:
            since = max(until - span, datetime(2000, 1, 1, tzinfo=UTC))
            found = await (await cursor.execute(query, {**params, "since": since})).fetchall()
            if len(found) > limit:
                break
    return page_of(
        [_entry(engine, row) for row in found],
        limit=limit,
        place=lambda entry: (entry.at, entry.table_id, entry.row_id, entry.version),
    )


def _entry(engine: Engine, row: Mapping[str, Any]) -> Entry:
    table = engine.bound.by_id.get(row["table_id"])
    fields = read_row(row["changes"]) if row["changes"] is not None else {}
    # A column that never travels is not shown here either.
    shown = {name: pair for name, pair in fields.items() if table is not None and name in table.columns}
    return Entry(
        table_id=row["table_id"],
        kind=None if table is None else table.declared.full_type,
        table=f"table {row['table_id']}" if table is None else table.declared.table,
        row_id=row["row_id"],
        version=row["version"],
        action=row["action"],
        fields=shown,
        actor=row["actor"],
        by=row["by"],
        device=row["device"],
        at=row["at"],
    )
