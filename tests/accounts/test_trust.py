"""Trust: what lowers it, what it holds back, and who may raise it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from homing.accounts import trust
from homing.accounts.trust import WEIGHTS, Reason, merge, registration_reasons, score
from homing.settings import Settings
from tests.fixtures.accounts import Person

NOW = datetime(2026, 3, 1, tzinfo=UTC)
DEVICES = "/api/v1/mobile/devices"

reasons = st.builds(
    Reason,
    reason=st.sampled_from(sorted(WEIGHTS)),
    weight=st.sampled_from([0.1, 0.2, 0.3, 0.6]),
    at=st.integers(0, 1000).map(lambda minutes: NOW + timedelta(minutes=minutes)),
)


def fold(events: list[Reason]) -> list[Reason]:
    found: list[Reason] = []
    for event in events:
        found = merge(found, event)
    return found


@given(st.lists(reasons, max_size=12), st.randoms())
def test_the_order_of_events_does_not_matter_and_no_event_raises_trust(events: list[Reason], random: Any) -> None:
    shuffled = events[:]
    random.shuffle(shuffled)
    assert fold(events) == fold(shuffled)
    assert fold(events + events) == fold(events)
    scores = [score(fold(events[:n])) for n in range(len(events) + 1)]
    assert scores == sorted(scores, reverse=True)
    assert all(0.0 <= each <= 1.0 for each in scores)
    assert len(fold(events)) <= len(WEIGHTS)


def test_the_formula() -> None:
    def named(*names: str) -> float:
        return score(Reason(reason=name, weight=WEIGHTS[name], at=NOW) for name in names)

    assert named() == 1.0
    assert named("clock_far_off") == 0.8
    assert named("clock_far_off", "many_refused") == 0.5
    assert named("clock_far_off", "many_refused", "app_downgraded") == 0.3
    assert named("fingerprint_changed") == 0.4
    assert named(*WEIGHTS) == 0.0
    assert [name for name in WEIGHTS if named(name) < 0.5] == ["fingerprint_changed", "key_changed"]


@pytest.mark.parametrize(
    ("before", "after", "apps", "found"),
    [
        ({}, {}, ("", "1.0"), []),
        ({}, {"attestation": "x"}, ("1.0", "1.0"), []),
        ({"attestation": "x"}, {"attestation": "y"}, ("1.0", "1.1"), []),
        ({"attestation": "x"}, {"attestation": ""}, ("1.0", "1.0"), ["attestation_missing"]),
        ({}, {}, ("1.10.0", "1.9.9"), ["app_downgraded"]),
        ({}, {}, ("1.9.9", "1.10.0"), []),
        ({}, {}, ("2.0", "2.0.0"), []),
        ({}, {}, ("2.0.0", "beta"), []),
        ({}, {}, ("9" * 20, "1"), []),
    ],
)
def test_what_a_registration_says(
    before: dict[str, Any], after: dict[str, Any], apps: tuple[str, str], found: list[str]
) -> None:
    assert registration_reasons(before=before, after=after, app_before=apps[0], app_after=apps[1]) == found


def register(person: Person, **changed: Any) -> dict[str, Any]:
    body = {"device_id": person.device_id, "device_type": "test", "os_version": "1", "app_version": "1.0.0"} | changed
    answer = person.http.post(DEVICES, json=body)
    assert answer.status_code == 200, answer.text
    device: dict[str, Any] = answer.json()
    return device


def test_another_machine_under_the_same_name_is_held_until_the_office_decides(owner: Person, worker: Person) -> None:
    """Its pushes wait, its pulls go on, nothing is lost, and only the office lifts it."""
    register(worker, metadata={"fingerprint": "a"})
    device = register(worker, metadata={"fingerprint": "b"})
    (reason,) = device["trust_reasons"]
    assert (device["trust_score"], reason) == (
        0.4,
        {"reason": "fingerprint_changed", "weight": 0.6, "at": reason["at"]},
    )
    # Going back does not make it trusted again, and does not make it worse.
    back = register(worker, metadata={"fingerprint": "a"})
    assert (back["trust_score"], len(back["trust_reasons"])) == (0.4, 1)

    held = worker.http.post(
        "/api/v1/mobile/sync/push",
        json={"items": [{"resource_type": "meter", "action": "create", "client_temp_id": "t-1", "payload": {}}]},
    ).json()
    assert [(result["status"], result["code"]) for result in held["results"]] == [("error", "held_for_review")]
    assert worker.http.post("/api/v1/mobile/sync/pull", json={}).status_code == 200

    assert worker.http.patch(f"{DEVICES}/{device['id']}", json={"trust_reset": True}).json()["code"] == "forbidden"
    trusted = owner.http.patch(f"{DEVICES}/{device['id']}", json={"trust_reset": True, "reason": "new phone"}).json()
    (kept,) = trusted["trust_reasons"]
    assert (trusted["trust_score"], trusted["status"]) == (1.0, "active")
    assert kept == {"reason": "reset", "weight": 0.0, "at": kept["at"], "note": f"by {owner.id}: new phone"}


def test_the_stored_score_is_what_the_stored_reasons_give(settings: Settings, worker: Person) -> None:
    register(worker, app_version="2.0", metadata={"fingerprint": "a", "attestation": "x"})
    register(worker, app_version="1.9", metadata={"fingerprint": "a"})
    assert settings.database_url is not None
    with psycopg.connect(settings.database_url) as conn:
        row = conn.execute("SELECT trust_score, trust_reasons FROM homing.mobile_devices").fetchone()
    assert row is not None
    stored = msgspec.convert(row[1], list[Reason])
    assert [reason.reason for reason in stored] == ["app_downgraded", "attestation_missing"]
    assert row[0] == score(stored) == 0.5


@pytest.mark.parametrize(
    ("offset", "items", "refused", "expected"),
    [
        (None, 0, 0, []),
        ("25 hours", 19, 19, []),
        ("-27 hours", 0, 0, ["clock_far_off"]),
        ("27 hours", 20, 10, ["clock_far_off"]),
        (None, 20, 11, ["many_refused"]),
        ("10 years", 40, 40, ["clock_far_off", "many_refused"]),
    ],
)
@pytest.mark.anyio
async def test_review_looks_at_what_is_stored(
    db: Any, offset: str | None, items: int, refused: int, expected: list[str]
) -> None:
    now = datetime.now(UTC)
    async with db.transaction() as conn:
        row = await (
            await conn.execute(
                "INSERT INTO homing.mobile_devices (device_id, clock_offset) VALUES ('d', %s::interval) RETURNING id",
                [offset],
            )
        ).fetchone()
        device = row[0]
        for token, age in (("new", timedelta()), ("old", timedelta(days=2))):
            await conn.execute(
                "WITH b AS (INSERT INTO homing.sync_batches (batch_token, device_id, body_hash, created_at) "
                "VALUES (%s, %s, '', %s) RETURNING id) INSERT INTO homing.sync_items "
                "(batch_id, resource_type, action, payload, position, status) "
                "SELECT b.id, 'meter', 'update', '{}', n, "
                "CASE WHEN n <= %s THEN 'error' ELSE 'ok' END::homing.item_status "
                "FROM b, generate_series(1, %s) n",
                # What was refused two days ago is not looked at.
                [token, device, now - age, refused if token == "new" else 100, items if token == "new" else 100],
            )
        found = await trust.review(conn, device_id=device, now=now)
        stored = await (
            await conn.execute("SELECT trust_score, trust_reasons FROM homing.mobile_devices WHERE id = %s", [device])
        ).fetchone()
    assert [reason["reason"] for reason in stored[1]] == expected
    assert found == stored[0] == pytest.approx(1.0 - sum(WEIGHTS[name] for name in expected))
