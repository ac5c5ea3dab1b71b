"""``homing tenants``: a database for each tenant, on one server or many."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Annotated, TypeVar

import msgspec
from cyclopts import App, Parameter
from rich.console import Console
from rich.progress import Progress

from homing.cli._shell import Json, Server, reported, show
from homing.postgres.database import Database
from homing.protocol.errors import Problem
from homing.server import operate
from homing.server.node import open_control
from homing.server.operate import Dropped, Migrated, Moved
from homing.server.tenant import server_url
from homing.settings import Settings
from homing.tenants import control as controls
from homing.tenants.entry import UNLIMITED, Entry, Quotas, Status
from homing.tenants.quotas import Usage

T = TypeVar("T")

SERVER = Server()

Hosts = Annotated[
    list[str], Parameter(name="--host", negative="", help="A host name whose requests are this tenant's.")
]
QuotaList = Annotated[
    list[str],
    Parameter(
        name="--quota",
        negative="",
        help="NAME=NUMBER, of users, devices, rows, media_bytes, pushes_per_minute; without a number: no bound.",
    ),
]

command = App(name="tenants", help="A database for each tenant: create, migrate, suspend, drop and move them.")


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    status: Status
    hosts: tuple[str, ...]
    schema_version: str | None
    last_error: str | None


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """``used`` is None where the database could not be asked; ``problem`` then says why."""

    name: str
    status: Status
    reason: str | None
    database: str
    hosts: tuple[str, ...]
    schema_version: str | None
    migrated_at: datetime | None
    last_error: str | None
    quotas: Quotas
    used: Usage | None
    problem: str | None
    created_at: datetime
    updated_at: datetime


@command.command
def create(
    name: str,
    where: Server = SERVER,
    *,
    host: Hosts = [],  # noqa: B006 - cyclopts reads it and never changes it
    quota: QuotaList = [],  # noqa: B006
    at: Annotated[str | None, Parameter(help="Connection string of its own database, made if missing.")] = None,
    json: Json = False,
) -> None:
    """Create a tenant with a database of its own, and bring its schema up to date.

    Without ``--at`` the database is made on the server of the default tenant's. After a cut, the same command goes on.
    """
    limits = reported(lambda: _quotas(UNLIMITED, quota))

    async def work(settings: Settings, control: Database) -> Entry:
        return await operate.create(settings, control, name=name, database_url=at, hosts=host, limits=limits)

    show(_shown(_run(work, where), None, None), as_json=json)


@command.command(name="list")
def list_(where: Server = SERVER, *, dropped: bool = False, json: Json = False) -> None:
    """List tenants by name."""

    async def work(_: Settings, control: Database) -> list[Entry]:
        async with control.connection() as conn:
            return await controls.read_all(conn)

    found = [
        Listed(
            name=each.name,
            status=each.status,
            hosts=each.hosts,
            schema_version=each.schema_version,
            last_error=each.last_error,
        )
        for each in _run(work, where)
        if dropped or each.status != "dropped"
    ]
    show(found, as_json=json, columns=("name", "status", "hosts", "schema_version", "last_error"))


@command.command(name="show")
def show_(name: str, where: Server = SERVER, *, json: Json = False) -> None:
    """One tenant: where its database is, its hosts, its quotas and what it uses of them."""

    async def work(settings: Settings, control: Database) -> Shown:
        entry = await controls.read(control, name)
        try:
            return _shown(entry, await operate.usage(settings, entry), None)
        except Problem as problem:
            return _shown(entry, None, problem.detail)

    show(_run(work, where), as_json=json)


@command.command(name="set")
def set_(
    name: str,
    where: Server = SERVER,
    *,
    host: Hosts = [],  # noqa: B006
    quota: QuotaList = [],  # noqa: B006
    json: Json = False,
) -> None:
    """Change a tenant's hosts (all of them at once; ``--host ''`` takes them away) or some of its quotas."""
    if not host and not quota:
        reported(lambda: _refuse("Say what to change: --host or --quota."))

    async def work(_: Settings, control: Database) -> Entry:
        entry = await controls.read(control, name)
        if quota:
            await controls.set_quotas(control, name, _quotas(entry.quotas, quota))
        if host:
            await controls.set_hosts(control, name, [] if host == [""] else host)
        return await controls.read(control, name)

    show(_shown(_run(work, where), None, None), as_json=json)


@command.command
def migrate(
    name: str | None = None,
    where: Server = SERVER,
    *,
    every: Annotated[bool, Parameter(name="--all", negative="", help="All tenants but the default one.")] = False,
    at_once: Annotated[int, Parameter(help="Tenants that are migrated side by side.")] = 2,
    json: Json = False,
) -> None:
    """Bring one tenant or all of them up to date. One that fails stops no other; run it again when it is mended.

    Exits with 1 if any failed. The default tenant is migrated by ``homing migrate`` and by ``homing serve``.
    """
    if (name is None) is not every:
        reported(lambda: _refuse("Name one tenant, or say --all."))
    progress = Progress(console=Console(stderr=True), disable=json or not sys.stderr.isatty())

    async def work(settings: Settings, control: Database) -> list[Migrated]:
        async with control.connection() as conn:
            entries = [each for each in await controls.read_all(conn) if name in (None, each.name)]
        if name is not None and not any(each.status in operate.SERVED for each in entries):
            found = await controls.read(control, name)
            raise Problem("state_conflict", f"The tenant {name!r} is {found.status}.")
        with progress:
            task = progress.add_task("tenants", total=sum(each.status in operate.SERVED for each in entries))
            done = []
            async for each in operate.migrate(settings, control, entries, at_once=at_once):
                done.append(each)
                progress.advance(task)
        return sorted(done, key=lambda each: each.name)

    done = _run(work, where)
    show(done, as_json=json, columns=("name", "state", "version", "error"))
    if any(each.state == "failed" for each in done):
        raise SystemExit(1)


@command.command
def suspend(name: str, where: Server = SERVER, *, reason: str | None = None, json: Json = False) -> None:
    """Exchange nothing with the tenant until it is resumed. Nodes notice within seconds; nothing is lost."""

    async def work(_: Settings, control: Database) -> Entry:
        return await operate.suspend(control, name, reason=reason)

    show(_shown(_run(work, where), None, None), as_json=json)


@command.command
def resume(name: str, where: Server = SERVER, *, json: Json = False) -> None:
    """Serve a suspended tenant again; or one whose move was cut off, where it was."""

    async def work(settings: Settings, control: Database) -> Entry:
        return await operate.resume(settings, control, name)

    show(_shown(_run(work, where), None, None), as_json=json)


@command.command
def drop(
    name: str,
    where: Server = SERVER,
    *,
    keep_database: Annotated[bool, Parameter(negative="", help="Leave its database and files where they are.")] = False,
    yes: Annotated[bool, Parameter(negative="", help="Do not ask.")] = False,
    json: Json = False,
) -> None:
    """Remove a tenant, with its database and its folder of files."""
    if not yes:
        _confirm(f"Type the tenant's name to drop it{'' if keep_database else ' WITH ITS DATABASE'}: ", name)

    async def work(settings: Settings, control: Database) -> Dropped:
        return await operate.drop(settings, control, name, keep_database=keep_database)

    show(_run(work, where), as_json=json)


@command.command
def move(
    name: str,
    where: Server = SERVER,
    *,
    to: Annotated[str, Parameter(help="Connection string of an empty or missing database.")],
    json: Json = False,
) -> None:
    """Move a tenant's database to another server, or to another name. The old one stays, fenced; drop it by hand."""

    async def work(settings: Settings, control: Database) -> Moved:
        return await operate.move(settings, control, name, to=to)

    show(_run(work, where), as_json=json)


def _run(work: Callable[[Settings, Database], Awaitable[T]], where: Server) -> T:
    """Work with the control database. What is wrong is said in one sentence and exits with 1."""

    async def whole() -> T:
        settings = where.settings()
        async with server_url(settings) as url:
            settings = msgspec.structs.replace(settings, database_url=url)
            async with open_control(settings) as control:
                return await work(settings, control)

    return reported(lambda: asyncio.run(whole()))


def _shown(entry: Entry, used: Usage | None, problem: str | None) -> Shown:
    return Shown(
        name=entry.name,
        status=entry.status,
        reason=entry.reason,
        database=entry.place,
        hosts=entry.hosts,
        schema_version=entry.schema_version,
        migrated_at=entry.migrated_at,
        last_error=entry.last_error,
        quotas=entry.quotas,
        used=used,
        problem=problem,
        created_at=entry.created_at,
        updated_at=entry.updated_at,
    )


def _quotas(before: Quotas, given: Sequence[str]) -> Quotas:
    """``before`` with what was given. Raises Problem("invalid_parameter")."""
    changes: dict[str, int | None] = {}
    for each in given:
        name, _, number = each.partition("=")
        if name not in Quotas.__struct_fields__ or not (number == "" or number.isdigit()):
            known = ", ".join(Quotas.__struct_fields__)
            raise Problem("invalid_parameter", f"--quota {each}: it is NAME=NUMBER, of {known}.")
        changes[name] = int(number) if number else None
    try:
        return msgspec.convert({**msgspec.to_builtins(before), **changes}, Quotas)
    except msgspec.ValidationError as error:
        raise Problem("invalid_parameter", f"--quota: {error}") from None


def _refuse(sentence: str) -> None:
    raise Problem("invalid_parameter", sentence)


def _confirm(question: str, name: str) -> None:
    sys.stderr.write(question)
    sys.stderr.flush()
    if sys.stdin.readline().strip() != name:
        sys.stderr.write("Nothing was dropped.\n")
        raise SystemExit(1)
