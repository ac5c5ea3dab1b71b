"""``homing batches``: what devices sent, how it was judged, and replay."""

from __future__ import annotations

from uuid import UUID

from cyclopts import App

from homing.cli._shell import HERE, Json, Limit, Where, acting, run, show
from homing.engine import batches, replay
from homing.engine.batches import BatchDetail, BatchSummary, ItemDetail
from homing.protocol.messages import Result
from homing.server.tenant import Tenant

command = App(name="batches", help="List batches and the quarantine, look at one, replay it.")


@command.command(name="list")
def list_(
    where: Where = HERE, *, device: str | None = None, held: bool | None = None, limit: Limit = 50, json: Json = False
) -> None:
    """List batches, the newest first. ``--held``: those that wait for review."""

    async def work(tenant: Tenant) -> list[BatchSummary]:
        return await batches.find(tenant.engine, status=None, device=device, held=held, after=None, limit=limit)

    show(
        run(work, where),
        as_json=json,
        columns=("id", "device_id", "user", "status", "items_count", "outcomes", "created_at"),
    )


@command.command(name="show")
def show_(batch: UUID, where: Where = HERE, *, json: Json = False) -> None:
    """One batch with its items as sent and as judged."""

    async def work(tenant: Tenant) -> BatchDetail:
        return await batches.show(tenant.engine, batch)

    show(run(work, where), as_json=json)


@command.command
def quarantine(where: Where = HERE, *, device: str | None = None, limit: Limit = 50, json: Json = False) -> None:
    """Refused items that wait for a person."""

    async def work(tenant: Tenant) -> list[ItemDetail]:
        return await batches.quarantine(tenant.engine, device=device, limit=limit)

    columns = ("id", "batch_id", "device_id", "resource_type", "action", "code", "error", "quarantined_at")
    show(run(work, where), as_json=json, columns=columns)


@command.command(name="replay")
def replay_(
    batch: UUID, where: Where = HERE, *, dry_run: bool = False, as_user: str | None = None, json: Json = False
) -> None:
    """Run the held and refused items of a batch again. ``--dry-run`` shows the verdicts and rolls back."""

    async def work(tenant: Tenant) -> list[Result]:
        async with acting(tenant, as_user) as caller:
            return await replay.replay(tenant.engine, caller, batch, dry_run=dry_run)

    show(run(work, where), as_json=json, columns=("index", "client_temp_id", "status", "server_id", "code", "error"))
