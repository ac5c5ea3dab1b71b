"""``GET /console/live``: which parts of an open page may have changed, as server-sent events (ADR 66).

Parts are elements with ``data-live``: names of what they show (``server/live_watch.py``). The browser keeps one stream
a page, and asks for the parts that are named; without a stream it asks from time to time (``static/console.js``).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from litestar import get
from litestar.params import QueryParameter
from litestar.response import Stream

from homing.accounts.cookies import find_cookie, read_end
from homing.console.shell import Asked, headers
from homing.engine.caller import Claims
from homing.server.live_watch import Watcher
from homing.server.routes.live import GOODBYE, MEDIA_TYPE
from homing.server.routing import SIGNED_IN, is_secure
from homing.server.tenant import Tenant

PARTS_MAX = 20
"""More than any page has."""


@get("/live", roles=SIGNED_IN, answers=(MEDIA_TYPE,))
async def get_live(
    request: Asked,
    tenant: Tenant,
    claims: Claims,
    parts: Annotated[str, QueryParameter(max_length=1000)],
    mark: Annotated[str | None, QueryParameter(max_length=100)] = None,
) -> Stream:
    """Events ``changed`` with names of parts, until ``bye``. A browser that comes back says the last event's id."""
    value = find_cookie(request.scope["headers"], secure=is_secure(tenant.settings, request.scope))
    until = read_end(tenant.keys, value, tenant=tenant.name, now=tenant.clock())
    watcher = Watcher(claims, until, frozenset(parts.split()[:PARTS_MAX]))
    tenant.live.watch(watcher, mark=request.headers.get("last-event-id") or mark)
    request.scope[GOODBYE] = watcher.close  # type: ignore[literal-required]

    async def events() -> AsyncIterator[bytes]:
        try:
            async for chunk in watcher.events():
                yield chunk
        finally:
            tenant.live.unwatch(watcher)

    return Stream(events(), media_type=MEDIA_TYPE, headers={**headers(), "x-accel-buffering": "no"})


ROUTES = [get_live]
