"""Pictures of profiles and jobs: an upload that was verified gets an id, and rows name the id.

Whoever is signed in may fetch the picture of a profile or job that they may see; which size is the media route's to
say (``GET /mobile/media/{id}?variant=thumb|medium|original``).
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from homing.declare import Edit, Who
from homing.engine.caller import Caller
from homing.media import MediaFile
from homing.postgres.sql import Connection, fetch_all, fetch_one, load


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
