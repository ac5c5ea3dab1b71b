"""For machines that watch machines: probes, metrics, and the API's own description."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Response, get
from litestar.params import QueryParameter

from homing.accounts.caller import require_caller
from homing.protocol.errors import Problem
from homing.server import doctor
from homing.server.answers import RawJson
from homing.server.doctor import Finding
from homing.server.openapi import describe
from homing.server.routing import OFFICE, PUBLIC, read_claims
from homing.server.tenant import Tenant

METRICS_TYPE = "text/plain; version=0.0.4"  # Litestar adds the charset


class Health(msgspec.Struct, frozen=True):
    status: Literal["ok"] = "ok"


class Ready(msgspec.Struct, frozen=True, omit_defaults=True):
    """``counts`` and ``findings`` only where they were asked for (``?verbose``): see ``Diagnosis``."""

    status: Literal["ok", "warn", "fail"]
    user_count: int | None = None
    message_count: int | None = None
    pending_sync_count: int | None = None
    sync_errors: int | None = None
    findings: list[Finding] = []


@get("/health/live", roles=PUBLIC, of_node=True)
async def get_alive() -> Health:
    """The process answers."""
    return Health()


@get("/health/ready", roles=PUBLIC, of_node=True)
async def get_ready(
    request: Request[Any, Any, Any],
    tenant: Tenant,
    verbose: Annotated[
        str | None, QueryParameter(max_length=5, description="Office: everything a doctor sees.")
    ] = None,
) -> Ready:
    """The database answers too; otherwise a 503, and requests should go to another node."""
    if verbose is None or verbose.lower() in ("0", "false", "no"):
        async with tenant.database.connection() as conn:
            await conn.execute("SELECT 1")
        return Ready("ok")
    # A probe needs no token, but how many messages wait is not everybody's business.
    claims = read_claims(tenant, request.headers.get("authorization", "").encode("latin-1"))
    if (await require_caller(tenant.database, claims)).role not in OFFICE:
        raise Problem("forbidden")
    seen = await doctor.examine(tenant)
    return Ready(seen.state, findings=seen.findings, **seen.counts)


@get("/metrics", roles=PUBLIC, of_node=True, answers=("text/plain",), media_type="text/plain")
async def get_metrics(request: Request[Any, Any, Any]) -> Response[bytes]:
    """For Prometheus."""
    return Response(request.app.state.metrics.page(), media_type=METRICS_TYPE)


@get("/openapi.json", roles=PUBLIC, of_node=True)
async def get_openapi(request: Request[Any, Any, Any]) -> RawJson:
    """This description."""
    return RawJson(describe(request.app))


ROUTES = [get_alive, get_ready, get_metrics, get_openapi]
