"""Enrolment: a token with its QR code on the screen, who took it, printed sheets, cancelling."""

from __future__ import annotations

from base64 import b64encode
from datetime import datetime
from uuid import UUID

import msgspec
from litestar import Response, get, post

from homing.accounts import enrolment, enrolment_qr, enrolment_sheet
from homing.accounts.enrolment import PEOPLE_MAX, NewEnrollment, Person
from homing.accounts.enrolment_sheet import Card
from homing.console.flash import bad, good
from homing.console.forms import Form
from homing.console.kept import Kept
from homing.console.shell import Asked, Html, headers, render, see_other
from homing.engine.caller import Caller
from homing.protocol.enrolment import grouped
from homing.protocol.errors import Problem
from homing.server.pages import LIMIT_DEFAULT, After, Limit, page_of, read_cursor
from homing.server.routes.enrollments import Which, invitation_of, make
from homing.server.routing import OFFICE
from homing.server.tenant import Tenant

STATES = ("pending", "used", "expired", "cancelled")
MINUTES = (("10", "10 minutes"), ("60", "1 hour"), ("480", "8 hours"), ("1440", "1 day"))
_OF_SHEET = (("role", "sheet_role"), ("username", "usernames"), ("already_exists", "usernames"))
"""Which field of the sheet's form a refusal is about."""
_CRUMBS = [("Enrolment", "/console/enrolments")]


@get("/enrolments", roles=OFFICE)
async def get_enrolments(
    *, request: Asked, tenant: Tenant, which: Which = None, limit: Limit = LIMIT_DEFAULT, after: After = None
) -> Html:
    """Everybody's tokens, the newest first."""
    found = await enrolment.read_page(
        tenant.database,
        after=read_cursor(after, tuple[datetime, UUID]),
        limit=limit + 1,
        created_by=None,
        state=which,
    )
    address = "/console/enrolments"
    return render(
        request,
        "enrolments.html",
        title="Enrolment",
        page=page_of(found, limit=limit, place=lambda each: (each.created_at, each.id)),
        tabs=[("All", address, None), *((each.title(), f"{address}?state={each}", None) for each in STATES)],
        current=f"{address}?state={which}" if which else address,
        given={"state": which},
        after=after,
    )


@get("/enrolments/new", roles=OFFICE)
async def get_new(request: Asked, tenant: Tenant) -> Html:
    """For one phone, or for many people."""
    return _new(request, tenant)


@post("/enrolments/new", roles=OFFICE, status_code=200)
async def post_new(request: Asked, tenant: Tenant, caller: Caller, form: Form) -> Html:
    """Make a token and show its QR code: now, and never again."""
    try:
        person = _checked({"username": form.maybe("username"), "role": form.maybe("role") or ""})
        made = (await make(tenant, caller, [person], _seconds(form)))[0]
    except Problem as problem:
        return _new(request, tenant, Kept(form, problem, names=(("already_exists", "username"),)))
    invitation = invitation_of(tenant, request, made.token)
    return render(
        request,
        "enrolment_made.html",
        title="Scan this code",
        crumbs=_CRUMBS,
        enrolment=await enrolment.read_one(tenant.database, made.id),
        qr="data:image/svg+xml;base64," + b64encode(enrolment_qr.svg_file(invitation)).decode(),
        code=grouped(made.token.secret or ""),
        url=invitation.url,
        link=invitation.link(),
        fingerprint=invitation.fingerprint,
    )


@post("/enrolments/sheet", roles=OFFICE, status_code=200)
async def post_sheet(request: Asked, tenant: Tenant, caller: Caller, form: Form) -> Html:
    """Tokens for many people, as a page to print and cut up."""
    names = [line.strip() for line in (form.raw("usernames") or "").splitlines() if line.strip()]
    try:
        if not 1 <= len(names) <= PEOPLE_MAX:
            raise Problem("invalid_parameter", f"usernames: one a line, at most {PEOPLE_MAX}.")
        people = [_checked({"username": name, "role": form.maybe("sheet_role") or ""}) for name in names]
        made = await make(tenant, caller, people, _seconds(form))
    except Problem as problem:
        return _new(request, tenant, Kept(form, problem, names=_OF_SHEET))
    cards = [
        Card(each.username, each.role, each.expires_at, invitation_of(tenant, request, each.token)) for each in made
    ]
    sheet = enrolment_sheet.html(cards, title=form.maybe("title") or f"Enrolment, {tenant.name}")
    policy = {**headers(), "content-security-policy": enrolment_sheet.policy()}
    return Response(sheet, media_type="text/html", headers=policy)


@get("/enrolments/{enrolment_id:uuid}", roles=OFFICE)
async def get_enrolment(request: Asked, tenant: Tenant, enrolment_id: UUID) -> Html:
    """One token: who made it, for whom, and what became of it."""
    found = await enrolment.read_one(tenant.database, enrolment_id)
    return render(request, "enrolment.html", title="Enrolment", crumbs=_CRUMBS, enrolment=found)


@get("/enrolments/{enrolment_id:uuid}/live", roles=OFFICE)
async def get_live_enrolment(request: Asked, tenant: Tenant, enrolment_id: UUID) -> Html:
    """What became of it, asked again while somebody watches the phone."""
    found = await enrolment.read_one(tenant.database, enrolment_id)
    return render(request, "enrolment.html", title="Enrolment", fragment="live", enrolment=found)


@post("/enrolments/{enrolment_id:uuid}/cancel", roles=OFFICE)
async def post_cancel(tenant: Tenant, caller: Caller, enrolment_id: UUID) -> Html:
    """The token is dead from now on."""
    address = f"/console/enrolments/{enrolment_id}"
    try:
        await enrolment.cancel(tenant.database, enrolment_id, by=caller)
    except Problem as problem:
        if problem.code.code == "not_found":
            raise
        return see_other(address, bad(problem.detail))
    return see_other(address, good("The token is cancelled."))


ROUTES = [get_enrolments, get_new, post_new, post_sheet, get_enrolment, get_live_enrolment, post_cancel]


def _new(request: Asked, tenant: Tenant, kept: Kept | None = None) -> Html:
    return render(
        request,
        "enrolment_new.html",
        title="Enrol phones",
        crumbs=_CRUMBS,
        kept=kept,
        roles=sorted(tenant.roles),
        minutes=MINUTES,
        usual=str(tenant.settings.enrolment_seconds // 60),
    )


def _checked(given: dict[str, str | None]) -> Person:
    try:
        return msgspec.convert(given, NewEnrollment)
    except msgspec.ValidationError as error:
        raise Problem("invalid_envelope", str(error)) from None


def _seconds(form: Form) -> int | None:
    chosen = form.maybe("minutes")
    if chosen is not None and chosen not in dict(MINUTES):
        raise Problem("invalid_parameter", "minutes: choose one of those that are offered.")
    return None if chosen is None else int(chosen) * 60
