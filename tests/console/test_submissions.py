"""What came from the field: listed, on a map, looked at with its photo, reviewed; and the field hears of it."""

from __future__ import annotations

from io import BytesIO

import httpx
from PIL import Image
from playwright.sync_api import Page, expect

from tests.apps.fieldwork.scene import publish_form, pull_all, push, submission
from tests.fixtures.accounts import Person, SignIn
from tests.fixtures.browser import check_page, sign_in_to
from tests.fixtures.server import Server
from tests.media.uploads import presign

NASTY = "<img src=x onerror=alert(1)>{{7*7}}"


def sent(worker: Person, owner: Person) -> list[str]:
    """Two submissions with a place, one of them with a photo, and one without anything."""
    publish_form(owner)
    drawn = BytesIO()
    Image.new("RGB", (640, 480), "seagreen").save(drawn, "PNG")
    place = presign(worker, drawn.getvalue(), filename=f"{NASTY}.png")
    assert httpx.put(place["upload_url"], content=drawn.getvalue(), headers=place["headers"]).status_code == 200
    results = push(
        worker,
        submission("a", {"species": "Adelie", "comment": NASTY}, metadata={"gps": {"lat": -64.77, "lon": -64.05}}),
        submission(
            "b",
            {"species": "Gentoo", "mass": 5000},
            metadata={"gps": {"lat": -64.81, "lon": -63.51}},
            media=[{"key": place["key"]}],
        ),
        submission("c", {"species": "Chinstrap"}),
    )
    assert [result["status"] for result in results] == ["ok"] * 3, results
    return [result["server_id"] for result in results]


def test_the_office_reviews_what_came(browser_page: Page, server: Server, owner: Person, new_person: SignIn) -> None:
    worker = new_person("wim", device_id="wims-phone")
    first, photographed, _ = sent(worker, owner)
    page = browser_page
    sign_in_to(page, server)
    page.goto(f"{server.url}/console/submissions")
    expect(page.get_by_role("row")).to_have_count(4)
    check_page(page)
    page.get_by_label("Any status").select_option("approved")
    expect(page.get_by_role("heading", name="No submissions")).to_be_visible()

    page.goto(f"{server.url}/console/submissions/map")
    expect(page.locator(".map .point")).to_have_count(2)
    check_page(page)
    page.get_by_role("link", name="List what is in view").click()
    expect(page.get_by_role("row")).to_have_count(3)

    page.goto(f"{server.url}/console/submissions/{photographed}")
    photo = page.get_by_role("img")
    expect(photo).to_be_visible()
    assert photo.evaluate("async (image) => { await image.decode(); return image.naturalWidth }") > 0
    check_page(page)
    page.get_by_label("Notes for whoever sent it").fill(NASTY)
    page.get_by_role("button", name="Reject").click()
    expect(page.get_by_role("status").first).to_have_text("It is rejected. This one waits too.")
    found = pull_all(worker).rows["submission", photographed]
    assert (found["status"], found["review_notes"]) == ("rejected", NASTY)

    page.goto(f"{server.url}/console/submissions/{first}")
    expect(page.get_by_text(NASTY)).to_be_visible()
    check_page(page)
    page.keyboard.press("a")
    expect(page.get_by_role("status").first).to_contain_text("It is approved.")
    assert pull_all(worker).rows["submission", first]["status"] == "approved"
    with page.expect_download() as download:
        page.goto(f"{server.url}/console/submissions")
        page.get_by_role("link", name="CSV").click()
    assert download.value.path().read_text().count("\n") == 4
