"""Is the file there, whole, the caller's, and what was promised? Asked when a row is about to name it.

The answer is kept in ``homing.media`` (``completed_at``, ``found_*``), so the bytes are read at most once: while they
arrive where they pass through this server, otherwise here. That the file still exists is asked of the store every time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from homing.engine.caller import Caller
from homing.media import variants
from homing.media.promise import Found, Promise
from homing.media.store import KEY, Store
from homing.postgres.database import Database
from homing.postgres.sql import Connection, execute, fetch_all, fetch_one, load
from homing.protocol.errors import Problem

ASKED_AT_ONCE = 16
"""Files whose existence is asked of the store side by side: a bucket takes tens of milliseconds for each."""
SETTLE_SECONDS_MAX = 600
"""How long a transaction may wait while one large file of a bucket is read: 512 MiB at a megabyte a second. A push has
its own, shorter bound."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A settled file: ``size_bytes`` and ``sha256`` as found, name and type as promised; the type fits the bytes."""

    key: str
    filename: str
    content_type: str
    size_bytes: int
    sha256: bytes
    uploaded_at: datetime


async def verify_uploads(
    conn: Connection, store: Store, *, user_id: UUID, keys: Sequence[str]
) -> dict[str, Upload | None]:
    """Each key with its upload, or None: unknown, somebody else's, not whole, or not as promised ("media_missing").

    Call it in the transaction that writes the rows naming the files: it locks the uploads against the orphan sweep.
    The tables of those rows have a foreign key to ``homing.media (key)`` and the triggers of ``0003_media.sql``.
    Settling a large file of a bucket takes as long as reading it; ``complete`` does that beforehand.
    Raises Problem("unavailable") while the store cannot be reached.
    """
    wanted = sorted({key for key in keys if KEY.fullmatch(key)})
    rows = await fetch_all(conn, load("homing.media", "lock_uploads"), {"keys": wanted, "user_id": user_id})
    uploads = [_Row(*row) for row in rows]
    answers: dict[str, Upload | None] = dict.fromkeys(keys)
    answers |= await _look_again(store, [row.upload for row in uploads if row.upload is not None])
    for row in uploads:
        if row.upload is None:
            try:
                answers[row.key] = await _settle(conn, store, row)
            except Problem as problem:
                if problem.code.code != "media_mismatch":
                    raise
    return answers


async def complete(db: Database, store: Store, *, caller: Caller, key: str) -> Upload:
    """Settle an upload of the caller now.

    Raises Problem: not_found, state_conflict while bytes are missing, media_mismatch.
    """
    async with db.transaction() as conn:
        found = await fetch_all(conn, load("homing.media", "lock_uploads"), {"keys": [key], "user_id": caller.user_id})
        if not found:
            raise Problem("not_found")
        upload = await _find_or_settle(conn, store, _Row(*found[0]))
    if upload is None:
        raise Problem("state_conflict", "The file has not arrived, or not all of it.")
    return upload


async def note_arrival(db: Database, store: Store, *, key: str, found: Found) -> Upload | None:
    """A file has arrived through this server. None where its upload was given up meanwhile."""
    async with db.transaction() as conn:
        row = await fetch_one(conn, load("homing.media", "lock_upload"), {"key": key})
        return None if row is None else await _find_or_settle(conn, store, _Row(*row), measured=found)


@dataclass(frozen=True, slots=True)
class _Row:
    """A locked row of homing.media, as ``lock_uploads`` lists it."""

    key: str
    filename: str
    content_type: str
    size_bytes: int | None
    sha256: bytes | None
    found_size: int | None
    found_sha256: bytes | None
    completed_at: datetime | None

    @property
    def upload(self) -> Upload | None:
        """What was settled before; None where nothing was."""
        if self.found_size is None or self.found_sha256 is None or self.completed_at is None:
            return None
        return Upload(self.key, self.filename, self.content_type, self.found_size, self.found_sha256, self.completed_at)


async def _find_or_settle(conn: Connection, store: Store, row: _Row, *, measured: Found | None = None) -> Upload | None:
    if row.upload is not None:
        return (await _look_again(store, [row.upload]))[row.key]
    await execute(conn, load("homing.media", "allow_settling"), {"seconds": f"{SETTLE_SECONDS_MAX}s"})
    return await _settle(conn, store, row, measured=measured)


async def _look_again(store: Store, uploads: Sequence[Upload]) -> dict[str, Upload | None]:
    """The uploads, settled before, by key; None where the store lost the file or was restored to a time before it."""
    places = asyncio.Semaphore(ASKED_AT_ONCE)

    async def look(upload: Upload) -> Upload | None:
        async with places:
            size = await store.size(upload.key)
        return upload if size == upload.size_bytes else None

    found = await asyncio.gather(*(look(upload) for upload in uploads))
    return {upload.key: again for upload, again in zip(uploads, found, strict=True)}


async def _settle(conn: Connection, store: Store, row: _Row, *, measured: Found | None = None) -> Upload | None:
    promise = Promise(row.filename, row.content_type, row.size_bytes, row.sha256, store.bytes_max)
    found = await store.settle(row.key, promise, measured=measured)
    if found is None:
        return None
    measured_row = {
        "key": row.key,
        "size": found.size,
        "sha256": found.sha256,
        "image": variants.is_image(row.content_type),
        "task": variants.TASK,
    }
    completed_at, _ = (await fetch_all(conn, load("homing.media", "complete_upload"), measured_row))[0]
    return Upload(row.key, row.filename, row.content_type, found.size, found.sha256, completed_at)
