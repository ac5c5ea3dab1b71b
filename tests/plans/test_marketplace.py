"""The marketplace's queries are answered along an index at 100,000 jobs: no sequential scan, and no more rows read than
there are to show."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from homing.apps.marketplace.declaration import declare
from homing.media import open_store
from homing.postgres.lines import load_with
from tests.plans.test_crm import read_by, scans_of

if TYPE_CHECKING:  # pytest rewrites each plugin's asserts as it loads it, which an import before that prevents
    from tests.fixtures.cluster import Cluster

PEOPLE, JOBS = 10_000, 100_000
# Person n has the id …0000-n; the first thousand are clients, the others freelancers. Job n is of client n % 1,000; one
# in five is open no more, one in 25,000 is about a unicorn, one in 10,000 pays very well, and one in 1,000 asks for a
# rare skill.
MARKET = f"""
SET session_replication_role = replica;
INSERT INTO homing.users (id, username, name, role)
SELECT ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid, 'user-' || n, 'User ' || n, 'WORKER'
FROM generate_series(1, {PEOPLE}) n;
INSERT INTO marketplace.profiles (id, user_id, kind, name, bio, skills, created_at)
SELECT ('00000000-0000-0000-0001-' || lpad(n::text, 12, '0'))::uuid,
       ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid,
       CASE WHEN n <= 1000 THEN 'client' ELSE 'freelancer' END::marketplace.profile_kind, 'Person ' || n,
       CASE WHEN n % 1000 = 0 THEN 'unicorn' ELSE 'calendars' END || ' and mail',
       ARRAY['Excel', CASE WHEN n % 500 = 0 THEN 'Falconry' ELSE 'Travel' END],
       timestamptz '2026-01-01Z' + n * interval '1 minute' FROM generate_series(1, {PEOPLE}) n;
INSERT INTO marketplace.jobs (id, client_id, freelancer_id, title, description, skills, budget_kind, budget_max_cents,
                              status, created_at)
SELECT ('00000000-0000-0000-0002-' || lpad(n::text, 12, '0'))::uuid,
       ('00000000-0000-0000-0000-' || lpad((1 + n % 1000)::text, 12, '0'))::uuid,
       CASE WHEN n % 5 = 0 THEN ('00000000-0000-0000-0000-' || lpad((1001 + n % 9000)::text, 12, '0'))::uuid END,
       'Job ' || n || CASE WHEN n % 25000 = 1 THEN ' of a unicorn' ELSE ' of a dentist' END,
       'A virtual assistant answers mail, plans travel and keeps the calendar of a small company.',
       ARRAY['Excel', CASE WHEN n % 1000 = 1 THEN 'Falconry' ELSE 'Travel' END],
       CASE WHEN n % 2 = 0 THEN 'fixed' ELSE 'hourly' END::marketplace.budget_kind,
       CASE WHEN n % 10000 = 1 THEN 90000000 ELSE 1000 + n % 5000 END,
       CASE WHEN n % 5 = 0 THEN 'completed' ELSE 'open' END::marketplace.job_status,
       timestamptz '2026-01-01Z' + n * interval '1 minute' FROM generate_series(1, {JOBS}) n;
INSERT INTO marketplace.proposals (job_id, client_id, freelancer_id, amount_cents, status, created_at)
SELECT j.id, j.client_id,
       ('00000000-0000-0000-0000-' || lpad((1001 + (j.n * 7 + m * 1111) % 9000)::text, 12, '0'))::uuid, 1000,
       CASE WHEN m = 1 AND j.status <> 'open' THEN 'accepted' ELSE 'submitted' END::marketplace.proposal_status,
       j.created_at
FROM (SELECT *, row_number() OVER (ORDER BY id) AS n FROM marketplace.jobs) j, generate_series(1, 2) m;
INSERT INTO marketplace.saved_jobs (user_id, job_id, created_at)
SELECT ('00000000-0000-0000-0000-' || lpad((1001 + n % 9000)::text, 12, '0'))::uuid,
       ('00000000-0000-0000-0002-' || lpad((1 + n * 3)::text, 12, '0'))::uuid,
       timestamptz '2026-01-01Z' + n * interval '1 minute' FROM generate_series(1, 20000) n;
INSERT INTO marketplace.messages (sender_id, recipient_id, content, created_at, is_read, read_at)
SELECT ('00000000-0000-0000-0000-' || lpad((1 + n % 1000)::text, 12, '0'))::uuid,
       ('00000000-0000-0000-0000-' || lpad((1001 + n % 9000)::text, 12, '0'))::uuid, 'Hello', t, true, t
FROM generate_series(1, 50000) n, LATERAL (SELECT timestamptz '2026-01-01Z' + n * interval '1 minute' AS t) made;
INSERT INTO marketplace.correspondents (user_id, partner_id)
SELECT DISTINCT a, b
FROM marketplace.messages m, LATERAL (VALUES (sender_id, recipient_id), (recipient_id, sender_id)) w (a, b);
SET session_replication_role = DEFAULT;
VACUUM ANALYZE marketplace.profiles, marketplace.jobs, marketplace.proposals, marketplace.saved_jobs,
    marketplace.messages, marketplace.correspondents;
ANALYZE homing.users;
"""
CLIENT, FREELANCER = "00000000-0000-0000-0000-000000000007", "00000000-0000-0000-0000-000000001007"
JOB = "00000000-0000-0000-0002-000000050001"
ASKED = {
    "limit": 21,
    "after_at": "2026-02-01T00:00:00Z",
    "after_id": JOB,
    "user": FREELANCER,
    "client": CLIENT,
    "freelancer": FREELANCER,
    "partner": CLIENT,
    "job": JOB,
    "status": "open",
    "q": "unicorn",
    "skills": ["FALCONRY"],
    "kind": "freelancer",
    "budget_kind": "fixed",
    "budget_min": 80_000_000,
    "budget_max": 500,
    "ids": [JOB],
    "jobs": [JOB],
    "most": 200,
    "window": 64,
    "office": False,
}
LARGE = ("profiles", "jobs", "proposals", "saved_jobs", "messages", "correspondents", "users")
PACKAGE = "homing.apps.marketplace"


@pytest.fixture(scope="module")
def market(cluster: Cluster, template: str) -> Iterator[str]:
    url = cluster.create_database(template)
    with psycopg.connect(url, autocommit=True) as conn:
        for statement in MARKET.strip().split(";\n"):
            conn.execute(statement)  # type: ignore[arg-type]
    yield url
    cluster.drop_database(url)


@pytest.mark.parametrize(
    ("query", "filters", "asked", "indexes", "most"),
    [
        ("list_jobs", {"open"}, {}, {"jobs_listed or jobs_of_status"}, 21),
        ("list_jobs", {"open", "after"}, {}, {"jobs_listed or jobs_of_status"}, 21),
        ("list_jobs", {"open", "q"}, {}, {"jobs_words"}, 4),
        ("list_jobs", {"open", "skills"}, {}, {"jobs_skills"}, 100),
        ("list_near_jobs", {"q", "skills", "after"}, {}, {"jobs_listed or jobs_of_status"}, 64),
        ("list_near_jobs", {"q"}, {"window": 512}, {"jobs_listed or jobs_of_status"}, 512),
        ("list_jobs", {"open", "q", "skills"}, {}, {"jobs_words or jobs_skills"}, 100),
        # However few there are: the index alone is read, and says what they pay.
        ("list_jobs", {"open", "budget_min"}, {}, {"jobs_listed"}, 80_000),
        ("list_jobs", {"open", "budget_min", "budget_max", "budget_kind"}, {}, {"jobs_listed"}, 80_000),
        ("list_jobs", {"status"}, {"status": "completed"}, {"jobs_of_status"}, 21),
        ("list_jobs", {"client"}, {}, {"jobs_of_client"}, 21),
        ("list_jobs", {"client", "status", "after"}, {}, {"jobs_of_client"}, 100),
        ("list_jobs", {"freelancer"}, {}, {"jobs_of_freelancer"}, 21),
        ("list_profiles", set(), {}, {"profiles_listed"}, 21),
        ("list_profiles", {"kind", "available", "after"}, {"after_at": "2026-01-05Z"}, {"profiles_listed"}, 50),
        ("list_profiles", {"q"}, {}, {"profiles_words"}, 10),
        ("list_profiles", {"skills"}, {}, {"profiles_skills"}, 20),
        ("list_proposals", {"freelancer"}, {}, {"proposals_of_freelancer"}, 21),
        ("list_proposals", {"client", "after"}, {}, {"proposals_of_client"}, 21),
        ("list_proposals", {"job"}, {}, {"proposals_of_job or proposals_once"}, 2),
        ("list_proposals", {"job", "freelancer"}, {}, {"proposals_once or proposals_of_job"}, 2),
        ("list_saved_jobs", {"after"}, {}, {"saved_jobs_listed"}, 21),
        ("list_messages", set(), {}, {"messages_inbox", "messages_sent"}, 21),
        ("list_messages", {"partner"}, {}, {"messages_conversation"}, 50),
        ("show_jobs", {"web"}, {}, {"jobs_pkey", "users_pkey", "profiles_user_id_key"}, 10),
        ("show_jobs", {"mobile"}, {}, {"jobs_pkey", "saved_once or saved_jobs_listed"}, 10),
        ("show_profiles", set(), {"ids": ["00000000-0000-0000-0001-000000000001"]}, {"profiles_pkey"}, 1),
        ("find_profile", set(), {}, {"profiles_user_id_key"}, 1),
        ("count_unread", set(), {}, {"messages_unread"}, 0),
        ("find_rejected_along", set(), {}, {"proposals_of_job or proposals_once or proposals_accepted"}, 2),
        ("match_freelancers", set(), {}, {"jobs_pkey", "profiles_skills"}, 10_000),
        ("find_media", set(), {"id": JOB}, {"images_pkey"}, 0),
    ],
)
def test_a_query_is_answered_along_its_index(
    market: str, query: str, filters: set[str], asked: dict[str, Any], indexes: set[str], most: int
) -> None:
    scans = scans_of(market, load_with(PACKAGE, query, frozenset(filters)), ASKED | asked)
    used = {scan["Index Name"] for scan in scans if "Index Name" in scan}
    assert all(used & set(index.split(" or ")) for index in indexes), used
    assert whole_tables(scans) == []
    assert read_by(scans) <= most, read_by(scans)


def test_what_pays_too_little_is_passed_over_in_the_index_alone(market: str) -> None:
    statement = load_with(PACKAGE, "list_jobs", frozenset({"open", "budget_min", "budget_max", "budget_kind"}))
    (scan,) = scans_of(market, statement, ASKED)
    assert (scan["Node Type"], scan["Heap Fetches"]) == ("Index Only Scan", 0)


def test_what_a_user_holds_is_found_along_indexes(market: str, tmp_path: Any) -> None:
    app = declare(open_store(None, data_dir=tmp_path, bytes_max=1))
    for scope in app.scopes:
        for user in (CLIENT, FREELANCER):
            scans = scans_of(market, scope.held_by, {"user": user})
            assert whole_tables(scans) == [], scope.name
            assert read_by(scans) <= 500, scope.name


def whole_tables(scans: list[dict[str, Any]]) -> list[str]:
    """Large tables that were read from end to end."""
    return [
        scan["Relation Name"] for scan in scans if scan["Node Type"] == "Seq Scan" and scan["Relation Name"] in LARGE
    ]
