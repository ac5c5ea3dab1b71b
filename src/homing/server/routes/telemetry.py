"""The routes of telemetry: batches in, metrics out."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Request, get, post
from litestar.params import QueryParameter
from msgspec import Meta

from homing.engine.caller import Caller
from homing.server.bodies import read
from homing.server.pages import LIMIT_DEFAULT, After, Limit, Page, page_of, read_cursor
from homing.server.routing import SIGNED_IN
from homing.server.tenant import Tenant
from homing.telemetry.query import TelemetryItem, Wanted, read_page
from homing.telemetry.take import TelemetryAnswer, TelemetryRequest, take


class Place(msgspec.Struct, array_like=True):
    """Behind which metric a page begins."""

    at: Annotated[datetime, Meta(tz=True)]
    number: Annotated[int, Meta(ge=0, le=2**63 - 1)]


@post("/telemetry", status_code=201, roles=SIGNED_IN, body=TelemetryRequest)
async def post_telemetry(request: Request[Any, Any, Any], tenant: Tenant, caller: Caller) -> TelemetryAnswer:
    """Metrics and events from the caller's device, as one batch: with the same ``batch_id`` once, however often."""
    body = await read(request, TelemetryRequest)
    limits = tenant.settings.limits
    return await take(
        tenant.database,
        caller=caller,
        request=body,
        metrics_max=limits.telemetry_metrics_max,
        events_max=limits.analytics_events_max,
    )


@get("/telemetry", roles=SIGNED_IN)
async def get_telemetry(
    *,
    tenant: Tenant,
    caller: Caller,
    name: Annotated[str | None, QueryParameter(min_length=1, max_length=200)] = None,
    device_id: Annotated[str | None, QueryParameter(max_length=255)] = None,
    since: Annotated[str | None, QueryParameter(name="from", description="Measured at this time or later.")] = None,
    until: Annotated[str | None, QueryParameter(name="to", description="Measured before this time.")] = None,
    limit: Limit = LIMIT_DEFAULT,
    after: After = None,
) -> Page[TelemetryItem]:
    """Metrics, newest first: of all devices for the office, of their own for everybody else."""
    wanted = Wanted(name=name, device_id=device_id, since=since, until=until)
    place = read_cursor(after, Place)
    behind = None if place is None else (place.at, place.number)
    found = await read_page(tenant.database, caller=caller, wanted=wanted, after=behind, limit=limit + 1)
    page = page_of(found, limit=limit, place=lambda metric: (metric.at, metric.number))
    return Page([metric.item() for metric in page.items], page.next)


ROUTES = [post_telemetry, get_telemetry]
