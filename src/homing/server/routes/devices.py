"""The device registry: devices register themselves, the office watches and decides."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import Request, get, patch, post

from homing.accounts import devices
from homing.accounts.devices import Device, DeviceChange, Registration, Status
from homing.engine.caller import Caller
from homing.server.bodies import read
from homing.server.pages import LIMIT_DEFAULT, After, Limit, Page, Search, page_of, read_cursor
from homing.server.routing import OFFICE, PERSON, SIGNED_IN
from homing.server.tenant import Tenant


@post("/mobile/devices", status_code=200, roles=SIGNED_IN, confirmed=PERSON, body=Registration)
async def post_device(request: Request[Any, Any, Any], tenant: Tenant, caller: Caller) -> Device:
    """Register the caller's device; repeated, bring it up to date."""
    given = await read(request, Registration)
    return await devices.register(
        tenant.database,
        caller,
        given,
        now=tenant.clock(),
        private_push=tenant.settings.push_private_endpoints,
        push_tokens_max=tenant.settings.limits.push_tokens_a_user_max,
    )


@get("/mobile/devices", roles=OFFICE)
async def get_devices(
    *,
    tenant: Tenant,
    status: Status | None = None,
    user_id: UUID | None = None,
    q: Search = None,
    limit: Limit = LIMIT_DEFAULT,
    after: After = None,
) -> Page[Device]:
    """Devices, the newest first."""
    found = await devices.read_page(
        tenant.database,
        after=read_cursor(after, tuple[datetime, UUID]),
        limit=limit + 1,
        status=status,
        user_id=user_id,
        q=q,
    )
    return page_of(found, limit=limit, place=lambda device: (device.created_at, device.id))


@get("/mobile/devices/{device_id:uuid}", roles=OFFICE)
async def get_device(tenant: Tenant, device_id: UUID) -> Device:
    """One device, with why it is trusted as far as it is."""
    async with tenant.database.connection() as conn:
        return await devices.read(conn, device_id)


@patch("/mobile/devices/{device_id:uuid}", roles=OFFICE, body=DeviceChange)
async def patch_device(request: Request[Any, Any, Any], tenant: Tenant, caller: Caller, device_id: UUID) -> Device:
    """Suspend, revoke or readmit a device, or trust it again."""
    wanted = await read(request, DeviceChange)
    return await devices.change(tenant.database, device_id, wanted, by=caller, now=tenant.clock())


ROUTES = [post_device, get_devices, get_device, patch_device]
