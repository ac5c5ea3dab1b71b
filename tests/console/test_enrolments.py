"""Letting phones in: a code on the screen, a phone that takes it, a sheet, a token that is cancelled."""

from __future__ import annotations

import io
import re
from contextlib import closing
from pathlib import Path

import httpx
import pytest
import zxingcpp
from PIL import Image
from playwright.sync_api import Page, expect

from homing.client import Client, RefusalError
from homing.protocol.enrolment import read_link
from tests.fixtures.browser import check_page, sign_in_to
from tests.fixtures.server import Server


def test_a_phone_takes_the_code_and_the_office_sees_it(browser_page: Page, server: Server, tmp_path: Path) -> None:
    page = browser_page
    sign_in_to(page, server)
    page.goto(f"{server.url}/console/enrolments")
    expect(page.get_by_role("heading", name="No tokens")).to_be_visible()
    check_page(page)
    page.get_by_role("link", name="Enrol phones").click()
    check_page(page)
    page.get_by_label("Username", exact=True).fill("nia")
    page.get_by_role("button", name="Show the code").click()
    expect(page.get_by_alt_text("The QR code of this token")).to_be_visible()
    expect(page.locator("#live")).to_contain_text("pending")
    check_page(page)

    # What the phone's camera sees is the only thing that goes from the browser to the replica.
    payload = seen_in(page)
    assert read_link(payload).url == server.url
    with closing(Client(tmp_path / "nia.db", server.url, sleep=lambda _seconds: None)) as phone:
        nia = phone.enroll(payload, device_type="<b>Pixel</b>")
        assert nia["username"] == "nia"
        assert phone.sync(verify=True).ok
        device = phone.replica.status().device_id

    # The page that is open learns it by itself.
    expect(page.locator("#live")).to_contain_text("used")
    expect(page.locator("#live")).to_contain_text("<b>Pixel</b>")
    check_page(page)
    page.get_by_role("link", name="The device").click()
    expect(page).to_have_url(re.compile(re.escape(device)))
    page.goto(f"{server.url}/console/enrolments?state=used")
    expect(page.get_by_role("row").nth(1)).to_contain_text(device)
    check_page(page)
    # The code lets nobody else in.
    thief = Client(tmp_path / "thief.db", server.url, sleep=lambda _seconds: None)
    with closing(thief), pytest.raises(RefusalError):
        thief.enroll(payload, "thief")


def test_a_token_is_cancelled_and_lets_nobody_in(browser_page: Page, server: Server) -> None:
    page = browser_page
    sign_in_to(page, server)
    page.goto(f"{server.url}/console/enrolments/new")
    page.get_by_label("Username", exact=True).fill("max")
    page.get_by_role("button", name="Show the code").click()
    invitation = read_link(page.locator("[data-copy]").last.get_attribute("data-copy") or "")
    page.goto(f"{server.url}/console/enrolments?state=pending")
    page.get_by_role("link", name="max").click()
    page.get_by_role("button", name="Cancel this token").click()
    page.get_by_role("button", name="Cancel the token").click()
    expect(page.get_by_role("status").first).to_have_text("The token is cancelled.")
    expect(page.locator("#live")).to_contain_text("cancelled")
    check_page(page)
    taken = httpx.post(f"{server.url}/api/v1/enrollments/{invitation.token}/complete", json={"device_id": "maxs-phone"})
    assert (taken.status_code, taken.json()["code"]) == (410, "enrollment_gone")


def test_a_sheet_has_a_card_for_each_and_a_bad_name_loses_nothing(browser_page: Page, server: Server) -> None:
    page = browser_page
    sign_in_to(page, server)
    page.goto(f"{server.url}/console/enrolments/new")
    people = page.get_by_label("Usernames, one a line")
    people.fill("ada\nbo\nada")
    page.get_by_role("button", name="Make the sheet").click()
    expect(page.get_by_role("alert")).to_contain_text("A username is named twice.")
    expect(people).to_have_value("ada\nbo\nada")
    check_page(page)
    people.fill("ada\nbo")
    page.get_by_label("Head of the sheet").fill("Team <North>")
    page.get_by_role("button", name="Make the sheet").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Team <North>")
    expect(page.get_by_role("heading", level=2)).to_have_text(["ada", "bo"])


def seen_in(page: Page) -> str:
    """What a camera before the screen reads."""
    picture = Image.open(io.BytesIO(page.screenshot()))
    (code,) = zxingcpp.read_barcodes(picture.convert("L"))
    return code.text
