"""How pages of telemetry are read among 300,000 metrics of a year: along an index, in few months, and no further."""

import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from homing.postgres.sql import load
from tests.fixtures.cluster import Cluster

METRICS = 300_000
YEAR = """
SELECT homing.make_partitions('homing.telemetry_metrics', ahead => 12, today => '2026-01-15');
INSERT INTO homing.users (id, username, name, role)
VALUES ('00000000-0000-0000-0000-000000000001', 'w', 'W', 'WORKER');
INSERT INTO homing.mobile_devices (id, device_id, user_id)
SELECT ('00000000-0000-0000-0001-' || lpad(n::text, 12, '0'))::uuid, 'phone-' || n,
       '00000000-0000-0000-0000-000000000001'
FROM generate_series(1, 100) n;
INSERT INTO homing.telemetry_metrics (device_id, name, value, at, created_at)
SELECT ('00000000-0000-0000-0001-' || lpad((1 + n % 100)::text, 12, '0'))::uuid,
       CASE WHEN n % 10000 = 0 THEN 'crash' ELSE (ARRAY['battery', 'speed', 'disk', 'heat'])[1 + n / 100 % 4] END,
       to_jsonb(n % 97), t.at, t.at + interval '1 minute'
FROM generate_series(1, 300000) n,
     LATERAL (SELECT timestamptz '2026-01-01 00:00Z' + n * interval '1.7 minutes' AS at) t;
ANALYZE homing.telemetry_metrics;
ANALYZE homing.mobile_devices;
"""
NAMED = {
    "name": None,
    "since": "-infinity",
    "until": "infinity",
    "after_at": "infinity",
    "after_number": 0,
    "limit": 101,
    "devices": ["00000000-0000-0000-0001-000000000007"],
}


@pytest.fixture(scope="module")
def year(cluster: Cluster, template: str) -> Iterator[str]:
    url = cluster.create_database(template)
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(YEAR)
    yield url
    cluster.drop_database(url)


def explain(url: str, query: str, **changed: Any) -> tuple[list[dict[str, Any]], int]:
    """The scans of telemetry_metrics that read something or could have, and how many rows they read, by the generic
    plan: the one every call gets."""
    names: list[str] = []

    def number(match: re.Match[str]) -> str:
        if match[1] not in names:
            names.append(match[1])
        return f"${names.index(match[1]) + 1}"

    statement = re.sub(r"%\((\w+)\)s", number, load("homing.telemetry", query))
    with psycopg.connect(url, options="-c plan_cache_mode=force_generic_plan -c jit=off", autocommit=True) as conn:
        conn.execute(f"PREPARE page AS {statement}".encode())
        values = sql.SQL(", ").join(sql.Literal((NAMED | changed)[name]) for name in names)
        told = conn.execute(
            sql.SQL("EXPLAIN (ANALYZE, COSTS OFF, FORMAT JSON) EXECUTE page ({})").format(values)
        ).fetchone()
    assert told is not None
    scans = [
        node for node in nodes(told[0][0]["Plan"]) if node.get("Relation Name", "").startswith("telemetry_metrics")
    ]
    ran = [scan for scan in scans if scan["Actual Loops"]]
    return ran, sum(map(rows_read, ran))


def rows_read(scan: dict[str, Any]) -> int:
    return int((scan["Actual Rows"] + scan.get("Rows Removed by Filter", 0)) * scan["Actual Loops"])


def nodes(plan: dict[str, Any]) -> Any:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def indexes(scans: list[dict[str, Any]]) -> set[str]:
    """Which of the parent's indexes the scans that read rows are along; "none" for a sequential scan."""
    names = {scan.get("Index Name", "none") for scan in scans if rows_read(scan)}
    return {re.sub(r"telemetry_metrics_\w+?_((name|device_id)_)?at_number_idx", r"\2|at", name) for name in names}


@pytest.mark.parametrize(
    ("query", "asked", "index"),
    [
        ("read_all", {}, "|at"),
        ("read_named", {"name": "battery"}, "name|at"),
        ("read_named", {"name": "crash"}, "name|at"),
        ("read_devices", {}, "device_id|at"),
        ("read_all", {"after_at": "2026-06-10T12:00:00Z", "after_number": 2**60}, "|at"),
        ("read_named", {"name": "heat", "until": "2026-03-01T00:00:00Z"}, "name|at"),
    ],
)
def test_a_page_reads_about_a_page(year: str, query: str, asked: dict[str, Any], index: str) -> None:
    scans, read = explain(year, query, **asked)
    assert indexes(scans) == {index}
    assert read <= 101 + 14  # one row more for each month, to find the newest of all


def test_a_name_that_nobody_uses_is_looked_up_and_nothing_is_read(year: str) -> None:
    scans, read = explain(year, "read_named", name="no such metric")
    assert (len(scans) > 12, read) == (True, 0)


def test_a_name_of_one_device_is_found_among_that_devices_metrics(year: str) -> None:
    scans, read = explain(year, "read_devices", name="battery")
    assert indexes(scans) == {"device_id|at"}
    assert 101 <= read <= 101 * 6


@pytest.mark.parametrize("query", ["read_all", "read_named", "read_devices"])
def test_months_before_the_asked_time_are_not_even_opened(year: str, query: str) -> None:
    every, _ = explain(year, query, name="speed")
    late, _ = explain(year, query, name="speed", since="2026-11-02T00:00:00Z")
    opened = {scan["Relation Name"].removeprefix("telemetry_metrics_") for scan in late}
    assert len(every) > 12
    assert {"202611", "202612", "default"} <= opened
    assert min(opened) == "202611"
