"""Photos and files of submissions: named in a payload, verified against the store, then rows of ``submission_media``.

A client uploads first and then names the upload's key in its submission. An upload that is not there, not whole, not as
promised, or somebody else's refuses that one submission with ``media_missing``, and the client sends it again when the
file is up.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec

from homing.declare import Edit, Who
from homing.declare.edits import Hook
from homing.engine.caller import Caller
from homing.media import MediaFile, Store, Upload, verify_uploads
from homing.media.names import checked_filename
from homing.postgres.codec import Point
from homing.postgres.sql import Connection, execute, fetch_one, load
from homing.protocol.errors import Problem

MEDIA_MAX = 50
"""Files one item may name. A submission may have more: they come with later updates."""


class NamedUpload(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A member of a submission's ``media``."""

    key: str
    filename: Annotated[str, msgspec.Meta(min_length=1, max_length=255)] | None = None
    gps: Point | None = None
    captured_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


NamedUploads = Annotated[list[NamedUpload], msgspec.Meta(max_length=MEDIA_MAX)]


def find_uploads(store: Store) -> Hook:
    """The hook that verifies every upload a batch names, before anything is written."""

    async def find(conn: Connection, edits: Sequence[Edit], who: Who) -> None:
        naming = [edit for edit in edits if edit.refusal is None and edit.extra.get("media")]
        keys = {named.key for edit in naming for named in edit.extra["media"]}
        if not keys:
            return
        found = await verify_uploads(conn, store, user_id=who.user_id, keys=sorted(keys))
        for edit in naming:
            _check(edit, found)

    return find


def _check(edit: Edit, found: dict[str, Upload | None]) -> None:
    for n, named in enumerate(edit.extra["media"]):
        if found[named.key] is None:
            edit.refuse(
                "media_missing",
                f"the file {named.filename or named.key!r} has not arrived as promised: upload it, then send this item",
                f"/media/{n}/key",
            )
            return
        if (fault := _filename_fault(named.filename)) is not None:
            edit.refuse("invalid_value", fault, f"/media/{n}/filename")
            return
        if named.gps is not None and not (-90 <= named.gps.lat <= 90 and -180 <= named.gps.lon <= 180):
            edit.refuse("invalid_value", "lat is -90 to 90 and lon -180 to 180", f"/media/{n}/gps")
            return
    edit.extra["uploads"] = [found[named.key] for named in edit.extra["media"]]


def _filename_fault(name: str | None) -> str | None:
    try:
        if name is not None:
            checked_filename(name)
    except Problem as problem:
        return problem.detail
    return None


async def attach_uploads(conn: Connection, edits: Sequence[Edit], _who: Who) -> None:
    """Write a row of ``submission_media`` for every upload that was found. Naming one twice is naming it once."""
    rows: dict[str, list[Any]] = {name: [] for name in _COLUMNS}
    for edit in edits:
        for named, upload in zip(edit.extra.get("media") or (), edit.extra.get("uploads", ()), strict=False):
            gps: Point | None = named.gps
            values = (
                edit.row_id,
                upload.key,
                named.filename or upload.filename,
                upload.content_type,
                upload.size_bytes,
                upload.uploaded_at,
                named.captured_at,
                gps.lat if gps is not None else None,
                gps.lon if gps is not None else None,
            )
            for name, value in zip(_COLUMNS, values, strict=True):
                rows[name].append(value)
    if rows["keys"]:
        await execute(conn, load(__package__, "insert_media"), rows)


_COLUMNS = ("submissions", "keys", "filenames", "types", "sizes", "uploaded", "captured", "lats", "lons")


async def find_media(conn: Connection, caller: Caller, media_id: UUID) -> MediaFile | None:
    """The file of a ``submission_media`` row that the caller holds."""
    row = await fetch_one(
        conn,
        load(__package__, "find_media"),
        {"id": media_id, "user": caller.user_id, "office": caller.role == "OWNER"},
    )
    return MediaFile(*row) if row is not None else None
