"""What the measurements amount to, against numbers counted by hand."""

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest

from homing.postgres.sql import load
from homing.server.metrics import Metrics
from homing.server.node import Node
from homing.server.working import Working
from homing.settings import Settings
from homing.telemetry import add_up, drop_older
from homing.telemetry.tallies import BOUNDS, Tally, keep, quantile
from homing.telemetry.usage import Span, read_usage
from tests.fixtures.accounts import Person, SignIn
from tests.fixtures.server import Server

ADDRESS = "/api/v1/analytics/metrics"
JANUARY = {"from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"}


def event(name: str, at: str, platform: str = "ios", **properties: Any) -> dict[str, Any]:
    return {
        "event": name,
        "properties": properties,
        "timestamp": f"2026-01-05T{at}Z",
        "deviceInfo": {"platform": platform},
        "id": f"{name} {at}",
    }


def send(person: Person, *events: dict[str, Any]) -> None:
    answer = person.http.post("/api/v1/mobile/analytics/events", json={"events": list(events)})
    assert answer.json()["accepted"] == len(events), answer.text


def ask(person: Person, **query: str) -> dict[str, Any]:
    answer = person.http.get(ADDRESS, params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_nothing_is_nothing_and_not_a_failure(owner: Person) -> None:
    assert ask(owner, **{"from": "2020-01-01T00:00:00Z", "to": "2020-02-01T00:00:00Z"}) == {
        "from": "2020-01-01T00:00:00.000000Z",
        "to": "2020-02-01T00:00:00.000000Z",
        "requests": [],
        "engagement": [],
        "crashes": {"crashes": 0, "sessions": 0, "rate": None, "crash_free_users": None},
        "sync": {"ok": 0, "conflict": 0, "error": 0, "rate": None},
        "push": [],
        "battery": [],
        "sessions": [],
        "features": [],
    }


def test_engagement_conversion_crashes_and_features(worker: Person, owner: Person, new_person: SignIn) -> None:
    ben = new_person("ben", device_id="bens-phone")
    send(
        worker,
        event("session_start", "10:00:00"),
        event("feature_usage", "10:01:00", feature="map", duration=30, completion_rate=0.5),
        event("feature_usage", "10:02:00", feature="map", duration=10, completion_rate=1),
        event("feature_usage", "10:03:00", feature="chat", duration="long", completion_rate=None),
        event("feature_usage", "10:04:00", feature="chat", duration=1e300),
        event("feature_usage", "10:05:00", feature=["no", "name"], duration=[5]),
        event("app_crash", "10:06:00"),
        event("session_start", "10:07:00"),
    )
    send(ben, event("session_start", "11:00:00"), event("session_start", "12:00:00"), event("purchase", "12:01:00"))
    send(owner, event("page_view", "12:00:00", "web"), event("purchase", "12:01:00", "web"))
    send(owner, event("purchase", "12:02:00", "web"))
    found = ask(owner, **JANUARY)
    assert found["engagement"] == [
        {
            "platform": "mobile",
            "active_users": 2,
            "events": 11,
            "events_per_user": 5.5,
            "logins": 0,
            "feature_seconds": 45.0,
            "converted_users": 1,
            "conversion_rate": 0.5,
        },
        {
            "platform": "web",
            "active_users": 1,
            "events": 3,
            "events_per_user": 3.0,
            "logins": 0,
            "feature_seconds": 0.0,
            "converted_users": 1,
            "conversion_rate": 1.0,
        },
    ]
    assert found["crashes"] == {"crashes": 1, "sessions": 4, "rate": 0.25, "crash_free_users": 0.5}
    assert found["features"] == [
        {"feature": "chat", "platform": "mobile", "uses": 2, "users": 1, "duration": None, "completion_rate": None},
        {"feature": "map", "platform": "mobile", "uses": 2, "users": 1, "duration": 20.0, "completion_rate": 0.75},
    ]
    now = ask(owner)
    assert {each["platform"]: each["logins"] for each in now["engagement"]} == {"mobile": 2, "web": 1}
    assert now["sessions"] == [
        {"platform": "mobile", "app_version": "1.0.0", "sessions": 2, "users": 2},
        {"platform": "web", "app_version": None, "sessions": 1, "users": 1},
    ]


async def arrive(node: Node, *events: tuple[str, str, str, dict[str, Any], str]) -> None:
    """Events as they are kept: of a new or known user, when it happened and when it arrived, on days of January."""
    async with node.default.engine.owner.connection() as conn:
        for name, event_name, at, properties, arrived in events:
            await conn.execute(
                "INSERT INTO homing.users (username, name, role) SELECT %(name)s::varchar, 'W', 'WORKER'"
                " WHERE NOT EXISTS (SELECT FROM homing.users WHERE username = %(name)s::varchar)",
                {"name": name},
            )
            await conn.execute(
                "INSERT INTO homing.analytics_events (user_id, key, month, event, properties, platform, at, said_at,"
                " created_at) SELECT id, gen_random_uuid(), '2026-01-01Z', %s, %s, %s, %s, %s, %s FROM homing.users"
                " WHERE username = %s",
                [
                    *(event_name, json.dumps(properties), "web" if name == "wim" else "mobile"),
                    *(f"2026-01-{at}Z", f"2026-01-{at}Z", f"2026-01-{arrived}Z", name),
                ],
            )


SPANS = [
    Span(datetime(2026, 1, first, hour, tzinfo=UTC), datetime(2026, 1, last, hour + 3, 30, tzinfo=UTC))
    for first, last, hour in ((1, 31, 0), (5, 6, 10), (5, 5, 9), (6, 7, 0), (5, 8, 12))
] + [Span(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))]


async def amounts(node: Node) -> list[Any]:
    found = [await read_usage(node.default.database, span, conversions=["purchase"]) for span in SPANS]
    return [(each.engagement, each.features, each.crashes) for each in found]


@pytest.mark.anyio
async def test_events_amount_to_the_same_before_and_after_they_are_added_up(node: Node) -> None:
    owner = node.default.engine.owner
    await arrive(
        node,
        ("fay", "session_start", "05 10:00", {}, "05 10:01"),
        ("fay", "feature_usage", "05 11:00", {"feature": "map", "duration": 1 / 3, "completion_rate": 0.5}, "05 11:00"),
        ("fay", "feature_usage", "05 12:00", {"feature": "map", "duration": "long"}, "05 12:00"),
        ("fay", "feature_usage", "06 12:00", {"feature": ["no", "name"], "duration": 7}, "06 12:00"),
        ("fay", "app_crash", "06 23:59:59.999999", {}, "07 00:00"),
        ("ben", "session_start", "05 23:00", {}, "07 09:00"),  # offline for two days
        ("ben", "feature_usage", "06 00:00", {"feature": "x" * 5000, "completion_rate": 1}, "07 09:00"),
        ("wim", "purchase", "05 09:30", {}, "05 09:30"),
        ("wim", "purchase", "07 00:00", {}, "07 00:00"),
    )
    raw = await amounts(node)
    assert [each.users for each in raw[0][1]] == [1, 1]
    assert [(each.platform, each.active_users, each.converted_users) for each in raw[0][0]] == [
        ("mobile", 2, 0),
        ("web", 1, 1),
    ]
    assert await add_up(owner, now=datetime(2026, 1, 7, 0, 59, tzinfo=UTC)) == 3  # of the 5th: an hour may be late
    assert await amounts(node) == raw
    touched = await asyncio.gather(*(add_up(owner, now=datetime(2026, 1, 8, 2, tzinfo=UTC)) for _ in range(4)))
    assert sum(touched) == 5
    assert await amounts(node) == raw
    assert await add_up(owner, now=datetime(2026, 1, 8, 3, tzinfo=UTC)) == 0
    # What comes late counts by itself, until it is added to its day.
    await arrive(node, ("ben", "app_crash", "05 20:00", {}, "08 10:00"), ("wim", "purchase", "05 9:31", {}, "08 10:00"))
    late = await amounts(node)
    assert (late[0][2].crashes, raw[0][2].crashes) == (2, 1)
    assert await add_up(owner, now=datetime(2026, 1, 9, 1, tzinfo=UTC)) == 2
    assert await amounts(node) == late
    # Of whole days no event is read any more.
    async with owner.connection() as conn:
        await conn.execute("DELETE FROM homing.analytics_events")
    assert (await amounts(node))[-1] == late[-1]
    await drop_older(owner, before=datetime(2026, 1, 6, tzinfo=UTC))
    ((_, _, crashes),) = (await amounts(node))[-1:]
    assert crashes.crashes == 1


def test_batteries_lose_while_they_are_not_charged(worker: Person, owner: Person) -> None:
    levels = [
        ("10:00", 80),
        ("10:30", 78),
        ("11:00", 74),
        ("11:10", 90),
        ("11:40", 87),
        ("20:00", 10),
        ("20:01", "low"),
    ]
    metrics = [{"name": "battery", "value": v, "timestamp": f"2026-01-05T{at}:00Z"} for at, v in levels]
    assert worker.http.post("/api/v1/telemetry", json={"metrics": metrics}).status_code == 201
    assert ask(owner, **JANUARY)["battery"] == [
        {"app_version": "1.0.0", "devices": 1, "hours": 1.5, "percent_per_hour": 6.0}
    ]


def test_notifications_on_their_way(worker: Person, owner: Person, settings: Settings) -> None:
    with psycopg.connect(settings.database_url or "") as conn:
        for status, delivered, read in (
            ("sent", False, False),
            ("delivered", True, True),
            ("gone", False, False),
            ("failed", False, False),
            ("quiet", False, True),
            ("pending", False, False),
            ("logged", False, False),
        ):
            conn.execute(
                "WITH told AS (INSERT INTO homing.push_notifications (user_id, platform, notification_type, title,"
                " body, sent_at, read_at) VALUES (%s, 'ios', 'news', 'News', 'It is new.', '2026-01-05', %s)"
                " RETURNING id)"
                " INSERT INTO homing.push_deliveries (notification_id, token_id, platform, provider, status,"
                " delivered_at) SELECT id, 1, 'ios', 'apns', %s, %s FROM told",
                [worker.id, "2026-01-06" if read else None, status, "2026-01-05" if delivered else None],
            )
    assert ask(owner, **JANUARY)["push"] == [
        {"platform": "ios", "attempts": 4, "taken": 2, "delivered": 1, "read": 1, "clicked": 0, "rate": 0.5}
    ]


def test_items_that_devices_pushed(worker: Person, owner: Person, settings: Settings) -> None:
    assert worker.device is not None
    with psycopg.connect(settings.database_url or "") as conn:
        conn.execute(
            "WITH batch AS (INSERT INTO homing.sync_batches (batch_token, device_id, body_hash, created_at)"
            " VALUES ('b', %s, '', '2026-01-05') RETURNING id)"
            " INSERT INTO homing.sync_items (batch_id, resource_type, action, payload, status, position)"
            " SELECT id, 'x', 'create', '{}', s.status::homing.item_status, s.n FROM batch,"
            " unnest('{ok,ok,ok,conflict,error,pending}'::text[]) WITH ORDINALITY AS s (status, n)",
            [worker.device["id"]],
        )
    assert ask(owner, **JANUARY)["sync"] == {"ok": 3, "conflict": 1, "error": 1, "rate": 0.6}


@pytest.mark.anyio
async def test_what_several_nodes_measured_adds_up(node: Node) -> None:
    hour = datetime(2026, 1, 5, 10, 20, tzinfo=UTC)
    for seconds, status in ((0.002, 200), (0.04, 404), (60.0, 500)):
        tally = Tally("web")  # each a node's
        tally.count(status, seconds)
        await keep(node.default.engine.owner, {"web": tally}, now=hour)
    span = Span(datetime(2026, 1, 5, 10, 59, tzinfo=UTC), datetime(2026, 1, 5, 11, tzinfo=UTC))
    (web,) = (await read_usage(node.default.database, span, conversions=[])).requests
    assert (web.platform, web.requests, round(web.mean_seconds, 3)) == ("web", 3, 20.014)
    assert (round(web.error_rate, 3), round(web.refusal_rate, 3)) == (0.333, 0.333)
    assert 0.025 < web.p50_seconds <= 0.05
    assert web.p95_seconds == BOUNDS[-1]


@pytest.mark.anyio
async def test_tallies_that_cannot_be_kept_are_not_lost(node: Node) -> None:
    metrics = Metrics()
    working = Working(node, metrics)
    metrics.count_platform("default", "web", 200, 0.01)
    taken = metrics.take_tallies()
    metrics.count_platform("default", "web", 503, 0.01)
    metrics.give_back("default", taken["default"])
    metrics.count_platform("gone", "mobile", 200, 0.01)
    await working.keep_tallies()
    assert metrics.take_tallies() == {}
    async with node.default.engine.owner.connection() as conn:
        found = await (
            await conn.execute("SELECT platform, requests, client_errors, server_errors FROM homing.request_tallies")
        ).fetchall()
    assert found == [("web", 2, 0, 1)]


@pytest.mark.anyio
async def test_a_node_that_stops_keeps_what_it_had_counted(node: Node) -> None:
    metrics = Metrics()
    task = asyncio.create_task(Working(node, metrics).run())
    async with node.default.engine.owner.connection() as conn:
        while await (await conn.execute("SELECT FROM homing.periodic_jobs")).fetchone() is None:  # noqa: ASYNC110 - until it works
            await asyncio.sleep(0)
        metrics.count_platform("default", "mobile", 200, 0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        found = await (await conn.execute("SELECT platform, requests FROM homing.request_tallies")).fetchall()
    assert found == [("mobile", 1)]


def test_requests_count_for_the_platform_that_the_token_says(worker: Person, owner: Person, server: Server) -> None:
    for person in (worker, worker, owner):
        person.http.get("/api/v1/status?platform=web")
        person.http.get("/api/v1/mobile/media/00000000-0000-0000-0000-000000000000")
    page = httpx.get(f"{server.url}/metrics").text
    for line in (
        'homing_platform_requests_total{outcome="refused",platform="mobile"} 2.0',
        'homing_platform_requests_total{outcome="refused",platform="web"} 1.0',
    ):
        assert line in page, line
    assert 'platform="none"' in page  # signing in


@pytest.mark.anyio
async def test_the_metrics_page_has_the_last_day(node: Node) -> None:
    metrics = Metrics()
    async with node.default.engine.owner.connection() as conn:
        await conn.execute(
            "WITH who AS (INSERT INTO homing.users (username, name, role) VALUES ('w', 'W', 'WORKER') RETURNING id)"
            " SELECT homing.note_event(id, e, '{}', 'mobile', NULL, now() - interval '1 minute')"
            " FROM who, unnest('{session_start,session_start,app_crash}'::text[]) e"
        )
    now = node.clock()
    metrics.note_usage(await read_usage(node.default.database, Span(now - timedelta(days=1), now), conversions=[]))
    page = metrics.page().decode()
    for line in (
        'homing_usage_active_users{platform="mobile"} 1.0',
        'homing_usage_events{platform="mobile"} 3.0',
        "homing_usage_crash_ratio 0.5",
        "homing_usage_crash_free_users_ratio 0.0",
        "homing_usage_sync_success_ratio NaN",
    ):
        assert line in page, line


def test_events_of_other_months_are_not_opened(database_url: str) -> None:
    """At a generic plan, as the server runs it after a few calls."""
    query = load("homing.telemetry", "usage/read_engagement")
    for name in ("since", "until", "conversions"):
        query = query.replace(f"%({name})s", {"since": "$1", "until": "$2", "conversions": "$3"}[name])  # type: ignore[assignment]
    with psycopg.connect(database_url) as conn:
        conn.execute("SELECT homing.make_partitions('homing.analytics_events', ahead => 23, today => '2026-01-01')")
        conn.execute("SET plan_cache_mode = force_generic_plan")
        conn.execute(f"PREPARE asked (timestamptz, timestamptz, text[]) AS {query}".encode())
        plan = "\n".join(
            line
            for (line,) in conn.execute("EXPLAIN (ANALYZE, COSTS off) EXECUTE asked ('2026-03-05', '2026-04-02', '{}')")
        )
    assert "Subplans Removed" in plan
    assert sorted(set(re.findall(r"analytics_events_(\d{6})", plan))) == ["202603", "202604"]


def test_only_the_office_asks_and_only_for_times(worker: Person, owner: Person) -> None:
    assert worker.http.get(ADDRESS).json()["code"] == "forbidden"
    for query in (
        {"from": "yesterday"},
        {"from": "2026-01-01T00:00:00Z", "to": "2026-01-01T00:00:00Z"},
        {"from": "0001-01-01T00:00:00Z", "to": "9999-01-01T00:00:00Z"},
        {"to": "0001-01-01T00:00:00Z"},
        {"from": "2026-01-01"},
    ):
        answer = owner.http.get(ADDRESS, params=query)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_parameter"), query


def test_a_quantile_lies_within_its_bucket() -> None:
    buckets = [0] * (len(BOUNDS) + 1)
    assert quantile(buckets, 0.5) == BOUNDS[-1]
    buckets[3] = 10
    assert quantile(buckets, 0.5) == pytest.approx((BOUNDS[2] + BOUNDS[3]) / 2)
    buckets[len(BOUNDS)] = 1000
    assert quantile(buckets, 0.95) == BOUNDS[-1]
