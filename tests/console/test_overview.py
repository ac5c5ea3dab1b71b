"""The overview's figures are the database's, and what waits for a person is said first."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx

from homing.console.figures import Figures, Series
from homing.console.pages.overview import needs_of
from homing.settings import Settings
from tests.console.desk import entered, office
from tests.fixtures.accounts import PASSWORD, create_user
from tests.fixtures.server import Server


@contextmanager
def signed_in(server: Server, login: str, device: str) -> Iterator[httpx.Client]:
    """A client of the API on a registered device."""
    with httpx.Client(base_url=f"{server.url}/api/v1", timeout=30) as client:
        body = {"login": login, "password": PASSWORD, "device_id": device}
        client.headers["authorization"] = f"Bearer {client.post('/auth/login', json=body).json()['access_token']}"
        about = {"device_id": device, "device_type": "phone", "os_version": "1", "app_version": f"2.{len(device)}"}
        assert client.post("/mobile/devices", json=about).status_code == 200
        yield client


def test_the_figures_are_the_databases(
    server: Server, settings: Settings, servers: Callable[[Settings], Server]
) -> None:
    create_user(settings.database_url or "", "wim", "WORKER")
    with entered(server) as web:
        before = text_of(web.get("/overview").text)
    assert "Nothing waits for a person." in before
    assert "No device is registered yet." in before
    with office(server) as api, signed_in(server, "wim", "phone-1") as one, signed_in(server, "wim", "phone-22") as two:
        for client in (one, two):
            pulled = client.post("/mobile/sync/pull", json={"since_token": None}).json()
            assert client.post("/mobile/sync/ack", json={"ack_token": pulled["next_token"]}).status_code == 200
        items = [{"resource_type": "submission", "action": "create", "payload": {"form_id": "nothing"}}]
        assert one.post("/mobile/sync/push", json={"items": items}).json()["results"][0]["status"] == "error"
        devices = {each["device_id"]: each["id"] for each in api.get("/mobile/devices").json()["items"]}
        suspended = api.patch(f"/mobile/devices/{devices['phone-22']}", json={"status": "suspended", "reason": "lost"})
        assert suspended.status_code == 200
    # A second node on the same database: it has kept no figures yet.
    with entered(servers(settings)) as web:
        said = text_of(web.get("/overview").text)
    for part in (
        "1 Quarantined item Refused, not lost",
        "1 Suspended device They exchange nothing",
        "Devices 2 1 active",
        "Seen today 1 100 % of the active",
        "Batches, last day 1 1 items",
        "Active 1 Suspended 1 Revoked 0",
        "2.7 1 Of the 1 active devices seen last.",
        "wim phone-1 1 completed",
    ):
        assert part in said, said


def test_whatever_waits_there_is_a_page_of_it(server: Server) -> None:
    figures = Figures(
        devices={"suspended": 1},
        seen_today=0,
        seen_last=0,
        versions=[],
        lag_middle=None,
        lag_most=None,
        conflicts=1,
        oldest_conflict=None,
        quarantined=1,
        held=1,
        dead_jobs=1,
        connected=0,
        bytes=0,
        series=Series(times=[0], batches=[1], failed=[1], items=[1], conflicts=[1]),
    )
    with entered(server) as web:
        found = {need.href: web.get(need.href.removeprefix("/console")).status_code for need in needs_of(figures)}
    assert found == dict.fromkeys(found, 200)
    assert len(found) == 6


def text_of(page: str) -> str:
    """What a page says, without its tags."""
    return " ".join(re.sub(r"<[^>]+>", " ", page[page.index("<main") :]).split())
