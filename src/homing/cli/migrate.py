"""``homing migrate``: bring the schema up to date, look at it, or take steps back."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import msgspec
from cyclopts import App

from homing.cli._shell import HERE, Json, Where, address, reported, run, show
from homing.media import open_store
from homing.postgres import migrations
from homing.postgres.database import Database
from homing.postgres.migrations import Migrations, MigrationStatus
from homing.server.tenant import Tenant, find_module, sets_of
from homing.settings import Settings
from homing.tenants import CONTROL
from homing.tenants.entry import DEFAULT

T = TypeVar("T")

command = App(name="migrate", help="Bring the schema up to date; look at it; take steps back.")


class Done(msgspec.Struct):
    """Labels of migrations: set, version, name."""

    migrations: list[str]


@command.default
def migrate(where: Where = HERE, *, json: Json = False) -> None:
    """Apply what is missing, and install the stamps of every synced table; then print all that is applied.

    Safe from several nodes at once.
    """

    async def work(tenant: Tenant) -> Done:
        found = await migrations.status(tenant.engine.owner, _sets(where, tenant.settings))
        return Done([each.label for each in found if each.state == "applied"])

    _say(run(work, where, migrating=True), as_json=json)


@command.command
def status(where: Where = HERE, *, json: Json = False) -> None:
    """Every migration, and when it was applied."""
    settings = reported(where.settings)
    found: list[MigrationStatus] = reported(
        lambda: _on_database(where, lambda database: migrations.status(database, _sets(where, settings)))
    )
    show(found, as_json=json, columns=("set", "version", "name", "state", "applied_at"))


@command.command
def rollback(set_name: str, to_version: int, where: Where = HERE, *, json: Json = False) -> None:
    """Take back the migrations of one set (core, or an application's name) above a version, and print them.

    Their data go with them.
    """
    settings = reported(where.settings)

    def work(database: Database) -> Awaitable[list[str]]:
        return migrations.rollback(database, _sets(where, settings), set_name=set_name, to_version=to_version)

    _say(Done(reported(lambda: _on_database(where, work))), as_json=json)


def _say(done: Done, *, as_json: bool) -> None:
    """As JSON, or one migration a line."""
    if as_json:
        show(done, as_json=True)
    else:
        sys.stdout.write("".join(f"{label}\n" for label in done.migrations))


def _sets(where: Where, settings: Settings) -> Sequence[Migrations]:
    """The core's migrations, those of the applications that keep their own tables, by the application's name, and the
    default tenant's control tables."""
    store = open_store(settings.media_url, data_dir=settings.data_dir, bytes_max=settings.limits.media_bytes_max)
    apps = [find_module(name).declare(store) for name in settings.apps]
    return [*sets_of(apps), *([CONTROL] if where.tenant in (None, DEFAULT) else [])]


def _on_database(where: Where, work: Callable[[Database], Awaitable[T]]) -> T:
    """Work on the database alone: a schema that is behind must not keep anybody from looking at it."""

    async def whole(url: str) -> T:
        database = Database(url)
        await database.open()
        try:
            return await work(database)
        finally:
            await database.close()

    with address(where) as url:
        return asyncio.run(whole(url))
