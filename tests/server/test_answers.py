"""What holds for every answer: headers, compression, problem documents, and the pages that describe the server."""

import gzip
import json
import logging
from typing import Annotated, Any

import httpx
import msgspec
import psycopg
import pytest
import zstandard
from litestar import get
from litestar.params import QueryParameter

from homing.protocol.limits import DEFAULT_LIMITS
from homing.server.answers import RawJson
from homing.server.app import create_app
from homing.server.pages import Search
from homing.server.routing import PUBLIC, routes_of
from homing.settings import Settings
from tests.fixtures.accounts import Person, create_user
from tests.fixtures.server import Server, serving


@pytest.fixture(scope="module")
def settings(module_settings: Settings) -> Settings:
    return module_settings


@pytest.fixture(scope="module")
def server(module_server: Server) -> Server:
    return module_server


def test_live_and_ready(http: httpx.Client) -> None:
    for probe in ("/health/live", "/health/ready"):
        answer = http.get(probe)
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_not_ready_without_a_database(http: httpx.Client, settings: Settings) -> None:
    """Alive, but to be left alone until the database is back; then ready again without a restart."""
    assert http.get("/health/ready").status_code == 200
    name = psycopg.conninfo.conninfo_to_dict(settings.database_url)["dbname"]
    admin = psycopg.conninfo.make_conninfo(settings.database_url, dbname="postgres")
    with psycopg.connect(admin, autocommit=True) as conn:
        conn.execute(psycopg.sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(psycopg.sql.Identifier(name)))
        conn.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        answer = http.get("/health/ready")
        document = answer.json()
        assert (answer.status_code, document["code"], document["action"]) == (503, "unavailable", "retry")
        assert answer.headers["retry-after"] == "1"
        assert http.get("/health/live").status_code == 200
        conn.execute(psycopg.sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(psycopg.sql.Identifier(name)))
    assert http.get("/health/ready").json() == {"status": "ok"}


@pytest.mark.parametrize("path", ["/health/live", "/nothing", "/api/v1/users", "/metrics", "/openapi.json", "//x"])
def test_headers_of_every_answer(http: httpx.Client, path: str) -> None:
    headers = http.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert "server" not in headers
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip", "gzip"),
        ("zstd", "zstd"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("*", "zstd"),
        ("gzip;q=1.0, zstd;q=0", "gzip"),
        ("br", None),
        ("identity", None),
        ("gzip;q=0", None),
    ],
)
def test_large_answers_are_compressed_on_request(server: Server, accepted: str, encoding: str | None) -> None:
    plain = httpx.get(f"{server.url}/openapi.json", headers={"accept-encoding": "identity"}).content
    with httpx.stream("GET", f"{server.url}/openapi.json", headers={"accept-encoding": accepted}) as answer:
        body = b"".join(answer.iter_raw())
    assert answer.headers.get("content-encoding") == encoding
    assert answer.headers["content-length"] == str(len(body))
    assert answer.headers["vary"] == "accept-encoding"
    unpack = {"gzip": gzip.decompress, "zstd": zstandard.ZstdDecompressor().decompress, None: bytes}[encoding]
    assert unpack(body) == plain
    assert len(plain) > 10_000
    if encoding is not None:
        assert len(body) < len(plain) / 3


def test_small_answers_are_not(http: httpx.Client) -> None:
    answer = http.get("/health/live", headers={"accept-encoding": "gzip, zstd"})
    assert "content-encoding" not in answer.headers


def test_capabilities(http: httpx.Client) -> None:
    answer = http.get("/api/v1/capabilities").json()
    assert answer["protocol"] == 1
    assert answer["encodings"] == ["gzip", "zstd"]
    assert answer["roles"] == ["OWNER", "WORKER"]
    assert [app["name"] for app in answer["apps"]] == ["fieldwork"]
    assert {"submission", "meter"} <= set(answer["apps"][0]["tables"])
    assert answer["limits"] == msgspec.to_builtins(DEFAULT_LIMITS)


def test_openapi_is_the_route_table(server: Server, http: httpx.Client) -> None:
    document = http.get("/openapi.json").json()
    described = {f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item}
    assert described == {str(route) for route in routes_of(create_app(server.node))}
    operations = [operation for item in document["paths"].values() for operation in item.values()]
    ids = [operation["operationId"] for operation in operations]
    assert sorted(ids) == sorted(set(ids))
    assert all(operation["summary"] for operation in operations)
    assert document["paths"]["/api/v1/users"]["post"]["requestBody"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/NewUser"
    }
    assert document["components"]["schemas"]["NewUser"]["required"] == ["login", "name", "role"]
    references = {part.split('"')[0] for part in json.dumps(document).split("#/components/schemas/")[1:]}
    assert references <= set(document["components"]["schemas"])


@get("/renamed", roles=PUBLIC)
async def renamed(
    since: Annotated[str, QueryParameter(name="from", max_length=9)], plain: int = 7, other: Search = None
) -> dict[str, Any]:
    """Echoes."""
    return {"since": since, "plain": plain, "other": other}


class Renaming:
    ROUTES = (renamed,)


def test_openapi_names_query_parameters_as_they_are_accepted(settings: Settings) -> None:
    def add(tenant: Any) -> None:
        tenant.modules = {**tenant.modules, "renaming": Renaming}

    with serving(settings, add) as server, httpx.Client(base_url=server.url) as http:
        paths = http.get("/openapi.json").json()["paths"]
        assert paths["/api/v1/renamed"]["get"]["parameters"] == [
            {"name": "from", "in": "query", "required": True, "schema": {"type": "string", "maxLength": 9}},
            {"name": "plain", "in": "query", "required": False, "schema": {"type": "integer", "default": 7}},
            {
                "name": "other",
                "in": "query",
                "required": False,
                "schema": {"type": "string", "minLength": 1, "maxLength": 200},
                "description": "Text to look for.",
            },
        ]
        answer = http.get("/api/v1/renamed", params={"from": "now"})
        assert answer.json() == {"since": "now", "plain": 7, "other": None}
        assert http.get("/api/v1/renamed", params={"since": "now"}).json()["code"] == "invalid_parameter"
        accepted = {str(route): route.query for route in routes_of(create_app(server.node))}
    published = {
        f"{method.upper()} {path}": {each["name"] for each in operation["parameters"] if each["in"] == "query"}
        for path, item in paths.items()
        for method, operation in item.items()
    }
    assert published == accepted
    assert {"from", "to"} <= published["GET /api/v1/telemetry"]


def test_metrics_count_by_route_and_never_by_path(settings: Settings) -> None:
    with serving(settings) as fresh, httpx.Client(base_url=fresh.url) as http:
        for path in ("/health/live", "/api/v1/users/7", "/api/v1/users/8", "/nothing/a", "/nothing/b"):
            http.get(path)
        http.patch("/api/v1/users/8e6d4d4e-6a53-4c69-9f0e-3c0b5a1f3a10", json={})
        answer = http.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    counted = [line for line in answer.text.splitlines() if line.startswith("homing_requests_total")]
    assert sorted(counted) == [
        'homing_requests_total{method="GET",route="/health/live",status="200"} 1.0',
        'homing_requests_total{method="GET",route="unmatched",status="404"} 2.0',
        'homing_requests_total{method="GET",route="unmatched",status="405"} 2.0',
        'homing_requests_total{method="PATCH",route="/api/v1/users/{user_id}",status="401"} 1.0',
    ]
    assert 'homing_request_seconds_count{method="GET",route="/health/live"} 1.0' in answer.text
    assert "/nothing" not in answer.text


@get("/broken", roles=PUBLIC)
async def broken() -> RawJson:
    raise RuntimeError("the secret is hunter2")


class Broken:
    ROUTES = (broken,)


def test_a_bug_is_answered_with_an_id_and_nothing_else(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    def add_bug(tenant: Any) -> None:
        tenant.modules = {**tenant.modules, "broken": Broken}

    with serving(settings, add_bug) as server, caplog.at_level(logging.ERROR, logger="homing.server"):
        answer = httpx.get(f"{server.url}/api/v1/broken")
    document = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert document == {
        "type": "/docs/errors#internal",
        "title": "A bug in the server",
        "status": 500,
        "detail": f"Reported as {document['id']}.",
        "code": "internal",
        "action": "stop",
        "id": document["id"],
    }
    (logged,) = caplog.records
    assert document["id"] in logged.getMessage()
    assert logged.exc_info is not None
    assert "hunter2" in str(logged.exc_info[1])


def test_pages_of_a_list(settings: Settings, owner: Person) -> None:
    """Every user once, in order, whatever the size of a page."""
    names = sorted(["olga@example.org", *(f"user-{n:02}" for n in range(7))])
    for name in names[:-7] + names[-7:]:
        if name != "olga@example.org":
            create_user(settings.database_url, name, "WORKER", password=None)
    for limit in (1, 2, 3, 4, 8, 9):
        found: list[str] = []
        sizes: list[int] = []
        after: dict[str, Any] = {}
        while True:
            page = owner.http.get("/api/v1/users", params={"limit": limit, **after}).json()
            assert set(page) == {"items", "next"}
            found += [user["username"] for user in page["items"]]
            sizes.append(len(page["items"]))
            if page["next"] is None:
                break
            after = {"after": page["next"]}
        assert found == names
        assert all(size == limit for size in sizes[:-1])
        assert 0 < sizes[-1] <= limit
