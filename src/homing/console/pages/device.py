"""One device: whose it is, how it syncs, what it holds, how far it is trusted and why; and what the office can do."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import msgspec
from litestar import get, post

from homing.accounts import devices
from homing.accounts.devices import Device, DeviceChange
from homing.console import labels
from homing.console.flash import good
from homing.console.forms import Form
from homing.console.kept import Kept
from homing.console.pages.conflicts import tables_of
from homing.console.shell import Asked, Html, render, see_other
from homing.engine import batches, conflicts, explain, status
from homing.engine.caller import Caller
from homing.protocol.errors import Problem
from homing.server.routing import OFFICE
from homing.server.tenant import Tenant
from homing.telemetry import query as telemetry
from homing.telemetry.query import Wanted

BATCHES_SHOWN: Final = 15
SHOWN_MAX: Final = 20
"""Of everything else on the page: the rest is a link away."""
METRICS_READ: Final = 200
"""The newest metrics, among which the last of each name is looked for."""
KEYS_SHOWN: Final = 12
"""Keys of a scope that are written out; a device may hold thousands."""
CHART_POINTS_MIN: Final = 3

WORDS: Final[Mapping[str, str]] = {
    "clock_far_off": "Its clock is further off than any time zone: when it edited is a guess.",
    "many_refused": "Most of what it sent within a day was refused.",
    "app_downgraded": "Its app is older than the one it had: a restored image, or another machine under this name.",
    "attestation_missing": "It attested itself before, and does not any more.",
    "fingerprint_changed": "Another machine answers to this device’s name.",
    "key_changed": "It was enrolled again without the key that it had.",
    "reset": "The office trusted it again.",
}
SAID: Final[Mapping[str, str]] = {
    "suspended": "Suspended: nothing is exchanged with it until it is readmitted. Its data stay on it.",
    "revoked": "Revoked: with its next call it is told to remove its replica.",
    "active": "Readmitted: it syncs again.",
}
DIALOGS: Final[Mapping[str, str]] = {"suspended": "suspend", "revoked": "wipe", "active": "readmit"}


@get("/devices/{device_id:uuid}", roles=OFFICE)
async def get_device(request: Asked, tenant: Tenant, caller: Caller, device_id: UUID) -> Html:
    """The page."""
    return await _page(request, tenant, caller, device_id)


async def _page(request: Asked, tenant: Tenant, caller: Caller, device_id: UUID, kept: Kept | None = None) -> Html:
    async with tenant.database.connection() as conn:
        device = await devices.read(conn, device_id)
    engine, name = tenant.engine, device.device_id
    known, sent, quarantined, waiting, metrics = await asyncio.gather(
        status.of_devices(engine, [device_id]),
        batches.find(engine, status=None, device=name, held=None, after=None, limit=BATCHES_SHOWN + 1),
        batches.quarantine(engine, device=name, after=None, limit=SHOWN_MAX),
        conflicts.find(
            engine, resolution="pending", resource_type=None, device=name, user=None, after=None, limit=SHOWN_MAX
        ),
        telemetry.read_page(
            tenant.database, caller=caller, wanted=Wanted(device_id=name), after=None, limit=METRICS_READ
        ),
    )
    held = [] if device.user_id is None else await explain.scopes_of(engine, device.user_id)
    measured: dict[str, Any] = {}
    for row in metrics:
        measured.setdefault(row.name, (msgspec.json.decode(row.value), row.at))
    return render(
        request,
        "device.html",
        title=name,
        crumbs=[("Devices", "/console/devices")],
        kept=kept,
        device=device,
        sync=known[device_id],
        batches=sent[:BATCHES_SHOWN],
        more_batches=len(sent) > BATCHES_SHOWN,
        events=_events(device, known[device_id], sent[:BATCHES_SHOWN]),
        quarantined=quarantined,
        conflicts=waiting,
        measured=measured,
        battery=_battery(metrics),
        scopes=_by_name(held),
        called=await labels.of_scopes(tenant, caller, held),
        held=len(held),
        words=WORDS,
        threshold=engine.trust_threshold,
        tables=tables_of(tenant),
        keys_shown=KEYS_SHOWN,
    )


@post("/devices/{device_id:uuid}/status", roles=OFFICE, status_code=303)
async def post_status(request: Asked, tenant: Tenant, caller: Caller, device_id: UUID, form: Form) -> Html:
    """Suspend, readmit or revoke. Revoking, which makes the device remove what it holds, needs its name typed."""
    wanted = form.text("status")
    if wanted not in SAID:
        raise Problem("invalid_parameter", "There is no such state of a device.")
    async with tenant.database.connection() as conn:
        device = await devices.read(conn, device_id)
    try:
        if wanted == "revoked" and form.maybe("typed") != device.device_id:
            raise Problem("invalid_parameter", "Not wiped: this is not the device’s name.", path="/typed")
        change = _change(status=wanted, reason=form.maybe("reason"))
        await devices.change(tenant.database, device_id, change, by=caller, now=tenant.clock())
    except Problem as problem:
        return await _page(request, tenant, caller, device_id, Kept(form, problem, dialog=DIALOGS[wanted]))
    return see_other(f"/console/devices/{device_id}", good(SAID[wanted]))


@post("/devices/{device_id:uuid}/trust", roles=OFFICE, status_code=303)
async def post_trust(request: Asked, tenant: Tenant, caller: Caller, device_id: UUID, form: Form) -> Html:
    """Forget why the device was distrusted."""
    try:
        change = _change(trust_reset=True, reason=form.maybe("reason"))
    except Problem as problem:
        return await _page(request, tenant, caller, device_id, Kept(form, problem, dialog="trust"))
    await devices.change(tenant.database, device_id, change, by=caller, now=tenant.clock())
    return see_other(f"/console/devices/{device_id}", good("Trusted again. Batches held so far still wait for replay."))


@post("/devices/{device_id:uuid}/resync", roles=OFFICE, status_code=303)
async def post_resync(tenant: Tenant, caller: Caller, device_id: UUID) -> Html:
    """Let the device start again with its next pull."""
    await devices.change(tenant.database, device_id, _change(resync=True), by=caller, now=tenant.clock())
    return see_other(f"/console/devices/{device_id}", good("It starts again with its next pull. Its outbox is kept."))


def _change(**given: Any) -> DeviceChange:
    """Raises Problem("invalid_parameter"): the API's own bounds hold here too."""
    try:
        return msgspec.convert({name: value for name, value in given.items() if value is not None}, DeviceChange)
    except msgspec.ValidationError as error:
        raise Problem("invalid_parameter", str(error)) from None


def _by_name(scopes: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for scope in scopes:
        name, _, key = scope.partition(":")
        found.setdefault(name, []).append(key)
    return found


def _events(device: Device, known: status.Known, sent: list[batches.BatchSummary]) -> list[tuple[Any, str, Any]]:
    """(when, kind, what): what is known of when the device was heard of, the newest first."""
    events: list[tuple[Any, str, Any]] = [(batch.created_at, "batch", batch) for batch in sent]
    events += [(reason.at, "trust", reason) for reason in device.trust_reasons]
    last = [(known.acked_at, "ack", known), (device.last_seen, "seen", None), (known.wipe_told_at, "wipe", None)]
    last.append((known.resync_at, "resync", None))
    events += [(at, kind, what) for at, kind, what in last if at is not None]
    if not sent or len(sent) < BATCHES_SHOWN:
        events.append((device.created_at, "registered", None))
    return sorted(events, key=lambda event: event[0], reverse=True)


def _battery(metrics: list[telemetry.MetricRow]) -> tuple[list[float], list[float]] | None:
    """Times (Unix seconds) and levels, the oldest first; None where there are too few to draw."""
    points = [
        (row.at.timestamp(), value)
        for row in reversed(metrics)
        if "battery" in row.name.lower() and isinstance(value := msgspec.json.decode(row.value), int | float)
    ]
    if len(points) < CHART_POINTS_MIN:
        return None
    return [at for at, _ in points], [value for _, value in points]


ROUTES = [get_device, post_status, post_trust, post_resync]
