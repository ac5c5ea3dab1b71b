"""Devices, why they lack a row, and what they sent: looked at, repaired and ended in the browser."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import psycopg
import pytest
from playwright.sync_api import Page, expect

from homing.protocol.errors import Action
from homing.settings import Settings
from tests.console.field import XSS, Field, in_the_field
from tests.fixtures.browser import check_page, sign_in_to
from tests.fixtures.server import Server


@pytest.fixture(scope="module")
def yard(server: Server, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    with in_the_field(server, settings, tmp_path_factory.mktemp("replicas")) as field:
        yield field


def test_why_a_row_is_missing(browser_page: Page, server: Server, yard: Field) -> None:
    page = browser_page
    north, south = yard.team("North"), yard.team(f"South {XSS}")
    yard.worker("ana", name=XSS, team=north)
    meter = yard.meter("behind-the-hut", south, name=XSS)
    device = yard.device("ana")
    sign_in_to(page, server)
    page.keyboard.press("g")
    page.keyboard.press("d")
    expect(page).to_have_title("Devices · Homing")
    check_page(page)
    page.goto(f"{server.url}/console/devices?q={device['device_id']}&status=active&version=1.2&trust=doubted")
    expect(page.get_by_role("heading", name="No devices")).to_be_visible()
    page.goto(f"{server.url}/console/devices?q={device['device_id']}&status=active&version=1.2")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(device["device_id"])
    check_page(page)
    page.get_by_role("combobox", name="Table").select_option("meter")
    page.get_by_role("searchbox", name="Row’s key").fill("behind")
    page.get_by_role("button", name="Why?").click()
    expect(page.get_by_role("heading", name="It does not get the row")).to_be_visible()
    expect(page.locator(".verdict")).to_contain_text(f"South {XSS}"[:50])
    check_page(page)
    yard.call("PUT", f"/teams/{south}/members/{yard.users['ana']}")
    page.reload()
    expect(page.get_by_role("heading", name="It is to get the row")).to_be_visible()
    assert yard.clients["ana"].sync().ok
    page.reload()
    expect(page.get_by_role("heading", name="It has the row")).to_be_visible()
    with psycopg.connect(yard.settings.database_url or "", autocommit=True) as conn:
        conn.execute("DELETE FROM fieldwork.meters WHERE id = %s", [meter])
    page.goto(f"{server.url}/console/explain?device={device['id']}&table=meter&row={meter}")
    expect(page.locator(".verdict")).to_contain_text("The row was deleted.")
    check_page(page)
    page.goto(f"{server.url}/console/explain?device={device['id']}&table=meter&q=nowhere")
    expect(page.get_by_role("heading", name="No such row")).to_be_visible()


def test_a_poison_item_is_repaired_and_another_discarded(browser_page: Page, server: Server, yard: Field) -> None:
    page = browser_page
    team = yard.team("West")
    ben = yard.worker("ben", team=team)
    meters = [yard.meter(f"w-{number}", team, notes="as it was") for number in range(3)]
    assert ben.sync().ok
    # What the replica would never send: as an older app might.
    token = {"device_id": ben.replica.status().device_id}
    item = {"resource_type": "meter", "action": "update", "client_version": 1}
    sent = ben.replica.store.session().access_token
    answer = yard.http.post(
        "/api/v1/mobile/sync/push",
        headers={"authorization": f"Bearer {sent}"},
        json={
            **token,
            "items": [
                item | {"payload": {"id": meters[0], "reading": XSS}},
                item | {"payload": {"id": meters[1], "readin": 1}},
            ],
        },
    )
    assert [each["status"] for each in answer.json()["results"]] == ["error", "error"], answer.text

    sign_in_to(page, server)
    page.keyboard.press("g")
    page.keyboard.press("b")
    expect(page).to_have_title("Batches · Homing")
    check_page(page)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Batch")
    check_page(page)
    page.keyboard.press("t")
    expect(page.get_by_role("heading", name="Then").first).to_be_visible()
    expect(page.get_by_role("heading", name="Now").first).to_be_visible()
    check_page(page)
    page.get_by_role("link", name="In quarantine").first.click()
    check_page(page)
    box = page.get_by_label("What the device wants to update")
    expect(box).to_have_value(json.dumps({"id": meters[0], "reading": XSS}, indent=2))
    box.fill("{")
    page.get_by_role("button", name="Try").click()
    expect(page.locator("p.error")).to_contain_text("This is not JSON")
    expect(box).to_have_value("{")
    check_page(page)
    box.fill(json.dumps({"id": meters[0], "reading": 52}))
    page.get_by_role("button", name="Try").click()
    expect(page.get_by_role("heading", name="Now, with this payload")).to_be_visible()
    expect(page.locator(".then-now")).to_contain_text("ok")
    assert float(yard.call("GET", f"/meters/{meters[0]}")["reading"]) == 50
    check_page(page)
    page.get_by_role("button", name="Save and replay").click()
    expect(page.get_by_role("status").first).to_have_text("Applied: update of meter.")
    assert float(yard.call("GET", f"/meters/{meters[0]}")["reading"]) == 52
    check_page(page)
    page.get_by_role("row").nth(1).get_by_role("link").click()
    page.get_by_role("button", name="Discard").first.click()
    page.get_by_label("Reason").fill(XSS)
    check_page(page)
    page.get_by_role("dialog").get_by_role("button", name="Discard").click()
    expect(page.get_by_role("heading", name="Nothing in quarantine")).to_be_visible()


def test_a_device_is_suspended_readmitted_and_wiped(browser_page: Page, server: Server, yard: Field) -> None:
    page = browser_page
    team = yard.team("East")
    meter = yard.meter("e-1", team)
    carl = yard.worker("carl", name="Carl", team=team)
    assert carl.sync().pulled.rows == 0, "it has everything"
    everything = sum(carl.replica.status().rows.values())
    device = yard.device("carl")
    times = [f"2026-01-01T0{hour}:00:00Z" for hour in range(5)]
    metrics = [{"name": "battery", "value": 90 - 7 * n, "timestamp": at} for n, at in enumerate(times)]
    metrics.append({"name": "storage_free", "value": XSS, "timestamp": times[0]})
    sent = carl.replica.store.session().access_token
    telemetry = yard.http.post(
        "/api/v1/telemetry", headers={"authorization": f"Bearer {sent}"}, json={"metrics": metrics}
    )
    assert not telemetry.is_error, telemetry.text
    sign_in_to(page, server)
    page.goto(f"{server.url}/console/devices/{device['id']}")
    expect(page.get_by_text("Storage free")).to_be_visible()
    page.get_by_role("button", name="Resync").click()
    check_page(page)
    page.get_by_role("dialog").get_by_role("button", name="Require a resync").click()
    expect(page.get_by_role("status").first).to_contain_text("It starts again with its next pull")
    carl.replica.update("meter", meter, reading=77)
    again = carl.sync().pulled
    assert (again.resyncs, again.rows) == (1, everything)
    assert float(yard.call("GET", f"/meters/{meter}")["reading"]) == 77, "the outbox was kept"
    page.get_by_role("button", name="Suspend").first.click()
    page.get_by_role("dialog").get_by_label("Reason").fill(XSS)
    check_page(page)
    page.get_by_role("dialog").get_by_role("button", name="Suspend").click()
    expect(page.get_by_role("status").first).to_contain_text("Suspended")
    check_page(page)
    page.get_by_role("button", name="Readmit").first.click()
    page.get_by_role("dialog").get_by_role("button", name="Readmit").click()
    expect(page.get_by_role("status").first).to_contain_text("Readmitted")
    carl.sync()  # may start again once more: an order counts for the whole of its second
    assert carl.sync().pulled.resyncs == 0
    page.get_by_role("button", name="Revoke and wipe").first.click()
    page.get_by_label("Type the device’s name to confirm").fill("another")
    page.get_by_role("dialog").get_by_label("Reason").fill(XSS)
    page.get_by_role("dialog").get_by_role("button", name="Revoke and wipe").click()
    # The dialog is open again, with what was typed and the reason at its field.
    expect(page.get_by_role("alert")).to_contain_text("Not wiped")
    expect(page.get_by_role("dialog").get_by_label("Reason")).to_have_value(XSS)
    expect(page.get_by_label("Type the device’s name to confirm")).to_have_value("another")
    expect(page.get_by_label("Type the device’s name to confirm")).to_have_accessible_description(
        re.compile("not the device’s name")
    )
    page.get_by_label("Type the device’s name to confirm").fill(device["device_id"])
    check_page(page)
    page.get_by_role("dialog").get_by_role("button", name="Revoke and wipe").click()
    expect(page.get_by_text("It has not called since")).to_be_visible()
    assert carl.sync().action is Action.WIPE
    page.reload()
    expect(page.get_by_text("It called after it was revoked")).to_be_visible()
    check_page(page)
