"""``homing devices``: look at devices, and bar them."""

from __future__ import annotations

from uuid import UUID

from cyclopts import App

from homing.accounts import devices
from homing.accounts.devices import Device, DeviceChange, Status
from homing.cli._shell import HERE, Json, Limit, Where, acting, run, show
from homing.protocol.errors import Problem
from homing.server.tenant import Tenant

command = App(name="devices", help="List devices, look at one, revoke or readmit it.")


@command.command(name="list")
def list_(
    where: Where = HERE, *, status: Status | None = None, q: str | None = None, limit: Limit = 100, json: Json = False
) -> None:
    """List devices, the newest first. ``--q`` looks for a text in names."""

    async def work(tenant: Tenant) -> list[Device]:
        return await devices.read_page(tenant.database, after=None, limit=limit, status=status, user_id=None, q=q)

    columns = ("device_id", "user_name", "status", "trust_score", "app_version", "last_seen")
    show(run(work, where), as_json=json, columns=columns)


@command.command(name="show")
def show_(device: str, where: Where = HERE, *, json: Json = False) -> None:
    """One device, with why it is trusted as far as it is."""

    async def work(tenant: Tenant) -> Device:
        return await _find(tenant, device)

    show(run(work, where), as_json=json)


@command.command
def revoke(
    device: str, where: Where = HERE, *, reason: str = "", as_user: str | None = None, json: Json = False
) -> None:
    """Nothing is delivered to or accepted from the device any more."""
    _change(device, where, "revoked", reason, as_user, as_json=json)


@command.command
def suspend(
    device: str, where: Where = HERE, *, reason: str = "", as_user: str | None = None, json: Json = False
) -> None:
    """Nothing is exchanged until the device is readmitted; its data stay on it."""
    _change(device, where, "suspended", reason, as_user, as_json=json)


@command.command
def readmit(
    device: str, where: Where = HERE, *, reason: str = "", as_user: str | None = None, json: Json = False
) -> None:
    """The device may sync again."""
    _change(device, where, "active", reason, as_user, as_json=json)


def _change(device: str, where: Where, status: Status, reason: str, as_user: str | None, *, as_json: bool) -> None:
    async def work(tenant: Tenant) -> Device:
        found = await _find(tenant, device)
        async with acting(tenant, as_user) as caller:
            wanted = DeviceChange(status=status, reason=reason or None)
            return await devices.change(tenant.database, found.id, wanted, by=caller, now=tenant.clock())

    show(run(work, where), as_json=as_json)


async def _find(tenant: Tenant, device: str) -> Device:
    """By its row id or its own name."""
    async with tenant.database.connection() as conn:
        row = await (
            await conn.execute(
                "SELECT id FROM homing.mobile_devices WHERE device_id = %s OR id::text = %s", [device, device]
            )
        ).fetchone()
        if row is None:
            raise Problem("not_found", f"There is no device {device!r}.")
        device_id: UUID = row[0]
        return await devices.read(conn, device_id)
