"""For machines that watch machines: probes, metrics, and the API's own description."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from litestar import Request, Response, get

from homing.server.answers import RawJson
from homing.server.openapi import describe
from homing.server.routing import PUBLIC
from homing.server.tenant import Tenant

METRICS_TYPE = "text/plain; version=0.0.4"  # Litestar adds the charset


class Health(msgspec.Struct, frozen=True):
    status: Literal["ok"] = "ok"


@get("/health/live", roles=PUBLIC, of_node=True)
async def get_live() -> Health:
    """The process answers."""
    return Health()


@get("/health/ready", roles=PUBLIC, of_node=True)
async def get_ready(tenant: Tenant) -> Health:
    """The database answers too; otherwise a 503, and requests should go to another node."""
    async with tenant.database.connection() as conn:
        await conn.execute("SELECT 1")
    return Health()


@get("/metrics", roles=PUBLIC, of_node=True, answers=("text/plain",), media_type="text/plain")
async def get_metrics(request: Request[Any, Any, Any]) -> Response[bytes]:
    """For Prometheus."""
    return Response(request.app.state.metrics.page(), media_type=METRICS_TYPE)


@get("/openapi.json", roles=PUBLIC, of_node=True)
async def get_openapi(request: Request[Any, Any, Any]) -> RawJson:
    """This description."""
    return RawJson(describe(request.app))


ROUTES = [get_live, get_ready, get_metrics, get_openapi]
