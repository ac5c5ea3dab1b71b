"""Every declared table has a list, a page for each row, its history, and forms, from its declaration alone."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.fixtures.browser import check_page, sign_in_to
from tests.fixtures.server import Server


def test_a_row_is_made_found_changed_and_deleted(browser_page: Page, server: Server) -> None:
    page = browser_page
    sign_in_to(page, server)
    page.get_by_role("link", name="Tables").click()
    check_page(page)
    page.get_by_role("link", name="Teams", exact=True).click()
    expect(page.get_by_role("heading", name="No rows")).to_be_visible()
    page.get_by_role("link", name="New team").click()
    check_page(page)
    page.get_by_label("Name").fill("North")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("status").first).to_have_text("Created.")
    expect(page).to_have_title("North · Homing")
    check_page(page)
    page.keyboard.press("e")
    page.get_by_label("Name").fill("North and east")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status").first).to_have_text("Saved as version 2.")
    page.get_by_role("link", name="History", exact=True).click()
    expect(page.locator(".trail del").first).to_contain_text("North")
    expect(page.locator(".trail ins").first).to_contain_text("North and east")
    check_page(page)
    page.goto(f"{server.url}/console/tables/fieldwork.team?where=name:has:EAST&sort=-name")
    expect(page.get_by_role("row")).to_have_count(2)
    check_page(page)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page).to_have_title("North and east · Homing")
    page.get_by_role("button", name="Delete").first.click()
    check_page(page)
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("status").first).to_have_text("Deleted.")
    expect(page.get_by_role("heading", name="No rows")).to_be_visible()
