"""The routes of phones that were away: what they show first, and what they did meanwhile (spec 4)."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Request, get, post
from litestar.params import QueryParameter

from homing.accounts.rates import SYNC
from homing.apps.marketplace import offline, offline_operations
from homing.apps.marketplace.offline import InitialData
from homing.apps.marketplace.offline_operations import OfflineAnswer, OfflineOperations
from homing.engine.caller import Caller, Claims
from homing.protocol.limits import DEFAULT_LIMITS
from homing.server.answers import RawJson
from homing.server.bodies import read
from homing.server.routing import BY_ENGINE, SIGNED_IN
from homing.server.streaming import StreamedJson
from homing.server.tenant import Tenant

ROWS_MAX = 5000
"""Rows of one answer that a client may ask for; without a limit they are all in one."""
NOT_MODIFIED = 304
ETAGS_MAX = 4
"""Versions that a request may ask about: each may cost a pull. A phone has one."""

Rows = Annotated[
    int | None,
    QueryParameter(
        ge=1, le=ROWS_MAX, description="Rows to answer with at most; without it, all of them in one stream."
    ),
]
Cursor = Annotated[
    str | None,
    QueryParameter(max_length=2 * DEFAULT_LIMITS.token_bytes_max, description="`next` of the answer before."),
]
Sized = Annotated[bool, QueryParameter(description="Say how much it is, instead of sending it.")]


@get("/mobile/sync/initial-data", roles=SIGNED_IN, confirmed=BY_ENGINE, answer=InitialData, rate=SYNC)
async def get_initial_data(
    request: Request[Any, Any, Any],
    *,
    tenant: Tenant,
    claims: Claims,
    limit: Rows = None,
    after: Cursor = None,
    estimate: Sized = False,
) -> RawJson:
    """What a phone shows before its first pull, streamed; `next_token` is where pulls go on. With `If-None-Match`, 304
    while there would be nothing new."""
    loading = await offline.start(tenant.engine, claims, after)
    if estimate:
        return RawJson(msgspec.json.encode(await offline.estimate(loading)))
    for etag in request.headers.get("If-None-Match", "").split(",")[:ETAGS_MAX]:
        if etag.strip() and await offline.is_current(tenant.engine, claims, etag.strip()):
            return RawJson(b"", status=NOT_MODIFIED, headers=[(b"etag", etag.strip().encode())])
    headers = [] if loading.etag is None else [(b"etag", loading.etag.encode())]
    return StreamedJson(offline.send(loading, limit=limit), headers=headers)


@post("/mobile/sync/offline-operations", status_code=200, roles=SIGNED_IN, body=OfflineOperations, answer=OfflineAnswer,
      rate=SYNC, reads=True)  # fmt: skip
async def post_offline_operations(
    request: Request[Any, Any, Any], tenant: Tenant, claims: Claims, caller: Caller
) -> RawJson:
    """Apply what was done offline, in order and each once; one result an operation."""
    del caller  # confirmed by the gate, also where a stored answer is given
    tenant.pushes.take()
    given = await read(request, OfflineOperations)
    return RawJson(msgspec.json.encode(await offline_operations.apply(tenant, claims, given)))


ROUTES = (get_initial_data, post_offline_operations)
SPEC_ROUTES = ROUTES
