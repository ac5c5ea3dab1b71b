"""Submissions: as a table and on a map, one with its photos, and what the office thinks of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any, Final
from urllib.parse import urlencode, urlsplit
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.di import Provide
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter
from litestar.response import Stream

from homing.apps.fieldwork import filters
from homing.apps.fieldwork.exports import Exported
from homing.apps.fieldwork.routes import submissions as api
from homing.apps.fieldwork.routes.forms import get_forms, get_version
from homing.console.apps import answered, needed
from homing.console.flash import good
from homing.console.forms import Form
from homing.console.kept import Kept
from homing.console.shell import Asked, Html, render, see_other
from homing.engine.caller import Caller, Claims
from homing.postgres.sql import fetch_all, load
from homing.protocol.errors import Problem
from homing.server.listing import find_places
from homing.server.pages import LIMIT_DEFAULT, LIMIT_MAX, After, Limit, Page, page_of, read_cursor
from homing.server.routes import media
from homing.server.routing import OFFICE
from homing.server.tenant import Tenant
from homing.server.writing import update

STATES = ("pending", "approved", "rejected")
IMAGES = ("image/jpeg", "image/png", "image/webp", "image/gif", "image/avif")
_NAMES = (("review_notes", "notes"),)
PATH = "/console/submissions"
OfForm = Annotated[str | None, QueryParameter(name="form", max_length=200, description="A form's id or its code.")]
"""Not called ``form`` in Python: that is what a page was sent."""


@dataclass(frozen=True, slots=True)
class Given:
    """What the list, the map and the exports are narrowed by, as it was asked for."""

    form: str | None = None
    status: filters.Status | None = None
    device: str | None = None
    bbox: str | None = None


def provide_given(
    of_form: OfForm = None,
    status: filters.Status | None = None,
    device: api.Device = None,
    bbox: api.Box = None,
) -> Given:
    """The same four parameters for each of them."""
    return Given(of_form, status, device, bbox)


FILTERED: Final = {"given": Provide(provide_given, sync_to_thread=False)}


@get("/submissions", roles=OFFICE, dependencies=FILTERED)
async def get_submissions(
    *,
    request: Asked,
    tenant: Tenant,
    caller: Caller,
    given: Given,
    limit: Limit = LIMIT_DEFAULT,
    after: After = None,
) -> Html:
    """Submissions, the newest first."""
    asked = asdict(given)
    return render(
        request,
        "submissions.html",
        title="Submissions",
        page=await _page(tenant, caller, given, limit=limit, after=after),
        given=asked,
        after=after,
        forms=await _forms(tenant, caller),
        states=STATES,
        exports=urlencode({name: text for name, text in asked.items() if text}),
    )


@get("/submissions/map", roles=OFFICE, dependencies=FILTERED)
async def get_map(request: Asked, tenant: Tenant, caller: Caller, given: Given) -> Html:
    """The newest submissions that have a place, on a map."""
    page = await _page(tenant, caller, given, limit=LIMIT_MAX)
    points = [
        {"lat": each.lat, "lon": each.lon, "label": f"{each.form}, {each.author or '?'}", "href": f"{PATH}/{each.id}",
         "tone": each.status}
        for each in page.items
        if each.lat is not None
    ]  # fmt: skip
    tiles = tenant.settings.map_tiles
    return render(
        request,
        "submissions_map.html",
        title="Submissions on a map",
        crumbs=[("Submissions", PATH)],
        page=page,
        points=points,
        tiles=tiles,
        images=[_origin(tiles)] if tiles else [],
        given=asdict(given),
        forms=await _forms(tenant, caller),
        states=STATES,
    )


@get("/submissions/{submission_id:uuid}", roles=OFFICE)
async def get_submission(request: Asked, tenant: Tenant, caller: Caller, submission_id: UUID) -> Html:
    """One submission: what was sent, by its form's own version, and its photos."""
    return await _one(request, tenant, caller, submission_id)


@post("/submissions/{submission_id:uuid}/review", roles=OFFICE, status_code=303)
async def post_review(
    request: Asked, tenant: Tenant, caller: Caller, claims: Claims, submission_id: UUID, form: Form
) -> Html:
    """Approve or reject it; then the next one that waits."""
    needed(tenant, "fieldwork")
    try:
        verdict = _verdict(form)
        columns = {"status": verdict.status, "review_notes": verdict.notes}
        await update(tenant.engine, claims, "fieldwork.submission", submission_id, columns)
    except Problem as problem:
        if problem.code.code == "not_found":
            raise
        return await _one(
            request, tenant, caller, submission_id, Kept(form, problem, names=(("review_notes", "notes"),))
        )
    tenant.live.written()
    waiting = await _page(tenant, caller, Given(status="pending"), limit=1)
    there = f"{PATH}/{waiting.items[0].id}" if waiting.items else PATH
    return see_other(
        there, good(f"It is {verdict.status}. " + ("This one waits too." if waiting.items else "No more wait."))
    )


@get("/submissions/export.csv", roles=OFFICE, answers=("text/csv",), dependencies=FILTERED)
async def get_csv(tenant: Tenant, caller: Caller, given: Given) -> Stream:
    """What the same filters list, as CSV."""
    return await _export(api.export_csv, tenant, caller, given)


@get("/submissions/export.geojson", roles=OFFICE, answers=("application/geo+json",), dependencies=FILTERED)
async def get_geojson(tenant: Tenant, caller: Caller, given: Given) -> Stream:
    """What the same filters list, as GeoJSON."""
    return await _export(api.export_geojson, tenant, caller, given)


ROUTES = [get_submissions, get_map, get_submission, post_review, get_csv, get_geojson]


async def _export(route: HTTPRouteHandler, tenant: Tenant, caller: Caller, given: Given) -> Stream:
    needed(tenant, "fieldwork")
    found: Stream = await route.fn(tenant=tenant, caller=caller, **asdict(given))
    return found


async def _page(
    tenant: Tenant, caller: Caller, given: Given, *, limit: int, after: str | None = None
) -> Page[Exported]:
    """A page of ``Exported``: with the names that people know, in two statements."""
    needed(tenant, "fieldwork")
    query = filters.submissions(caller, **asdict(given))
    async with tenant.database.connection() as conn:
        places = await find_places(conn, query, after=read_cursor(after, tuple[str, UUID]), limit=limit + 1)
        page = page_of(places, limit=limit, place=lambda place: place)
        ids = [row_id for _, row_id in page.items]
        rows = await fetch_all(conn, load(api.PACKAGE, "export_submissions"), {"ids": ids}) if ids else []
    return Page([Exported(*row) for row in rows], page.next)


async def _forms(tenant: Tenant, caller: Caller) -> list[tuple[str, str]]:
    """(code, name) of the newest forms, for filters."""
    page = answered(await get_forms.fn(tenant=tenant, caller=caller, limit=LIMIT_MAX))
    return [(each["code"], each["name"]) for each in page["items"]]


async def _one(
    request: Asked,
    tenant: Tenant,
    caller: Caller,
    submission_id: UUID,
    kept: Kept | None = None,
) -> Html:
    needed(tenant, "fieldwork")
    row = answered(await api.get_submission.fn(tenant=tenant, caller=caller, submission_id=submission_id))
    form, version = row["form_id"], row["form_version"]
    schema = answered(await get_version.fn(tenant=tenant, caller=caller, form=form, version=version))["schema"]
    async with tenant.database.connection() as conn:
        (named,) = await fetch_all(conn, load(api.PACKAGE, "export_submissions"), {"ids": [submission_id]})
    photos = []
    for each in row["media"]:
        if each["content_type"] in IMAGES:
            found = await media.fetch.fn(
                request=request, tenant=tenant, caller=caller, media_id=UUID(each["id"]), variant="medium"
            )
            photos.append((each, found.url))
    return render(
        request,
        "submission.html",
        title=f"Submission {row['id'][:8]}",
        crumbs=[("Submissions", PATH)],
        kept=kept,
        row=row,
        named=Exported(*named),
        answers=_answers(schema, row["data"]),
        photos=photos,
        others=[each for each in row["media"] if each["content_type"] not in IMAGES],
        images=sorted({_origin(url) for _, url in photos}),
        notes=row["review_notes"] or "",
    )


def _verdict(form: Form) -> api.Review:
    try:
        return msgspec.convert({"status": form.text("status"), "notes": form.maybe("notes")}, api.Review)
    except msgspec.ValidationError as error:
        raise Problem("invalid_parameter", str(error)) from None


def _answers(schema: dict[str, Any], given: dict[str, Any]) -> list[tuple[str, Any]]:
    """(title, value) in the form's order; what the form does not name comes last."""
    properties = schema.get("properties", {})
    known = [(name, each) for name, each in properties.items() if name in given]
    titles = {name: str(each.get("title", name)) if isinstance(each, dict) else name for name, each in known}
    rest = [name for name in given if name not in titles]
    return [(titles.get(name, name), given[name]) for name in [*titles, *rest]]


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
