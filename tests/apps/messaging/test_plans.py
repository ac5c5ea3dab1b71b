"""How messages are found among 100,000: along the index that each of spec 3's common queries is to use, and no further.

The plans are the generic ones, which every call gets, and those of the API's role, for which the policy holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from homing.postgres.lines import load_with
from tests.fixtures.cluster import Cluster

PEOPLE = """
INSERT INTO homing.users (id, username, name, role, user_type, online_status, device_id)
SELECT ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid, 'user-' || n, 'User ' || n, 'WORKER',
       CASE WHEN n <= 20 THEN 'web' ELSE 'mobile' END, n % 50 = 0, CASE WHEN n > 20 THEN 'phone-' || n END
FROM generate_series(1, 100000) n;
INSERT INTO homing.mobile_devices (device_id, user_id)
SELECT 'phone-' || n, ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid
FROM generate_series(21, 100000) n;
INSERT INTO homing.sync_metadata (device_id) SELECT device_id FROM homing.mobile_devices;
INSERT INTO messaging.messages (sender_id, recipient_id, content, status, created_at)
SELECT ('00000000-0000-0000-0000-' || lpad((CASE WHEN n % 2 = 0 THEN a ELSE b END)::text, 12, '0'))::uuid,
       ('00000000-0000-0000-0000-' || lpad((CASE WHEN n % 2 = 0 THEN b ELSE a END)::text, 12, '0'))::uuid,
       'Message ' || n || CASE WHEN n % 25000 = 0 THEN ' about the unicorn' ELSE ' about the ferry' END,
       CASE WHEN n % 200 < 2 THEN 'pending_sync' WHEN n % 200 < 6 THEN 'synced' ELSE 'read' END,
       timestamptz '2026-01-01 00:00Z' + n * interval '1 minute'
FROM generate_series(1, 100000) n, LATERAL (SELECT 1 + n % 20 AS a, 21 + n % 400 AS b) people;
SELECT homing.let_api_in('{homing,messaging}');
ANALYZE homing.users, homing.mobile_devices, homing.sync_metadata, messaging.messages, messaging.conversations;
"""
WEB, MOBILE = "00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000021"
ASKED = {
    "user": WEB,
    "partner": MOBILE,
    "device": "phone-21",
    "limit": 51,
    "after_at": "2026-02-01T00:00:00Z",
    "after_id": WEB,
    "status": "pending_sync",
    "q": "unicorn",
    "ids": [WEB],
    "role": None,
    "after": "",
    "after_online": True,
    "partners": [MOBILE],
}


@pytest.fixture(scope="module")
def crowd(cluster: Cluster, template: str) -> Iterator[str]:
    url = cluster.create_database(template)
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(PEOPLE)
        conn.execute("VACUUM messaging.messages")  # an index-only scan needs to know which pages are all visible
    yield url
    cluster.drop_database(url)


def scans_of(url: str, package: str, query: str, filters: set[str], **changed: Any) -> list[dict[str, Any]]:
    """The nodes that read a table, by the generic plan."""
    names: list[str] = []

    def number(match: re.Match[str]) -> str:
        if match[1] not in names:
            names.append(match[1])
        return f"${names.index(match[1]) + 1}"

    statement = re.sub(r"%\((\w+)\)s", number, load_with(package, query, frozenset(filters)))
    with psycopg.connect(url, options="-c plan_cache_mode=force_generic_plan -c jit=off", autocommit=True) as conn:
        conn.execute("SELECT set_config('homing.actor', %s, false)", [ASKED["user"]])
        conn.execute("SET ROLE homing_api")
        if package == MESSAGING:  # as lists.in_order has it
            for name in ("enable_seqscan", "enable_bitmapscan", "enable_sort"):
                conn.execute(sql.SQL("SET {} = off").format(sql.Identifier(name)))
        conn.execute(f"PREPARE page AS {statement}".encode())
        values = sql.SQL(", ").join(sql.Literal((ASKED | changed)[name]) for name in names)
        execute = sql.SQL("EXECUTE page ({})").format(values) if names else sql.SQL("EXECUTE page")
        told = conn.execute(sql.SQL("EXPLAIN (ANALYZE, COSTS OFF, FORMAT JSON) {}").format(execute)).fetchone()
    assert told is not None
    return [node for node in nodes(told[0][0]["Plan"]) if "Index Name" in node or node["Node Type"] == "Seq Scan"]


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def read_by(scans: list[dict[str, Any]]) -> int:
    return max(
        int((scan["Actual Rows"] + scan.get("Rows Removed by Filter", 0)) * scan["Actual Loops"]) for scan in scans
    )


MESSAGING, ACCOUNTS, ENGINE = "homing.apps.messaging", "homing.accounts", "homing.engine"


@pytest.mark.parametrize(
    ("package", "query", "filters", "asked", "index", "most"),
    [
        # The spec's common queries.
        (MESSAGING, "list_inbox", set(), {}, "messages_inbox", 51),
        (MESSAGING, "list_inbox", {"after"}, {}, "messages_inbox", 51),
        (MESSAGING, "count_unread", set(), {}, "idx_messages_recipient_status", 200),
        (MESSAGING, "list_pending", set(), {}, "messages_pending", 51),
        (MESSAGING, "update_status", set(), {"status": "read"}, "messages_pkey", 1),
        (ACCOUNTS, "list_mobile_users", set(), {"q": None}, "users_mobile", 51),
        (
            ACCOUNTS,
            "list_mobile_users",
            set(),
            {"q": None, "after": "user-5", "after_online": False},
            "users_mobile",
            51,
        ),
        (ENGINE, "read_status", set(), {"device": MOBILE}, "sync_metadata_device_id_key", 1),
        # And what the spec does not ask for.
        (MESSAGING, "list_sent", set(), {}, "messages_sent", 51),
        (MESSAGING, "list_conversation", set(), {}, "messages_conversation", 51),
        (MESSAGING, "list_conversations", set(), {}, "conversations_latest", 51),
        (MESSAGING, "count_unread_of", set(), {}, "idx_messages_recipient_status", 200),
    ],
)
def test_a_query_is_answered_along_its_index(
    crowd: str, package: str, query: str, filters: set[str], asked: dict[str, Any], index: str, most: int
) -> None:
    scans = scans_of(crowd, package, query, filters, **asked)
    used = {scan.get("Index Name", f"all of {scan.get('Relation Name')}") for scan in scans}
    # Two indexes may begin alike: the planner takes either of those that the spec and the lists ask for.
    same = {"sync_metadata_device_id_key": "idx_sync_metadata_device"}
    assert index in used or same.get(index) in used, used
    assert not [name for name in used if name.startswith("all of ")], used
    assert read_by(scans) <= most, (used, read_by(scans))


def test_words_are_looked_up_in_their_index_and_only_the_callers_messages_are_found(crowd: str) -> None:
    with psycopg.connect(crowd, autocommit=True) as conn:
        body = conn.execute("SELECT prosrc FROM pg_proc WHERE oid = 'messaging.find_words'::regproc").fetchone()
        assert body is not None
        statement = body[0].replace("words)", "'unicorn')")
        conn.execute("SELECT set_config('homing.actor', %s, false)", [WEB])
        told = conn.execute(f"EXPLAIN (ANALYZE, COSTS OFF, FORMAT JSON) {statement}".encode()).fetchone()
        assert told is not None
        used = {node["Index Name"] for node in nodes(told[0][0]["Plan"]) if "Index Name" in node}
        assert "messages_words" in used
        assert "Seq Scan" not in {node["Node Type"] for node in nodes(told[0][0]["Plan"])}
        found = {}
        conn.execute("SET ROLE homing_api")
        for who in (WEB, MOBILE, "", "nobody"):
            conn.execute("SELECT set_config('homing.actor', %s, false)", [who])
            row = conn.execute("SELECT count(*) FROM messaging.find_words('unicorn')").fetchone()
            assert row is not None
            found[who] = row[0]
    # All four are of the first web user: 25,000 is divisible by 20; two of them by 400, so of the first phone's.
    assert found == {WEB: 4, MOBILE: 2, "": 0, "nobody": 0}
