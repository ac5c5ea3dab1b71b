"""sync_metadata: whether a device is at it, what it holds back, and that its last sync was refused."""

from __future__ import annotations

import pytest

from tests.apps.fieldwork.scene import make_meter, make_team, ok, problem


@pytest.fixture
def state(worker):
    """What the server says of the worker's phone."""

    def read() -> tuple[str, int, bool]:
        found = ok(worker.http.get("/api/v1/mobile/sync/status"))
        return found["sync_status"], found["pending_outgoing_count"], found["last_sync_timestamp"] is not None

    return read


@pytest.fixture
def settings(settings):
    return type(settings)(database_url=settings.database_url, data_dir=settings.data_dir, apps=("fieldwork",))


def pull(worker, since, limit=None):
    return ok(worker.http.post("/api/v1/mobile/sync/pull", json={"since_token": since, "limit": limit}))


def test_a_device_is_syncing_from_the_first_page_to_the_last(owner, worker, state) -> None:
    team = make_team(owner, "north", worker)
    for n in range(4):
        make_meter(owner, f"m-{n}", team_id=team)
    assert state() == ("idle", 0, False)
    page = pull(worker, None, 2)
    assert (page["has_more"], state()) == (True, ("syncing", 0, False))
    while page["has_more"]:
        page = pull(worker, page["next_token"], 2)
    assert state() == ("idle", 0, True)
    ok(worker.http.post("/api/v1/mobile/sync/ack", json={"ack_token": page["next_token"], "pending": 3}))
    assert state() == ("idle", 3, True)


def test_a_push_says_what_is_left(owner, worker, state) -> None:
    meter = make_meter(owner, team_id=make_team(owner, "north", worker))
    item = {"resource_type": "meter", "action": "update", "client_version": 1}
    item["payload"] = {"id": meter["id"], "reading": 51}
    body = {"items": [item], "pending": 120}
    assert ok(worker.http.post("/api/v1/mobile/sync/push", json=body))["results"][0]["status"] == "ok"
    assert state() == ("syncing", 120, False)
    ok(worker.http.post("/api/v1/mobile/sync/push", json={**body, "pending": 1}))
    assert state() == ("idle", 1, True)
    problem(worker.http.post("/api/v1/mobile/sync/push", json={**body, "pending": -1}), 422, "invalid_envelope")


def test_a_refused_sync_is_an_error_until_one_goes_through(worker, new_person, state) -> None:
    problem(worker.http.post("/api/v1/mobile/sync/pull", json={"since_token": "nonsense"}), 400, "invalid_token")
    assert state() == ("error", 0, False)
    page = pull(worker, None)
    assert state() == ("idle", 0, True)
    problem(worker.http.post("/api/v1/mobile/sync/ack", json={"ack_token": "nonsense"}), 400, "invalid_token")
    assert state() == ("error", 0, True)
    ok(worker.http.post("/api/v1/mobile/sync/ack", json={"ack_token": page["next_token"]}))
    assert state() == ("idle", 0, True)
    # Nobody marks another's device.
    other = new_person("sam")
    problem(
        other.http.post("/api/v1/mobile/sync/push", json={"items": [], "device_id": "wims-phone"}),
        403,
        "device_unknown",
    )
    assert state() == ("idle", 0, True)
