"""The conflict workbench: what a replica and the office both changed is decided in the browser; the replica gets it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest
from playwright.sync_api import Page, expect

from homing.settings import Settings
from tests.console.field import XSS, Field, in_the_field
from tests.fixtures.accounts import create_user
from tests.fixtures.browser import check_page, check_quiet, sign_in_to
from tests.fixtures.server import Server


@pytest.fixture(scope="module")
def yard(server: Server, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    with in_the_field(server, settings, tmp_path_factory.mktemp("replicas")) as field:
        yield field


def test_a_conflict_of_a_real_replica_is_decided_by_keyboard_alone_and_reaches_it(
    browser_page: Page, server: Server, yard: Field
) -> None:
    page = browser_page
    team = yard.team("North")
    ana = yard.worker("ana", name="Ana", team=team)
    meter = yard.meter("m-1", team, notes=XSS, unit=XSS[:20])
    yard.contest("ana", meter, office={"reading": 55, "code": "m-1b"}, device={"reading": 60, "notes": "read twice"})
    other = yard.meter("m-2", team)
    yard.contest("ana", other, office={"reading": 71}, device={"reading": 72})

    sign_in_to(page, server)
    page.keyboard.press("g")
    page.keyboard.press("c")
    expect(page).to_have_title("Conflicts · Homing")
    expect(page.get_by_role("row")).to_have_count(3)
    check_page(page)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard")).to_contain_text("Next and previous row")
    page.keyboard.press("Escape")
    for _ in range(2):
        page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("meter")
    reading = page.locator("tr", has=page.get_by_role("rowheader", name="Reading"))
    expect(reading).to_have_class("mark-both")
    expect(reading.locator(".marked")).to_have_text("both changed it")
    expect(reading.get_by_role("cell").nth(0)).to_have_text("50")
    expect(reading.get_by_role("cell").nth(1)).to_contain_text("changed by olga@example.org")
    expect(reading.get_by_role("cell").nth(2)).to_contain_text("changed by ana")
    expect(page.locator(".mark-client .marked")).to_have_text("only the device")
    expect(page.locator(".mark-server .marked")).to_have_text("only the server")
    check_page(page)

    page.keyboard.press("m")  # nothing is chosen yet: it goes there
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Tab")
    page.keyboard.press("Control+a")
    page.keyboard.type("many")
    page.keyboard.press("Control+Enter")
    expect(page.locator("p.error")).to_have_text("This is no number.")
    check_page(page)
    page.get_by_role("textbox", name="Reading, typed").focus()
    page.keyboard.press("Control+a")
    page.keyboard.type("57.5")
    page.keyboard.press("Control+Enter")
    tried = page.locator("#tried")
    expect(tried).to_contain_text("Merge: what the row becomes")
    expect(tried).to_contain_text("57.5")
    assert yard.call("GET", f"/meters/{meter}")["reading"] in (55, "55"), "only tried"
    check_page(page)
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").first).to_contain_text("Decided.")
    holders = page.locator(".reach li")
    expect(holders).to_have_count(1)
    expect(holders).to_contain_text("not known yet")
    check_page(page)

    assert ana.sync().ok
    row = ana.replica.get("meter", meter)
    assert row is not None
    assert (float(row["reading"]), row["notes"], row["code"]) == (57.5, "read twice", "m-1b")
    page.reload()
    expect(page.locator(".reach li")).to_contain_text("has it")
    page.keyboard.press("n")
    expect(page.locator(".bench").first).to_contain_text("71")
    page.keyboard.press("c")
    expect(tried).to_contain_text("Accept device")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").first).to_contain_text("Decided.")
    page.keyboard.press("u")
    expect(page.get_by_role("heading", name="Nothing to decide")).to_be_visible()
    check_page(page)


def test_whoever_is_second_is_told_who_won_and_loses_nothing(
    browser_page: Page, new_page: Callable[..., Page], server: Server, yard: Field
) -> None:
    page = browser_page
    team = yard.team(XSS)
    yard.worker("ben", name=XSS, team=team)
    meter = yard.meter("m-3", team)
    conflict = yard.contest("ben", meter, office={"reading": 1}, device={"reading": 2})
    create_user(yard.settings.database_url or "", "otto@example.org", "OWNER", name="Otto")
    sign_in_to(page, server)
    page.goto(f"{server.url}/console/conflicts/{conflict}")
    page.get_by_label("Notes").fill(f"Ben is right {XSS}")
    page.get_by_role("textbox", name="Reading, typed").fill("3e400")
    page.get_by_role("button", name="Merge").click()
    expect(page.locator("p.error")).to_be_visible()
    expect(page.get_by_label("Notes")).to_have_value(f"Ben is right {XSS}")
    check_page(page)
    page.get_by_role("textbox", name="Reading, typed").fill("3")
    page.get_by_role("button", name="Merge").click()
    expect(page.locator("#tried")).to_be_visible()
    second = new_page()
    sign_in_to(second, server, "otto@example.org")
    second.goto(f"{server.url}/console/conflicts/{conflict}")
    second.keyboard.press("s")
    second.get_by_role("button", name="Save this decision").click()
    expect(second.get_by_role("status").first).to_contain_text("Decided.")
    page.get_by_role("button", name="Save this decision").click()
    expect(page.get_by_role("alert")).to_contain_text("otto@example.org was first: “Accept server”")
    expect(page.locator(".mine")).to_contain_text("Ben is right")
    expect(page.locator(".mine")).to_contain_text("3")
    check_page(page)
    assert yard.call("GET", f"/meters/{meter}")["reading"] in (1, "1", "1.0")


def test_one_decision_for_many_alike(browser_page: Page, server: Server, yard: Field) -> None:
    page = browser_page
    team = yard.team("South")
    yard.worker("carl", team=team)
    meters = [yard.meter(f"c-{number}", team) for number in range(3)]
    for number, meter in enumerate(meters):
        yard.contest("carl", meter, office={"reading": 10 + number}, device={"reading": 20 + number})
    sign_in_to(page, server)
    page.goto(f"{server.url}/console/conflicts?person=carl&table=meter&code=version_conflict")
    for _ in meters:
        page.keyboard.press("j")
        page.keyboard.press("x")
    expect(page.locator("[data-chosen]")).to_have_text("3 chosen")
    page.get_by_role("button", name="Decide the chosen").click()
    expect(page).to_have_title("Decide 3 conflicts · Homing")
    check_page(page)
    page.get_by_label("Accept the device’s side").check()
    page.get_by_role("button", name="Try").click()
    expect(page.get_by_role("heading", name="What it would do")).to_be_visible()
    check_page(page)
    # One of them is decided meanwhile.
    first = next(c for c in yard.call("GET", "/mobile/conflicts", limit=50)["items"] if c["resource_id"] == meters[0])
    yard.call("POST", f"/mobile/conflicts/{first['id']}/resolve", {"resolution": "accept_server"})
    page.get_by_role("button", name="Save for all 3").click()
    expect(page.get_by_role("alert")).to_have_text("2 decided, 1 not: see below.")
    expect(page.get_by_text("olga@example.org was first: accept server")).to_be_visible()
    check_page(page)
    readings = [float(yard.call("GET", f"/meters/{meter}")["reading"]) for meter in meters]
    assert readings == [10, 21, 22]
    check_quiet(page)


def test_an_edit_of_a_deleted_row_makes_it_again_or_not(browser_page: Page, server: Server, yard: Field) -> None:
    page = browser_page
    team = yard.team("Gone")
    dora = yard.worker("dora", team=team)
    meter = yard.meter("d-1", team)
    assert dora.sync().ok
    with psycopg.connect(yard.settings.database_url or "", autocommit=True) as conn:
        conn.execute("DELETE FROM fieldwork.meters WHERE id = %s", [meter])
    dora.replica.update("meter", meter, reading=99)
    assert dora.sync().pushed.conflicts == 1
    sign_in_to(page, server)
    page.goto(f"{server.url}/console/conflicts?person=dora&code=deleted")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.get_by_text("The row was deleted on the server while the device edited it.")).to_be_visible()
    expect(page.get_by_role("button", name="Merge")).to_have_count(0)
    check_page(page)
    page.keyboard.press("c")
    expect(page.locator("#tried")).to_contain_text("99")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").first).to_contain_text("Decided.")
    assert dora.sync().ok
    row = dora.replica.get("meter", meter)
    assert row is not None
    assert float(row["reading"]) == 99
