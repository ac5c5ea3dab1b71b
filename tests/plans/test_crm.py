"""The CRM's queries are answered along an index, whatever the size of the tables: no sequential scan, and no more rows
read than there are to show."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql

from homing.apps.crm.declaration import declare
from homing.media import open_store
from homing.postgres.lines import load_with

if TYPE_CHECKING:  # pytest rewrites each plugin's asserts as it loads it, which an import before that prevents
    from tests.fixtures.cluster import Cluster

CUSTOMERS, JOBS, WORKERS = 10_000, 20_000, 100
# Customer n has the id …n; one in five thousand lives in a rare street, every other one in the same city, and the two
# thousand that were changed first in the same village. Job n is of customer n % 10,000 and given to worker n % 100;
# nine in ten are completed.
COMPANY = f"""
SET session_replication_role = replica;
INSERT INTO homing.users (id, username, name, role)
SELECT ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid, 'user-' || n, 'User ' || n,
       CASE WHEN n = 1 THEN 'OWNER' ELSE 'WORKER' END FROM generate_series(1, {WORKERS}) n;
INSERT INTO crm.customers (id, name, phone, address, updated_at)
SELECT ('00000000-0000-0000-0001-' || lpad(n::text, 12, '0'))::uuid, 'Customer ' || n, '555-' || lpad(n::text, 6, '0'),
       n || CASE WHEN n % 5000 = 0 THEN ' Unicorn' ELSE ' Elm' END || ' Street'
         || CASE WHEN n % 2 = 0 THEN ', Bree' ELSE '' END || CASE WHEN n <= 2000 THEN ', Archet' ELSE '' END,
       timestamptz '2026-01-01Z' + n * interval '1 minute' FROM generate_series(1, {CUSTOMERS}) n;
INSERT INTO crm.jobs (id, title, customer_id, status, start_date, created_by_id, updated_by_id, updated_at)
SELECT ('00000000-0000-0000-0002-' || lpad(n::text, 12, '0'))::uuid, 'Job ' || n,
       ('00000000-0000-0000-0001-' || lpad((1 + n % {CUSTOMERS})::text, 12, '0'))::uuid,
       CASE WHEN n % 1000 < 900 THEN 'COMPLETED' WHEN n % 3 = 0 THEN 'IN_PROGRESS' WHEN n % 3 = 1 THEN 'NOT_STARTED'
            ELSE 'ON_HOLD' END,
       date '2026-01-01' + n % 300, u, u, timestamptz '2026-01-01Z' + n * interval '1 minute'
FROM generate_series(1, {JOBS}) n, (SELECT '00000000-0000-0000-0000-000000000001'::uuid AS u) owner;
INSERT INTO crm.job_assignments (job_id, user_id)
SELECT ('00000000-0000-0000-0002-' || lpad(n::text, 12, '0'))::uuid,
       ('00000000-0000-0000-0000-' || lpad((1 + n * 7 / 3 % {WORKERS})::text, 12, '0'))::uuid
FROM generate_series(1, {JOBS}) n;
INSERT INTO crm.materials (job_id, item_name, added_by_id, is_deleted)
SELECT j.id, 'Item ' || m, j.created_by_id, m = 5 FROM crm.jobs j, generate_series(1, 5) m;
INSERT INTO crm.activity_logs (entity_type, entity_id, action, user_id, job_id, created_at)
SELECT 'job', j.id, 'update', j.created_by_id, j.id, now() - row_number() OVER () * interval '1 minute' FROM crm.jobs j;
INSERT INTO crm.job_status_history (job_id, from_status, to_status, changed_by_id)
SELECT j.id, 'IN_PROGRESS', 'COMPLETED', j.created_by_id FROM crm.jobs j WHERE status = 'COMPLETED';
SET session_replication_role = DEFAULT;
VACUUM ANALYZE crm.customers, crm.jobs, crm.job_assignments, crm.materials, crm.activity_logs, crm.job_status_history;
"""
WORKER = "00000000-0000-0000-0000-000000000005"
CUSTOMER = "00000000-0000-0000-0001-000000000007"
JOB = "00000000-0000-0000-0002-000000000999"
ASKED = {
    "limit": 21,
    "after_at": "2026-01-07T00:00:00Z",
    "after_id": JOB,
    "after_start": "2026-06-01",
    "after_purchased": False,
    "status": "ON_HOLD",
    "customer": CUSTOMER,
    "worker": WORKER,
    "job": JOB,
    "user": WORKER,
    "entity_type": "job",
    "entity_id": JOB,
    "action": "update",
    "since": "2026-01-01T00:00:00Z",
    "until": "2036-01-01T00:00:00Z",
    "ids": [JOB],
    "names": ["Customer 7"],
    "addresses": ["7 Elm Street"],
}
LARGE = ("customers", "jobs", "job_assignments", "materials", "job_status_history", "activity_logs", "job_activities")


@pytest.fixture(scope="module")
def company(cluster: Cluster, template: str) -> Iterator[str]:
    url = cluster.create_database(template)
    with psycopg.connect(url, autocommit=True) as conn:
        for statement in COMPANY.split(";\n"):
            conn.execute(statement)  # type: ignore[arg-type]
    yield url
    cluster.drop_database(url)


def scans_of(url: str, statement: str, asked: dict[str, Any]) -> list[dict[str, Any]]:
    """The nodes that read a table, by the generic plan, which is what the server runs."""
    names: list[str] = []

    def number(match: re.Match[str]) -> str:
        if match[1] not in names:
            names.append(match[1])
        return f"${names.index(match[1]) + 1}"

    prepared = re.sub(r"%\((\w+)\)s", number, statement).replace("%%", "%")
    with psycopg.connect(url, options="-c plan_cache_mode=force_generic_plan -c jit=off", autocommit=True) as conn:
        conn.execute(f"PREPARE page AS {prepared}".encode())
        values = sql.SQL(", ").join(sql.Literal(asked[name]) for name in names)
        execute = sql.SQL("EXECUTE page ({})").format(values)
        told = conn.execute(sql.SQL("EXPLAIN (ANALYZE, COSTS OFF, FORMAT JSON) {}").format(execute)).fetchone()
    assert told is not None
    return [node for node in nodes(told[0][0]["Plan"]) if "Relation Name" in node or "Index Name" in node]


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def read_by(scans: list[dict[str, Any]]) -> int:
    return max(
        int((scan["Actual Rows"] + scan.get("Rows Removed by Filter", 0)) * scan["Actual Loops"]) for scan in scans
    )


@pytest.mark.parametrize(
    ("query", "filters", "asked", "indexes", "most"),
    [
        # The spec's three query patterns.
        ("search_customers", {"active"}, {"q": "unicorn"}, {"customers_words", "customers_phone_prefix"}, 2),
        ("search_customers", {"active"}, {"q": "555-0000"}, {"customers_words", "customers_phone_prefix"}, 99),
        ("search_customers", {"active", "after"}, {"q": "bree"}, {"customers_words", "customers_listed"}, 10_000),
        ("list_jobs", {"active"}, {}, {"jobs_dashboard"}, 21),
        ("list_jobs", {"active", "after"}, {}, {"jobs_dashboard"}, 21),
        ("list_worker_jobs", set(), {}, {"idx_assignments_user", "jobs_to_do"}, 250),
        ("list_materials", set(), {}, {"materials_checklist"}, 5),
        # And what it does not ask for.
        ("list_customers", {"active"}, {}, {"idx_customers_active or customers_listed"}, 22),
        ("list_customers", set(), {}, {"customers_listed"}, 21),
        ("list_jobs", {"status"}, {}, {"jobs_of_status"}, 21),
        ("list_jobs", {"customer", "active"}, {}, {"idx_jobs_customer"}, 21),
        ("list_jobs", {"worker", "active"}, {}, {"idx_assignments_user", "jobs_pkey"}, 250),
        ("describe_jobs", set(), {}, {"jobs_pkey", "customers_pkey"}, 21),
        ("list_assignments", set(), {}, {"idx_assignments_job or unique_job_user_assignment"}, 5),
        ("find_assignment", set(), {}, {"idx_assignments_job or unique_job_user_assignment"}, 1),
        ("list_history", set(), {"job": "00000000-0000-0000-0002-000000000001"}, {"idx_status_history_job"}, 21),
        ("list_activity", set(), {}, {"created_at_idx"}, 60),
        ("list_activity", {"job"}, {}, {"job_id_created_at_idx"}, 21),
        ("list_activity", {"entity_type", "entity_id"}, {}, {"entity_type_entity_id_idx"}, 21),
        ("list_activity", {"worker"}, {}, {"job_id_created_at_idx"}, 2500),
        ("find_same_customers", set(), {}, {"idx_customers_name"}, 1),
    ],
)  # fmt: skip
def test_a_query_is_answered_along_its_index(
    company: str, query: str, filters: set[str], asked: dict[str, Any], indexes: set[str], most: int
) -> None:
    scans = scans_of(company, load_with("homing.apps.crm", query, frozenset(filters)), ASKED | asked)
    used = {re.sub(r"^activity_logs_(\d+|default)_", "", scan["Index Name"]) for scan in scans if "Index Name" in scan}
    assert all(used & set(index.split(" or ")) for index in indexes), used
    assert whole_tables(scans) == []
    assert read_by(scans) <= most, read_by(scans)


NAIVE = """
SELECT c.updated_at::text, c.id FROM crm.customers c
WHERE (to_tsvector('english', c.name || ' ' || c.address) @@ plainto_tsquery('english', %(q)s)
       OR starts_with(lower(c.phone), lower(%(q)s)))
  AND (%(archived)s::boolean IS NULL OR c.is_archived = %(archived)s)
ORDER BY c.updated_at DESC, c.id DESC
"""
"""What the search means, without a thought for speed."""


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("unicorn", 2),  # rare: sorted
        ("Bree", 5_000),  # common: walked, the latest first
        ("archet", 2_000),  # common, and none of the latest thousand has it: read whole
        ("bree archet", 1_000),  # exactly as many as are asked for before it is common
        ("555-001", 1_000),
        ("555-0010", 100),
        ("elm street", 9_998),
        ("555-00%", 0),
        ("nowhere", 0),
    ],
)
@pytest.mark.parametrize("filters", [{"active"}, {"archived"}, set[str]()], ids=["active", "archived", "all"])
def test_the_pages_of_a_search_are_those_of_the_naive_query(
    company: str, word: str, found: int, filters: set[str]
) -> None:
    archived = {"active": False, "archived": True}.get("".join(filters))
    with psycopg.connect(company) as conn:  # rolled back at the end
        conn.execute("SET LOCAL session_replication_role = replica")
        conn.execute("UPDATE crm.customers SET is_archived = true WHERE right(phone, 1) = '3'")
        conn.execute("UPDATE crm.customers SET updated_at = '2026-01-08Z' WHERE right(phone, 2) = '40'")  # alike
        expected = conn.execute(NAIVE, {"q": word, "archived": archived}).fetchall()
        if archived is None:
            assert len(expected) == found
        pages = list(pages_of(conn, word, filters, limit=400))
        assert [place for page in pages for place in page] == expected
        assert {len(page) for page in pages[:-1]} <= {400}
        (first,) = [*pages_of(conn, word, filters, limit=21)][:1]
        assert first == expected[:21]
        conn.rollback()


def pages_of(
    conn: psycopg.Connection[Any], word: str, filters: set[str], *, limit: int
) -> Iterator[list[tuple[Any, ...]]]:
    asked: dict[str, Any] = {"q": word, "limit": limit}
    while True:
        on = frozenset(filters | ({"after"} if "after_id" in asked else set()))
        page = conn.execute(load_with("homing.apps.crm", "search_customers", on), asked).fetchall()
        yield page
        if len(page) < limit:
            return
        asked["after_at"], asked["after_id"] = page[-1]


def test_a_search_for_a_frequent_word_reads_a_bounded_part_of_the_table(company: str) -> None:
    """Half of the ten thousand have it. The index of words counts them all; of the table a thousand are read, and as
    many of the latest as fill the page."""
    statement = load_with("homing.apps.crm", "search_customers", frozenset({"active"}))
    scans = scans_of(company, statement, ASKED | {"q": "bree"})
    assert sorted(read_by([scan]) for scan in scans if scan["Node Type"] != "Bitmap Index Scan") == [0, 41, 1000]


def whole_tables(scans: list[dict[str, Any]]) -> list[str]:
    """Large tables that were read from end to end; partitions of months to come are empty."""
    return [scan["Relation Name"] for scan in scans if scan["Node Type"] == "Seq Scan" and scan["Actual Rows"] > 0
            and scan["Relation Name"].startswith(LARGE)]  # fmt: skip


def test_what_a_user_holds_is_found_along_indexes(company: str, tmp_path: Any) -> None:
    app = declare(open_store(None, data_dir=tmp_path, bytes_max=1))
    for scope in app.scopes:
        scans = scans_of(company, scope.held_by, {"user": WORKER})
        assert whole_tables(scans) == []


def test_what_a_worker_holds_costs_the_same_beside_one_who_is_on_every_job(company: str, tmp_path: Any) -> None:
    """The plan is made for the average user, whose many jobs would make a walk over all jobs look cheap."""
    foreman = "00000000-0000-0000-0000-000000000002"
    app = declare(open_store(None, data_dir=tmp_path, bytes_max=1))
    queries = [(scope.name, scope.held_by) for scope in app.scopes]
    before = {name: read_by(scans_of(company, held_by, {"user": WORKER})) for name, held_by in queries}
    with psycopg.connect(company, autocommit=True, options="-c session_replication_role=replica") as conn:
        conn.execute("DELETE FROM crm.job_assignments WHERE user_id NOT IN (%s, %s)", [WORKER, foreman])
        conn.execute(
            "INSERT INTO crm.job_assignments (job_id, user_id) SELECT id, %s FROM crm.jobs ON CONFLICT DO NOTHING",
            [foreman],
        )
        conn.execute("ANALYZE crm.job_assignments")
    after = {name: read_by(scans_of(company, held_by, {"user": WORKER})) for name, held_by in queries}
    assert after == before
