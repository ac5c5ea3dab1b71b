"""The queries of specification 3 about enrolment use their indexes among 100,000 tokens, with the plan that is kept."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from homing.accounts.enrolment import SECONDS_MAX
from homing.postgres.sql import load
from tests.fixtures.cluster import Cluster

TOKENS = 100_000
CREATORS = 200
FILL = """
INSERT INTO homing.users (id, username, name, role)
SELECT lpad(n::text, 32, '0')::uuid, 'office-' || n, 'Office', 'OWNER' FROM generate_series(1, %(creators)s) n;
INSERT INTO homing.enrollment_tokens
    (id, token, created_by, tenant_id, created_at, expires_at, used_at, device_id, role, secret_hash, server_key)
SELECT md5(n::text)::uuid, md5(n::text)::uuid, lpad((1 + n %% %(creators)s)::text, 32, '0')::uuid, 'default', at,
       at + interval '1 hour', CASE WHEN n %% 10 > 0 THEN at END, CASE WHEN n %% 10 > 0 THEN 'd-' || n END, 'WORKER',
       CASE WHEN at > now() - interval '2 hours' THEN sha256(n::text::bytea) END, 'f'
FROM generate_series(1, %(tokens)s) n, LATERAL (SELECT now() - make_interval(mins => n) AS at) t;
UPDATE homing.enrollment_tokens SET reported_at = now() WHERE used_at IS NULL AND expires_at < now() - interval '1 day';
ANALYZE homing.users;
ANALYZE homing.enrollment_tokens;
"""
CREATOR = UUID(int=7)
TOKEN = UUID("c4ca4238a0b923820dcc509a6f75849b")  # md5('1')
NOW = datetime.now(UTC)
PARAMETERS: dict[str, Any] = {
    "token": TOKEN,
    "id": TOKEN,
    "secret_hash": b"x" * 32,
    "created_by": CREATOR,
    "after_at": None,
    "after_id": None,
    "state": None,
    "limit": 51,
    "tenant": "default",
    "device": "d",
    "redeemer_hash": b"r",
    "device_type": "",
    "os_version": "",
    "app_version": "",
    "by": CREATOR,
    "before": NOW - timedelta(days=90),
    "seconds": SECONDS_MAX,
}


@pytest.fixture(scope="module")
def filled(cluster: Cluster, template: str) -> Any:
    url = cluster.create_database(template)
    with psycopg.connect(url, autocommit=True) as conn:
        with psycopg.ClientCursor(conn) as cursor:
            cursor.execute(FILL, {"creators": CREATORS, "tokens": TOKENS})
        yield conn
    cluster.drop_database(url)


def explain(conn: psycopg.Connection, query: str) -> tuple[set[str], set[str]]:
    """The indexes that a query's kept plan uses on the tokens, and the kinds of scan of that table."""
    text, names = load("homing.accounts", query), []

    def number(found: re.Match[str]) -> str:
        if found[1] not in names:
            names.append(found[1])
        return f"${names.index(found[1]) + 1}"

    numbered = re.sub(r"%\((\w+)\)s", number, text)
    conn.execute("SET plan_cache_mode = force_generic_plan")
    conn.execute(f"PREPARE {query} AS {numbered}")  # type: ignore[call-overload]
    values = sql.SQL(", ").join(sql.Literal(PARAMETERS[name]) for name in names)
    given = sql.SQL("({})").format(values) if names else sql.SQL("")
    row = conn.execute(sql.SQL("EXPLAIN (FORMAT JSON) EXECUTE {}{}").format(sql.Identifier(query), given)).fetchone()
    assert row is not None
    indexes: set[str] = set()
    scans: set[str] = set()

    def walk(node: dict[str, Any]) -> None:
        if node.get("Relation Name") == "enrollment_tokens" and "Scan" in node["Node Type"]:
            scans.add(node["Node Type"])
        if "Index Name" in node:
            indexes.add(node["Index Name"])
        for child in node.get("Plans", ()):
            walk(child)

    walk(row[0][0]["Plan"])
    return indexes, scans


BY_TOKEN = {"idx_enrollment_tokens_token", "enrollment_tokens_token_key", "enrollment_tokens_pkey"}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("read_enrollment", BY_TOKEN),
        ("find_enrollment_secret", BY_TOKEN),
        ("find_enrollment_of_secret", {"enrollment_tokens_secret_hash_key"}),
        ("take_enrollment", BY_TOKEN | {"enrollment_tokens_secret_hash_key"}),
        ("read_redeemer", BY_TOKEN),
        ("cancel_enrollment", BY_TOKEN),
        ("list_enrollments_of_creator", {"enrollment_tokens_of_creator"}),
        ("list_enrollments", {"enrollment_tokens_newest"}),
        (
            "count_open_enrollments",
            {
                "idx_enrollment_tokens_created_by",
                "enrollment_tokens_of_creator",
                "idx_enrollment_tokens_expires_at",
                "idx_enrollment_tokens_used_at",
            },
        ),
        ("report_expired_enrollments", {"idx_enrollment_tokens_used_at", "idx_enrollment_tokens_expires_at"}),
        ("delete_old_enrollments", {"idx_enrollment_tokens_used_at", "idx_enrollment_tokens_expires_at"}),
    ],
)
def test_a_query_goes_along_an_index(filled: psycopg.Connection, query: str, expected: set[str]) -> None:
    indexes, scans = explain(filled, query)
    assert indexes & expected, indexes
    assert "Seq Scan" not in scans
