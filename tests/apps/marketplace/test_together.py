"""The marketplace on one server with all other applications: nobody loses an address, each has its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from homing.server.app import create_app
from homing.server.node import Node
from homing.server.routing import routes_of
from homing.settings import Settings
from tests.apps.marketplace.scene import API, item, ok, pull, push
from tests.fixtures.accounts import SignIn

ALL = ("fieldwork", "messaging", "crm", "marketplace")


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(database_url=database_url, data_dir=tmp_path, pool_size=4, apps=ALL)


async def test_every_route_of_the_marketplace_has_an_address_of_its_own(node: Node) -> None:
    routes = [str(route) for route in routes_of(create_app(node), aliases=True)]
    assert len(routes) == len(set(routes))
    ours = {route.replace("/api/v1/marketplace/", "/api/v1/") for route in routes if "/api/v1/marketplace/" in route}
    assert {
        "GET /api/v1/jobs",
        "GET /api/v1/messages",
        "GET /api/v1/profiles",
        "PATCH /api/v1/proposals/{proposal_id}",
    } <= ours
    assert {route for route in routes if " /api/v1" not in route and " /api/" in route} >= {
        "GET /api/jobs/marketplace",
        "GET /api/va/profiles/{profile_id}",
    }
    assert "GET /api/v1/saved-jobs" in routes  # free, so also at the plain address


def test_a_phone_of_all_applications_syncs_them_side_by_side(new_person: SignIn) -> None:
    office, cleo, fay = (new_person("olga", role="OWNER"), new_person("cleo"), new_person("fay", device_id="fay"))
    customer = ok(office.http.post(f"{API}/customers", json={"name": "Ada", "address": "12 Elm Street"}))
    crm = ok(office.http.post(f"{API}/jobs", json={"title": "Kitchen", "customer_id": customer["id"]}))
    ok(office.http.put(f"{API}/jobs/{crm['id']}/assignments/{fay.id}"))
    job = ok(cleo.http.post(f"{API}/marketplace/jobs", json={"title": "Inbox"}))
    listed: list[dict[str, Any]] = ok(fay.http.get("/api/jobs/marketplace"))["items"]
    assert [row["id"] for row in listed] == [job["id"]]
    (result,) = push(fay, item("proposal", "create", job_id=job["id"], amount_cents=100))
    assert result["status"] == "ok", result
    ok(cleo.http.post(f"{API}/marketplace/messages", json={"recipient_id": fay.id, "content": "About the inbox"}))
    ok(office.http.post(f"{API}/messages", json={"recipient_id": fay.id, "content": "About the kitchen"}))
    held = {change["resource_type"] for change in pull(fay)[0]}
    assert {"crm.job", "marketplace.job", "messaging.message", "marketplace.message", "proposal", "customer"} <= held
