"""``GET /mobile/sync/status`` and ``GET /mobile/schema``: what a device may ask about itself."""

from __future__ import annotations

from typing import Any

from litestar import get

from homing.accounts.rates import SYNC
from homing.engine import schema, status
from homing.engine.caller import Caller, Claims
from homing.server.routing import BY_ENGINE, SIGNED_IN
from homing.server.tenant import Tenant


@get("/mobile/sync/status", roles=SIGNED_IN, confirmed=BY_ENGINE, rate=SYNC)
async def get_status(tenant: Tenant, claims: Claims) -> status.DeviceStatus:
    """The calling device's sync status."""
    return await status.status(tenant.engine, claims)


@get("/mobile/schema", roles=SIGNED_IN)
async def get_schema(tenant: Tenant, caller: Caller) -> dict[str, Any]:
    """The synced tables as they travel: columns with wire types, what the caller may write, references."""
    return schema.schema(tenant.engine.bound, caller.role)


ROUTES = [get_status, get_schema]
