"""What an operator does to tenants: create, migrate, suspend, resume, drop, move.

Every step writes its state into the control table before it begins, so whatever was cut off can be seen, and done again
by the same command: what was done already is found done. Nodes notice within seconds (``node.DIRECTORY_SECONDS``).
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from typing import Literal

import msgspec
import psycopg

from homing.declare import DeclarationError
from homing.postgres.database import Database
from homing.postgres.migrations import MigrationError, status
from homing.protocol.errors import Problem
from homing.server.node import settings_of
from homing.server.tenant import Tenant, open_tenant, sets_of
from homing.settings import Settings, SettingsError
from homing.tenants import control as controls
from homing.tenants import databases, quotas
from homing.tenants.copying import copy
from homing.tenants.entry import Entry, Quotas, masked
from homing.tenants.quotas import Usage

SERVED: Sequence[Literal["active", "suspended"]] = ("active", "suspended")
"""States in which a tenant's database is whole and where the control table says."""


class Migrated(msgspec.Struct, frozen=True, kw_only=True):
    """How the migration of one tenant went. ``version``: what its schema has reached, set by set."""

    name: str
    state: Literal["done", "failed"]
    version: str | None
    error: str | None


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """``left`` is the database that it was moved from: still there, fenced, until somebody drops it."""

    name: str
    to: str
    left: str
    tables: int
    rows: int


class Dropped(msgspec.Struct, frozen=True, kw_only=True):
    """``database``: where the data are, or were. ``kept``: whether they still are."""

    name: str
    database: str
    kept: bool


async def create(
    settings: Settings,
    control: Database,
    *,
    name: str,
    database_url: str | None = None,
    hosts: Sequence[str] = (),
    limits: Quotas,
) -> Entry:
    """A new tenant: its entry, its database, its schema. Without ``database_url`` the database is made on the control
    database's server. After a cut, the same call goes on.

    Raises Problem: invalid_parameter, already_exists, state_conflict, unavailable; MigrationError, DeclarationError.
    """
    assert settings.database_url is not None
    if database_url is not None:
        databases.check_url(database_url)
    database_name = None if database_url is not None else controls.database_of(settings.database_url, name)
    entry = await controls.begin(
        control, name=name, database_name=database_name, database_url=database_url, hosts=hosts, quotas=limits
    )
    await databases.create(entry.url(settings.database_url))
    version = await _bring_up_to_date(settings, entry)
    await controls.note_migrated(control, name, version=version)
    return await controls.set_status(control, name, "active", expected=("creating",))


async def migrate(
    settings: Settings, control: Database, entries: Sequence[Entry], *, at_once: int = 2
) -> AsyncIterator[Migrated]:
    """Bring tenants up to date, as each is done. One that fails stops no other: what was wrong is kept in its entry,
    and the next call tries it again. Those that are being created or moved are left to who does so."""
    waiting = asyncio.Semaphore(at_once)

    async def one(entry: Entry) -> Migrated:
        async with waiting:
            try:
                version = await _bring_up_to_date(settings, entry)
            except _REASONS as error:
                said = _sentence(error)
                await controls.note_error(control, entry.name, said)
                return Migrated(name=entry.name, state="failed", version=entry.schema_version, error=said)
            await controls.note_migrated(control, entry.name, version=version)
            return Migrated(name=entry.name, state="done", version=version, error=None)

    tasks = [asyncio.create_task(one(entry)) for entry in entries if entry.status in SERVED]
    try:
        for task in asyncio.as_completed(tasks):
            yield await task
    finally:
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


_REASONS = (Problem, MigrationError, DeclarationError, SettingsError, psycopg.Error, TimeoutError, OSError)


async def _bring_up_to_date(settings: Settings, entry: Entry) -> str:
    async with open_tenant(
        settings_of(settings, entry), name=entry.name, quotas=entry.quotas, migrating=True
    ) as tenant:
        return await version_of(tenant)


async def version_of(tenant: Tenant) -> str:
    """What a tenant's schema has reached: the highest applied migration of each set, as ``core 7, fieldwork 2``."""
    highest: dict[str, int] = {}
    for each in await status(tenant.engine.owner, sets_of(tenant.apps)):
        if each.state == "applied":
            highest[each.set] = max(each.version, highest.get(each.set, 0))
    return ", ".join(f"{name} {version}" for name, version in highest.items())


async def suspend(control: Database, name: str, *, reason: str | None) -> Entry:
    """Nothing is exchanged with the tenant until it is resumed. Raises Problem: not_found, state_conflict."""
    return await controls.set_status(control, name, "suspended", expected=("active",), reason=reason)


async def resume(settings: Settings, control: Database, name: str) -> Entry:
    """A suspended tenant is served again; so is one whose move was cut off, where it was.

    Raises Problem: not_found, state_conflict, unavailable.
    """
    assert settings.database_url is not None
    entry = await controls.read(control, name)
    if entry.status == "moving":
        await databases.lift(entry.url(settings.database_url))
    return await controls.set_status(control, name, "active", expected=("suspended", "moving"))


async def drop(settings: Settings, control: Database, name: str, *, keep_database: bool) -> Dropped:
    """The tenant is not there any more. Its database goes too, with the folder of its files, unless it is kept; files
    in a bucket stay under ``tenants/<name>/``. Raises Problem: not_found, state_conflict, unavailable, forbidden."""
    assert settings.database_url is not None
    entry = await controls.read(control, name)
    if entry.status != "dropped":
        await controls.set_status(control, name, "dropped", expected=("creating", "active", "suspended"))
    if not keep_database:
        await databases.drop(entry.url(settings.database_url))
        folder = settings_of(settings, entry).data_dir
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    return Dropped(name=name, database=entry.place, kept=keep_database)


async def move(settings: Settings, control: Database, name: str, *, to: str) -> Moved:
    """Move the tenant's database to another place: ``to`` is a connection string of an empty or missing database.

    Nobody writes while it is copied: the tenant's requests are answered with ``being_migrated`` and come back, devices
    keep their outboxes. The new place is another epoch, so every device starts again from there. Whatever goes wrong
    before the copy is proved whole, the tenant is served again where it was.

    Raises Problem: invalid_parameter, not_found, state_conflict, unavailable, forbidden.
    """
    assert settings.database_url is not None
    databases.check_url(to)
    before = await controls.set_status(control, name, "moving", expected=("active",))
    source = before.url(settings.database_url)
    try:
        await databases.create(to)
        await databases.fence(source)
        rows = await copy(source, to)
        await _bring_up_to_date(settings, msgspec.structs.replace(before, database_name=None, database_url=to))
        await controls.set_place(control, name, database_name=None, database_url=to)
    except BaseException as error:
        await asyncio.shield(_put_back(control, name, source, error))
        raise
    return Moved(name=name, to=masked(to), left=before.place, tables=len(rows), rows=sum(rows.values()))


async def _put_back(control: Database, name: str, source: str, error: BaseException) -> None:
    """Serve it where it was. A database that cannot be reached now stays fenced: ``resume`` tries again."""
    await controls.note_error(control, name, f"move: {_sentence(error)}")
    await databases.lift(source)
    await controls.set_status(control, name, "active", expected=("moving",))


async def usage(settings: Settings, entry: Entry) -> Usage:
    """What the tenant uses of its quotas. Raises Problem("unavailable") and whatever ``open_tenant`` raises."""
    async with open_tenant(
        settings_of(settings, entry), name=entry.name, quotas=entry.quotas, migrating=False
    ) as tenant:
        return await quotas.measure(tenant.engine.owner, tenant.tables)


def _sentence(error: BaseException) -> str:
    cause = f" ({error.__cause__})" if error.__cause__ is not None else ""
    return f"{error or type(error).__name__}{cause}"
