"""The fleet: devices found by what is known of them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Final, Literal
from uuid import UUID

from litestar import get
from litestar.params import QueryParameter

from homing.accounts import devices
from homing.accounts.devices import Status
from homing.console.shell import Asked, Html, render
from homing.engine import status
from homing.server.pages import LIMIT_DEFAULT, After, Limit, Search, page_of, read_cursor
from homing.server.routing import OFFICE
from homing.server.tenant import Tenant

UNSEEN: Final = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)} | {
    "month": timedelta(days=30)
}
UNSEEN_CHOICES: Final = [
    ("hour", "Silent for an hour"),
    ("day", "Silent for a day"),
    ("week", "Silent for a week"),
    ("month", "Silent for 30 days"),
]
TRUST_CHOICES: Final = [("held", "Pushes held"), ("doubted", "Doubted at all")]


@get("/devices", roles=OFFICE)
async def get_devices(
    *,
    request: Asked,
    tenant: Tenant,
    q: Search = None,
    shown: Annotated[Status | None, QueryParameter(name="status")] = None,
    version: Annotated[str | None, QueryParameter(max_length=200)] = None,
    silent: Literal["hour", "day", "week", "month"] | None = None,
    trust: Literal["held", "doubted"] | None = None,
    user: UUID | None = None,
    limit: Limit = LIMIT_DEFAULT,
    after: After = None,
) -> Html:
    """Devices, the newest first. ``silent``: for so long at least; ``trust``: below the threshold, or below full."""
    threshold = {"held": tenant.engine.trust_threshold, "doubted": 1.0}
    found = await devices.read_page(
        # Along the index on their age, in order: the other pool might read and sort them all. A search does.
        tenant.engine.indexed if q is None else tenant.database,
        after=read_cursor(after, tuple[datetime, UUID]),
        limit=limit + 1,
        status=shown,
        user_id=user,
        q=q,
        app_version=version,
        trust_below=None if trust is None else threshold[trust],
        unseen_since=None if silent is None else tenant.clock() - UNSEEN[silent],
    )
    page = page_of(found, limit=limit, place=lambda device: (device.created_at, device.id))
    return render(
        request,
        "devices.html",
        title="Devices",
        page=page,
        known=await status.of_devices(tenant.engine, [device.id for device in page.items]),
        given={"q": q, "status": shown, "version": version, "silent": silent, "trust": trust, "user": user},
        after=after,
        silences=UNSEEN_CHOICES,
        trusts=TRUST_CHOICES,
        threshold=tenant.engine.trust_threshold,
    )


ROUTES = [get_devices]
