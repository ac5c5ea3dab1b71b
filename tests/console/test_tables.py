"""Every declared table has a list, a page for each row, its history, and forms, from its declaration alone."""

from __future__ import annotations

import html
import re

import httpx
from playwright.sync_api import Page, expect

from homing.settings import Settings
from tests.console.desk import entered, office
from tests.fixtures.accounts import create_user
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


def test_who_is_overtaken_sees_both_values(browser_page: Page, server: Server) -> None:
    """Somebody else saves the same field first: nothing is lost, and saving again is a decision."""
    page = browser_page
    sign_in_to(page, server)
    with office(server) as api:
        team = api.post("/teams", json={"name": "West"}).json()
        page.goto(f"{server.url}/console/tables/fieldwork.team/edit?key={team['id']}")
        page.get_by_label("Name").fill("Mine")
        renamed = api.patch(f"/teams/{team['id']}", json={"name": "Theirs"})
        assert renamed.status_code == 200, renamed.text
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("it is version 2 now")
    row = page.get_by_role("row", name="name")
    expect(row).to_contain_text("Mine")
    expect(row).to_contain_text("Theirs")
    check_page(page)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status").first).to_have_text("Saved as version 3.")
    expect(page).to_have_title("Mine · Homing")


def test_a_refusal_stands_beside_its_field(browser_page: Page, server: Server) -> None:
    page = browser_page
    sign_in_to(page, server)
    with office(server) as api:
        team = api.post("/teams", json={"name": "East"}).json()
        meter = {"code": "pump-1", "name": "Pump", "unit": "l", "reading": 1, "team_id": team["id"]}
        made = api.post("/meters", json=meter).json()
    page.goto(f"{server.url}/console/tables/fieldwork.meter/edit?key={made['id']}")
    page.get_by_label("Tags").fill("no list")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_label("Tags")).to_have_attribute("aria-invalid", "true")
    expect(page.locator(".wrong .error")).to_contain_text("tags")
    expect(page.get_by_label("Tags")).to_have_value("no list")
    check_page(page)
    page.get_by_label("Tags").fill('["wet"]')
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status").first).to_have_text("Saved as version 2.")


def test_a_list_is_walked_to_its_end(server: Server) -> None:
    """Every row once, whatever it is sorted by, also where many have the same value or none."""
    with office(server) as api:
        team = api.post("/teams", json={"name": "Walked"}).json()
        for number in range(25):
            meter = {"code": f"walk-{number}", "name": f"Meter {number % 3}", "unit": "h", "reading": number % 5}
            notes = {"notes": f"Note {number % 2}"} if number % 4 else {}
            answer = api.post("/meters", json={**meter, **notes, "team_id": team["id"]})
            assert answer.status_code == 201, answer.text
    with entered(server) as web:
        where = {"where": f"team_id:is:{team['id']}", "limit": "4", "every": "true"}
        for sort in (None, "name", "-name", "reading", "-reading", "notes", "-notes", "created_at", "code"):
            seen: list[str] = []
            address = f"/tables/fieldwork.meter?{httpx.QueryParams({**where, **({'sort': sort} if sort else {})})}"
            while True:
                text = web.get(address).text
                seen += re.findall(r">(walk-\d+)<", text)
                found = re.search(r'href="/console([^"]+)" rel="next"', text)
                if found is None:
                    break
                address = html.unescape(found[1])
            assert sorted(seen) == sorted(f"walk-{number}" for number in range(25)), sort


def test_a_worker_sees_and_changes_what_is_theirs(server: Server, settings: Settings) -> None:
    create_user(settings.database_url or "", "wim", "WORKER")
    with office(server) as api:
        (wim,) = api.get("/users", params={"q": "wim"}).json()["items"]
        mine, theirs = (api.post("/teams", json={"name": name}).json() for name in ("Wims", "Others"))
        assert api.put(f"/teams/{mine['id']}/members/{wim['id']}").status_code < 300
        meters = [
            api.post("/meters", json={"code": f"w-{n}", "name": f"W{n}", "unit": "h", "reading": 1, "team_id": t["id"]})
            for n, t in enumerate((mine, theirs))
        ]
    own, other = (each.json()["id"] for each in meters)
    with entered(server, "wim") as web:
        text = web.get("/tables/fieldwork.meter").text
        assert "W0" in text
        assert "W1" not in text
        assert web.get(f"/tables/fieldwork.meter/row?key={own}").status_code == 200
        assert web.get(f"/tables/fieldwork.meter/row?key={other}").status_code == 404
        assert web.get(f"/tables/fieldwork.meter/history?key={other}").status_code == 404
        form = web.get(f"/tables/fieldwork.meter/edit?key={own}").text
        assert 'name="c.reading"' in form
        assert 'name="c.name"' not in form
        assert web.get("/tables/fieldwork.meter/new").status_code == 403
        assert web.get("/overview").status_code == 403
        csrf = re.search(r'name="csrf" content="([0-9a-f]+)"', form)
        assert csrf is not None
        for key, expected in ((own, 303), (other, 404)):
            sent = {"csrf": csrf[1], "version": "1", "c.name": "Renamed", "was.name": "", "c.reading": "7"}
            answer = web.post(f"/tables/fieldwork.meter/edit?key={key}", data={**sent, "was.reading": "1"})
            assert answer.status_code == expected, answer.text
    with office(server) as api:
        row = api.get(f"/meters/{own}").json()
        assert (row["name"], float(row["reading"])) == ("W0", 7.0)
