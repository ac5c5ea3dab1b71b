"""``homing epoch``: look at the epoch, or begin a new one by hand."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec
from cyclopts import App

from homing.cli._shell import HERE, Json, Where, run, show
from homing.engine import epoch
from homing.server.tenant import Tenant

command = App(name="epoch", help="The epoch: one unbroken line of transaction ids that tokens can be compared in.")


class Shown(msgspec.Struct):
    epoch: UUID
    reason: str
    since: datetime


async def _read(tenant: Tenant) -> Shown:
    async with tenant.database.connection() as conn:
        row = await (await conn.execute("SELECT epoch, reason, since FROM homing.epoch")).fetchone()
    assert row is not None
    return Shown(*row)


@command.command(name="show")
def show_(where: Where = HERE, *, json: Json = False) -> None:
    """The epoch, since when and why."""
    show(run(_read, where), as_json=json)


@command.command
def new(where: Where = HERE, *, reason: str, json: Json = False) -> None:
    """Begin a new epoch: every device starts again and keeps its outbox.

    Needed only after a copy of files that nothing notices, such as a disk snapshot put back: a restore by pg_restore,
    another timeline or another cluster begins one by itself.
    """

    async def work(tenant: Tenant) -> Shown:
        async with tenant.engine.owner.transaction("shell") as conn:
            await epoch.begin(conn, reason)
        return await _read(tenant)

    show(run(work, where), as_json=json)
