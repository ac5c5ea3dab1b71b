"""Removing what nobody names: uploads that were begun or finished and never used, and parts left by dead connections.

Never a file that a row names, however close the race: the upload's row is deleted first, in an open transaction, and
the database decides. Where a row names the file, its foreign key refuses. Where one is just being written, either it
holds the lock and the delete waits for it, or the delete holds it and the writer then finds the upload missing, which
it can tell its client. Only then the file goes, and the transaction commits last: a crash in between leaves a row
without a file, which the next sweep removes, never a file without a row. The variants of an image go with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg.errors import ForeignKeyViolation

from homing.media.store import Store
from homing.postgres.database import Database
from homing.postgres.sql import execute, fetch_all, load

ORPHAN_AGE = timedelta(hours=24)
"""How long an upload may wait to be named: a phone uploads by day and pushes at night."""
LOOK_MAX = 1000
"""Uploads looked at in one go: what is kept in memory of them."""


@dataclass(frozen=True, slots=True)
class Swept:
    """How many of each were removed; ``kept``: named after all, as a foreign key knew."""

    uploads: int
    parts: int
    kept: int


async def sweep(db: Database, store: Store, *, now: datetime, older_than: timedelta = ORPHAN_AGE) -> Swept:
    """Remove orphans. Safe on any number of nodes at once. Raises Problem("unavailable"), having done what it did."""
    before = now - older_than
    uploads = kept = 0
    keys = await _read_orphans(db, before)
    while keys:  # what was looked at is gone or noted as named, so the next look sees others
        for key in keys:
            try:
                uploads += await _sweep_one(db, store, key=key, before=before)
            except ForeignKeyViolation:
                async with db.connection() as conn:
                    kept += await execute(conn, load("homing.media", "keep_upload"), {"key": key})
        keys = await _read_orphans(db, before) if len(keys) == LOOK_MAX else []
    return Swept(uploads, await store.sweep_parts(before=before), kept)


async def _read_orphans(db: Database, before: datetime) -> list[str]:
    async with db.connection() as conn:
        rows = await fetch_all(conn, load("homing.media", "read_orphans"), {"before": before, "limit": LOOK_MAX})
    return [key for (key,) in rows]


async def _sweep_one(db: Database, store: Store, *, key: str, before: datetime) -> int:
    orphan = {"key": key, "before": before}
    async with db.transaction() as conn:
        if await execute(conn, load("homing.media", "lock_orphan"), orphan) == 0:
            return 0
        variants = await fetch_all(conn, load("homing.media", "delete_variants"), orphan)
        deleted = await execute(conn, load("homing.media", "delete_orphan"), orphan)
        if deleted:
            for (each,) in [(key,), *variants]:
                await store.delete(each)
    return deleted
