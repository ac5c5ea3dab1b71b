"""Sessions, forms from elsewhere, and requests that no page of ours makes. Without a browser."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import httpx
import msgspec
import pytest

from homing.accounts import cookies
from homing.server.app import create_app
from homing.server.routing import PUBLIC, routes_of
from homing.settings import Settings
from tests.fixtures.accounts import PASSWORD, create_user, login
from tests.fixtures.server import Server


@pytest.fixture
def browser(server: Server) -> Iterator[httpx.Client]:
    """What a browser sends, and nothing more."""
    with httpx.Client(
        base_url=f"{server.url}/console", headers={"origin": server.url, "accept": "text/html,*/*"}, timeout=30
    ) as client:
        yield client


def enter(client: httpx.Client, username: str = "olga@example.org", password: str = PASSWORD) -> httpx.Response:
    return client.post("/sign-in", data={"login": username, "password": password})


def token_of(client: httpx.Client, address: str = "/users") -> str:
    found = re.search(r'name="csrf" content="([0-9a-f]{64})"', client.get(address).text)
    assert found is not None
    return found[1]


def test_the_cookie_is_out_of_reach(browser: httpx.Client) -> None:
    answer = enter(browser)
    assert (answer.status_code, answer.headers["location"]) == (303, "/console")
    flags = answer.headers["set-cookie"].lower()
    assert flags.startswith("homing_console=")
    assert "httponly" in flags
    assert "samesite=lax" in flags
    assert "secure" not in flags.replace("samesite", "")


def test_every_page_has_the_policy(browser: httpx.Client) -> None:
    enter(browser)
    for address in ("/overview", "/sign-in", "/nothing-here", "/users"):
        policy = browser.get(address).headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "script-src 'self';" in policy
        assert "frame-ancestors 'none'" in policy


def test_no_page_holds_anything_inline(browser: httpx.Client) -> None:
    enter(browser)
    for address in ("/overview", "/tables", "/tables/fieldwork.meter", "/users", "/api", "/settings", "/audit"):
        text = browser.get(address).text
        assert re.findall(r"<[^>]*\s(?:style|on\w+|hx-on[^=]*)=", text) == [], address
        assert re.findall(r"<style|<script(?![^>]*(?:src=|application/json))", text) == [], address


def test_a_session_that_ended_is_out_with_the_next_click(server: Server, browser: httpx.Client) -> None:
    enter(browser)
    kept = dict(browser.cookies)
    assert browser.get("/users").status_code == 200
    gone = browser.post("/sign-out", data={"csrf": token_of(browser)})
    assert (gone.status_code, gone.headers["location"]) == (303, "/console/sign-in")
    again = httpx.get(f"{server.url}/console/users", cookies=kept)
    assert (again.status_code, again.headers["location"]) == (303, "/console/sign-in?next=/console/users")


def test_a_role_that_changed_is_out_with_the_next_click(server: Server, browser: httpx.Client) -> None:
    create_user(server.node.settings.database_url or "", "rick", "OWNER")
    enter(browser, "rick")
    assert browser.get("/users").status_code == 200
    office = login(server, "olga@example.org").json()
    api = {"authorization": f"Bearer {office['access_token']}"}
    (rick,) = httpx.get(f"{server.url}/api/v1/users?q=rick", headers=api).json()["items"]
    httpx.patch(f"{server.url}/api/v1/users/{rick['id']}", json={"role": "WORKER"}, headers=api)
    assert browser.get("/users").headers["location"] == "/console/sign-in?next=/console/users"
    enter(browser, "rick")
    assert browser.get("/users").status_code == 403
    assert browser.get("/tables").status_code == 200


def test_a_form_needs_its_token(browser: httpx.Client) -> None:
    enter(browser)
    new = {"login": "eve", "name": "Eve", "role": "WORKER"}
    for wrong in ({}, {"csrf": ""}, {"csrf": "0" * 64}, {"csrf": "ü"}):
        answer = browser.post("/users/new", data={**new, **wrong})
        assert (answer.status_code, "form is of an earlier session" in answer.text) == (403, True), wrong
    assert browser.post("/users/new", data={**new, "csrf": token_of(browser)}).status_code == 303


def test_another_sessions_token_is_none(server: Server, browser: httpx.Client) -> None:
    enter(browser)
    other = token_of(browser)
    enter(browser)
    answer = browser.post("/users/new", data={"login": "eve2", "name": "Eve", "role": "WORKER", "csrf": other})
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "sent",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
    ],
)
def test_a_form_of_another_site_is_refused(browser: httpx.Client, sent: dict[str, str]) -> None:
    enter(browser)
    token = token_of(browser)
    for address in ("/users/new", "/sign-in", "/sign-out"):
        answer = browser.post(address, data={"csrf": token}, headers=sent)
        assert (answer.status_code, "another site" in answer.text) == (403, True), address


def test_signing_in_needs_the_browsers_word(server: Server) -> None:
    answer = httpx.post(f"{server.url}/console/sign-in", data={"login": "olga@example.org", "password": PASSWORD})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_cookies_and_access_tokens_do_not_pass_for_each_other(server: Server, browser: httpx.Client) -> None:
    access = login(server, "olga@example.org").json()["access_token"]
    for value in (access, "", "x", "a.b.c", "e30.e30.e30", "x" * 5000):
        answer = httpx.get(f"{server.url}/console/users", headers={"cookie": f"{cookies.NAME}={value}"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/console/sign-in?next=/console/users")
    enter(browser)
    cookie = browser.cookies[cookies.NAME]
    answer = httpx.get(f"{server.url}/api/v1/users", headers={"authorization": f"Bearer {cookie}"})
    assert answer.status_code == 401
    twice = httpx.get(
        f"{server.url}/console/users", headers={"cookie": f"{cookies.NAME}={cookie}; {cookies.NAME}={cookie}"}
    )
    assert twice.status_code == 303


@pytest.mark.parametrize(
    ("asked", "back"),
    [
        ("/console/users", "/console/users"),
        ("//evil.example", "/console"),
        ("https://evil.example/console", "/console"),
        ("/console/../api", "/console/../api"),
        ("/console/\\evil", "/console"),
        ("/console/x\r\nset-cookie: a=b", "/console"),
        ("/consolation", "/console"),
        ("/console/sign-in", "/console"),
    ],
)
def test_signing_in_leads_nowhere_else(browser: httpx.Client, asked: str, back: str) -> None:
    answer = browser.post("/sign-in", data={"login": "olga@example.org", "password": PASSWORD, "next": asked})
    assert (answer.status_code, answer.headers["location"]) == (303, back)


def test_htmx_is_told_where_to_sign_in(server: Server) -> None:
    answer = httpx.get(f"{server.url}/console/overview/live", headers={"hx-request": "true"})
    assert (answer.status_code, answer.headers["hx-redirect"]) == (401, "/console/sign-in")


@pytest.mark.parametrize(
    "query",
    [
        "after=%00",
        "after=x",
        "after=W251bGwsIngiXQ",
        "limit=0",
        "limit=99999999999999999999999",
        "limit=x",
        "where=",
        "where=x",
        "where=name:is",
        "where=nothing:is:x",
        "where=id:is:x",
        "where=id:from:x",
        "where=created_at:from:yesterday-ish",
        "where=reading:from:NaN1",
        "where=reading:is:1e999999",
        "where=name:is:%F0%9F%98%80",
        "where=name:is:%ED%A0%80",
        "where=name:has:%25%5C_'\"",
        "sort=nothing",
        "sort=-reading&after=x",
        "sort=--reading",
        "every=maybe",
        "column=name&op=%22&value=x",
        "unknown=1",
        "key=1&key=2",
        "=x&&=",
        "%=%",
    ],
)
def test_a_strange_query_is_no_mistake_of_the_server(browser: httpx.Client, query: str) -> None:
    enter(browser)
    for address in (
        "/tables/fieldwork.meter",
        "/tables/fieldwork.meter/row",
        "/tables/fieldwork.meter/history",
        "/tables/nothing.here",
        "/tables",
        "/users",
        "/audit",
        "/jobs",
        "/api",
        "/overview",
        "/sign-in",
    ):
        answer = browser.get(f"{address}?{query}")
        assert answer.status_code < 500, f"{address}?{query}: {answer.text[:2000]}"
        assert "text/html" in answer.headers["content-type"] or answer.status_code == 303


@pytest.mark.parametrize("body", [b"\xff", b"a=%ff", b"csrf=x&" * 3000, b"%00=1", b'{"a": 1}'])
def test_a_strange_body_is_no_mistake_of_the_server(browser: httpx.Client, body: bytes) -> None:
    enter(browser)
    for kind in (
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain",
        "application/json",
    ):
        answer = browser.post("/users/new", content=body, headers={"content-type": kind})
        assert 400 <= answer.status_code < 500, kind


def test_only_signing_in_and_files_are_public(server: Server) -> None:
    app = create_app(server.node)
    public = sorted(
        str(route) for route in routes_of(app, console=True) if "console" in route.handler.opt and route.roles is PUBLIC
    )
    assert public == ["GET /", "GET /console/sign-in", "GET /console/static/{version}/{name}", "POST /console/sign-in"]


def test_the_root_leads_to_the_console(server: Server) -> None:
    answer = httpx.get(server.url)
    assert (answer.status_code, answer.headers["location"]) == (303, "/console")


def test_files_are_kept_by_their_content(server: Server) -> None:
    page = httpx.get(f"{server.url}/console/sign-in").text
    for address in re.findall(r'(?:href|src)="(/console/static/[^"#]+)', page):
        answer = httpx.get(server.url + address)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    for wrong in ("x/console.css/../../__init__.py", "x/%2e%2e/__init__.py", "x/nothing.css", "x/"):
        assert httpx.get(f"{server.url}/console/static/{wrong}").status_code in (303, 404)


def test_over_https_the_cookie_is_bound_to_the_host(settings: Settings, servers: Callable[[Settings], Server]) -> None:
    behind = servers(msgspec.structs.replace(settings, base_url="https://office.example.org"))
    with httpx.Client(base_url=f"{behind.url}/console", headers={"origin": behind.url}) as client:
        flags = enter(client).headers["set-cookie"]
        assert flags.startswith(f"{cookies.NAME_SECURE}=")
        assert "; secure" in flags.lower()
        assert "; path=/;" in flags.lower()
        assert "domain" not in flags.lower()
        value = flags.partition(";")[0].partition("=")[2]
    for name, status in ((cookies.NAME, 303), (cookies.NAME_SECURE, 200)):
        answer = httpx.get(f"{behind.url}/console/users", headers={"cookie": f"{name}={value}"})
        assert answer.status_code == status, name
