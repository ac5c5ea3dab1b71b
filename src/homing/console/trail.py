"""The audit log: who changed what, over all tables, the latest first.

The history has no order but time, and grows without end: a page is looked for in spans that widen until it is full, so
that a busy database reads seconds and a quiet one its months.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

import msgspec
from psycopg.rows import dict_row

from homing.engine.engine import Engine
from homing.engine.values import read_row
from homing.postgres.lines import load_with
from homing.server.pages import Page, page_of, write_cursor

SPANS = tuple(timedelta(seconds=20 * 4**step) for step in range(12))
"""How far back is looked, one after the other: the last is longer than history is kept."""
FILTERED_SPANS = SPANS[2::3]
"""What filters leave is rarer, and found by an index: in larger steps."""
PATIENCE_SECONDS = 0.1
"""A long span that took longer is the last of its page, full or not: whoever goes on looks further back."""
LONG = timedelta(hours=12)
"""Shorter spans are not given up on, however busy the machine: each page must get somewhere."""

BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
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
    """One page; ``filters``: table_id, action, actor. A page with a ``next`` need not be full."""
    asked = {name: value for name, value in filters.items() if value is not None}
    action = asked.pop("action", None)
    until = now + timedelta(minutes=1) if after is None else after[0] + timedelta(microseconds=1)
    on = {name for name in (action, "after" if after is not None else None) if name is not None}
    query = load_with(__package__, "list_changes", frozenset(asked) | on)
    params: dict[str, Any] = dict(asked)
    if after is not None:
        params |= dict(zip(("after_at", "after_table", "after_row", "after_version"), after, strict=True))
    found: list[dict[str, Any]] = []
    further = None
    async with engine.owner.connection() as conn, conn.cursor(row_factory=dict_row) as cursor:
        for span in FILTERED_SPANS if asked or action else SPANS:
            since, began = max(until - span, BEGINNING), monotonic()
            spanned = {**params, "since": since, "until": until, "limit": limit + 1 - len(found)}
            found += await (await cursor.execute(query, spanned)).fetchall()
            if len(found) > limit or since == BEGINNING:
                break
            until = since
            if span >= LONG and monotonic() - began > PATIENCE_SECONDS:
                further = write_cursor(since, 0, "", 0)
                break
    page = page_of(
        [_entry(engine, row) for row in found],
        limit=limit,
        place=lambda entry: (entry.at, entry.table_id, entry.row_id, entry.version),
    )
    return page if page.next is not None else Page(page.items, further)


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
