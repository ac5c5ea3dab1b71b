"""Uploading attached files, before the edits that name them are sent.

A large file goes on where a cut left it: the server is asked how much it has (HEAD), and gets the rest (PATCH). The
place of an upload is written down before the first byte, so the same holds after a kill.
"""

from __future__ import annotations

from homing.client import attachments
from homing.client.attachments import Attachment, Presigned
from homing.client.call import ATTEMPTS_MAX, Later, RefusalError, call, decode, post, read, wait
from homing.client.exchange import (
    REQUEST_SECONDS_MAX,
    UPLOAD_BYTES_PER_SECOND_MIN,
    FilePart,
    Flow,
    Progress,
    Request,
    Response,
)
from homing.client.store import Store
from homing.protocol.errors import Action

RESUMABLE_BYTES_MIN = 1024 * 1024
"""Files from this size ask for an upload that can go on after a cut; smaller ones are as quickly sent again."""
HOPELESS = {"too_large", "media_mismatch", "unsupported_media_type", "invalid_envelope", "forbidden"}
"""Codes that the same file will get for ever."""


def upload_all(store: Store) -> Flow[int]:
    """Upload the files that queued edits wait for; returns how many. One that never can be refuses its edit."""
    waiting = attachments.to_upload(store)
    done = 0
    for number, attachment in enumerate(waiting):
        yield Progress("media", number, len(waiting))
        try:
            done += yield from _upload(store, attachment)
        except RefusalError as refusal:
            if refusal.code not in HOPELESS:
                raise
            attachments.note_failed(store, attachment, code=refusal.code, error=refusal.detail)
    return done


def _upload(store: Store, attachment: Attachment) -> Flow[bool]:
    """Bring one file to the store. False if it turned out to be there already."""
    if not attachment.path.exists():
        raise RefusalError(Action.STOP, "media_mismatch", "the replica's copy of the file is gone")
    attempts = 0
    begun = attachment.presigned is not None
    presigned = yield from _presign(store, attachment, attachment.presigned)
    while True:
        if presigned is None:
            attachments.note_uploaded(store, attachment)
            return False
        offset = 0
        if begun and presigned.resumable:
            standing = yield from _ask_offset(presigned)
            offset = standing if standing is not None and standing <= attachment.size_bytes else 0
        request = _request(presigned, attachment, offset)
        answer = read(request, (yield request))
        if isinstance(answer, Response):
            attachments.note_uploaded(store, attachment)
            return True
        begun = True
        attempts += 1
        if isinstance(answer, Later):
            yield wait(answer, attempts)
        elif answer.code in HOPELESS or attempts >= ATTEMPTS_MAX:
            raise answer
        else:
            # The address expired, the place is taken, the upload stands elsewhere: ask where it stands now.
            presigned = yield from _presign(store, attachment, presigned)


def _presign(store: Store, attachment: Attachment, known: Presigned | None) -> Flow[Presigned | None]:
    """An address for the upload: a new one for the place it has, or a first one. None: the whole file is there."""
    resumable = attachment.size_bytes >= RESUMABLE_BYTES_MIN
    if known is not None:
        request = post("/mobile/media/presign", {"key": known.key, "resumable": resumable})
        try:
            return _noted(store, attachment, decode((yield from call(store, request)), Presigned, request))
        except RefusalError as refusal:
            if refusal.code == "state_conflict":
                return None
            if refusal.code not in ("not_found", "invalid_envelope"):
                raise
    request = post(
        "/mobile/media/presign",
        {
            "filename": attachment.filename,
            "content_type": attachment.content_type,
            "size_bytes": attachment.size_bytes,
            "sha256": attachment.sha256,
            "resumable": resumable,
        },
    )
    return _noted(store, attachment, decode((yield from call(store, request)), Presigned, request))


def _noted(store: Store, attachment: Attachment, presigned: Presigned) -> Presigned:
    attachments.note_presigned(store, attachment, presigned)
    return presigned


def _ask_offset(presigned: Presigned) -> Flow[int | None]:
    """How many bytes of the upload have arrived; None if that cannot be told."""
    answer = yield Request(method="HEAD", target=presigned.upload_url)
    if not isinstance(answer, Response) or not 200 <= answer.status < 300:
        return None
    text = answer.headers.get("upload-offset", "")
    return int(text) if text.isdecimal() else None


def _request(presigned: Presigned, attachment: Attachment, offset: int) -> Request:
    """PUT of the whole file, or PATCH of what is missing. The address itself is the proof: no token goes with it."""
    part = FilePart(attachment.path, offset, attachment.size_bytes)
    headers = dict(presigned.headers)
    if offset:
        headers |= {"upload-offset": str(offset), "upload-complete": "?1"}
    return Request(
        method="PATCH" if offset else presigned.method,
        target=presigned.upload_url,
        headers={**headers, "content-length": str(attachment.size_bytes - offset)},
        body=part,
        seconds_max=REQUEST_SECONDS_MAX + attachment.size_bytes / UPLOAD_BYTES_PER_SECOND_MIN,
    )
