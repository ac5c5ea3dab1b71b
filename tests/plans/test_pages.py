"""The console's searches and filters among 100,000 rows: along an index, or each table once where nothing is ordered by
what is looked for; and no further than the page where it is found at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from homing.postgres.lines import load_with
from tests.plans.test_crm import read_by, scans_of

if TYPE_CHECKING:  # pytest rewrites each plugin's asserts as it loads it, which an import before that prevents
    from tests.fixtures.cluster import Cluster

ROWS = 100_000
LIMIT = 51
# Person, device, item and change n have the id …n of a family; item n is of device n % 1,000. All changes are of one
# month, whatever today is; one in 10,000 is a removal, and each person made one.
OFFICE = f"""
SET session_replication_role = replica;
INSERT INTO homing.users (id, username, name, role, user_type)
SELECT ('00000000-0000-0000-0001-' || lpad(n::text, 12, '0'))::uuid, 'worker-' || lpad(n::text, 6, '0'), 'Worker',
       'WORKER', CASE WHEN n = 1 THEN 'web' ELSE 'mobile' END FROM generate_series(1, {ROWS}) n;
INSERT INTO messaging.contacts (id, username, name, user_type, is_active)
SELECT u.id, u.username, u.name, u.user_type, true FROM homing.users u;
INSERT INTO homing.mobile_devices (id, device_id, user_id, device_type, created_at)
SELECT ('00000000-0000-0000-0002-' || lpad(n::text, 12, '0'))::uuid, 'phone-' || lpad(n::text, 6, '0'),
       ('00000000-0000-0000-0001-' || lpad(n::text, 12, '0'))::uuid, 'android',
       timestamptz '2026-01-01Z' + n * interval '1 minute'
FROM generate_series(1, {ROWS}) n;
INSERT INTO homing.sync_items (id, batch_id, resource_type, action, payload, status, position, device_id,
                               quarantined_at)
SELECT ('00000000-0000-0000-0003-' || lpad(n::text, 12, '0'))::uuid, gen_random_uuid(), 'task', 'create', '{{}}',
       'error', 0, ('00000000-0000-0000-0002-' || lpad((1 + n % 1000)::text, 12, '0'))::uuid,
       timestamptz '2026-01-01Z' + n * interval '1 minute' FROM generate_series(1, {ROWS}) n;
INSERT INTO homing.history (table_id, row_id, version, action, actor, at)
SELECT 1, n::text, 2, CASE WHEN n % 10000 = 0 THEN 'delete' ELSE 'update' END::homing.item_action,
       '00000000-0000-0000-0001-' || lpad(n::text, 12, '0'), date_trunc('month', now()) + n * interval '1 second'
FROM generate_series(1, {ROWS}) n;
INSERT INTO messaging.messages (sender_id, recipient_id, content, created_at)
SELECT ('00000000-0000-0000-0001-' || lpad((2 + n % 500)::text, 12, '0'))::uuid,
       '00000000-0000-0000-0001-000000000001', CASE WHEN n % 50000 = 0 THEN 'the unicorn' ELSE 'the ferry' END,
       timestamptz '2026-01-01Z' + n * interval '1 minute'
FROM generate_series(1, {ROWS}) n;
INSERT INTO marketplace.proposals (job_id, client_id, freelancer_id, amount_cents, status)
SELECT gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 1,
       CASE WHEN n % 1000 = 0 THEN 'accepted' ELSE 'rejected' END::marketplace.proposal_status
FROM generate_series(1, {ROWS}) n;
SET session_replication_role = DEFAULT;
VACUUM ANALYZE homing.users, messaging.contacts, homing.mobile_devices, homing.sync_items, homing.history,
    messaging.messages, marketplace.proposals
"""
WEB = "00000000-0000-0000-0001-000000000001"
ASKED = {
    "limit": LIMIT,
    "user": WEB,
    "device": "phone-000777",
    "item": "00000000-0000-0000-0003-000000000777",
    "actor": "00000000-0000-0000-0001-000000050000",
    "since": "2000-01-01T00:00:00Z",
    "until": "2100-01-01T00:00:00Z",
    "after": "",
}
ENGINE, CONSOLE, ACCOUNTS = "homing.engine", "homing.console", "homing.accounts"
MESSAGING, TELEMETRY = "homing.apps.messaging", "homing.telemetry"


@pytest.fixture(scope="module")
def office(cluster: Cluster, template: str) -> Iterator[str]:
    url = cluster.create_database(template)
    with psycopg.connect(url, autocommit=True) as conn:
        for statement in OFFICE.split(";\n"):
            conn.execute(statement)  # type: ignore[arg-type]
    yield url
    cluster.drop_database(url)


def used_by(scans: list[dict[str, Any]]) -> set[str]:
    """The indexes that were really read, and "all of" the tables that were."""
    return {
        scan.get("Index Name", f"all of {scan.get('Relation Name')}")
        for scan in scans
        if scan["Actual Loops"] and scan["Actual Rows"] + scan.get("Rows Removed by Filter", 0)
    }


@pytest.mark.parametrize(
    ("package", "query", "filters", "asked", "index", "most"),
    [
        (ENGINE, "list_quarantine", set(), {}, "sync_items_quarantine", LIMIT + 1),
        (ENGINE, "list_quarantine", {"device"}, {}, "sync_items_quarantine_device", 100),
        (ENGINE, "list_quarantine", {"item"}, {}, "sync_items_pkey", 1),
        (CONSOLE, "list_changes", {"delete"}, {}, "at_table_id_row_id_version_idx", 10),
        (TELEMETRY, "find_devices", {"device"}, {}, "mobile_devices_device_id_key", 1),
        # What is frequent is found on the way: no table is read whole.
        (ACCOUNTS, "search_devices", set(), {"q": "Android"}, "mobile_devices_created", LIMIT),
        (ACCOUNTS, "search_devices", set(), {"q": "Worker"}, "mobile_devices_created", LIMIT),
        (MESSAGING, "search_contacts", set(), {"q": "Worker"}, "users_username_key", LIMIT),
        (MESSAGING, "list_found", {"inbox"}, {"q": "ferry"}, "messages_inbox", LIMIT + 1),
        # Rare words are not looked for in all that somebody ever got.
        (MESSAGING, "list_found", {"inbox"}, {"q": "unicorn"}, "messages_inbox", 500 + 5 * LIMIT),
    ],
)
def test_a_page_is_found_along_an_index(
    office: str, package: str, query: str, filters: set[str], asked: dict[str, Any], index: str, most: int
) -> None:
    scans = scans_of(office, load_with(package, query, frozenset(filters)), ASKED | asked)
    used = used_by(scans)
    assert [name for name in used if name.endswith(index)], used
    assert not [name for name in used if name.startswith("all of ")], used
    assert read_by(scans) <= most, (used, read_by(scans))


def test_somebodys_changes_are_found_where_the_summaries_say_they_are(office: str) -> None:
    scans = scans_of(office, load_with(CONSOLE, "list_changes", frozenset({"actor"})), ASKED)
    assert [name for name in used_by(scans) if name.endswith("at_actor_idx")]
    looked_at = sum(scan["Actual Rows"] + scan.get("Rows Removed by Index Recheck", 0) for scan in scans)
    assert looked_at < ROWS / 5


def test_that_a_table_never_changed_is_known_without_reading_the_changes_of_others(office: str) -> None:
    scans = scans_of(office, load_with(CONSOLE, "list_changes", frozenset({"table_id"})), ASKED | {"table_id": 4711})
    assert read_by(scans) == 0, used_by(scans)


@pytest.mark.parametrize(
    ("package", "query", "q", "tables"),
    [
        (ACCOUNTS, "search_devices", "phone-000007", {"mobile_devices", "users"}),
        (ACCOUNTS, "search_devices", "worker-000007", {"mobile_devices", "users"}),
        (MESSAGING, "search_contacts", "worker-099998", {"contacts"}),
    ],
)
def test_what_is_rare_is_looked_for_in_each_table_once(
    office: str, package: str, query: str, q: str, tables: set[str]
) -> None:
    scans = scans_of(office, load_with(package, query, frozenset()), ASKED | {"q": q})
    whole = [scan for scan in scans if scan["Node Type"] == "Seq Scan" and scan["Actual Loops"]]
    assert {scan["Relation Name"] for scan in whole} <= tables
    assert [scan["Actual Loops"] for scan in whole] == [1] * len(whole)
    others = [scan for scan in scans if scan not in whole]
    assert read_by(others) <= 1000 + 10 * LIMIT


def test_what_the_office_counts_by_state_is_counted_along_an_index(office: str) -> None:
    """As ``homing.console.rows.count_rows`` composes it."""
    statement = (
        "SELECT count(*) FROM (SELECT FROM marketplace.proposals AS t"
        " WHERE t.status = %(status)s::text::marketplace.proposal_status LIMIT 1001) AS counted"
    )
    scans = scans_of(office, statement, {"status": "accepted"})
    assert used_by(scans) == {"proposals_of_status"}
    assert read_by(scans) == ROWS / 1000
