"""The routes of files. Who may upload and fetch is asked once; the addresses handed out then speak for themselves."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

import msgspec
from litestar import Request, Response, get, head, patch, post, put
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Stream

from homing.engine.caller import Caller
from homing.media import MediaOwner, upload
from homing.media.download import (
    Variant,
    VariantsAnswer,
    deliver,
    find_file,
    find_variant,
    list_variants,
    signed_download,
)
from homing.media.links import DOWNLOAD_PATH, UPLOAD_PATH, checked_key
from homing.media.presign import PresignAnswer, PresignRequest, presign
from homing.media.sniff import CHECKED_TYPES
from homing.media.upload import Arrival, CutOffError, Received
from homing.media.verify import complete
from homing.protocol.errors import Problem
from homing.server.bodies import read
from homing.server.routing import PUBLIC, SIGNED_IN, TENANT_PARAMETER
from homing.server.tenant import TENANT, Tenant

Asked = Request[Any, Any, Any]

UPLOADS = UPLOAD_PATH.removeprefix("/api/v1") + "/{key:path}"
DOWNLOADS = DOWNLOAD_PATH.removeprefix("/api/v1") + "/{key:path}"
FILES = sorted(CHECKED_TYPES | {"application/octet-stream", "application/json", "text/plain", "text/csv"})
"""What a client may insist on when it asks for a file. It gets the file's own type whatever it asked for."""


class CompleteRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    key: str


class CompleteAnswer(msgspec.Struct, kw_only=True):
    """``sha256`` in hex."""

    key: str
    filename: str
    content_type: str
    size_bytes: int
    sha256: str
    uploaded_at: datetime


class UploadAnswer(msgspec.Struct, kw_only=True):
    """How far an upload is: ``offset`` bytes have arrived. ``sha256`` in hex, of a complete file."""

    key: str
    offset: int
    complete: bool
    sha256: str | None


@post("/mobile/media/presign", status_code=200, roles=SIGNED_IN, body=PresignRequest)
async def presign_upload(request: Asked, tenant: Tenant, caller: Caller) -> PresignAnswer:
    """A place for a file that is about to come, and a short-lived address to PUT it to."""
    answer = await presign(
        tenant.database,
        tenant.store,
        secrets=_secrets(tenant),
        caller=caller,
        request=await read(request, PresignRequest),
        base_url=_base_url(tenant, request),
        begun_max=tenant.settings.limits.media_begun_max,
        keep_metadata=tenant.settings.media_keep_metadata,
        now=tenant.clock(),
    )
    answer.upload_url = _of_tenant(tenant, answer.upload_url)
    return answer


@post("/mobile/media/complete", status_code=200, roles=SIGNED_IN, body=CompleteRequest)
async def complete_upload(request: Asked, tenant: Tenant, caller: Caller) -> CompleteAnswer:
    """Check an upload now instead of when a submission names it: worth a call for large files in an object store."""
    body = await read(request, CompleteRequest)
    found = await complete(tenant.database, tenant.store, caller=caller, key=body.key)
    return CompleteAnswer(
        key=found.key,
        filename=found.filename,
        content_type=found.content_type,
        size_bytes=found.size_bytes,
        sha256=found.sha256.hex(),
        uploaded_at=found.uploaded_at,
    )


@get("/mobile/media/{media_id:uuid}", roles=SIGNED_IN, answers=FILES)
async def fetch(
    request: Asked,
    tenant: Tenant,
    caller: Caller,
    media_id: FromPath[UUID],
    variant: FromQuery[Variant] = "original",
) -> Redirect:
    """Redirect to a short-lived address of the file; of an image, of its variant in a format that Accept names."""
    file = await find_file(tenant.database, _owners(tenant), caller=caller, media_id=media_id)
    file = await find_variant(
        tenant.database, file, caller=caller, variant=variant, accept=request.headers.get("Accept")
    )
    url = await signed_download(
        tenant.store, file, secrets=_secrets(tenant), base_url=_base_url(tenant, request), now=tenant.clock()
    )
    headers = {"Cache-Control": "no-store", "Vary": "Accept"}
    return Redirect(_of_tenant(tenant, url), status_code=307, headers=headers)


@get("/mobile/media/{media_id:uuid}/variants", roles=SIGNED_IN)
async def get_variants(tenant: Tenant, caller: Caller, media_id: FromPath[UUID]) -> VariantsAnswer:
    """Which variants of an image there are, or why there are none."""
    file = await find_file(tenant.database, _owners(tenant), caller=caller, media_id=media_id)
    return await list_variants(tenant.database, file)


@put(UPLOADS, status_code=200, roles=PUBLIC, any_query=True, answer=UploadAnswer)
async def put_upload(request: Asked, tenant: Tenant, key: FromPath[Path]) -> Response[UploadAnswer | None]:
    """The whole file; with ``Upload-Complete: ?0`` its beginning."""
    return await _receive(request, tenant, key, offset=None)


@patch(UPLOADS, status_code=200, roles=PUBLIC, any_query=True, answer=UploadAnswer)
async def patch_upload(request: Asked, tenant: Tenant, key: FromPath[Path]) -> Response[UploadAnswer | None]:
    """What follows from ``Upload-Offset`` on; with ``Upload-Complete: ?1`` the end."""
    offset = request.headers.get("Upload-Offset", "")
    if not re.fullmatch(r"\d{1,15}", offset):
        raise Problem("invalid_parameter", "Upload-Offset: the number of bytes that are there is needed.")
    return await _receive(request, tenant, key, offset=int(offset))


@head(UPLOADS, status_code=200, roles=PUBLIC, any_query=True)
async def head_upload(request: Asked, tenant: Tenant, key: FromPath[Path]) -> Response[None]:
    """How far the upload is."""
    found = await upload.progress(tenant.database, tenant.store, key=await _checked(UPLOAD_PATH, request, tenant, key))
    return Response(None, headers=_progress_headers(found.offset, complete=found.whole))


@get(DOWNLOADS, roles=PUBLIC, any_query=True, answers=FILES)
async def download(request: Asked, tenant: Tenant, key: FromPath[Path]) -> Stream:
    """The file, or one range of it, for whoever holds the address."""
    checked = await _checked(DOWNLOAD_PATH, request, tenant, key, extra=("filename", "content_type"))
    query = dict(_query(request))
    found = await deliver(
        tenant.store,
        key=checked,
        filename=query["filename"],
        content_type=query["content_type"],
        wanted=request.headers.get("Range"),
        if_range=request.headers.get("If-Range"),
    )
    return Stream(found.content, status_code=found.status, headers=found.headers, media_type=query["content_type"])


ROUTES = (presign_upload, complete_upload, fetch, get_variants, put_upload, patch_upload, head_upload, download)


async def _receive(request: Asked, tenant: Tenant, key: Path, *, offset: int | None) -> Response[UploadAnswer | None]:
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise Problem("unsupported_media_type", "A file is sent as it is, without Content-Encoding.")
    arrival = Arrival(
        key=await _checked(UPLOAD_PATH, request, tenant, key),
        offset=offset,
        complete=_read_complete(request.headers.get("Upload-Complete")),
        length=request.content_length,
        receive=request.receive,
        stall_seconds=tenant.settings.limits.media_stall_seconds_max,
    )
    try:
        found = await upload.receive(tenant.database, tenant.store, arrival)
    except CutOffError:
        return Response(None, status_code=408, headers={"Connection": "close"})
    return Response(_answer(found), headers=_progress_headers(found.offset, complete=found.complete))


def _answer(found: Received) -> UploadAnswer:
    return UploadAnswer(
        key=found.key,
        offset=found.offset,
        complete=found.complete,
        sha256=None if found.sha256 is None else found.sha256.hex(),
    )


def _progress_headers(offset: int, *, complete: bool) -> dict[str, str]:
    return {
        "Upload-Offset": str(offset),
        "Upload-Complete": "?1" if complete else "?0",
        "Cache-Control": "no-store",
    }


def _read_complete(header: str | None) -> bool | None:
    said: Mapping[str | None, bool | None] = {None: None, "?0": False, "?1": True}
    if header not in said:
        raise Problem("invalid_parameter", "Upload-Complete: ?0 or ?1 is possible.")
    return said[header]


async def _checked(path: str, request: Asked, tenant: Tenant, key: Path, *, extra: Sequence[str] = ()) -> str:
    def check() -> str:
        return checked_key(
            path, key.as_posix().lstrip("/"), _query(request), secrets=_secrets(tenant), now=tenant.clock(), extra=extra
        )

    try:
        return check()
    except Problem:
        # Perhaps another node made a key since this one read them.
        if not await tenant.renew_keys():
            raise
        return check()


def _of_tenant(tenant: Tenant, url: str) -> str:
    """An address of ours says whose it is, because whoever follows it sends no headers of ours. It is not signed: under
    another tenant's name the signature does not hold."""
    ours = tenant.name != TENANT and (UPLOAD_PATH in url or DOWNLOAD_PATH in url)
    return f"{url}&{TENANT_PARAMETER}={tenant.name}" if ours else url


def _query(request: Asked) -> list[tuple[str, str]]:
    found = parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
    return [(name, value) for name, value in found if name != TENANT_PARAMETER]


def _owners(tenant: Tenant) -> list[MediaOwner]:
    """Those of the tenant's applications that know files, each by its ``find_media``."""
    return [module.find_media for module in tenant.modules.values() if hasattr(module, "find_media")]


def _secrets(tenant: Tenant) -> list[bytes]:
    return list(tenant.keys.media.values())


def _base_url(tenant: Tenant, request: Asked) -> str:
    return tenant.settings.base_url or str(request.base_url)
