"""The CRM's pages: the office gives somebody a job, they do it, and each sees what is theirs to see."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec
import pytest
from playwright.sync_api import Page, expect

from homing.settings import Settings
from tests.console.desk import entered, office
from tests.fixtures.accounts import create_user
from tests.fixtures.browser import check_page, sign_in_to
from tests.fixtures.server import Server, serving

if TYPE_CHECKING:
    import httpx

ODD = "<script>alert(1)</script> & 'Ada'"


@pytest.fixture(scope="module")
def settings(module_settings: Settings) -> Settings:
    url = module_settings.database_url or ""
    create_user(url, "olga@example.org", "OWNER", name="Olga Office")
    create_user(url, "wim", "WORKER", name="Wim Worker")
    create_user(url, "zoe", "WORKER", name="Zoe")
    return msgspec.structs.replace(module_settings, apps=("fieldwork", "crm"))


@pytest.fixture(scope="module")
def server(settings: Settings) -> Iterator[Server]:
    with serving(settings) as running:
        yield running


def test_a_job_from_the_office_to_done(browser_page: Page, server: Server) -> None:
    page = browser_page
    with office(server) as api:
        customer = made(api, "/crm/customers", name=ODD, address="12 Elm Street", phone="555-0100")
        made(api, "/crm/customers", name="Grace", address="1 Navy Yard", phone="666-1")
        job = made(api, "/crm/jobs", title=ODD, customer_id=customer["id"], notes=ODD)
        made(api, f"/crm/jobs/{job['id']}/materials", item_name=ODD, quantity=2, unit="kg")
    sign_in_to(page, server)
    page.get_by_role("link", name="CRM").click()
    expect(page.get_by_role("row").nth(1)).to_contain_text(ODD)
    check_page(page)
    page.get_by_role("link", name="Customers").click()
    page.get_by_role("searchbox", name="Words of name").fill("555-01")
    page.get_by_role("searchbox", name="Words of name").press("Enter")
    expect(page.get_by_role("row")).to_have_count(2)
    check_page(page)
    page.get_by_role("link", name=ODD).click()
    expect(page.get_by_role("row")).to_have_count(2)
    check_page(page)

    page.get_by_role("row").nth(1).get_by_role("link").click()
    check_page(page)
    page.get_by_label("Who").select_option("Wim Worker")
    page.get_by_role("button", name="Assign").click()
    expect(page.get_by_role("status").first).to_contain_text("Assigned")
    # What may come next is offered, and nothing else.
    steps = page.locator("button[name=status]")
    expect(steps).to_have_text(["In progress", "Waiting on materials", "On hold"])
    steps.get_by_text("In progress").click()
    expect(page.get_by_role("status").first).to_have_text("The job is in progress.")
    page.get_by_role("textbox", name="Material").fill("Nails")
    page.get_by_role("textbox", name="Quantity").fill("none")
    page.get_by_role("button", name="Add to the list").click()
    expect(page.get_by_role("alert")).to_contain_text("quantity")
    # What was typed is still there, and the reason is at its field.
    expect(page.get_by_role("textbox", name="Material")).to_have_value("Nails")
    expect(page.get_by_role("textbox", name="Quantity")).to_have_value("none")
    expect(page.get_by_role("textbox", name="Quantity")).to_be_focused()
    expect(page.get_by_role("textbox", name="Quantity")).to_have_accessible_description(re.compile("quantity"))
    check_page(page)
    page.get_by_role("textbox", name="Quantity").fill("2.5")
    page.get_by_role("button", name="Add to the list").click()
    page.get_by_role("button", name="Purchased: Nails", exact=True).click()
    expect(page.locator(".checklist .done")).to_contain_text("Nails")
    check_page(page)

    # Somebody is faster: the page says so, and nothing of theirs is lost.
    with office(server) as api:
        answer = api.post(f"/crm/jobs/{job['id']}/status", json={"status": "ON_HOLD"})
        assert answer.status_code == 200, answer.text
    page.locator("button[name=status]").get_by_text("Completed").click()
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.locator("button[name=status]")).to_have_text(["Not started", "In progress", "Waiting on materials"])
    page.get_by_role("link", name="All activity of this job").click()
    expect(page.locator(".trail").first).to_contain_text("in_progress", ignore_case=True)
    check_page(page)


def test_workers_see_their_jobs_and_no_others(browser_page: Page, server: Server) -> None:
    with office(server) as api:
        (wim,) = api.get("/users", params={"q": "wim"}).json()["items"]
        customer = made(api, "/crm/customers", name="Alan", address="3 Lane")
        job = made(api, "/crm/jobs", title="Tiles", customer_id=customer["id"])
        assert api.put(f"/crm/jobs/{job['id']}/assignments/{wim['id']}").status_code == 200
    page = browser_page
    sign_in_to(page, server, "wim")
    page.goto(f"{server.url}/console/crm")
    page.get_by_role("link", name="Tiles").click()
    expect(page.get_by_role("button", name="Assign")).to_have_count(0)
    page.get_by_role("textbox", name="Notes").fill("Done by noon")
    page.get_by_role("button", name="Save the notes").click()
    expect(page.get_by_role("status").first).to_have_text("The notes are saved.")
    check_page(page)
    page.goto(f"{server.url}/console/crm/activity")
    check_page(page)
    with entered(server, "wim") as wims:
        assert wims.get("/crm/customers").status_code == 403
        assert wims.get(f"/crm/customers/{customer['id']}").status_code == 200
        assert wims.get("/crm?view=owner").status_code == 403
        csrf = re.search(r'name="csrf" content="([0-9a-f]+)"', wims.get(f"/crm/jobs/{job['id']}").text)
        assert csrf is not None
        for path, sent, expected in (
            ("status", {"status": "DONE", "version": "1"}, 422),
            ("status", {"status": "ON_HOLD", "version": str(10**30)}, 422),
            ("status", {"status": "ON_HOLD", "version": "one"}, 400),
            ("notes", {"notes": "x", "version": "-1"}, 422),
            ("materials", {"item_name": "x", "quantity": "1e99"}, 422),
            (f"materials/{job['id']}", {"do": "tick"}, 404),
            ("assignments", {"user": "me"}, 403),
        ):
            answer = wims.post(f"/crm/jobs/{job['id']}/{path}", data={"csrf": csrf[1], **sent})
            assert answer.status_code == expected, (path, sent, answer.text)
        unchanged = wims.get(f"/crm/jobs/{job['id']}").text
        assert "It has not changed yet." in unchanged
        assert "Done by noon" in unchanged
        assert "Nothing is on the list." in unchanged
    with entered(server, "zoe") as zoes:
        assert "Tiles" not in zoes.get("/crm").text
        assert zoes.get(f"/crm/jobs/{job['id']}").status_code == 404
        assert zoes.get(f"/crm/customers/{customer['id']}").status_code == 404


def made(api: httpx.Client, path: str, **columns: object) -> dict[str, str]:
    answer = api.post(path, json=columns)
    assert answer.status_code == 201, answer.text
    found: dict[str, str] = answer.json()
    return found
