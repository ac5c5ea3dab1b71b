"""``POST /mobile/sync/verify``: a replica proves that it equals its scope."""

from __future__ import annotations

from typing import Any

from litestar import Request, post

from homing.accounts.rates import SYNC
from homing.engine import verify
from homing.engine.caller import Claims
from homing.protocol.messages import VerifyAnswer, VerifyRequest
from homing.server.bodies import read
from homing.server.routing import BY_ENGINE, SIGNED_IN
from homing.server.tenant import Tenant


@post("/mobile/sync/verify", status_code=200, roles=SIGNED_IN, confirmed=BY_ENGINE, rate=SYNC, body=VerifyRequest)
async def post_verify(request: Request[Any, Any, Any], tenant: Tenant, claims: Claims) -> VerifyAnswer:
    """Which tables of a replica differ from the server's."""
    return await verify.verify(tenant.engine, claims, await read(request, VerifyRequest))


ROUTES = [post_verify]
