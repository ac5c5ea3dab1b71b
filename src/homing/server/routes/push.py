"""``POST /mobile/sync/push``: apply a batch."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, post

from homing.accounts import trust
from homing.accounts.rates import SYNC
from homing.engine import push, status
from homing.engine.caller import Claims
from homing.protocol.messages import PushAnswer, PushRequest
from homing.server.answers import RawJson
from homing.server.bodies import read
from homing.server.routing import BY_ENGINE, SIGNED_IN
from homing.server.tenant import Tenant

_encode = msgspec.json.Encoder().encode


@post(
    "/mobile/sync/push", status_code=200, roles=SIGNED_IN, confirmed=BY_ENGINE, body=PushRequest, answer=PushAnswer,
    rate=SYNC, reads=True,
)  # fmt: skip
async def post_push(request: Request[Any, Any, Any], tenant: Tenant, claims: Claims) -> RawJson:
    """Apply a device's batch, exactly once; one result an item, in order."""
    tenant.pushes.take()
    given = await read(request, PushRequest)
    async with status.watched(tenant.engine, claims):
        answer = await push.push(tenant.engine, claims, given)
    device = claims.device_name or given.device_id
    if device is not None and _is_suspicious(tenant, given, answer):
        await trust.review_by_name(tenant.database, device, now=tenant.clock())
    return RawJson(_encode(answer))


def _is_suspicious(tenant: Tenant, given: PushRequest, answer: PushAnswer) -> bool:
    """Whether the push gives reason to look at the device's trust: refused items, or a clock far off."""
    if any(result.status == "error" for result in answer.results):
        return True
    offset = push.measured(given.client_time, tenant.clock())
    return offset is not None and abs(offset) > trust.CLOCK_FAR_OFF


ROUTES = [post_push]
