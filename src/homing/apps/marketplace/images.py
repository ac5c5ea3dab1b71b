"""Pictures of profiles and jobs: an upload that was verified gets an id, and rows name the id.

Whoever is signed in may fetch the picture of a profile or job that they may see; which size is the media route's to
say (``GET /mobile/media/{id}?variant=thumb|medium|original``).
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from homing.declare import Edit, Who
from homing.engine.caller import Caller
from homing.media import MediaFile, Store, verify_uploads
from homing.media.variants import is_image
from homing.postgres.sql import Connection, fetch_all, fetch_one, load
from homing.protocol.errors import Problem

TYPES = frozenset(
    kind
    for kind in ("image/jpeg", "image/png", "image/webp", "image/gif", "image/avif", "image/heic", "image/heif")
    if is_image(kind)
)
"""What a picture may be; HEIC only where it is read, because browsers show none.
Whether the bytes are it, the upload was asked already."""


async def must_be_own(conn: Connection, edits: Sequence[Edit], who: Who, *, column: str) -> None:
    """Refuse edits that name an image which the caller did not make."""
    naming = [edit for edit in edits if edit.values.get(column) is not None]
    if not naming:
        return
    ids = list({UUID(edit.values[column]) for edit in naming})
    found = await fetch_all(conn, load(__package__, "find_own_images"), {"ids": ids, "user": who.user_id})
    own = {row[0] for row in found}
    for edit in naming:
        if UUID(edit.values[column]) not in own:
            edit.refuse("fk_missing", "there is no image of yours with this id", f"/{column}")


async def find_media(conn: Connection, caller: Caller, media_id: UUID) -> MediaFile | None:
    """The file of an image: the caller's own, or one of a profile or job that the caller may see."""
    params = {"id": media_id, "user": caller.user_id, "office": caller.role == "OWNER"}
    row = await fetch_one(conn, load(__package__, "find_media"), params)
    return MediaFile(*row) if row is not None else None


async def make_image(conn: Connection, store: Store, *, user: UUID, key: str) -> UUID:
    """The image of a file that ``user`` uploaded; the same one for the same file.

    Raises Problem: media_missing, unsupported_media_type, unavailable.
    """
    upload = (await verify_uploads(conn, store, user_id=user, keys=[key]))[key]
    if upload is None:
        raise Problem("media_missing")
    if upload.content_type not in TYPES:
        raise Problem("unsupported_media_type", f"A picture is one of {', '.join(sorted(TYPES))}.")
    params = {
        "user": user,
        "key": upload.key,
        "filename": upload.filename,
        "content_type": upload.content_type,
        "size_bytes": upload.size_bytes,
    }
    row = await fetch_one(conn, load(__package__, "insert_image"), params)
    assert row is not None
    found: UUID = row[0]
    return found
