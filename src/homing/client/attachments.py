"""Files attached to rows: copied at once, uploaded later, named in the item's payload when they are there.

The copy is made before the entry that needs it is written, so no entry ever waits for a file that the user has since
deleted from the camera. An entry with files that are not uploaded waits; the others pass it by.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import msgspec

from homing.client import layers, outbox
from homing.client.store import Store
from homing.client.tables import encode_value

COPY_BYTES = 1024 * 1024
"""Bytes copied at a time."""
ORPHAN_HOURS = 24
"""Hours after which a copy without a row is left over from a process that was killed, not one still being made."""

UploadStatus = Literal["waiting", "presigned", "uploaded", "sent", "failed"]


class Presigned(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of ``POST /mobile/media/presign``."""

    upload_url: str
    key: str
    method: str = "PUT"
    headers: dict[str, str] = {}
    resumable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """``path``: the replica's own copy. ``presigned`` once a place for the upload was given."""

    id: str
    op: str
    resource_type: str
    row_id: str
    field: str
    filename: str
    content_type: str
    size_bytes: int
    sha256: str
    status: UploadStatus
    path: Path
    presigned: Presigned | None
    error: str | None


def attach(
    store: Store,
    resource_type: str,
    row_id: str,
    *,
    field: str,
    source: Path,
    content_type: str,
    filename: str | None = None,
    details: Mapping[str, Any] | None = None,
) -> str:
    """Attach a file to a row; returns the attachment's id. ``details`` go beside the key in the payload (gps, ...).

    It travels with an edit of the row that was not sent yet, or with an update of its own.
    """
    outbox.existing(store, resource_type, outbox.resolve(store, row_id))
    name = store.new_id()
    size, digest = _copy(source, store.folder, name)
    with store.transaction():
        row_id = outbox.resolve(store, row_id)
        table = outbox.table_of(store, resource_type)
        outbox.existing(store, resource_type, row_id)
        unsent = store.one("read_unsent_of_row", resource_type=resource_type, row_id=row_id)
        if unsent is None:
            op = f"op-{store.new_id()}"
            outbox.append(store, table, op=op, row_id=row_id, action="update", payload={})
        else:
            op = unsent["op"]
        store.run(
            "insert_attachment",
            id=name,
            op=op,
            resource_type=resource_type,
            row_id=row_id,
            field=field,
            filename=filename or source.name,
            content_type=content_type,
            size_bytes=size,
            sha256=digest,
            details=msgspec.json.encode(
                {key: encode_value(value, None) for key, value in (details or {}).items()}
            ).decode(),
        )
    return name


def attachments(store: Store, *, status: UploadStatus | None = None) -> list[Attachment]:
    """All attachments, or those with this status; oldest edit first."""
    return [_attachment(store, row) for row in store.all("read_attachments", status=status)]


def to_upload(store: Store) -> list[Attachment]:
    """Files that entries of the outbox wait for."""
    return [_attachment(store, row) for row in store.all("read_uploads")]


def uploads_of(store: Store, op: str) -> dict[str, list[Any]]:
    """Field → what the payload of ``op`` says of its uploaded files."""
    fields: dict[str, list[Any]] = {}
    for row in store.all("read_attachments_of_entry", op=op):
        upload = {"key": row["key"], "filename": row["filename"], **msgspec.json.decode(row["details"])}
        fields.setdefault(row["field"], []).append(upload)
    return fields


def note_presigned(store: Store, attachment: Attachment, presigned: Presigned) -> None:
    """The server gave a place; written down first, so that a killed upload goes on there."""
    with store.transaction():
        text = msgspec.json.encode(presigned).decode()
        store.run("note_presigned", id=attachment.id, key=presigned.key, upload=text)


def note_uploaded(store: Store, attachment: Attachment) -> None:
    with store.transaction():
        store.run("note_uploaded", id=attachment.id)


def note_failed(store: Store, attachment: Attachment, *, code: str, error: str) -> None:
    """The file can never be uploaded: its entry is refused, for a person to discard or change."""
    with store.transaction():
        store.run("note_upload_failed", id=attachment.id, error=error)
        sentence = f"{attachment.filename}: {error}"
        store.run("refuse_entry", op=attachment.op, code=code, error=sentence, at=store.now())
        layers.refresh(store, [(attachment.resource_type, attachment.row_id)])


def upload_again(store: Store, op: str) -> None:
    """The server does not find the files of this entry: they go once more, to a new place."""
    store.run("upload_again", op=op)


def forget_rows(store: Store, keys: Sequence[tuple[str, str]]) -> None:
    """Files of rows that left. Files that an unsent edit still needs stay with it."""
    gone = [
        row["id"]
        for resource_type, row_id in keys
        for row in store.all("read_sent_of_row", resource_type=resource_type, row_id=row_id)
    ]
    for name in gone:
        store.run("delete_attachment", id=name)
        copy = store.folder / name
        store.after_commit(lambda copy=copy: copy.unlink(missing_ok=True))  # type: ignore[misc]


def sweep(store: Store) -> int:
    """Remove copies that no row names, left by a process that was killed; returns how many."""
    if not store.folder.exists():
        return 0
    known = {row["id"] for row in store.all("read_attachments", status=None)}
    before = (store.clock() - timedelta(hours=ORPHAN_HOURS)).timestamp()
    orphans = [file for file in store.folder.iterdir() if file.name not in known and file.stat().st_mtime < before]
    for file in orphans:
        file.unlink(missing_ok=True)
    return len(orphans)


def _copy(source: Path, folder: Path, name: str) -> tuple[int, str]:
    """Copy and flush; size in bytes and SHA-256 in hex of what was copied."""
    folder.mkdir(mode=0o700, exist_ok=True)
    digest = hashlib.sha256()
    size = 0
    target = folder / name
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with source.open("rb") as file, os.fdopen(descriptor, "wb") as copy:
            while chunk := file.read(COPY_BYTES):
                digest.update(chunk)
                size += len(chunk)
                copy.write(chunk)
            copy.flush()
            os.fsync(copy.fileno())
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return size, digest.hexdigest()


def _attachment(store: Store, row: Any) -> Attachment:
    return Attachment(
        id=row["id"],
        op=row["op"],
        resource_type=row["resource_type"],
        row_id=row["row_id"],
        field=row["field"],
        filename=row["filename"],
        content_type=row["content_type"],
        size_bytes=row["size_bytes"],
        sha256=row["sha256"],
        status=row["status"],
        path=store.folder / row["id"],
        presigned=None if row["upload"] is None else msgspec.json.decode(row["upload"], type=Presigned),
        error=row["error"],
    )
