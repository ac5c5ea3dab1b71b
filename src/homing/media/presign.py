"""``POST /mobile/media/presign``: a place for a file that is about to come, and a short-lived address to send it to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import msgspec

from homing.engine.caller import Caller
from homing.media.links import LINK_SECONDS, UPLOAD_PATH, signed_path
from homing.media.names import checked_filename, checked_type
from homing.media.store import Store, new_key
from homing.postgres.database import Database
from homing.postgres.sql import execute, fetch_one, load
from homing.protocol.errors import Problem


class PresignRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """``size_bytes`` and ``sha256`` (hex), where given, are promises that the upload must keep.

    ``keep_metadata``: others get the image with everything the camera wrote into it, also the place where it was
    taken; left out, the server's setting decides.
    ``resumable`` asks for an upload that can go on after a cut, also where the store takes files directly.
    ``key`` instead of all others asks for a new address for an upload that was begun.
    """

    filename: str | None = None
    content_type: str | None = None
    size_bytes: Annotated[int, msgspec.Meta(ge=0, le=2**53)] | None = None
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-fA-F]{64}$")] | None = None
    keep_metadata: bool | None = None
    resumable: bool = False
    key: str | None = None


class PresignAnswer(msgspec.Struct, kw_only=True):
    """``expires_in`` in seconds. ``resumable``: the address also answers HEAD and PATCH (see ``upload.py``)."""

    upload_url: str
    method: str
    headers: dict[str, str]
    key: str
    expires_in: int
    resumable: bool
    size_bytes_max: int


async def presign(
    db: Database,
    store: Store,
    *,
    secrets: Sequence[bytes],
    caller: Caller,
    request: PresignRequest,
    base_url: str,
    begun_max: int,
    keep_metadata: bool,
    now: datetime,
) -> PresignAnswer:
    """Raises Problem: invalid_envelope, too_large, rate_limited; for a ``key``: not_found, state_conflict."""
    if request.key is None:
        keep = keep_metadata if request.keep_metadata is None else request.keep_metadata
        key, content_type = await _begin(
            db, store, caller=caller, request=request, begun_max=begun_max, keep_metadata=keep, now=now
        )
    else:
        key, content_type = await _find_begun(db, caller=caller, request=request)
    direct = None if request.resumable else store.direct
    if direct is None:
        expires = int(now.timestamp()) + LINK_SECONDS
        url = base_url.rstrip("/") + signed_path(UPLOAD_PATH, key, secrets=secrets, expires=expires)
    else:
        url = await direct.put_url(key, seconds=LINK_SECONDS)
    return PresignAnswer(
        upload_url=url,
        method="PUT",
        headers={"Content-Type": content_type, **({} if direct is None else direct.put_headers)},
        key=key,
        expires_in=LINK_SECONDS,
        resumable=direct is None,
        size_bytes_max=store.bytes_max,
    )


async def _begin(
    db: Database,
    store: Store,
    *,
    caller: Caller,
    request: PresignRequest,
    begun_max: int,
    keep_metadata: bool,
    now: datetime,
) -> tuple[str, str]:
    if request.filename is None or request.content_type is None:
        raise Problem("invalid_envelope", "filename and content_type are needed.")
    if request.size_bytes is not None and request.size_bytes > store.bytes_max:
        raise Problem("too_large", f"A file may have {store.bytes_max} bytes.", limit=store.bytes_max)
    content_type = checked_type(request.content_type)
    upload = {
        "key": new_key(now),
        "user_id": caller.user_id,
        "device_id": caller.device_id,
        "filename": checked_filename(request.filename),
        "content_type": content_type,
        "size_bytes": request.size_bytes,
        "sha256": None if request.sha256 is None else bytes.fromhex(request.sha256),
        "keep_metadata": keep_metadata,
        "begun_max": begun_max,
    }
    async with db.connection() as conn:
        if await execute(conn, load("homing.media", "begin_upload"), upload) == 0:
            raise Problem("rate_limited", f"{begun_max} uploads are begun and not finished.", retry_after=60)
    return str(upload["key"]), content_type


async def _find_begun(db: Database, *, caller: Caller, request: PresignRequest) -> tuple[str, str]:
    if msgspec.structs.replace(request, key=None, resumable=False) != PresignRequest():
        raise Problem("invalid_envelope", "A key stands alone: what was promised of it stays promised.")
    async with db.connection() as conn:
        row = await fetch_one(conn, load("homing.media", "find_begun"), {"key": request.key, "user_id": caller.user_id})
    if row is None:
        raise Problem("not_found")
    content_type, completed = row
    if completed:
        raise Problem("state_conflict", "This file is complete already.")
    return str(request.key), content_type
