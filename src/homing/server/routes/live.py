"""``GET /live``: changes as they happen, as server-sent events. As a WebSocket: ``server/live_socket.py``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from litestar import Request, get
from litestar.response import Stream

from homing.engine.caller import Claims
from homing.engine.pull import find_token
from homing.protocol.live import Subscribe
from homing.server.live_socket import read_token
from homing.server.live_stream import StreamOutlet
from homing.server.routing import SIGNED_IN, bearer_of
from homing.server.tenant import Tenant

MEDIA_TYPE = "text/event-stream"
GOODBYE = "homing.goodbye"
"""Where the handler leaves in the scope how to end the stream, for when the server stops."""


@get("/live", roles=SIGNED_IN, answers=(MEDIA_TYPE,))
async def get_live(
    request: Request[Any, Any, Any],
    tenant: Tenant,
    claims: Claims,
    since_token: str | None = None,
) -> Stream:
    """Changes from a sync token on, and then as they happen."""
    token = bearer_of(request.headers.get("authorization", "").encode("latin-1"))
    _, until = read_token(tenant, token)
    outlet = StreamOutlet(backlog_bytes_max=tenant.settings.limits.live_backlog_bytes_max)
    asked = Subscribe(token=token, since_token=request.headers.get("last-event-id") or since_token)
    if asked.since_token is not None:
        await find_token(tenant.engine, claims, asked.since_token)  # which reads the keys again where it must
    subscriber = tenant.live.subscribe(claims, until, asked, outlet)
    request.scope[GOODBYE] = outlet.close  # type: ignore[literal-required]

    async def events() -> AsyncIterator[bytes]:
        try:
            async for chunk in outlet.events():
                yield chunk
        finally:
            tenant.live.unsubscribe(subscriber)

    return Stream(events(), media_type=MEDIA_TYPE, headers={"x-accel-buffering": "no"})


ROUTES = [get_live]
