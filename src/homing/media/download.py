"""A file on its way out: who may have it is asked of the applications, then a short-lived address is given.

Of an image a variant goes out, in the format that the client reads best (``variants.py``). Files of a folder are
served by this server at an address it signed, a range at a time if asked. Whatever the file is, a browser saves it
instead of showing it: attachment, nosniff, and a policy under which nothing in it may run.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias
from uuid import UUID

import msgspec

from homing.accounts.users import OWNER
from homing.engine.caller import Caller
from homing.media.links import DOWNLOAD_PATH, LINK_SECONDS, signed_path
from homing.media.names import attachment
from homing.media.store import Store
from homing.media.variants import TASK, is_image, named
from homing.postgres.database import Database
from homing.postgres.sql import Connection, fetch_all, fetch_one, load
from homing.protocol.errors import Problem

Variant = Literal["thumb", "medium", "original"]
"""``original`` is the whole file; of an image without what the camera wrote beside the pixels. Files that are no image
have only this one, and are answered with it."""
WAIT_SECONDS = 2
"""When to ask again for an image that was sent a moment ago."""


@dataclass(frozen=True, slots=True)
class MediaFile:
    """A file that a row names, and that the caller may have."""

    key: str
    filename: str
    content_type: str


MediaOwner: TypeAlias = Callable[[Connection, Caller, UUID], Awaitable[MediaFile | None]]
"""An application's answer to "may the caller have the file of the row with this id?": the file, or None for no such
row, and just the same for one that the caller does not hold."""


async def find_file(db: Database, owners: Sequence[MediaOwner], *, caller: Caller, media_id: UUID) -> MediaFile:
    """The file, from the first application that knows it. Raises Problem("not_found")."""
    async with db.connection() as conn:
        for owner in owners:
            if file := await owner(conn, caller, media_id):
                return file
    raise Problem("not_found")


async def find_variant(
    db: Database, file: MediaFile, *, caller: Caller, variant: Variant, accept: str | None
) -> MediaFile:
    """The file to hand out for ``file``, in a format that the header Accept names.

    Raises Problem: unavailable while the variants are being made, image_broken where there can be none.
    """
    if not is_image(file.content_type):
        return file
    params = {"key": file.key, "kind": variant, "formats": formats_of(accept)}
    async with db.connection() as conn:
        row = await fetch_one(conn, load("homing.media", "find_variant"), params)
        if row is not None and row[0] is None:  # from before there were variants: as it always went out, once more
            await fetch_all(conn, load("homing.media", "ask_for_variants"), {"key": file.key, "task": TASK})
    if row is None:
        return file
    state, problem, keep, sender, key, format_ = row
    if key is not None:
        return MediaFile(key, named(file.filename, format_), f"image/{format_}")
    whole = variant == "original"
    trusted = keep or caller.user_id == sender or caller.role == OWNER
    if state is None or (whole and (state == "made" or trusted)):
        return file
    if state == "broken":
        raise Problem("image_broken", f"This image cannot be used: {problem}.")
    if trusted:
        return file  # a large picture now is better than a small one later
    raise Problem("unavailable", "This image was sent a moment ago and is being prepared.", retry_after=WAIT_SECONDS)


def formats_of(accept: str | None) -> list[str]:
    """Formats of images in the order of preference, for the header Accept.

    Only what is named counts: a browser that sends ``*/*`` may not know AVIF. Then what every client reads; the last
    ones are for originals, which may have been sent as nothing else.
    """
    return [*_named(accept or ""), "jpeg", "png", "gif", "webp", "avif"]


def _named(accept: str) -> list[str]:
    kinds = {}
    for part in accept.lower().split(","):
        kind, *parameters = (piece.strip().replace(" ", "") for piece in part.split(";"))
        kinds[kind] = not any(re.fullmatch(r"q=0(\.0*)?", parameter) for parameter in parameters)
    return [name for name in ("avif", "webp") if kinds.get(f"image/{name}")]


class VariantItem(msgspec.Struct, kw_only=True):
    """``bytes`` is the size of the file, ``width`` and ``height`` are pixels."""

    kind: str
    format: str
    width: int
    height: int
    bytes: int


class VariantsAnswer(msgspec.Struct, kw_only=True):
    """``state``: ``waiting``, ``made``, or ``broken`` with the ``problem`` as a sentence; None for what is not read
    here as an image. An image without a variant of kind ``original`` is its own original."""

    state: str | None
    problem: str | None
    variants: list[VariantItem]


async def list_variants(db: Database, file: MediaFile) -> VariantsAnswer:
    """How the image stands. Raises Problem("not_found") where the upload is gone."""
    async with db.connection() as conn:
        rows = await fetch_all(conn, load("homing.media", "list_variants"), {"key": file.key})
    if not rows:
        raise Problem("not_found")
    state, problem = rows[0][:2]
    return VariantsAnswer(
        state=state,
        problem=problem,
        variants=[
            VariantItem(kind=kind, format=name, width=width, height=height, bytes=size)
            for _, _, kind, name, width, height, size in rows
            if kind is not None
        ],
    )


async def signed_download(
    store: Store, file: MediaFile, *, secrets: Sequence[bytes], base_url: str, now: datetime
) -> str:
    """An address that gives the file to whoever holds it, for LINK_SECONDS."""
    if store.direct is not None:
        return await store.direct.get_url(file.key, seconds=LINK_SECONDS)
    path = signed_path(
        DOWNLOAD_PATH,
        file.key,
        secrets=secrets,
        expires=int(now.timestamp()) + LINK_SECONDS,
        extra={"filename": file.filename, "content_type": file.content_type},
    )
    return base_url.rstrip("/") + path


@dataclass(frozen=True, slots=True)
class Delivery:
    """What to answer: ``status`` 200 or 206."""

    status: int
    headers: dict[str, str]
    content: AsyncIterator[bytes]


async def deliver(
    store: Store, *, key: str, filename: str, content_type: str, wanted: str | None, if_range: str | None
) -> Delivery:
    """``wanted`` and ``if_range`` are the headers Range and If-Range.

    Raises Problem: not_found, range_not_satisfiable.
    """
    size = await store.size(key)
    if size is None:
        raise Problem("not_found")
    tag = f'"{key.rpartition("/")[2]}"'  # the bytes under a key never change, so the key is the perfect entity tag
    part = byte_range(wanted, size) if wanted is not None and if_range in (None, tag) else None
    start, stop = part or (0, size)
    headers = {
        "Content-Type": content_type,
        "Content-Length": str(stop - start),
        "Content-Disposition": attachment(filename),
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "private, no-store",
        "Accept-Ranges": "bytes",
        "ETag": tag,
    }
    if part is not None:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    return Delivery(200 if part is None else 206, headers, store.read(key, start=start, stop=stop))


_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def byte_range(header: str, size: int) -> tuple[int, int] | None:
    """[start, stop) of a Range header for a file of ``size`` bytes; None where the header is to be ignored (RFC 9110).

    One range is served. Several in one header are an old way of making a server sweat; nobody needs them for files.
    Raises Problem("range_not_satisfiable").
    """
    if not header.startswith("bytes="):
        return None
    match = _RANGE.fullmatch(header)
    if match is None or header == "bytes=-":
        raise _unsatisfiable(size)
    first, last = match.groups()
    if first == "":
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), min(int(last) + 1 if last else size, size)
    if start >= stop:
        raise _unsatisfiable(size)
    return start, stop


def _unsatisfiable(size: int) -> Problem:
    return Problem(
        "range_not_satisfiable", f"The file has {size} bytes; one range of them can be asked for.", size=size
    )
