"""Two applications that want the same address: the first has it, both have their own."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from litestar import Litestar, get, post
from litestar.testing import TestClient

from homing.server.composing import ALIAS, Fresh, compose
from homing.server.routing import PUBLIC, routes_of


def application(name: str) -> ModuleType:
    @get("/jobs", roles=PUBLIC)
    async def get_jobs() -> dict[str, str]:
        return {"jobs": name}

    @get("/jobs/{job_id:uuid}", roles=PUBLIC)
    async def get_job(job_id: Any) -> dict[str, str]:
        return {"job": name, "id": str(job_id)}

    @post(f"/{name}-only", roles=PUBLIC)
    async def post_only() -> dict[str, str]:
        return {"only": name}

    module = ModuleType(name)
    module.ROUTES = (get_jobs, get_job, post_only)  # type: ignore[attr-defined]
    return module


@pytest.mark.filterwarnings("ignore::litestar.exceptions.LitestarDeprecationWarning")
def test_the_first_application_has_the_short_address_and_each_its_own() -> None:
    @get("/own", roles=PUBLIC)
    async def get_own() -> dict[str, str]:
        return {}

    @get("/jobs/{other:uuid}/own", roles=PUBLIC)
    async def get_below(other: Any) -> dict[str, str]:
        return {"other": str(other)}

    handlers = compose([get_own, get_below], {name: application(name) for name in ("crm", "market")})
    app = Litestar([Fresh("/api", route_handlers=handlers)], openapi_config=None)
    assert sorted(str(route) for route in routes_of(app)) == [
        "GET /api/jobs",
        "GET /api/jobs/{job_id}",
        "GET /api/jobs/{other}/own",
        "GET /api/market/jobs",
        "GET /api/market/jobs/{job_id}",
        "GET /api/own",
        "POST /api/crm-only",
        "POST /api/market-only",
    ]
    aliases = [route for route in routes_of(app, aliases=True) if ALIAS in route.handler.opt]
    assert sorted(str(route) for route in aliases) == [
        "GET /api/crm/jobs",
        "GET /api/crm/jobs/{job_id}",
        "POST /api/crm/crm-only",
        "POST /api/market/market-only",
    ]
    with TestClient(app) as client:
        for path, name in (("jobs", "crm"), ("crm/jobs", "crm"), ("market/jobs", "market")):
            assert client.get(f"/api/{path}").json() == {"jobs": name}
