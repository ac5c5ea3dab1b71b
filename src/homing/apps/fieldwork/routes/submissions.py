"""The routes of submissions: find, read, send, correct, review, export."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Request, get, patch, post
from litestar.params import QueryParameter
from litestar.response import Stream

from homing.apps.fieldwork import exports, filters
from homing.apps.fieldwork.exports import Exported
from homing.apps.fieldwork.filters import Status
from homing.apps.fieldwork.names import named_form
from homing.engine.caller import Caller, Claims
from homing.engine.tables import BoundTable
from homing.postgres.sql import Connection, fetch_all, load
from homing.server.answers import RawJson
from homing.server.bodies import read
from homing.server.listing import Place, Query, find_places, list_rows
from homing.server.pages import LIMIT_DEFAULT, After, Limit, Page
from homing.server.routing import OFFICE, SIGNED_IN
from homing.server.rows import read_row, read_rows, with_member
from homing.server.tenant import Tenant
from homing.server.writing import Columns, create, update

Asked = Request[Any, Any, Any]
Row = dict[str, Any]
PACKAGE = "homing.apps.fieldwork"

EXPORT_ROWS = 500
"""Submissions read at a time for an export. Between two reads no connection is held: a slow reader costs nothing."""

GEOJSON = "application/geo+json"
CSV = "text/csv"

Form = Annotated[str | None, QueryParameter(max_length=200, description="A form's id or its code.")]
Device = Annotated[str | None, QueryParameter(max_length=255, description="A device's id or its own identifier.")]
Since = Annotated[str | None, QueryParameter(name="from", max_length=40, description="Made at this time or later.")]
Until = Annotated[str | None, QueryParameter(name="to", max_length=40, description="Made before this time.")]
Box = Annotated[
    str | None, QueryParameter(max_length=200, description="west,south,east,north in degrees; may cross the date line.")
]
Of = Annotated[str | None, QueryParameter(max_length=40)]


class Review(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """``POST /submissions/{id}/review``. The verdict and the notes travel back to the device."""

    status: Literal["approved", "rejected"]
    notes: Annotated[str, msgspec.Meta(max_length=10_000)] | None = None


@get("/submissions", roles=SIGNED_IN, answer=Page[Row])
async def get_submissions(
    *,
    tenant: Tenant,
    caller: Caller,
    form: Form = None,
    device: Device = None,
    status: Status | None = None,
    team: Of = None,
    author: Of = None,
    since: Since = None,
    until: Until = None,
    bbox: Box = None,
    limit: Limit = LIMIT_DEFAULT,
    after: After = None,
) -> RawJson:
    """Submissions, newest first: all for the office, their teams' and their own for everybody else."""
    query = filters.submissions(
        caller, form=form, device=device, status=status, team=team, author=author, since=since, until=until, bbox=bbox
    )
    async with tenant.database.connection() as conn:
        page = await list_rows(conn, query, table=_table(tenant), after=after, limit=limit)
    return RawJson(msgspec.json.encode(page))


@get("/submissions/{submission_id:uuid}", roles=SIGNED_IN, answer=Row)
async def get_submission(tenant: Tenant, caller: Caller, submission_id: UUID) -> RawJson:
    """One submission, with its media."""
    return await _submission(tenant, caller, submission_id)


@post("/submissions", roles=SIGNED_IN, body=Row, answer=Row)
async def post_submission(request: Asked, tenant: Tenant, caller: Caller, claims: Claims) -> RawJson:
    """Send a submission from the web, by the rules of a push. ``form_id`` is a form's id or its code."""
    made = await create(tenant.engine, claims, "fieldwork.submission", await read(request, Columns))
    return await _submission(tenant, caller, made, status=201)


@patch("/submissions/{submission_id:uuid}", roles=SIGNED_IN, body=Row, answer=Row)
async def patch_submission(
    request: Asked, tenant: Tenant, caller: Caller, claims: Claims, submission_id: UUID
) -> RawJson:
    """Correct a submission, by the rules of a push. With ``server_version``, 409 where others changed the same."""
    await update(tenant.engine, claims, "fieldwork.submission", submission_id, await read(request, Columns))
    return await _submission(tenant, caller, submission_id)


@post("/submissions/{submission_id:uuid}/review", status_code=200, roles=OFFICE, body=Review, answer=Row)
async def review_submission(
    request: Asked, tenant: Tenant, caller: Caller, claims: Claims, submission_id: UUID
) -> RawJson:
    """Approve or reject a submission, with notes for the person in the field."""
    review = await read(request, Review)
    verdict = {"status": review.status, "review_notes": review.notes}
    await update(tenant.engine, claims, "fieldwork.submission", submission_id, verdict)
    return await _submission(tenant, caller, submission_id)


@get("/submissions/export.geojson", roles=SIGNED_IN, answers=[GEOJSON])
async def export_geojson(
    *,
    tenant: Tenant,
    caller: Caller,
    form: Form = None,
    device: Device = None,
    status: Status | None = None,
    team: Of = None,
    author: Of = None,
    since: Since = None,
    until: Until = None,
    bbox: Box = None,
) -> Stream:
    """The submissions that the same filters list, as a GeoJSON FeatureCollection."""
    query = filters.submissions(
        caller, form=form, device=device, status=status, team=team, author=author, since=since, until=until, bbox=bbox
    )

    async def pieces() -> AsyncIterator[str]:
        yield exports.geojson_head()
        first = True
        async for rows in _exported(tenant, query):
            yield exports.geojson_features(rows, first=first)
            first = False
        yield exports.geojson_tail()

    return _download(pieces(), GEOJSON, "submissions.geojson")


@get("/submissions/export.csv", roles=SIGNED_IN, answers=[CSV])
async def export_csv(
    *,
    tenant: Tenant,
    caller: Caller,
    form: Form = None,
    device: Device = None,
    status: Status | None = None,
    team: Of = None,
    author: Of = None,
    since: Since = None,
    until: Until = None,
    bbox: Box = None,
) -> Stream:
    """The submissions that the same filters list, as CSV: with a ``form``, one column for each of its fields."""
    query = filters.submissions(
        caller, form=form, device=device, status=status, team=team, author=author, since=since, until=until, bbox=bbox
    )
    fields: list[str] = []
    if form is not None:
        async with tenant.database.connection() as conn:
            fields = [name for (name,) in await fetch_all(conn, load(PACKAGE, "read_form_fields"), named_form(form))]

    async def pieces() -> AsyncIterator[str]:
        yield exports.csv_header(fields)
        async for rows in _exported(tenant, query):
            yield exports.csv_lines(rows, fields)

    return _download(pieces(), CSV, "submissions.csv")


ROUTES = (
    get_submissions,
    get_submission,
    post_submission,
    patch_submission,
    review_submission,
    export_geojson,
    export_csv,
)


def _table(tenant: Tenant) -> BoundTable:
    return tenant.engine.bound.by_resource_type["fieldwork.submission"]


async def _submission(tenant: Tenant, caller: Caller, submission_id: UUID, *, status: int = 200) -> RawJson:
    async with tenant.database.connection() as conn:
        row = await read_row(conn, _table(tenant), caller, submission_id)
        row = with_member(row, "media", await _media(conn, tenant, submission_id))
    return RawJson(bytes(row), status=status)


async def _media(conn: Connection, tenant: Tenant, submission_id: UUID) -> list[msgspec.Raw]:
    found = await fetch_all(conn, load(PACKAGE, "list_media"), {"submission": submission_id})
    ids = [row_id for (row_id,) in found]
    rows = await read_rows(conn, tenant.engine.bound.by_resource_type["fieldwork.submission_media"], ids)
    return [rows[row_id] for row_id in ids if row_id in rows]


async def _exported(tenant: Tenant, query: Query) -> AsyncIterator[Sequence[Exported]]:
    after: Place | None = None
    while True:
        async with tenant.database.connection() as conn:
            places = await find_places(conn, query, after=after, limit=EXPORT_ROWS)
            ids = [row_id for _, row_id in places]
            rows = await fetch_all(conn, load(PACKAGE, "export_submissions"), {"ids": ids}) if ids else []
        yield [Exported(*row) for row in rows]
        if len(places) < EXPORT_ROWS:
            return
        after = places[-1]


def _download(pieces: AsyncIterator[str], media_type: str, filename: str) -> Stream:
    return Stream(
        pieces,
        media_type=media_type,
        headers={"Content-Disposition": f'attachment; filename="{filename}"', "Cache-Control": "no-store"},
    )
