"""Events through HTTP: one as the specification writes it, and batches: each counted once, none lost for another."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
import psycopg
import pytest

from homing.protocol.limits import DEFAULT_LIMITS
from homing.settings import Settings
from tests.fixtures.accounts import Person, SignIn

ADDRESS = "/api/v1/mobile/analytics/events"
PHONE = {"platform": "ios", "version": "19.1", "model": "iPhone 15"}
NOON = "2026-01-05T12:00:00Z"


def event(name: str = "feature_usage", timestamp: str = NOON, **more: Any) -> dict[str, Any]:
    return {"event": name, "properties": {"feature": "map"}, "timestamp": timestamp, "deviceInfo": PHONE, **more}


def send(person: Person, *events: Any) -> httpx.Response:
    return person.http.post(ADDRESS, json={"events": list(events)})


def rows(settings: Settings, columns: str = "event") -> list[Any]:
    """What was kept beside the sign-ins."""
    with psycopg.connect(settings.database_url or "") as conn:
        query = f"SELECT {columns} FROM homing.analytics_events WHERE event <> 'user_login' ORDER BY at, event"
        return conn.execute(query.encode()).fetchall()


@pytest.fixture
def settings(database_url: str, tmp_path: Any) -> Settings:
    limits = msgspec.structs.replace(DEFAULT_LIMITS, analytics_events_max=50, analytics_event_bytes_max=2000)
    return Settings(database_url=database_url, data_dir=tmp_path, pool_size=4, limits=limits)


def test_one_event_as_the_specification_writes_it(worker: Person, owner: Person, settings: Settings) -> None:
    answer = worker.http.post(ADDRESS, json=event())
    assert (answer.status_code, answer.json()) == (
        200,
        {"accepted": 1, "duplicates": 0, "refused": 0, "results": [{"index": 0, "status": "ok"}]},
    )
    columns = "user_id::text, event, properties, platform, os, os_version, model, app_version, at, said_at, month"
    at = datetime(2026, 1, 5, 12, tzinfo=UTC)
    assert rows(settings, columns) == [
        (
            worker.id,
            "feature_usage",
            {"feature": "map"},
            "mobile",
            "ios",
            "19.1",
            "iPhone 15",
            "1.0.0",
            at,
            at,
            datetime(2026, 1, 1, tzinfo=UTC),
        )
    ]
    again = worker.http.post(
        "/api/mobile/analytics/events", json=event(timestamp="2026-01-05T13:00:00.000+01:00")
    ).json()
    assert (again["accepted"], again["duplicates"], again["results"]) == (0, 1, [{"index": 0, "status": "duplicate"}])
    web = owner.http.post(ADDRESS, json=event(deviceInfo={"platform": "web"}))
    assert web.json()["accepted"] == 1  # another user's is another event
    assert rows(settings, "platform, app_version") == [("mobile", "1.0.0"), ("web", None)]


def test_a_batch_that_is_partly_bad_costs_only_its_bad_ones(worker: Person, settings: Settings) -> None:
    bad = {
        "no object": 7,
        "no name": {"timestamp": NOON},
        "another type": event(timestamp=5),
        "another member": event(color="red"),
        "no time": event(timestamp="yesterday"),
        "no such day": event(timestamp="2026-02-30T00:00:00Z"),
        "a name with a line": event("a\nb"),
        "too long a name": event("x" * 201),
        "NUL": event(properties={"a": "b\0"}),
        "NUL in a model": event(deviceInfo={"platform": "ios", "model": "\0"}),
        "a number nobody keeps": event(properties={"n": 2**60}),
        "large": event(properties={"a": "x" * 2000}),
    }
    good = [event(id="1"), event(id="2")]
    answer = send(worker, good[0], *bad.values(), good[1])
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["accepted"], found["duplicates"], found["refused"]) == (2, 0, len(bad))
    assert [each["status"] for each in found["results"]] == ["ok", *["error"] * len(bad), "ok"]
    assert [each["index"] for each in found["results"]] == list(range(len(bad) + 2))
    codes = dict(zip(bad, (each["code"] for each in found["results"][1:-1]), strict=True))
    assert codes.pop("large") == "too_large"
    assert set(codes.values()) == {"invalid_value"}
    assert all(each["detail"] for each in found["results"][1:-1])
    assert len(rows(settings)) == 2


def test_a_half_emoji_and_a_huge_number_cost_only_their_event(worker: Person, settings: Settings) -> None:
    body = (
        b'{"events": [{"event": "cut \\ud83d", "timestamp": "2026-01-05T12:00:00Z"},'
        b' {"event": "a", "properties": {"n": 1e999}, "timestamp": "2026-01-05T12:00:00Z"},'
        b' {"event": "b", "timestamp": "2026-01-05T12:00:00Z"}]}'
    )
    answer = worker.http.post(ADDRESS, content=body, headers={"content-type": "application/json"})
    if answer.status_code == 400:  # a number out of range is no JSON to us, wherever it stands
        assert answer.json()["code"] == "invalid_json"
        body = body.replace(b"1e999", b"1e300")
        answer = worker.http.post(ADDRESS, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["results"][0]["status"] == "error"
    assert ("b",) in rows(settings)


def test_what_is_sent_twice_counts_once(worker: Person, settings: Settings) -> None:
    first = send(worker, event(id="1"), event(id="1"), event(), event()).json()
    assert [each["status"] for each in first["results"]] == ["ok", "duplicate", "ok", "duplicate"]
    second = send(worker, event(id="2"), event(id="1"), event(), event(properties={})).json()
    assert [each["status"] for each in second["results"]] == ["ok", "duplicate", "duplicate", "ok"]
    assert [each.get("id") for each in second["results"]] == ["2", "1", None, None]
    assert len(rows(settings)) == 4


def test_many_sendings_at_once_count_once(worker: Person, settings: Settings) -> None:
    events = [event(id=str(n)) for n in range(40)]
    answers: list[dict[str, Any]] = []
    barrier = threading.Barrier(6)

    def run(turned: bool) -> None:
        barrier.wait()
        answer = send(worker, *(reversed(events) if turned else events))
        assert answer.status_code == 200, answer.text
        answers.append(answer.json())

    threads = [threading.Thread(target=run, args=(n % 2 == 0,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(each["accepted"] for each in answers) == 40
    assert sum(each["duplicates"] for each in answers) == 200
    assert len(rows(settings)) == 40


def test_a_clock_that_is_ahead_counts_as_now_and_again_as_the_same(worker: Person, settings: Settings) -> None:
    ahead = event(timestamp="2036-01-05T12:00:00Z", id="from the future")
    assert [send(worker, ahead).json()["accepted"] for _ in range(2)] == [1, 0]
    ((at, said),) = rows(settings, "at, said_at")
    assert said == datetime(2036, 1, 5, 12, tzinfo=UTC)
    assert timedelta(0) <= datetime.now(UTC) - at < timedelta(minutes=5)


def test_what_is_no_batch_is_refused_whole(worker: Person, http: httpx.Client, settings: Settings) -> None:
    refused = {
        "no time": ({"event": "a"}, 422, "invalid_envelope"),
        "one with NUL": (event("a\0b"), 422, "invalid_envelope"),
        "one too large": (event(properties={"a": "x" * 2000}), 413, "too_large"),
        "nothing": ({}, 422, "invalid_envelope"),
        "both": ({"events": [], "event": "a"}, 422, "invalid_envelope"),
        "no list": ({"events": {}}, 422, "invalid_envelope"),
        "more": ({"events": [], "color": "red"}, 422, "invalid_envelope"),
        "too many": ({"events": [event(id=str(n)) for n in range(51)]}, 413, "too_many_items"),
    }
    for what, (body, status, code) in refused.items():
        answer = worker.http.post(ADDRESS, json=body)
        assert (answer.status_code, answer.json()["code"]) == (status, code), what
    assert http.post(ADDRESS, json=event()).status_code == 401
    assert send(worker).json() == {"accepted": 0, "duplicates": 0, "refused": 0, "results": []}
    assert rows(settings) == []


def test_metrics_and_events_share_one_intake(worker: Person, settings: Settings) -> None:
    body = {
        "metrics": [{"name": "battery", "value": 80, "timestamp": NOON}],
        "events": [event(id="1"), event("app_crash")],
        "batch_id": "00000000-0000-0000-0000-000000000001",
    }
    answer = worker.http.post("/api/v1/telemetry", json=body)
    assert (answer.status_code, answer.json()["accepted"]) == (201, 3)
    assert worker.http.post("/api/v1/telemetry", json=body).json() == answer.json()
    assert send(worker, event(id="1")).json()["duplicates"] == 1
    other = {**body, "events": body["events"][:1]}
    assert worker.http.post("/api/v1/telemetry", json=other).json()["code"] == "reused_with_other_body"
    only = worker.http.post("/api/v1/telemetry", json={"events": [event("alone")]})
    assert (only.status_code, only.json()["accepted"]) == (201, 1)
    bad = worker.http.post("/api/v1/telemetry", json={"events": [event("fine"), event(timestamp="never")]})
    assert (bad.status_code, bad.json()["path"]) == (422, "/events/1/timestamp")
    assert worker.http.post("/api/v1/telemetry", json={"metrics": [], "events": []}).status_code == 422
    assert rows(settings) == [("alone",), ("app_crash",), ("feature_usage",)]


def test_a_sign_in_is_an_event_if_it_happened(
    worker: Person, owner: Person, sign_in: SignIn, settings: Settings
) -> None:
    sign_in("wim", device_id="wims-phone")
    wrong = owner.http.post("/api/v1/auth/login", json={"login": "wim", "password": "wrong, and that twice"})
    assert wrong.status_code == 401
    with psycopg.connect(settings.database_url or "") as conn:
        found = conn.execute(
            "SELECT user_id::text, platform, properties, app_version FROM homing.analytics_events"
            " WHERE event = 'user_login' ORDER BY at"
        ).fetchall()
    told = {"platform": "mobile", "device_type": "mobile"}
    assert sorted(found, key=str) == sorted(
        [
            (worker.id, "mobile", told, None),  # the device was registered after it
            (worker.id, "mobile", {**told, "app_version": "1.0.0"}, "1.0.0"),
            (owner.id, "web", {"platform": "web", "device_type": "desktop"}, None),
        ],
        key=str,
    )
