"""What every page of the console stands in: signing in and out, the guard, the policy, themes, keyboard."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.fixtures.browser import check_page, sign_in_to
from tests.fixtures.server import Server


def test_somebody_signs_in_looks_around_and_signs_out(browser_page: Page, server: Server) -> None:
    page = browser_page
    page.goto(f"{server.url}/console/users?role=OWNER")
    expect(page).to_have_title("Sign in · Homing")
    check_page(page)
    page.get_by_label("E-mail or username").fill("olga@example.org")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_have_text("The login or the password is not right.")
    page.get_by_label("Password").fill("correct horse battery")
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(f"{server.url}/console/users?role=OWNER")
    expect(page.get_by_role("row").nth(1)).to_contain_text("Olga Office")
    check_page(page)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("status").first).to_have_text("You are signed out.")
    page.goto(f"{server.url}/console")
    expect(page).to_have_url(f"{server.url}/console/sign-in")


def test_overview(browser_page: Page, server: Server) -> None:
    sign_in_to(browser_page, server)
    expect(browser_page).to_have_title("Overview · Homing")
    check_page(browser_page)


def test_the_side_bar_says_who_is_signed_in(browser_page: Page, server: Server) -> None:
    page = browser_page
    sign_in_to(page, server)
    expect(page.locator(".me")).to_contain_text("Olga Office")
    expect(page.locator(".me .role")).to_have_text("owner")
    # As they are called now, not as they were when they signed in.
    page.get_by_role("link", name="Users").click()
    page.get_by_role("link", name="Olga Office").click()
    page.get_by_role("textbox", name="Name").fill("Olga <b>Oslo</b>")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".me strong")).to_have_text("Olga <b>Oslo</b>")
    check_page(page)
    page.get_by_role("textbox", name="Name").fill("Olga Office")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".me strong")).to_have_text("Olga Office")
