"""The inbox at a desk: somebody in the field writes, the desk sees it come, reads it and answers."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest
from playwright.sync_api import Page, expect

from homing.settings import Settings
from tests.fixtures.accounts import SignIn, create_user
from tests.fixtures.browser import check_page, sign_in_to
from tests.fixtures.server import Server, serving

NASTY = "<img src=x onerror=alert(1)> {{7*7}}"


@pytest.fixture(scope="module")
def settings(module_settings: Settings) -> Settings:
    create_user(module_settings.database_url or "", "olga@example.org", "OWNER", name="Olga Office")
    return msgspec.structs.replace(module_settings, apps=("messaging",))


@pytest.fixture(scope="module")
def server(settings: Settings) -> Iterator[Server]:
    with serving(settings) as running:
        yield running


def test_the_desk_answers_the_field(browser_page: Page, server: Server, new_person: SignIn) -> None:
    nia = new_person("nia", device_id="nias-phone")
    page = browser_page
    sign_in_to(page, server)
    page.goto(f"{server.url}/console/messages")
    expect(page.get_by_role("heading", name="No messages")).to_be_visible()
    check_page(page)
    olga = next(
        each for each in nia.http.get("/api/v1/contacts").json()["items"] if each["username"].startswith("olga")
    )
    sent = nia.http.post("/api/v1/messages", json={"recipient_id": olga["id"], "content": NASTY})
    assert sent.status_code == 201, sent.text

    # The page that is open shows it by itself.
    expect(page.get_by_role("row").nth(1)).to_contain_text(NASTY)
    check_page(page)
    assert nia.http.get(f"/api/v1/messages/{sent.json()['id']}").json()["status"] != "read"
    page.get_by_role("link", name="nia").click()
    expect(page.get_by_text(NASTY)).to_be_visible()
    check_page(page)
    assert nia.http.get(f"/api/v1/messages/{sent.json()['id']}").json()["status"] == "read"
    page.get_by_label("Message to nia").fill("Understood.\nGo on.")
    page.get_by_role("button", name="Send").click()
    expect(page.locator(".talk .mine")).to_contain_text("Understood.")
    (got,) = nia.http.get("/api/v1/messages").json()["items"]
    assert (got["content"], got["sender_id"]) == ("Understood.\nGo on.", olga["id"])

    page.goto(f"{server.url}/console/messages?q=understood&box=sent")
    expect(page.get_by_role("row").nth(1)).to_contain_text("nia")
    check_page(page)
    page.goto(f"{server.url}/console/messages/new")
    expect(page.get_by_role("link", name="nia")).to_be_visible()
    check_page(page)
    page.goto(f"{server.url}/console/messages/{'1' * 8}-1111-4111-8111-{'1' * 12}")
    expect(page.get_by_role("heading", level=1)).to_have_text("Not found")


def test_a_tenant_without_the_application_has_no_such_page(browser_page: Page, server: Server) -> None:
    sign_in_to(browser_page, server)
    expect(browser_page.get_by_role("navigation", name="Main").get_by_role("link", name="Messages")).to_be_visible()
    expect(browser_page.get_by_role("link", name="Submissions")).to_have_count(0)
    answer = browser_page.goto(f"{server.url}/console/submissions")
    assert answer is not None
    assert answer.status == 404
