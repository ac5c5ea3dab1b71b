"""``POST /mobile/sync/ack``: a device says what it has stored for good."""

from __future__ import annotations

from typing import Any

from litestar import Request, post

from homing.accounts.rates import SYNC
from homing.engine import ack, status
from homing.engine.caller import Claims
from homing.engine.pull import format_time
from homing.protocol.messages import AckAnswer, AckRequest
from homing.server.bodies import read
from homing.server.routing import BY_ENGINE, SIGNED_IN
from homing.server.tenant import Tenant


@post("/mobile/sync/ack", status_code=200, roles=SIGNED_IN, confirmed=BY_ENGINE, rate=SYNC, body=AckRequest)
async def post_ack(request: Request[Any, Any, Any], tenant: Tenant, claims: Claims) -> AckAnswer:
    """Record what a device has; never backwards."""
    given = await read(request, AckRequest)
    async with status.watched(tenant.engine, claims):
        acked = await ack.ack(tenant.engine, claims, given)
    return AckAnswer(acked_at=format_time(acked.acked_at), synced=acked.synced)


ROUTES = [post_ack]
