"""Telemetry through HTTP: batches in, metrics out."""

import threading
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest

from homing.protocol.limits import DEFAULT_LIMITS
from homing.settings import Settings
from tests.fixtures.accounts import Person, SignIn

ADDRESS = "/api/v1/telemetry"


def metric(
    name: str = "battery", value: Any = 80, timestamp: str = "2026-01-05T10:00:00Z", **more: Any
) -> dict[str, Any]:
    return {"name": name, "value": value, "timestamp": timestamp, **more}


def send(person: Person, *metrics: dict[str, Any], **more: Any) -> httpx.Response:
    return person.http.post(ADDRESS, json={"metrics": list(metrics), **more})


def ask(person: Person, **query: Any) -> dict[str, Any]:
    answer = person.http.get(ADDRESS, params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def values(person: Person, **query: Any) -> list[Any]:
    return [item["value"] for item in ask(person, **query)["items"]]


def rows(settings: Settings) -> dict[str, int]:
    with psycopg.connect(settings.database_url or "") as conn:
        return {
            table: conn.execute(f"SELECT count(*) FROM homing.{table}".encode()).fetchone()[0]  # type: ignore[index]
            for table in ("telemetry", "telemetry_metrics", "telemetry_batches")
        }


def test_a_batch_is_stored_as_one_row_and_comes_back_as_metrics(
    worker: Person, owner: Person, settings: Settings
) -> None:
    answer = send(
        worker,
        metric(meta={"charging": False, "levels": [1, 2.5]}),
        metric("gps.fix", "lost", "2026-01-05T12:00:00.123456+01:00"),
        metric("heat", -3.5, "2026-01-05T12:30:00Z"),
        metric("online", True, "2026-01-05T09:00:00Z"),
    )
    assert (answer.status_code, set(answer.json())) == (201, {"id", "accepted", "received_at"})
    batch = answer.json()
    assert batch["accepted"] == 4
    with psycopg.connect(settings.database_url or "") as conn:
        found = conn.execute(
            "SELECT t.id, d.device_id, t.metrics FROM homing.telemetry t"
            " JOIN homing.mobile_devices d ON d.id = t.device_id"
        ).fetchall()
    assert found == [
        (
            UUID(batch["id"]),
            "wims-phone",
            [
                metric("battery", 80, "2026-01-05T10:00:00.000000Z", meta={"charging": False, "levels": [1, 2.5]}),
                metric("gps.fix", "lost", "2026-01-05T11:00:00.123456Z"),
                metric("heat", -3.5, "2026-01-05T12:30:00.000000Z"),
                metric("online", True, "2026-01-05T09:00:00.000000Z"),
            ],
        )
    ]
    told = {"device_id": "wims-phone", "received_at": batch["received_at"]}
    expected = {
        "items": [
            told | metric("heat", -3.5, "2026-01-05T12:30:00.000000Z", meta=None),
            told | metric("gps.fix", "lost", "2026-01-05T11:00:00.123456Z", meta=None),
            told | metric("battery", 80, "2026-01-05T10:00:00.000000Z", meta={"charging": False, "levels": [1, 2.5]}),
            told | metric("online", True, "2026-01-05T09:00:00.000000Z", meta=None),
        ],
        "next": None,
    }
    assert ask(owner) == ask(worker) == expected


def test_metrics_are_found_by_name_device_and_time(worker: Person, owner: Person, new_person: SignIn) -> None:
    otto = new_person("otto", device_id="ottos-phone")
    for person, base in ((worker, 0), (otto, 100)):
        send(person, *(metric(n, base + h, f"2026-01-05T{h:02}:00:00Z") for h in range(4) for n in ("battery", "heat")))
    assert values(owner) == [103, 103, 3, 3, 102, 102, 2, 2, 101, 101, 1, 1, 100, 100, 0, 0]
    assert values(owner, name="battery") == [103, 3, 102, 2, 101, 1, 100, 0]
    assert values(owner, device_id="wims-phone", name="heat") == [3, 2, 1, 0]
    span = {"from": "2026-01-05T01:00:00Z", "to": "2026-01-05T03:00:00Z"}
    assert values(owner, name="heat", **span) == [102, 2, 101, 1]
    assert values(owner, device_id="ottos-phone", name="heat", **span) == [102, 101]
    assert values(owner, **span) == [102, 102, 2, 2, 101, 101, 1, 1]
    assert values(owner, **{"from": "2026-01-05T03:00:00+02:00", "to": "2026-01-05T01:00:00.000001Z"}) == [
        101,
        101,
        1,
        1,
    ]
    for nothing in ({"name": "Battery"}, {"device_id": "nobodys"}, {"from": "2026-01-06T00:00:00Z"}):
        assert values(owner, **nothing) == []


def test_everybody_but_the_office_sees_their_own_devices_only(
    worker: Person, owner: Person, new_person: SignIn
) -> None:
    otto = new_person("otto", device_id="ottos-phone")
    send(worker, metric(value=1))
    send(otto, metric(value=2))
    assert sorted(values(owner)) == [1, 2]
    assert (values(worker), values(otto)) == ([1], [2])
    assert values(worker, name="battery") == [1]
    assert values(worker, device_id="wims-phone") == [1]
    foreign = worker.http.get(ADDRESS, params={"device_id": "ottos-phone"})
    nowhere = worker.http.get(ADDRESS, params={"device_id": "there-is-none"})
    assert foreign.content == nowhere.content == b'{"items":[],"next":null}'


def test_pages_follow_each_other_without_gap_or_repeat_even_where_times_are_equal(
    worker: Person, owner: Person
) -> None:
    send(worker, *(metric(value=n, timestamp=f"2026-01-05T10:00:0{n % 3}Z") for n in range(50)))
    whole = values(owner)
    assert sorted(whole) == list(range(50))
    assert whole[:3] == [47, 44, 41]
    for person, query in ((owner, {}), (owner, {"name": "battery"}), (worker, {})):
        seen: list[int] = []
        after: dict[str, str] = {}
        while True:
            page = ask(person, limit=7, **query, **after)
            assert len(page["items"]) <= 7
            seen += [item["value"] for item in page["items"]]
            if page["next"] is None:
                break
            after = {"after": page["next"]}
            if len(seen) == 14:
                send(
                    worker, metric(value=1000 + len(seen), timestamp="2026-01-05T11:00:00Z")
                )  # newer: not on later pages
        assert [value for value in seen if value < 1000] == whole


def test_a_batch_sent_again_counts_once_and_is_answered_alike(worker: Person, settings: Settings) -> None:
    batch_id = str(uuid4())
    first = send(worker, metric(value=1), metric(value=2), batch_id=batch_id)
    again = send(worker, metric(value=1), metric(value=2), batch_id=batch_id)
    # The same instant and the same members, in other words.
    same = send(
        worker,
        {"timestamp": "2026-01-05T11:00:00.000+01:00", "value": 1, "name": "battery"},
        metric(value=2),
        batch_id=batch_id.upper(),
    )
    assert first.status_code == again.status_code == same.status_code == 201
    assert first.content == again.content == same.content
    assert first.json()["id"] == batch_id
    assert rows(settings) == {"telemetry": 1, "telemetry_metrics": 2, "telemetry_batches": 1}
    other = send(worker, metric(value=1), metric(value=3), batch_id=batch_id)
    assert (other.status_code, other.json()["code"]) == (409, "reused_with_other_body")
    assert values(worker) == [2, 1]


def test_two_devices_may_choose_the_same_id(worker: Person, owner: Person, new_person: SignIn) -> None:
    otto = new_person("otto", device_id="ottos-phone")
    batch_id = str(uuid4())
    assert send(worker, metric(value=1), batch_id=batch_id).status_code == 201
    assert send(otto, metric(value=2), batch_id=batch_id).status_code == 201
    assert sorted(values(owner)) == [1, 2]


def test_a_batch_sent_many_times_at_once_counts_once(worker: Person, settings: Settings) -> None:
    batch_id = str(uuid4())
    barrier = threading.Barrier(8)
    answers: list[httpx.Response] = []

    def run() -> None:
        barrier.wait()
        answers.append(
            httpx.post(worker.http.base_url.join(ADDRESS), headers=worker.http.headers, json=body, timeout=30)
        )

    body = {"metrics": [metric(value=n) for n in range(100)], "batch_id": batch_id}
    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in answers] == [201] * 8
    assert len({answer.content for answer in answers}) == 1
    assert rows(settings) == {"telemetry": 1, "telemetry_metrics": 100, "telemetry_batches": 1}


def test_a_device_whose_clock_is_ahead_does_not_hold_the_top(worker: Person, owner: Person, settings: Settings) -> None:
    received = send(worker, metric(value="from 2036", timestamp="2036-01-01T00:00:00Z")).json()["received_at"]
    soon = datetime.fromisoformat(received) + timedelta(microseconds=1)
    send(worker, metric(value="later", timestamp=soon.isoformat()))
    assert values(owner) == ["later", "from 2036"]
    assert ask(owner)["items"][1]["timestamp"] == received
    assert values(owner, **{"from": received}) == ["later", "from 2036"]
    with psycopg.connect(settings.database_url or "") as conn:
        said = conn.execute("SELECT metrics -> 0 ->> 'timestamp' FROM homing.telemetry ORDER BY created_at").fetchone()
    assert said == ("2036-01-01T00:00:00.000000Z",)


def test_what_a_phone_measured_long_ago_is_found_where_it_belongs(worker: Person, owner: Person) -> None:
    send(
        worker,
        metric(value="now", timestamp="2026-01-05T10:00:00Z"),
        metric(value="then", timestamp="1970-01-01T00:00:00Z"),
    )
    assert values(owner) == ["now", "then"]
    assert values(owner, to="1970-01-02T00:00:00Z") == ["then"]


REFUSED: tuple[tuple[dict[str, Any], str], ...] = (
    ({}, "metrics: a batch has at least one."),
    ({"metrics": []}, "metrics: a batch has at least one."),
    ({"metrics": {}}, "Expected `array`, got `object` - at `$.metrics`"),
    ({"metrics": [metric()], "batch_id": "1"}, "Invalid UUID - at `$.batch_id`"),
    ({"metrics": [metric()], "batch": "1"}, "Object contains unknown field `batch`"),
    ({"metrics": [metric(unit="%")]}, "Object contains unknown field `unit` - at `$.metrics[0]`"),
    ({"metrics": [{"name": "x", "value": 1}]}, "Object missing required field `timestamp` - at `$.metrics[0]`"),
    ({"metrics": [metric(value=None)]}, "Expected `bool | int | float | str`, got `null`"),
    ({"metrics": [metric(value=[1])]}, "Expected `bool | int | float | str`, got `array`"),
    ({"metrics": [metric(value="x" * 1001)]}, "Expected `str` of length <= 1000"),
    ({"metrics": [metric(name="")]}, "Expected `str` of length >= 1"),
    ({"metrics": [metric(name="x" * 201)]}, "Expected `str` of length <= 200"),
    ({"metrics": [metric(), metric(name=" x")]}, "/metrics/1/name: printable words"),
    ({"metrics": [metric(name="a\tb")]}, "/metrics/0/name: printable words"),
    ({"metrics": [metric(value=2**60)]}, "/metrics/0/value: integers beyond 2^53 travel as strings"),
    ({"metrics": [metric(meta={"n": 2**60})]}, "/metrics/0/meta: integers beyond 2^53 travel as strings"),
    ({"metrics": [metric(meta=[])]}, "Expected `object | null`, got `array`"),
    *(
        ({"metrics": [metric(timestamp=time)]}, "/metrics/0/timestamp: ")
        for time in (
            "now",
            "infinity",
            "2026-01-05",
            "2026-01-05 10:00:00Z",
            "2026-01-05T10:00:00",
            "2026-01-05T10:00:60Z",
            "2026-02-30T10:00:00Z",
            "2026-01-05T10:00:00.1234567Z",
            "2026-01-05T10:00:00+25:00",
            "0000-01-01T00:00:00Z",
            "0001-01-01T00:00:00+01:00",
            "10000-01-01T00:00:00Z",
            "٢٠٢٦-01-05T10:00:00Z",
        )
    ),
)


def test_a_batch_that_is_not_right_is_refused_whole_and_says_where(worker: Person, settings: Settings) -> None:
    for body, detail in REFUSED:
        answer = worker.http.post(ADDRESS, json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_envelope"), body
        assert answer.json()["detail"].startswith(detail), body
    for raw in (b'{"metrics":[{"name":"x","value":1e400,"timestamp":"2026-01-05T10:00:00Z"}]}', b'{"metrics":[NaN]}'):
        answer = worker.http.post(ADDRESS, content=raw, headers={"content-type": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_json")
    assert rows(settings) == {"telemetry": 0, "telemetry_metrics": 0, "telemetry_batches": 0}


def test_a_batch_has_a_largest_size(worker: Person) -> None:
    most = [metric(value=n) for n in range(DEFAULT_LIMITS.telemetry_metrics_max)]
    assert send(worker, *most).json()["accepted"] == DEFAULT_LIMITS.telemetry_metrics_max
    answer = send(worker, *most, metric())
    assert (answer.status_code, answer.json()["code"], answer.json()["limit"]) == (
        413,
        "too_many_items",
        DEFAULT_LIMITS.telemetry_metrics_max,
    )


@pytest.mark.parametrize("year", ["0001-01-01T00:00:00Z", "2026-01-05t10:00:00.5z", "2026-01-05T10:00:00-12:00"])
def test_times_at_the_edge_are_kept(worker: Person, year: str) -> None:
    assert send(worker, metric(timestamp=year)).status_code == 201
    expected = {"0001": "0001-01-01T00:00:00.000000Z", "2026-01-05t": "2026-01-05T10:00:00.500000Z"}
    found = ask(worker)["items"][0]["timestamp"]
    assert found == next(
        (said for start, said in expected.items() if year.startswith(start)), "2026-01-05T22:00:00.000000Z"
    )


def test_questions_that_make_no_sense_are_refused(owner: Person) -> None:
    for query in (
        "from=yesterday",
        "to=2026-01-05",
        "limit=0",
        "limit=501",
        "limit=x",
        "limit=1&limit=2",
        "after=x",
        "after=AAAA",
        "after=WyIyMDI2LTAxLTA1VDEwOjAwOjAwIiwxXQ",  # a time without an offset
        "after=WyIyMDI2LTAxLTA1VDEwOjAwOjAwWiIsOTIyMzM3MjAzNjg1NDc3NTgwOF0",  # 2^63
        "name=",
        "colour=blue",
        "name=%00",
    ):
        answer = owner.http.get(f"{ADDRESS}?{query}")
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_parameter"), query


def test_who_may_send_and_ask(worker: Person, owner: Person, http: httpx.Client) -> None:
    assert http.post(ADDRESS, json={"metrics": [metric()]}).status_code == 401
    assert http.get(ADDRESS).status_code == 401
    browser = send(owner, metric())
    assert (browser.status_code, browser.json()["code"], browser.json()["action"]) == (403, "device_unknown", "enroll")
    assert worker.device is not None
    owner.http.patch(f"/api/v1/mobile/devices/{worker.device['id']}", json={"status": "revoked"})
    revoked = send(worker, metric())
    assert (revoked.status_code, revoked.json()["code"]) == (403, "device_revoked")
    assert ask(owner)["items"] == []
