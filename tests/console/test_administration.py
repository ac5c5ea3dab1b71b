"""Users, the audit log, jobs, settings, tenants and the API's reference."""

from __future__ import annotations

import html
import re
from collections.abc import Callable

import httpx
from playwright.sync_api import Page, expect

from homing.settings import Settings
from tests.console.desk import entered, office
from tests.fixtures.accounts import PASSWORD, login
from tests.fixtures.browser import check_page, sign_in_to
from tests.fixtures.server import Server
from tests.fixtures.tenants import Crowd


def test_a_user_is_made_changed_and_deactivated(browser_page: Page, server: Server) -> None:
    page = browser_page
    sign_in_to(page, server)
    page.get_by_role("link", name="Users").click()
    page.get_by_role("link", name="New user").click()
    page.get_by_label("E-mail or username").fill("uma")
    page.get_by_label("Name", exact=False).nth(1).fill("Uma")
    page.get_by_label("Password").fill("x")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_label("E-mail or username")).to_have_value("uma")
    check_page(page)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("status").first).to_have_text("Uma is a user now.")
    check_page(page)
    assert login(server, "uma").status_code == 200
    page.get_by_label("Name").fill("Uma Umarova")
    page.get_by_role("button", name="Save").click()
    expect(page).to_have_title("Uma Umarova · Homing")
    page.get_by_role("button", name="Deactivate").first.click()
    check_page(page)
    page.get_by_role("dialog").get_by_role("button", name="Deactivate").click()
    expect(page.get_by_role("status").first).to_contain_text("signed out everywhere")
    assert login(server, "uma").status_code == 401
    page.get_by_role("button", name="Take back").click()
    expect(page.get_by_role("status").first).to_have_text("They may sign in again.")
    page.get_by_role("button", name="Delete").first.click()
    page.get_by_role("dialog").get_by_role("button", name="Delete for good").click()
    expect(page.get_by_role("status").first).to_have_text("The user is deleted.")
    assert login(server, "uma").status_code == 401


def test_the_last_owner_stays_one(server: Server) -> None:
    with office(server) as api, entered(server) as web:
        (olga,) = api.get("/users", params={"q": "olga"}).json()["items"]
        csrf = re.search(r'name="csrf" content="([0-9a-f]+)"', web.get("/users").text)
        assert csrf is not None
        address = f"/users/{olga['id']}"
        for path, sent in (
            (address, {"name": "Olga", "role": "WORKER"}),
            (f"{address}/activity", {"active": "no"}),
        ):
            answer = web.post(path, data={**sent, "csrf": csrf[1]})
            assert (answer.status_code, "last active owner" in answer.text) == (409, True), path
        assert web.get("/users").status_code == 200


def test_the_audit_log_is_all_changes_page_by_page(server: Server) -> None:
    with office(server) as api:
        team = api.post("/teams", json={"name": "Audited"}).json()
        for number in range(12):
            api.patch(f"/teams/{team['id']}", json={"name": f"Audited {number}"})
    with entered(server) as web:
        seen: list[str] = []
        address = "/audit?table=fieldwork.team&action=update&limit=5"
        while True:
            text = web.get(address).text
            seen += re.findall(r"Audited (\d+)<", text)
            found = re.search(r'href="/console([^"]+)" rel="next"', text)
            if found is None:
                break
            address = html.unescape(found[1])
        assert seen == [str(number) for number in reversed(range(12))]


def test_settings_are_explained_and_keep_secrets(server: Server, settings: Settings) -> None:
    with entered(server) as web:
        text = web.get("/settings").text
    assert "HOMING_DATABASE_URL" in text
    assert "HOMING_LIMITS_" in text
    assert "A PostgreSQL of 15 or newer." in text
    password = httpx.URL((settings.database_url or "").replace("postgresql://", "http://")).password
    if password:
        assert password not in text


def test_every_route_is_in_the_reference(server: Server) -> None:
    document = httpx.get(f"{server.url}/openapi.json").json()
    with entered(server) as web:
        tags = re.findall(r'href="/console/api\?tag=([^"]+)"', web.get("/api").text)
        shown = set()
        for tag in tags:
            text = web.get(f"/api?tag={tag}").text
            shown |= set(re.findall(r'class="method \w+">([A-Z]+)</span> <code>([^<]+)</code>', text))
    described = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    assert {(method, html.unescape(path)) for method, path in shown} == described


def test_there_are_no_tenants_to_see(server: Server) -> None:
    with entered(server) as web:
        assert "This server has the default tenant alone." in web.get("/tenants").text


def test_a_tenant_is_signed_in_to_by_name_and_sees_nothing_of_others(
    server: Server, crowd: Callable[..., Crowd]
) -> None:
    crowd("acme", "zeta")
    with entered(server, tenant="acme") as acme, entered(server) as default:
        text = acme.get("/users").text
        assert "<span>acme</span>" in text
        assert acme.get("/tenants").status_code == 404
        assert "zeta" not in acme.get("/overview").text
        listed = default.get("/tenants").text
        assert re.findall(r'href="/console/sign-in\?tenant=(\w+)"', listed) == ["acme", "zeta"]
        # A cookie of one tenant is none in another.
        elsewhere = acme.get("/users", headers={"x-homing-tenant": "zeta"})
        assert (elsewhere.status_code, elsewhere.headers["location"]) == (303, "/console/sign-in?next=/console/users")
