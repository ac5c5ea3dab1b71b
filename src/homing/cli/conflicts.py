"""``homing conflicts``: list, look, decide."""

from __future__ import annotations

import sys
from typing import Any, Literal
from uuid import UUID

import msgspec
from cyclopts import App

from homing.cli._shell import HERE, Json, Limit, Where, acting, run, show
from homing.engine import conflicts
from homing.engine.conflicts import ConflictDetail, ConflictSummary
from homing.protocol.messages import ResolveRequest
from homing.server.tenant import Tenant

command = App(name="conflicts", help="List conflicts, look at one, decide it.")


@command.command(name="list")
def list_(
    where: Where = HERE,
    *,
    resolution: Literal["pending", "resolved"] | None = "pending",
    resource_type: str | None = None,
    device: str | None = None,
    limit: Limit = 50,
    json: Json = False,
) -> None:
    """List conflicts, the newest first; those that wait for a decision unless told otherwise."""

    async def work(tenant: Tenant) -> list[ConflictSummary]:
        return await conflicts.find(
            tenant.engine,
            resolution=resolution,
            resource_type=resource_type,
            device=device,
            user=None,
            after=None,
            limit=limit,
        )

    columns = ("id", "resource_type", "resource_id", "fields", "device_id", "user", "detected_at", "resolution_action")
    show(run(work, where), as_json=json, columns=columns)


@command.command(name="show")
def show_(conflict: UUID, where: Where = HERE, *, json: Json = False) -> None:
    """Base, server and client side by side, and who changed what since."""

    async def work(tenant: Tenant) -> ConflictDetail:
        return await conflicts.show(tenant.engine, conflict, user=None)

    show(run(work, where), as_json=json)


@command.command
def resolve(
    conflict: UUID,
    resolution: Literal["accept_server", "accept_client", "merged"],
    where: Where = HERE,
    *,
    payload: str | None = None,
    notes: str | None = None,
    as_user: str | None = None,
    json: Json = False,
) -> None:
    """Decide a conflict.

    Parameters
    ----------
    payload
        With ``merged``: a JSON object of the fields to write.
    notes
        Why; kept with the conflict.
    as_user
        Login of the office user who decides; the first one when not given.
    """
    fields = None if payload is None else _fields(payload)

    async def work(tenant: Tenant) -> ConflictDetail:
        async with acting(tenant, as_user) as caller:
            wanted = ResolveRequest(resolution=resolution, payload=fields, notes=notes)
            return await conflicts.settle(tenant.engine, caller, conflict, wanted)

    show(run(work, where), as_json=json)


def _fields(payload: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(payload, type=dict[str, Any])
    except msgspec.DecodeError as error:
        sys.stderr.write(f"--payload is no JSON object of the fields to write: {error}\n")
        raise SystemExit(2) from None
