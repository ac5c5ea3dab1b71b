"""``homing explain``: why a device holds or lacks a row."""

from __future__ import annotations

from homing.cli._shell import HERE, Json, Where, run, show
from homing.engine import explain
from homing.engine.explain import Explanation
from homing.server.tenant import Tenant


def command(device: str, table: str, row: str, where: Where = HERE, *, json: Json = False) -> None:
    """Why a device holds or lacks a row.

    Parameters
    ----------
    device
        The device's own name.
    table
        The resource type, as in push and pull.
    row
        The row's key.
    """

    async def work(tenant: Tenant) -> Explanation:
        return await explain.explain(tenant.engine, device=device, resource_type=table, row=row)

    show(run(work, where), as_json=json)
