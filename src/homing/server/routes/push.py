"""``POST /mobile/sync/push``: apply a batch."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, post

from homing.accounts.rates import SYNC
from homing.engine.caller import Claims
from homing.protocol.messages import PushAnswer, PushRequest
from homing.server import pushing
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
    return RawJson(_encode(await pushing.take(tenant, claims, given)))


ROUTES = [post_push]
