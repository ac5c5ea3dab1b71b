"""Enrolment: the office makes tokens and watches over them; a phone looks at one, and takes it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.params import QueryParameter
from msgspec import Meta

from homing.accounts import devices, enrolment, enrolment_complete, enrolment_qr, enrolment_sheet
from homing.accounts.devices import Device
from homing.accounts.enrolment import PEOPLE_MAX, Enrollment, Made, NewEnrollment, Person, Seconds, State
from homing.accounts.enrolment_complete import CompleteEnrollment
from homing.accounts.enrolment_sheet import Card
from homing.accounts.rates import ENROLMENT, Taken
from homing.engine.caller import Caller
from homing.protocol.enrolment import Invitation, NotACodeError, Token, grouped, read_secret, read_token
from homing.protocol.errors import Problem
from homing.server.bodies import read
from homing.server.limiting import address_of
from homing.server.pages import LIMIT_DEFAULT, After, Limit, Page, page_of, read_cursor
from homing.server.routes.auth import Tokens, tokens_of
from homing.server.routing import OFFICE, PUBLIC
from homing.server.tenant import Tenant

Asked = Request[Any, Any, Any]

DETAILS = "homing-enrolment"
"""The ``typ`` of what the server signs to show a phone that it is the one in the QR code."""

Ticket = Annotated[str, QueryParameter(max_length=2000, description="From the answer that made the token.")]
Nonce = Annotated[
    str | None, QueryParameter(min_length=1, max_length=200, description="Random: found again in `proof`.")
]
Which = Annotated[State | None, QueryParameter(name="state", description="Only tokens in this state.")]


class CreatedEnrollment(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that shows the secret, once. ``token`` is both halves; ``url`` and ``handle`` hold nothing secret.

    ``qr_svg`` is the picture itself. The addresses of the pictures answer its maker, for five minutes.
    """

    id: UUID
    token: str
    handle: UUID
    secret: str
    manual_code: str
    tenant: str
    role: str
    username: str | None
    expires_at: datetime
    url: str
    deep_link: str
    qr_svg: str
    qr_svg_url: str
    qr_png_url: str
    fingerprint: str


class EnrollmentDetails(msgspec.Struct, frozen=True, kw_only=True):
    """``server_key`` is a JWK; its thumbprint is in the QR code. ``proof``: a JWS by it, where a nonce was given."""

    token: UUID
    tenant: str
    created_by: UUID
    created_by_username: str
    created_by_name: str
    role: str
    username: str | None
    expires_at: datetime
    fingerprint: str
    server_key: Mapping[str, str]
    proof: str | None


class EnrolledDevice(Tokens, frozen=True, kw_only=True):
    """As after signing in, with the device and the tenant."""

    device: Device
    tenant: str


class NewSheet(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """``POST /enrollments/sheet``. ``title`` stands at the head of the paper."""

    people: Annotated[list[Person], Meta(min_length=1, max_length=PEOPLE_MAX)]
    expires_in: Seconds | None = None
    title: Annotated[str, Meta(min_length=1, max_length=100)] | None = None


@post("/enrollments", roles=OFFICE, body=NewEnrollment)
async def post_enrollment(request: Asked, tenant: Tenant, caller: Caller) -> CreatedEnrollment:
    """Make a token for one phone."""
    given = await read(request, NewEnrollment)
    made = (await make(tenant, caller, [given], given.expires_in))[0]
    invitation = invitation_of(tenant, request, made.token)
    assert made.token.secret is not None
    ticket = enrolment_qr.write_ticket(tenant.keys.access, made.token, maker=caller.user_id, now=tenant.clock())
    address = f"{invitation.url}/api/v1/enrollments/{made.id}"
    return CreatedEnrollment(
        id=made.id,
        token=str(made.token),
        handle=made.id,
        secret=made.token.secret,
        manual_code=grouped(made.token.secret),
        tenant=tenant.name,
        role=made.role,
        username=made.username,
        expires_at=made.expires_at,
        url=address,
        deep_link=invitation.link(),
        qr_svg=enrolment_qr.svg(invitation),
        qr_svg_url=f"{address}/qr.svg?ticket={ticket}",
        qr_png_url=f"{address}/qr.png?ticket={ticket}",
        fingerprint=invitation.fingerprint,
    )


@post("/enrollments/sheet", status_code=201, roles=OFFICE, body=NewSheet, answers=("text/html",))
async def post_sheet(request: Asked, tenant: Tenant, caller: Caller) -> Response[bytes]:
    """Make tokens for many people, as a page to print and cut up."""
    given = await read(request, NewSheet)
    made = await make(tenant, caller, given.people, given.expires_in)
    cards = [
        Card(each.username, each.role, each.expires_at, invitation_of(tenant, request, each.token)) for each in made
    ]
    page = enrolment_sheet.html(cards, title=given.title or f"Enrolment, {tenant.name}")
    headers = {"content-security-policy": enrolment_sheet.policy()}
    return Response(page.encode(), media_type="text/html", headers=headers)


@get("/enrollments", roles=OFFICE)
async def get_enrollments(
    *,
    tenant: Tenant,
    caller: Caller,
    created_by: UUID | None = None,
    which: Which = None,
    limit: Limit = LIMIT_DEFAULT,
    after: After = None,
) -> Page[Enrollment]:
    """The caller's own tokens, or somebody else's, the newest first."""
    found = await enrolment.read_page(
        tenant.database,
        after=read_cursor(after, tuple[datetime, UUID]),
        limit=limit + 1,
        created_by=created_by or caller.user_id,
        state=which,
    )
    return page_of(found, limit=limit, place=lambda each: (each.created_at, each.id))


@delete("/enrollments/{token:str}", roles=OFFICE)
async def delete_enrollment(tenant: Tenant, caller: Caller, token: str) -> None:
    """Cancel a token, by its id."""
    await enrolment.cancel(tenant.database, _id(token), by=caller)


@get("/enrollments/{token:str}", roles=PUBLIC)
async def get_enrollment(request: Asked, tenant: Tenant, token: str, nonce: Nonce = None) -> EnrollmentDetails:
    """What a token is for, before it is accepted. One answer for all that do not work."""
    taken = await _count(tenant, request)
    found = await enrolment.read_details(tenant.database, _token(token))
    if found is None or found.server_key not in tenant.keys.identities:
        raise Problem("enrollment_gone")
    tenant.rates.give_back(taken)
    identity = tenant.keys.identities[found.server_key]
    said = {"nonce": nonce, "token": str(found.token), "tenant": tenant.name}
    return EnrollmentDetails(
        token=found.token,
        tenant=tenant.name,
        created_by=found.created_by,
        created_by_username=found.created_by_username,
        created_by_name=found.created_by_name,
        role=found.role,
        username=found.username,
        expires_at=found.expires_at,
        fingerprint=found.server_key,
        server_key=identity.public,
        proof=None if nonce is None else identity.sign(DETAILS, said),
    )


@post(
    "/enrollments/{token:str}/complete", status_code=201, roles=PUBLIC, body=CompleteEnrollment, answer=EnrolledDevice
)
async def post_complete(request: Asked, tenant: Tenant, token: str) -> Response[bytes]:
    """Take a token: user, device and session. Of any number of devices at once exactly one gets them.

    201 the first time; 200 when the same device is given a lost answer again.
    """
    given = await read(request, CompleteEnrollment)
    taken = await _count(tenant, request)
    asked = _token(token)
    if asked.secret is None and given.secret is not None:
        asked = Token(asked.handle, _secret(given.secret))
    async with tenant.database.connection() as conn:
        handle = await enrolment.find_handle(conn, asked) if asked.secret is not None else None
    if handle is None:
        raise Problem("enrollment_gone")
    tenant.rates.give_back(taken)  # whoever knows the secret is no guesser, also when somebody else was first
    enrolled = await enrolment_complete.complete(
        tenant.database,
        tenant.keys,
        Token(handle, asked.secret),
        given,
        tenant=tenant.name,
        now=tenant.clock(),
        days_max=tenant.settings.session_days_max,
    )
    if enrolled is None:
        raise Problem("enrollment_gone")
    tokens = await tokens_of(tenant, enrolled.session)
    async with tenant.database.connection() as conn:
        device = await devices.read(conn, enrolled.device_id)
    answer = EnrolledDevice(
        access_token=tokens.access_token,
        expires_in=tokens.expires_in,
        refresh_token=tokens.refresh_token,
        user=tokens.user,
        device=device,
        tenant=tenant.name,
    )
    return Response(
        msgspec.json.encode(answer), media_type="application/json", status_code=200 if enrolled.again else 201
    )


@get("/enrollments/{token:str}/qr.svg", roles=OFFICE, answers=("image/svg+xml",))
async def get_qr_svg(request: Asked, tenant: Tenant, caller: Caller, token: str, ticket: Ticket) -> Response[bytes]:
    """The QR code as SVG, for whoever made the token, for five minutes."""
    invitation = await _drawn(request, tenant, caller, token, ticket)
    return Response(enrolment_qr.svg_file(invitation), media_type="image/svg+xml")


@get("/enrollments/{token:str}/qr.png", roles=OFFICE, answers=("image/png",))
async def get_qr_png(request: Asked, tenant: Tenant, caller: Caller, token: str, ticket: Ticket) -> Response[bytes]:
    """The QR code as PNG, for whoever made the token, for five minutes."""
    invitation = await _drawn(request, tenant, caller, token, ticket)
    return Response(enrolment_qr.png(invitation), media_type="image/png")


async def make(tenant: Tenant, caller: Caller, people: list[Any], expires_in: int | None) -> list[Made]:
    """Tokens for ``people``, as the tenant is set. Raises Problem: invalid_envelope, already_exists, rate_limited."""
    return await enrolment.make(
        tenant.database,
        people,
        by=caller,
        seconds=expires_in or tenant.settings.enrolment_seconds,
        server_key=next(iter(tenant.keys.identities)),
        roles=tenant.roles,
        open_max=tenant.settings.limits.enrolments_open_max,
    )


async def _drawn(request: Asked, tenant: Tenant, caller: Caller, token: str, ticket: str) -> Invitation:
    """What to draw. Raises Problem: not_found, invalid_link, enrollment_gone."""
    enrollment_id = _id(token)
    found = enrolment_qr.read_ticket(
        tenant.keys.access, ticket, enrollment_id=enrollment_id, maker=caller.user_id, now=tenant.clock()
    )
    if found is None:
        raise Problem("invalid_link")
    if not await enrolment.is_pending(tenant.database, enrollment_id, created_by=caller.user_id):
        raise Problem("enrollment_gone")
    return invitation_of(tenant, request, found)


def invitation_of(tenant: Tenant, request: Asked, token: Token) -> Invitation:
    """What the QR code says."""
    url = (tenant.settings.base_url or str(request.base_url)).rstrip("/")
    return Invitation(url=url, tenant=tenant.name, token=token, fingerprint=next(iter(tenant.keys.identities)))


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Problem("not_found") from None


def _token(text: str) -> Token:
    """What stands in the address. What can be no token gets the answer of one that is unknown."""
    try:
        return read_token(text)
    except NotACodeError:
        raise Problem("enrollment_gone") from None


def _secret(text: str) -> str:
    try:
        return read_secret(text)
    except NotACodeError:
        raise Problem("enrollment_gone") from None


async def _count(tenant: Tenant, request: Asked) -> Taken:
    """To be given back if the token was no guess."""
    return await tenant.rates.take((ENROLMENT, address_of(request.scope)))


ROUTES = [
    post_enrollment,
    post_sheet,
    get_enrollments,
    delete_enrollment,
    get_enrollment,
    post_complete,
    get_qr_svg,
    get_qr_png,
]
