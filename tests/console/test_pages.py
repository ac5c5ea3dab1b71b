"""Every page, looked at: by axe in both themes, in a wide window and on a phone, and with text that is a script."""

from __future__ import annotations

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.fixtures.accounts import PASSWORD, login
from tests.fixtures.browser import check_page, check_quiet, sign_in_to
from tests.fixtures.server import Server

CORPUS = (
    "<script>document.title='owned'</script>",
    '"><img src=x onerror="document.title=\'owned\'">',
    "'-document.title-' onmouseover='document.title=1' x='",
    "</script><svg onload=document.title='owned'>",
    "</textarea><b>{{ 7 * 7 }}{% raw %}${7*7}",
    "javascript:document.title='owned'//",
    "<a href=javascript:document.title='owned'>x</a>",
    "\u202e<iframe srcdoc='<script>parent.document.title=1</script>'>",
)
ALIVE = "[onerror], [onmouseover], [onload], iframe, main script:not([type]), main a[href^=javascript]"
ODDITY = " ".join(CORPUS)

PAGES = (
    "/console/overview",
    "/console/tables",
    "/console/users",
    "/console/users/new",
    "/console/roles",
    "/console/audit",
    "/console/jobs",
    "/console/tenants",
    "/console/settings",
    "/console/api",
)


@pytest.mark.parametrize("address", PAGES)
def test_a_page_is_accessible_in_both_themes(browser_page: Page, server: Server, address: str) -> None:
    sign_in_to(browser_page, server)
    browser_page.goto(server.url + address)
    check_page(browser_page)


def test_text_of_every_kind_is_shown_as_text(browser_page: Page, server: Server) -> None:
    """In every text that somebody else can write, on every page that shows it: nothing runs, all of it is there."""
    page = browser_page
    tokens = login(server, "olga@example.org").json()
    with httpx.Client(
        base_url=f"{server.url}/api/v1", headers={"authorization": f"Bearer {tokens['access_token']}"}
    ) as http:
        made = http.post("/users", json={"login": "mallory", "name": CORPUS[0], "role": "WORKER", "password": PASSWORD})
        assert made.status_code == 201, made.text
        team = http.post("/teams", json={"name": ODDITY[:100]}).json()
        meter = {"code": CORPUS[1][:40], "name": ODDITY[:90], "unit": CORPUS[2][:20], "reading": 1, "notes": ODDITY}
        answer = http.post("/meters", json={**meter, "team_id": team["id"]})
        assert answer.status_code == 201, answer.text
        row = answer.json()
        http.patch(f"/meters/{row['id']}", json={"notes": ODDITY[::-1]})
    sign_in_to(page, server)
    for address in (
        "/console/users",
        f"/console/users/{made.json()['id']}",
        f"/console/users?{httpx.QueryParams({'q': CORPUS[0]})}",
        "/console/tables/fieldwork.meter?every=true",
        f"/console/tables/fieldwork.meter?{httpx.QueryParams({'where': f'name:has:{CORPUS[0]}'})}",
        f"/console/tables/fieldwork.meter/row?key={row['id']}",
        f"/console/tables/fieldwork.meter/edit?key={row['id']}",
        f"/console/tables/fieldwork.meter/history?key={row['id']}",
        f"/console/tables/fieldwork.team/row?key={team['id']}",
        "/console/audit",
        "/console/overview",
        f"/console/sign-in?{httpx.QueryParams({'next': CORPUS[5]})}",
        f"/console/nothing?{httpx.QueryParams({'x': CORPUS[0]})}",
    ):
        page.goto(server.url + address)
        assert "owned" not in page.title() or "<script>" in page.title(), address
        assert page.locator(ALIVE).count() == 0, address
    page.goto(f"{server.url}/console/tables/fieldwork.meter/row?key={row['id']}")
    expect(page.locator("dd", has_text=ODDITY[::-1][:60]).first).to_be_visible()


def test_somebody_with_a_keyboard_finds_a_page(browser_page: Page, server: Server) -> None:
    page = browser_page
    sign_in_to(page, server)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    check_page(page)
    page.keyboard.press("Escape")
    page.keyboard.press("Control+k")
    page.keyboard.type("audit")
    check_page(page)
    page.keyboard.press("Enter")
    expect(page).to_have_title("Audit log · Homing")
    page.keyboard.press("g")
    page.keyboard.press("u")
    expect(page).to_have_title("Users · Homing")
    page.keyboard.press("/")
    page.keyboard.type("olga")
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{server.url}/console/users?q=olga")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page).to_have_title("Olga Office · Homing")


def test_the_theme_is_switched_and_kept(browser_page: Page, server: Server) -> None:
    page = browser_page
    sign_in_to(page, server)
    background = "() => getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    page.get_by_role("button", name="Light or dark").click()
    dark = page.evaluate(background)
    assert dark != light
    page.reload()
    assert page.evaluate(background) == dark
    page.emulate_media(color_scheme="dark")
    page.get_by_role("button", name="Light or dark").click()
    assert page.evaluate(background) == light


@pytest.mark.parametrize("address", ["/console/overview", "/console/tables/fieldwork.meter", "/console/settings"])
def test_a_phone_shows_a_page_without_scrolling_sideways(browser_page: Page, server: Server, address: str) -> None:
    page = browser_page
    page.set_viewport_size({"width": 360, "height": 740})
    sign_in_to(page, server)
    page.goto(server.url + address)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 360
    page.get_by_role("button", name="Navigation").click()
    expect(page.get_by_role("link", name="Users")).to_be_visible()
    check_page(page)
    page.keyboard.press("Escape")
    expect(page.get_by_role("link", name="Users")).to_be_hidden()


def test_figures_refresh_themselves(browser_page: Page, server: Server) -> None:
    page = browser_page
    sign_in_to(page, server)
    page.evaluate("() => { document.querySelector('#live').firstElementChild.id = 'before' }")
    page.evaluate("() => htmx.trigger('#live', 'live')")
    expect(page.locator("#before")).to_have_count(0)
    expect(page.locator("#live .stat-value").first).to_be_visible()
    expect(page.locator("#live #live, #live main")).to_have_count(0)
    check_quiet(page)
