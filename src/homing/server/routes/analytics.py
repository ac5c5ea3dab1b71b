"""The routes of analytics: events in, and what they and the server's own measurements amount to out."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from litestar import Request, get, post
from litestar.params import QueryParameter

from homing.engine.caller import Caller
from homing.protocol.errors import Problem
from homing.server.bodies import read
from homing.server.routing import OFFICE, SIGNED_IN
from homing.server.tenant import Tenant
from homing.telemetry.events import EventsAnswer, EventsRequest, take_events
from homing.telemetry.metrics import read_time
from homing.telemetry.usage import Span, Usage, read_usage

SPAN_DEFAULT = timedelta(days=7)
SPAN_MAX = timedelta(days=400)
"""As long as events are kept."""


@post("/mobile/analytics/events", status_code=200, roles=SIGNED_IN, body=EventsRequest, reads=True)
async def post_events(request: Request[Any, Any, Any], tenant: Tenant, caller: Caller) -> EventsAnswer:
    """One event, or ``events``: many. Each counts once however often it is sent; one that is not fit costs itself."""
    limits = tenant.settings.limits
    return await take_events(
        tenant.database,
        caller=caller,
        request=await read(request, EventsRequest),
        events_max=limits.analytics_events_max,
        bytes_max=limits.analytics_event_bytes_max,
    )


@get("/analytics/metrics", roles=OFFICE)
async def get_usage(
    *,
    tenant: Tenant,
    since: Annotated[str | None, QueryParameter(name="from", description="From this time on; a week ago.")] = None,
    until: Annotated[str | None, QueryParameter(name="to", description="Before this time; now.")] = None,
) -> Usage:
    """Web against mobile, and what is mobile's alone: response times, errors, engagement, conversion; crashes, sync,
    notifications, batteries; sessions by platform and version."""
    now = tenant.clock()
    try:
        end = now if until is None else read_time(until)
        begin = end - SPAN_DEFAULT if since is None else read_time(since)
        span = Span(begin, end)
    except (ValueError, OverflowError) as error:
        raise Problem("invalid_parameter", f"from, to: {error}") from None
    if not timedelta(0) < span.until - span.since <= SPAN_MAX:
        raise Problem("invalid_parameter", f"from, to: a time of {SPAN_MAX.days} days at most, from before to.")
    return await read_usage(tenant.database, span, conversions=tenant.settings.analytics_conversions)


SPEC_ROUTES = [post_events]
"""Below /api, as specification 4 writes it."""

ROUTES = [*SPEC_ROUTES, get_usage]
