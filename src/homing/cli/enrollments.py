"""``homing enrollments``: tokens by which phones are enrolled."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Annotated
from uuid import UUID

import msgspec
from cyclopts import App, Parameter

from homing.accounts import enrolment, enrolment_qr, enrolment_sheet
from homing.accounts.enrolment import Enrollment, Made, Person, State
from homing.accounts.enrolment_sheet import Card
from homing.accounts.users import WORKER
from homing.cli._shell import HERE, Json, Limit, Where, acting, reported, run, show
from homing.protocol.enrolment import Invitation, grouped
from homing.protocol.errors import Problem
from homing.server.tenant import Tenant
from homing.settings import SettingsError

command = App(name="enrollments", help="Enrol phones: make tokens, list and cancel them, print a sheet.")

Url = Annotated[str | None, Parameter(help="Where phones reach the server. HOMING_BASE_URL.")]
ExpiresIn = Annotated[int | None, Parameter(help="Seconds; HOMING_ENROLMENT_SECONDS when not given.")]


class Created(msgspec.Struct):
    """Shown once: nobody can look up the secret again."""

    id: UUID
    token: str
    manual_code: str
    deep_link: str
    role: str
    username: str | None
    expires_at: str


@command.command
def create(
    where: Where = HERE,
    *,
    username: str | None = None,
    role: str = WORKER,
    expires_in: ExpiresIn = None,
    url: Url = None,
    png: Path | None = None,
    as_user: str | None = None,
    json: Json = False,
) -> None:
    """Make a token for one phone, and show it once.

    Parameters
    ----------
    username
        Whom it is for; whoever takes it chooses, when not given.
    role
        OWNER is the office, WORKER works in the field; applications may know more.
    png
        Write the QR code to this file.
    as_user
        The user of the office that makes it; the first one when not given.
    """

    async def work(tenant: Tenant) -> tuple[Made, Invitation]:
        server = _url(tenant, url)
        made = (await _make(tenant, [Person(username=username, role=role)], expires_in, as_user))[0]
        return made, _invitation(tenant, made, server)

    made, invitation = run(work, where)
    created = Created(
        made.id,
        str(made.token),
        grouped(made.token.secret or ""),
        invitation.link(),
        made.role,
        made.username,
        made.expires_at.isoformat(timespec="seconds"),
    )
    show(created, as_json=json)
    if png is not None:  # only now: a folder that is not there must not swallow the secret
        picture = enrolment_qr.png(invitation)
        reported(lambda: png.write_bytes(picture))


@command.command(name="list")
def list_(where: Where = HERE, *, state: State | None = None, limit: Limit = 100, json: Json = False) -> None:
    """List everybody's tokens, the newest first."""

    async def work(tenant: Tenant) -> list[Enrollment]:
        return await enrolment.read_page(tenant.database, after=None, limit=limit, created_by=None, state=state)

    columns = ("id", "created_by_username", "role", "username", "state", "expires_at", "device_id", "device_type")
    show(run(work, where), as_json=json, columns=columns)


@command.command
def cancel(enrollment: UUID, where: Where = HERE, *, as_user: str | None = None) -> None:
    """The token is dead from now on."""

    async def work(tenant: Tenant) -> None:
        async with acting(tenant, as_user) as caller:
            await enrolment.cancel(tenant.database, enrollment, by=caller)

    run(work, where)


@command.command
def sheet(
    names: Path,
    where: Where = HERE,
    *,
    expires_in: ExpiresIn = None,
    url: Url = None,
    title: str | None = None,
    as_user: str | None = None,
) -> None:
    """Make tokens for everybody in NAMES, and print a page of HTML with a card for each.

    Parameters
    ----------
    names
        A CSV file whose first line names its columns: username, and role where that is not WORKER.
    title
        The head of the page.
    as_user
        The user of the office that makes them; the first one when not given.
    """
    people = reported(lambda: _read(names))

    async def work(tenant: Tenant) -> str:
        server = _url(tenant, url)
        made = await _make(tenant, people, expires_in, as_user)
        cards = [Card(each.username, each.role, each.expires_at, _invitation(tenant, each, server)) for each in made]
        return enrolment_sheet.html(cards, title=title or f"Enrolment, {tenant.name}")

    sys.stdout.write(run(work, where))


async def _make(tenant: Tenant, people: list[Person], expires_in: int | None, as_user: str | None) -> list[Made]:
    seconds = tenant.settings.enrolment_seconds if expires_in is None else expires_in
    if not enrolment.SECONDS_MIN <= seconds <= enrolment.SECONDS_MAX:
        raise Problem("invalid_parameter", f"A token holds {enrolment.SECONDS_MIN} to {enrolment.SECONDS_MAX} seconds.")
    async with acting(tenant, as_user) as caller:
        return await enrolment.make(
            tenant.database,
            people,
            by=caller,
            seconds=seconds,
            server_key=next(iter(tenant.keys.identities)),
            roles=tenant.roles,
            open_max=tenant.settings.limits.enrolments_open_max,
        )


def _invitation(tenant: Tenant, made: Made, url: str) -> Invitation:
    return Invitation(url=url, tenant=tenant.name, token=made.token, fingerprint=next(iter(tenant.keys.identities)))


def _url(tenant: Tenant, given: str | None) -> str:
    """A phone cannot guess it, and neither can we: 127.0.0.1 on paper is of no use."""
    url = given or tenant.settings.base_url
    if url is None or not url.startswith(("https://", "http://")):
        raise SettingsError("say where phones reach the server: --url https://… or HOMING_BASE_URL")
    return url.rstrip("/")


def _read(names: Path) -> list[Person]:
    try:
        with names.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.DictReader(file)
            if "username" not in (lines.fieldnames or ()):
                raise Problem("invalid_parameter", f"{names}: the first line must name the column username.")
            people = [
                Person(username=line["username"].strip() or None, role=(line.get("role") or "").strip() or WORKER)
                for line in lines
            ]
    except (UnicodeDecodeError, csv.Error) as error:
        raise Problem("invalid_parameter", f"{names}: this is no CSV file in UTF-8: {error}") from error
    if not 0 < len(people) <= enrolment.PEOPLE_MAX:
        raise Problem("invalid_parameter", f"{names}: 1 to {enrolment.PEOPLE_MAX} people fit into one call.")
    return people
