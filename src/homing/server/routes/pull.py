"""``POST /mobile/sync/pull``: bring a device from what it has to what its user may see now."""

from __future__ import annotations

from typing import Any

from litestar import Request, post

from homing.accounts.rates import SYNC
from homing.engine import pull, status
from homing.engine.caller import Claims
from homing.protocol.messages import PullAnswer, PullRequest
from homing.server.answers import RawJson
from homing.server.bodies import read
from homing.server.routing import BY_ENGINE, SIGNED_IN
from homing.server.tenant import Tenant


@post(
    "/mobile/sync/pull",
    status_code=200,
    roles=SIGNED_IN,
    confirmed=BY_ENGINE,
    rate=SYNC,
    body=PullRequest,
    answer=PullAnswer,
    reads=True,
)
async def post_pull(request: Request[Any, Any, Any], tenant: Tenant, claims: Claims) -> RawJson:
    """One page of changes since a token; the bytes are PostgreSQL's own."""
    given = await read(request, PullRequest)
    async with status.watched(tenant.engine, claims):
        page = await pull.pull(tenant.engine, claims, given)
    return RawJson(page.body())


ROUTES = [post_pull]
