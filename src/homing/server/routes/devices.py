"""The device registry: devices register themselves, the office watches and decides."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import Request, get, patch, post

from homing.accounts import device_events, devices
from homing.accounts.device_events import DeviceEvent
from homing.accounts.devices import Device, DeviceChange, DeviceRegistration, RegisteredDevice, Registration, Status
from homing.engine.caller import Caller
from homing.server.bodies import read
from homing.server.pages import LIMIT_DEFAULT, After, Limit, Page, Search, page_of, read_cursor
from homing.server.routing import OFFICE, PERSON, SIGNED_IN
from homing.server.tenant import Tenant


@post("/mobile/devices", status_code=200, roles=SIGNED_IN, confirmed=PERSON, body=Registration)
async def post_device(request: Request[Any, Any, Any], tenant: Tenant, caller: Caller) -> Device:
    """Register the caller's device; repeated, bring it up to date."""
    given = await read(request, Registration)
    return await _register(tenant, caller, given)


@post(
    "/mobile/auth/register-device",
    status_code=200,
    roles=SIGNED_IN,
    confirmed=PERSON,
    body=DeviceRegistration,
)
async def post_register_device(request: Request[Any, Any, Any], tenant: Tenant, caller: Caller) -> RegisteredDevice:
    """As specification 4 registers a device: the device, its push token and how it is used, in one call."""
    given = await read(request, DeviceRegistration)
    await _register(
        tenant,
        caller,
        Registration(
            device_id=given.deviceId,
            device_type=given.platform,
            app_version=given.appVersion,
            push_token=given.pushToken,
            fingerprint=given.deviceFingerprint,
        ),
    )
    return await devices.read_mobile_session(tenant.database, given.deviceId)


@get("/mobile/devices/{device_id:uuid}/events", roles=OFFICE)
async def get_device_events(
    *, tenant: Tenant, device_id: UUID, limit: Limit = LIMIT_DEFAULT, after: After = None
) -> Page[DeviceEvent]:
    """What happened to a device, the newest first."""
    async with tenant.database.connection() as conn:
        await devices.read(conn, device_id)  # not_found
    place = read_cursor(after, device_events.Place)
    before = None if place is None else place.id
    found = await device_events.read_page(tenant.database, device_id, after=before, limit=limit + 1)
    return page_of(found, limit=limit, place=lambda event: (event.id,))


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


async def _register(tenant: Tenant, caller: Caller, given: Registration) -> Device:
    return await devices.register(
        tenant.database,
        caller,
        given,
        now=tenant.clock(),
        secret=tenant.keys.recognising,
        private_push=tenant.settings.push_private_endpoints,
        push_tokens_max=tenant.settings.limits.push_tokens_a_user_max,
    )


SPEC_ROUTES = [post_register_device]

ROUTES = [*SPEC_ROUTES, post_device, get_devices, get_device, get_device_events, patch_device]
