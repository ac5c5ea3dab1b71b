"""``homing restore``: a backup becomes the tenant's database, and a new epoch begins."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated
from uuid import UUID

import msgspec
from cyclopts import Parameter

from homing.cli._shell import HERE, Json, Where, address, reported, show
from homing.cli.backup import telling
from homing.postgres.sql import fetch_all
from homing.protocol.errors import Problem
from homing.server.tenant import TENANT, open_tenant
from homing.settings import Settings
from homing.tenants import backups, databases
from homing.tenants.backups import Sum, Told


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """``compared``: every row is as the backup's manifest says; false where there is none. ``kept``: the name of the
    database that was there before. ``epoch`` began now, for ``reason``: None after ``--check``."""

    tables: int
    rows: int
    compared: bool
    kept: str | None
    epoch: UUID | None
    reason: str | None


def command(
    file: Path,
    where: Where = HERE,
    *,
    check: Annotated[bool, Parameter(negative="", help="Only see whether FILE can be restored.")] = False,
    replace: Annotated[
        bool, Parameter(negative="", help="Put it in the place of a database that is not empty.")
    ] = False,
    json: Json = False,
) -> None:
    """Restore FILE, compare it with FILE.json, bring its schema up to date, and begin a new epoch.

    Devices then start again, keep what they have not sent, and offer again what the backup did not know of. Stop the
    servers before. With --replace the database that is there stays, under another name.
    """

    async def work(url: str) -> Restored:
        with telling() as told:
            if check:
                return _said(await backups.check(url, file, told=told), file)
            if await databases.is_missing(url) or not await _is_used(url):
                await databases.create(url)
                return await _fill(url, told)
            if not replace:
                raise Problem("state_conflict", f"The database {databases.name_of(url)} is not empty; see --replace.")
            async with backups.beside(url) as new:
                done = await _fill(new, told)
                kept = await backups.take_place(url, new)
            return msgspec.structs.replace(done, kept=kept)

    async def _fill(url: str, told: Told) -> Restored:
        sums = await backups.fill(url, file, told=told)
        told("epoch")
        epoch, reason = await _begin_epoch(where.settings(), url, where.tenant or TENANT)
        return msgspec.structs.replace(_said(sums, file), epoch=epoch, reason=reason)

    def whole() -> Restored:
        with address(where) as url:
            return asyncio.run(work(url))

    show(reported(whole), as_json=json)


def _said(sums: dict[str, Sum], file: Path) -> Restored:
    compared = backups.read_manifest(file) is not None
    rows = sum(each.rows for each in sums.values())
    return Restored(tables=len(sums), rows=rows, compared=compared, kept=None, epoch=None, reason=None)


async def _is_used(url: str) -> bool:
    async with databases.connected(url) as conn:
        return bool(await databases.tables(conn))


async def _begin_epoch(settings: Settings, url: str, name: str) -> tuple[UUID, str]:
    """Opening is enough: the engine sees that the database is another one."""
    settings = msgspec.structs.replace(settings, database_url=url)
    async with open_tenant(settings, name=name, migrating=True) as tenant, tenant.engine.owner.connection() as conn:
        ((epoch, reason),) = await fetch_all(conn, "SELECT epoch, reason FROM homing.epoch")
    return epoch, reason
