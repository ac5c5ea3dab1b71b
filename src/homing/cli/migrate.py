"""``homing migrate``: bring the schema up to date, look at it, or take steps back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from typing import TypeVar

import msgspec
from cyclopts import App

from homing.cli._shell import HERE, Json, Where, reported, run, show
from homing.postgres import migrations
from homing.postgres.database import Database
from homing.postgres.embedded import embedded
from homing.postgres.migrations import Migrations, MigrationStatus
from homing.server.tenant import CORE, Tenant, find_module
from homing.settings import Settings

T = TypeVar("T")

command = App(name="migrate", help="Bring the schema up to date; look at it; take steps back.")


class Done(msgspec.Struct):
    """Labels of migrations: set, version, name."""

    migrations: list[str]


@command.default
def migrate(where: Where = HERE, *, json: Json = False) -> None:
    """Apply what is missing, and install the stamps of every synced table. Safe from several nodes at once."""

    async def work(tenant: Tenant) -> Done:
        found = await migrations.status(tenant.engine.owner, _sets(tenant.settings))
        return Done([each.label for each in found if each.state == "applied"])

    show(run(work, where, migrating=True), as_json=json)


@command.command
def status(where: Where = HERE, *, json: Json = False) -> None:
    """Every migration, and when it was applied."""
    settings = reported(where.settings)
    found: list[MigrationStatus] = reported(
        lambda: _on_database(settings, lambda database: migrations.status(database, _sets(settings)))
    )
    show(found, as_json=json, columns=("set", "version", "name", "state", "applied_at"))


@command.command
def rollback(set_name: str, to_version: int, where: Where = HERE, *, json: Json = False) -> None:
    """Take back the migrations of one set (core, fieldwork) above a version. Their data go with them."""
    settings = reported(where.settings)

    def work(database: Database) -> Awaitable[list[str]]:
        return migrations.rollback(database, _sets(settings), set_name=set_name, to_version=to_version)

    show(Done(reported(lambda: _on_database(settings, work))), as_json=json)


def _sets(settings: Settings) -> Sequence[Migrations]:
    """The core's migrations and those of the applications, which are named by their packages."""
    packages = [find_module(name).__name__ for name in settings.apps]
    return [CORE, *(Migrations(package.rpartition(".")[2], package) for package in packages if _has_schema(package))]


def _has_schema(package: str) -> bool:
    from importlib.resources import files  # noqa: PLC0415 - only a package has resources; a module of one file has none

    try:
        return files(package).joinpath("schema").is_dir()
    except TypeError:
        return False


def _on_database(settings: Settings, work: Callable[[Database], Awaitable[T]]) -> T:
    """Work on the database alone: a schema that is behind must not keep anybody from looking at it."""

    async def whole(url: str) -> T:
        database = Database(url)
        await database.open()
        try:
            return await work(database)
        finally:
            await database.close()

    with ExitStack() as stack:
        url = settings.database_url or stack.enter_context(embedded(settings.data_dir))
        return asyncio.run(whole(url))
