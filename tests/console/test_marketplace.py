"""The marketplace as the office looks after it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec
import psycopg
import pytest
from playwright.sync_api import Page, expect

from homing.settings import Settings
from tests.console.desk import entered, office
from tests.fixtures.accounts import create_user
from tests.fixtures.browser import check_page, sign_in_to
from tests.fixtures.server import Server, serving

ODD = "<i>Count</i> & 'nests'"
SEND = """
    WITH told AS (
        INSERT INTO homing.push_notifications (user_id, platform, notification_type, title, body, read_at)
        SELECT id, 'mobile', 'job_match', 'A job', 'For you', now() FROM homing.users WHERE username = 'fay'
        RETURNING id)
    INSERT INTO homing.push_deliveries (notification_id, token_id, platform, provider, status)
    SELECT id, 1, 'android', 'fcm', status FROM told, unnest('{delivered,delivered,failed}'::text[]) AS status
"""

PAID = """
    WITH moved AS (
        UPDATE marketplace.jobs SET created_at = now() - interval '3 days' WHERE id = %(job)s::uuid),
    made AS (
        INSERT INTO marketplace.proposals (job_id, client_id, freelancer_id, amount_cents)
        SELECT j.id, j.client_id, u.id, 1 FROM marketplace.jobs j, homing.users u
        WHERE j.id = %(job)s::uuid AND u.username = 'fay' RETURNING id, client_id, freelancer_id)
    INSERT INTO marketplace.payments
        (proposal_id, client_id, freelancer_id, amount_cents, currency, status, gateway, created_at, settled_at)
    SELECT m.id, m.client_id, m.freelancer_id, p.cents, p.currency, p.status, 'sandbox', p.at,
           CASE p.status WHEN 'succeeded' THEN p.at END
    FROM made m, (VALUES (100000, 'EUR', 'succeeded', now() - interval '3 days'),
                         (23450, 'EUR', 'succeeded', now() - interval '3 days'),
                         (777, 'EUR', 'failed', now() - interval '3 days'),
                         (500, 'USD', 'succeeded', now())) p (cents, currency, status, at)
"""


@pytest.fixture(scope="module")
def settings(module_settings: Settings) -> Settings:
    url = module_settings.database_url or ""
    create_user(url, "olga@example.org", "OWNER", name="Olga Office")
    create_user(url, "fay", "WORKER", name="Fay")
    return msgspec.structs.replace(module_settings, apps=("marketplace",))


@pytest.fixture(scope="module")
def server(settings: Settings) -> Iterator[Server]:
    with serving(settings) as running:
        yield running


def test_the_office_looks_after_the_market(browser_page: Page, server: Server, settings: Settings) -> None:
    page = browser_page
    sign_in_to(page, server)
    page.get_by_role("link", name="Marketplace").click()
    check_page(page)
    page.get_by_label("Views").get_by_role("link", name="Notifications").click()
    expect(page.get_by_role("heading", name="Nothing was sent")).to_be_visible()
    page.get_by_label("Views").get_by_role("link", name="Web against mobile").click()
    check_page(page)

    with office(server) as api:
        jobs = [
            api.post("/marketplace/jobs", json={"title": title, "description": "Two hundred photos from the air."})
            for title in (ODD, "Translate a report")
        ]
        assert [each.status_code for each in jobs] == [201, 201], jobs[0].text
    with office(server, "fay") as fay:
        terms = {"job_id": jobs[0].json()["id"], "amount_cents": 12_000, "cover_letter": "I have counted before."}
        made = fay.post("/marketplace/proposals", json=terms)
        assert made.status_code == 201, made.text
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        used = {"event": "feature_usage", "timestamp": now, "properties": {"feature": ODD, "duration": 3}}
        info = {"platform": "android", "version": "15"}
        told = fay.post("/mobile/analytics/events", json={"events": [{**used, "deviceInfo": info}, used]})
        assert told.json()["accepted"] == 2, told.text
    with psycopg.connect(settings.database_url or "") as conn:
        conn.execute(SEND)

    page.goto(f"{server.url}/console/marketplace")
    expect(page.locator(".stat", has_text="Open jobs").locator(".stat-value")).to_have_text("2")
    expect(page.locator(".stat", has_text="Undecided proposals").locator(".stat-value")).to_have_text("1")
    expect(page.get_by_role("link", name=ODD).first).to_be_visible()
    check_page(page)
    page.goto(f"{server.url}/console/marketplace/notifications?days=7")
    expect(page.locator(".stat", has_text="Delivered")).to_contain_text("67 % of 3")
    check_page(page)
    page.goto(f"{server.url}/console/marketplace/metrics?days=30")
    expect(page.get_by_role("row", name="Active users")).to_be_visible()
    check_page(page)


def test_it_is_the_offices(server: Server) -> None:
    with entered(server, "fay") as fay:
        for address in ("/marketplace", "/marketplace/notifications", "/marketplace/metrics"):
            assert fay.get(address).status_code == 403
    with entered(server) as olga:
        # Pages of applications that this server does not have are not there.
        for address in ("/crm", "/forms", "/forms/new"):
            assert olga.get(address).status_code == 404


def test_a_report_comes_after_its_page_and_without_scripts_when_it_is_asked_for(server: Server) -> None:
    with entered(server) as olga:
        for address in ("/marketplace/notifications", "/marketplace/metrics"):
            page, whole = olga.get(f"{address}?days=1"), olga.get(f"{address}?days=1&whole=true")
            link = f'<noscript><p><a href="/console{address}?days=1&amp;whole=true">'
            assert (link in page.text, link in whole.text) == (True, False)
            # What a report consists of; that of notifications says so where nothing was sent.
            assert [part in page.text for part in ('class="stats"', "Nothing was sent")] == [False, False]
            assert any(part in whole.text for part in ('class="stats"', "Nothing was sent"))


@pytest.mark.parametrize("line", ["cut", "full"])
def test_a_report_that_does_not_come_says_so(browser_page: Page, server: Server, line: str) -> None:
    sign_in_to(browser_page, server)
    asked = "**/marketplace/metrics?*whole=true"
    browser_page.route(asked, lambda route: route.abort() if line == "cut" else route.fulfill(status=503))
    browser_page.goto(f"{server.url}/console/marketplace/metrics?days=1")
    again = browser_page.get_by_role("link", name="Try again")
    expect(again).to_be_visible()
    expect(browser_page.get_by_text("Adding up…")).to_be_hidden()
    browser_page.unroute(asked)
    again.click()
    expect(browser_page.get_by_role("row", name="Active users")).to_be_visible()


def test_the_market_day_by_day(browser_page: Page, server: Server, settings: Settings) -> None:
    with office(server) as api:
        job = api.post("/marketplace/jobs", json={"title": "Paint", "description": "All of it."}).json()["id"]
    with psycopg.connect(settings.database_url or "") as conn:
        # Three days ago a job was posted and paid for, today one in another currency; what failed is no payment.
        conn.execute(PAID, {"job": job})
        days = "SELECT to_char(now() AT TIME ZONE 'UTC' - n * interval '1 day', 'FMDD Mon YYYY') FROM unnest(%s) n"
        (then,), (today,) = conn.execute(days, [[3, 0]]).fetchall()  # by the same clock, in the same transaction
    page = browser_page
    sign_in_to(page, server)
    page.goto(f"{server.url}/console/marketplace")
    expect(page.locator("#posted canvas")).to_be_visible()
    page.locator("#paid summary").click()
    paid = page.get_by_role("table", name="Paid per day, EUR")
    expect(paid.get_by_role("row")).to_have_count(31)
    expect(paid.get_by_role("row", name=then).get_by_role("cell")).to_have_text("1\u202f234.50")
    expect(paid.get_by_role("row", name=today).get_by_role("cell")).to_have_text("0")
    check_page(page)
    page.locator("#posted summary").click()
    posted = page.get_by_role("table", name="Jobs posted and payments per day")
    expect(posted.get_by_role("row", name=then).get_by_role("cell")).to_have_text(["1", "2"])
    expect(posted.get_by_role("row", name=today).get_by_role("cell").nth(1)).to_have_text("1")
    check_page(page)
