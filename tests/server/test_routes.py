"""Every route that the server has, found in its own table: who may call it, and from when on a revoked device may not.

A route that is added is in these tests at once.
"""

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from litestar import get

import homing
from homing.server.answers import RawJson
from homing.server.app import create_app
from homing.server.node import Node
from homing.server.routes.live import MEDIA_TYPE as LIVE
from homing.server.routing import BY_ENGINE, OFFICE, PERSON, PUBLIC, SIGNED_IN, Route, RoutesError, routes_of
from homing.server.tenant import Tenant
from homing.settings import Settings
from tests.fixtures.accounts import Person, SignIn
from tests.fixtures.server import Server

NOBODYS_DEVICE = "11111111-1111-4111-8111-111111111111"
NUMBERED = {"{job_id}": "999999999", "{notification_id}": "999999999"}
"""What is not named by a uuid."""


@pytest.fixture(scope="module")
def settings(module_settings: Settings) -> Settings:
    return module_settings


@pytest.fixture(scope="module")
def server(module_server: Server) -> Server:
    return module_server


@pytest.fixture
def worker(new_person: SignIn) -> Person:
    """Somebody new each time: some tests end with a device that nobody may use any more."""
    name = f"worker-{uuid4().hex[:8]}"
    return new_person(name, device_id=f"{name}s-phone")


def routes(server: Server) -> list[Route]:
    found = list(routes_of(create_app(server.node)))
    assert len(found) > 20
    return found


def call(client: httpx.Client, route: Route, token: str = "", headers: dict[str, str] | None = None) -> httpx.Response:
    """Some call of the route: what it asks for is made up, so it ends in a refusal at the latest when it looks. Sync
    looks at the body before it confirms the caller, so there the body is sound; ``token`` is from a pull."""
    path = "/".join(
        NUMBERED.get(part, NOBODYS_DEVICE) if part.startswith("{") else part for part in route.path.split("/")
    )
    body: dict[str, Any] = {}
    match path.rpartition("/sync/")[2]:
        case "push":
            body = {"items": [{"resource_type": "meter", "action": "delete", "payload": {"id": str(uuid4())}}]}
        case "ack":
            body = {"ack_token": token}
        case "verify":
            body = {"token": token, "digests": {}}
    content = json.dumps(body) if route.method in ("POST", "PUT", "PATCH") else None
    sent = {"content-type": "application/json", **(headers or {})}
    with client.stream(route.method, path, content=content, headers=sent) as answer:
        if answer.headers.get("content-type", "").startswith(LIVE):
            return httpx.Response(answer.status_code, headers=answer.headers, request=answer.request)  # has no end
        answer.read()
    return answer


def pulled(person: Person) -> str:
    """A token of a complete pull."""
    answer = person.http.post("/api/v1/mobile/sync/pull", json={})
    assert (answer.status_code, answer.json()["has_more"]) == (200, False), answer.text
    return str(answer.json()["next_token"])


def code(answer: httpx.Response) -> str:
    if answer.headers.get("content-type") == "application/problem+json" and answer.request.method != "HEAD":
        return str(answer.json()["code"])
    return str(answer.status_code)


def test_who_may_call_what(server: Server) -> None:
    """The whole table, so that a change of it is seen by whoever reads the diff."""
    table = {
        str(route): "public"
        if route.roles is PUBLIC
        else "signed in"
        if route.roles is SIGNED_IN
        else " ".join(sorted(route.roles))
        for route in routes(server)
    }
    public = {route for route, roles in table.items() if roles == "public"}
    assert public == {
        "GET /api/v1/capabilities",
        "GET /api/v1/enrollments/{token}",
        "GET /api/v1/media/download/{key}",
        "GET /docs/errors",
        "GET /health/live",
        "GET /health/ready",
        "GET /metrics",
        "GET /openapi.json",
        "HEAD /api/v1/media/upload/{key}",
        "PATCH /api/v1/media/upload/{key}",
        "POST /api/v1/auth/challenge",
        "POST /api/v1/auth/login",
        "POST /api/v1/auth/refresh",
        "POST /api/v1/enrollments/{token}/complete",
        "PUT /api/v1/media/upload/{key}",
    }
    assert {route: roles for route, roles in table.items() if "/users" in route or "/mobile/devices" in route} == {
        "GET /api/v1/mobile/devices": "OWNER",
        "GET /api/v1/mobile/devices/{device_id}": "OWNER",
        "GET /api/v1/mobile/devices/{device_id}/events": "OWNER",
        "GET /api/v1/mobile/devices/{device_id}/explain": "OWNER",
        "DELETE /api/v1/users/{user_id}": "OWNER",
        "GET /api/v1/users": "OWNER",
        "PATCH /api/v1/mobile/devices/{device_id}": "OWNER",
        "PATCH /api/v1/users/{user_id}": "OWNER",
        "POST /api/v1/mobile/devices": "signed in",
        "POST /api/v1/users": "OWNER",
    }


def test_without_a_token_only_public_routes_answer(server: Server, http: httpx.Client) -> None:
    for route in routes(server):
        answer = call(http, route)
        if route.roles is PUBLIC:
            assert code(answer) != "unauthenticated", route
        else:
            assert (answer.status_code, code(answer)) == (401, "unauthenticated"), route
            assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("header", ["Bearer x.y.z", "Bearer", "Basic b2xnYTpw", "Bearer " + "x" * 5000])
def test_with_nonsense_for_a_token_only_public_routes_answer(server: Server, http: httpx.Client, header: str) -> None:
    for route in routes(server):
        if route.roles is not PUBLIC:
            assert code(call(http, route, headers={"authorization": header})) == "unauthenticated", route


def test_roles(server: Server, owner: Person, worker: Person) -> None:
    """Each route for each role: a worker is refused what is the office's, and nothing else; the owner nothing."""
    seen = set()
    for route in routes(server):
        if str(route) == "POST /api/v1/auth/logout":
            continue
        theirs = isinstance(route.roles, frozenset) and "WORKER" not in route.roles
        assert (code(call(worker.http, route)) == "forbidden") is theirs, route
        assert code(call(owner.http, route)) not in ("forbidden", "unauthenticated"), route
        seen.add(theirs)
    assert seen == {True, False}


def test_a_revoked_device_is_out_with_the_very_next_call(server: Server, owner: Person, worker: Person) -> None:
    """On every route, with an access token that is valid for minutes to come."""
    assert worker.device is not None
    signed_in = [route for route in routes(server) if route.roles is not PUBLIC]
    assert code(worker.http.get("/api/v1/auth/me")) == "200"
    token = pulled(worker)
    revoked = owner.http.patch(
        f"/api/v1/mobile/devices/{worker.device['id']}", json={"status": "revoked", "reason": "lost"}
    )
    assert (revoked.status_code, revoked.json()["status"]) == (200, "revoked")
    for route in signed_in:
        answer = call(worker.http, route, token)
        assert (answer.status_code, code(answer)) == (403, "device_revoked"), route
        assert answer.json()["action"] == "wipe"


def test_a_suspended_device_exchanges_nothing(server: Server, owner: Person, worker: Person) -> None:
    assert worker.device is not None
    device = f"/api/v1/mobile/devices/{worker.device['id']}"
    token = pulled(worker)
    assert owner.http.patch(device, json={"status": "suspended"}).status_code == 200
    for route in routes(server):
        if route.roles is PUBLIC or str(route) == "POST /api/v1/auth/logout":
            continue
        expected = route.handler.opt["confirmed"] is not PERSON
        assert (code(call(worker.http, route, token)) == "device_suspended") is expected, route
    assert owner.http.patch(device, json={"status": "active"}).status_code == 200
    assert code(worker.http.post("/api/v1/mobile/sync/pull", json={"since_token": None})) == "200"


@pytest.mark.parametrize("change", [{"is_active": False}, {"role": "WORKER"}, {"password": "another horse battery"}])
def test_a_changed_user_is_signed_out_with_the_very_next_call(
    server: Server, owner: Person, new_person: SignIn, change: dict[str, Any]
) -> None:
    otto = new_person(f"otto-{uuid4().hex[:8]}", role="OWNER")
    token = pulled(otto)
    assert owner.http.patch(f"/api/v1/users/{otto.id}", json=change).status_code == 200
    for route in routes(server):
        if route.roles is not PUBLIC:
            assert code(call(otto.http, route, token)) == "unauthenticated", route


def test_an_unregistered_device_is_told_to_register(server: Server, new_person: SignIn) -> None:
    token = pulled(new_person("dora"))
    tokens = httpx.post(
        f"{server.url}/api/v1/auth/login",
        json={"login": "dora", "password": "correct horse battery", "device_id": "doras-phone"},
    ).json()
    with httpx.Client(
        base_url=server.url, headers={"authorization": f"Bearer {tokens['access_token']}"}, timeout=30
    ) as phone:
        for route in routes(server):
            if route.roles is PUBLIC or str(route) == "POST /api/v1/auth/logout":
                continue
            expected = route.handler.opt["confirmed"] is not PERSON
            answer = call(phone, route, token)
            assert (code(answer) == "device_unknown") is expected, route
            if expected:
                assert answer.json()["action"] == "enroll"


def test_ids_of_nobody_give_the_same_answer(server: Server, owner: Person) -> None:
    """Whatever id is asked for: absent is not_found, malformed is not_found, and neither says more."""
    for route in routes(server):
        if "{" not in route.path or route.roles is PUBLIC or route.method != "GET":
            continue
        bodies = set()
        for made_up in (str(uuid4()), str(uuid4())):
            path = "/".join(made_up if part.startswith("{") else part for part in route.path.split("/"))
            answer = owner.http.get(path)
            bodies.add((answer.status_code, answer.text))
        assert len(bodies) == 1, route
        path = "/".join("no-such" if part.startswith("{") else part for part in route.path.split("/"))
        assert owner.http.get(path).status_code in (400, 404), route


@get("/without")
async def without() -> RawJson:
    return RawJson(b"{}")


@get("/for-nobody", roles="OWNER")
async def for_nobody() -> RawJson:
    return RawJson(b"{}")


@get("/public", roles=PUBLIC)
async def public_caller(caller: str) -> RawJson:
    return RawJson(caller.encode())


@get("/office", roles=OFFICE, confirmed=BY_ENGINE)
async def office_claims(claims: str) -> RawJson:
    return RawJson(claims.encode())


@get("/engine", roles=SIGNED_IN, confirmed=BY_ENGINE)
async def engine_without_claims() -> RawJson:
    return RawJson(b"{}")


class Careless:
    """An application whose routes were not thought about."""

    ROUTES = (without, for_nobody, public_caller, office_claims, engine_without_claims)


def test_a_route_that_does_not_say_who_may_call_it_stops_the_start(server: Server) -> None:
    tenant = server.tenant
    careless = Tenant(
        settings=tenant.settings,
        database=tenant.database,
        engine=tenant.engine,
        keys=tenant.keys,
        store=tenant.store,
        apps=tenant.apps,
        rates=tenant.rates.rates,
        modules={"careless": Careless},  # type: ignore[dict-item]
    )
    node = Node(
        settings=tenant.settings, default=careless, directory=server.node.directory, control=server.node.control
    )
    with pytest.raises(RoutesError) as caught:
        create_app(node)
    said = [
        "GET /api/v1/engine: with BY_ENGINE it must be SIGNED_IN and take claims, which the engine confirms",
        "GET /api/v1/for-nobody: say who may call it: roles=PUBLIC, SIGNED_IN, OFFICE or a frozenset of roles",
        "GET /api/v1/office: with BY_ENGINE it must be SIGNED_IN and take claims, which the engine confirms",
        "GET /api/v1/public: it is PUBLIC, so nobody need be calling: it cannot take caller",
        "GET /api/v1/without: say who may call it: roles=PUBLIC, SIGNED_IN, OFFICE or a frozenset of roles",
    ]
    # Each is served under its application's name too.
    assert sorted(str(caught.value).splitlines()) == sorted(
        line.replace("/api/v1/", under) for line in said for under in ("/api/v1/", "/api/v1/careless/")
    )


def test_every_module_of_routes_is_served(server: Server) -> None:
    """A file in routes/ that is not listed in routes/__init__.py would be dead code that looks alive."""
    source = Path(homing.__file__).parent
    served = {route.handler.fn.__module__ for route in routes(server)}
    there = {
        f"homing.server.routes.{path.stem}"
        for path in (source / "server" / "routes").glob("*.py")
        if path.stem[0] != "_"
    }
    assert there <= served
