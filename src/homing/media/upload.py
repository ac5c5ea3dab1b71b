"""A file on its way in through this server: PUT all of it, or go on with PATCH from where HEAD says it stands.

The conversation follows the IETF's draft of resumable uploads (draft-ietf-httpbis-resumable-upload):

    PUT   …?expires=…&signature=…                      the whole file, or with Upload-Complete: ?0 its beginning
    HEAD  …                                            Upload-Offset: 1048576, Upload-Complete: ?0
    PATCH …   Upload-Offset: 1048576                   what follows; Upload-Complete: ?1 says that it is the end, as
                                                       does reaching the promised size

What was taken in before a cut is kept, also of a plain PUT (uvicorn drops the last 64 KiB at most, so HEAD is asked and
nothing assumed). PUT again starts again. Nothing is visible before all of it arrived and was found to be what was
promised; and once it is, the same address writes no more.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from homing.media.promise import Promise
from homing.media.store import Part, Progress, Store
from homing.media.verify import note_arrival
from homing.postgres.database import Database
from homing.postgres.sql import fetch_one, load
from homing.protocol.errors import Problem


class CutOffError(Exception):
    """The connection ended before the body did. What arrived is kept."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """What a request brought. ``offset`` None: from the beginning. ``complete`` None: the sender did not say.

    ``length`` is the body's, where announced. ``receive`` is the ASGI channel, which may be silent for
    ``stall_seconds``.
    """

    key: str
    offset: int | None
    complete: bool | None
    length: int | None
    receive: Callable[[], Awaitable[Any]]
    stall_seconds: float


@dataclass(frozen=True, slots=True)
class Received:
    """``sha256`` once complete."""

    key: str
    offset: int
    complete: bool
    sha256: bytes | None = None


async def receive(db: Database, store: Store, arrival: Arrival) -> Received:
    """Take in a PUT or PATCH.

    Raises Problem: invalid_link, state_conflict (complete already; another offset; overtaken), too_large,
    media_mismatch, storage_full, unavailable (also when the sender fell silent). Raises CutOffError.
    """
    promise = await _read_promise(db, store, arrival.key)
    if (await store.progress(arrival.key)).whole:
        raise Problem("state_conflict", "This file is complete already.", complete=True)
    _refuse_length(arrival, promise)
    part = await _open(store, arrival)
    try:
        await _write_all(part, store, arrival, promise)
        if not _is_end(arrival, part.offset, promise):
            await part.keep()
            return Received(arrival.key, part.offset, complete=False)
        found = await part.finish(promise)
    finally:
        await part.close()
    upload = await note_arrival(db, store, key=arrival.key, found=found)
    if upload is None:
        await store.delete(arrival.key)  # swept while it came in: without its row nobody would ever remove it
        raise Problem("invalid_link")
    return Received(arrival.key, found.size, complete=True, sha256=upload.sha256)


async def progress(db: Database, store: Store, *, key: str) -> Progress:
    """How far the upload is. Raises Problem("invalid_link")."""
    await _read_promise(db, store, key)
    return await store.progress(key)


async def _read_promise(db: Database, store: Store, key: str) -> Promise:
    async with db.connection() as conn:
        row = await fetch_one(conn, load("homing.media", "read_upload"), {"key": key})
    if row is None:
        raise Problem("invalid_link")
    filename, content_type, size, sha256 = row
    return Promise(filename, content_type, size, sha256, store.bytes_max)


def _refuse_length(arrival: Arrival, promise: Promise) -> None:
    """What can be refused before the first byte."""
    if arrival.length is None:
        return
    end = (arrival.offset or 0) + arrival.length
    if end > promise.bound:
        raise _too_large(promise)
    if promise.size is not None and end < promise.size and _ends(arrival):
        raise Problem("media_mismatch", f"{promise.size} bytes were promised, {end} would arrive.")


async def _open(store: Store, arrival: Arrival) -> Part:
    if arrival.offset is None:
        return await store.begin(arrival.key)
    part = await store.resume(arrival.key) or await store.begin(arrival.key)
    if part.offset != arrival.offset:
        await part.close()
        raise Problem(
            "state_conflict",
            "The upload stands elsewhere: go on from there.",
            expected_offset=part.offset,
            provided_offset=arrival.offset,
        )
    return part


async def _write_all(part: Part, store: Store, arrival: Arrival, promise: Promise) -> None:
    """Collect chunks to pieces and write them; on a cut, also the piece begun."""
    piece = bytearray()
    try:
        async for chunk in _chunks(arrival):
            piece += chunk
            if part.offset + len(piece) > promise.bound:
                await part.discard()
                raise _too_large(promise)
            if len(piece) >= store.piece_bytes:
                await part.write(bytes(piece))
                piece.clear()
    except CutOffError:
        if piece:
            await part.write(bytes(piece))
        raise
    if piece:
        await part.write(bytes(piece))


async def _chunks(arrival: Arrival) -> AsyncIterator[bytes]:
    while True:
        try:
            event = await asyncio.wait_for(arrival.receive(), arrival.stall_seconds)
        except TimeoutError:
            raise CutOffError from None
        if event["type"] == "http.disconnect":
            raise CutOffError
        yield event["body"]
        if not event.get("more_body", False):
            return


def _ends(arrival: Arrival) -> bool:
    """Whether the sender says, or a plain PUT implies, that this is the end."""
    return arrival.complete is True or (arrival.complete is None and arrival.offset is None)


def _is_end(arrival: Arrival, reached: int, promise: Promise) -> bool:
    return _ends(arrival) or (arrival.complete is None and reached == promise.size)


def _too_large(promise: Promise) -> Problem:
    return Problem("too_large", f"This file may have {promise.bound} bytes.", limit=promise.bound)
