"""Filters of /submissions: what they take, and that each uses an index whatever the size of the table."""

import json
import re
from hashlib import md5
from uuid import UUID, uuid4

import psycopg
import pytest

from homing.apps.fieldwork import filters
from homing.engine.caller import Caller
from homing.postgres.lines import load_with
from homing.protocol.errors import Problem

OFFICE = Caller(uuid4(), "OWNER", "main", "web", uuid4(), None, None)


@pytest.mark.parametrize(
    "given",
    [
        {"status": "aproved"},
        {"team": "dream"},
        {"author": ""},
        {"since": "yesterday"},
        {"since": "2026-01-02T03:04:05"},
        {"until": "2026-02-30T00:00:00Z"},
        {"bbox": "1,2,3"},
        {"bbox": "1,2,3,x"},
        {"bbox": "0,10,1,9"},
        {"bbox": "nan,0,1,1"},
        {"bbox": "-181,0,1,1"},
        {"form": "a\x00b"},
    ],
)
def test_a_value_that_cannot_be_meant_is_refused(given) -> None:
    with pytest.raises(Problem) as refused:
        filters.submissions(OFFICE, **given)
    assert refused.value.code.code == "invalid_parameter"


def test_a_plus_that_was_not_escaped_is_still_a_time() -> None:
    query = filters.submissions(OFFICE, since="2026-01-02T03:04:05 02:00")
    assert query.params["since"].isoformat() == "2026-01-02T03:04:05+02:00"


ROWS = 100_000
SEED = f"""
INSERT INTO homing.users (id, username, name, role)
SELECT md5('user ' || i)::uuid, 'user-' || i, 'user', 'WORKER' FROM generate_series(0, 29) i;
INSERT INTO fieldwork.teams (id, name) SELECT md5('team ' || i)::uuid, 'team-' || i FROM generate_series(0, 9) i;
INSERT INTO fieldwork.team_members (team_id, user_id)
SELECT md5('team ' || i % 10)::uuid, md5('user ' || i)::uuid FROM generate_series(0, 29) i;
INSERT INTO homing.mobile_devices (id, device_id)
SELECT md5('device ' || i)::uuid, 'device-' || i FROM generate_series(0, 29) i;
INSERT INTO fieldwork.mobile_forms (id, code, name, schema, version, published, draft)
SELECT md5('form ' || i)::uuid, 'form-' || i, 'form', '{{"type": "object"}}', 'v1', true, false
FROM generate_series(0, 19) i;
INSERT INTO fieldwork.form_versions (form_id, form_version, schema)
SELECT id, 'v1', schema FROM fieldwork.mobile_forms;
INSERT INTO fieldwork.submissions
    (form_id, form_version, data, device_id, status, metadata, created_at, team_id, author_id)
SELECT md5('form ' || i % 20)::uuid, 'v1', '{{}}', md5('device ' || i % 30)::uuid,
       (CASE WHEN i % 997 = 0 THEN 'rejected' WHEN i % 3 = 0 THEN 'pending' ELSE 'approved' END)
           ::fieldwork.submission_status,
       jsonb_build_object('gps', jsonb_build_object('lat', i % 180 - 90, 'lon', i % 360 - 180)),
       timestamptz '2026-01-01' + i * interval '1 minute', md5('team ' || i % 10)::uuid, md5('user ' || i % 30)::uuid
FROM generate_series(1, {ROWS}) i;
ANALYZE homing.users, homing.mobile_devices, fieldwork.mobile_forms, fieldwork.submissions, fieldwork.team_members
"""


def named(name: str) -> UUID:
    """The id that the seed gives to ``name``."""
    return UUID(md5(name.encode(), usedforsecurity=False).hexdigest())


WORKER = Caller(named("user 3"), "WORKER", "main", "web", uuid4(), None, None)


@pytest.fixture(scope="module")
def many(cluster, template):
    url = cluster.create_database(template)
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(SEED)
        # As Homing's own sessions are set (homing.postgres.database).
        conn.execute("SET plan_cache_mode = force_generic_plan")
        conn.execute("SET max_parallel_workers_per_gather = 0")
        yield conn
    cluster.drop_database(url)


def explain(conn: psycopg.Connection, query: filters.Query, *, after: bool) -> tuple[str, int, int]:
    """The plan as text, the pages it touched, and the rows it gave."""
    params = dict(query.params) | {"limit": 51}
    names = query.filters
    if after:
        names |= {"after"}
        params |= {"after_at": "2026-02-15 00:00:00+00", "after_id": UUID(int=2**127)}
    order: list[str] = []

    def number(match: re.Match[str]) -> str:
        if match[1] not in order:
            order.append(match[1])
        return f"${order.index(match[1]) + 1}"

    text = re.sub(r"%\((\w+)\)s", number, load_with("homing.apps.fieldwork", query.name, names))
    conn.execute(f"PREPARE listed AS {text}")
    values = ", ".join(psycopg.sql.Literal(params[name]).as_string(conn) for name in order)
    (found,) = conn.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE listed ({values})").fetchone()
    conn.execute("DEALLOCATE listed")
    plan = found[0]["Plan"]
    return json.dumps(plan), plan["Shared Hit Blocks"] + plan["Shared Read Blocks"], plan["Actual Rows"]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    ("given", "indexes"),
    [
        ({}, ["submissions_created"]),
        ({"form": "form-3"}, ["submissions_form"]),
        ({"form": str(named("form 3"))}, ["submissions_form"]),
        ({"device": "device-7"}, ["submissions_device"]),
        ({"status": "rejected"}, ["submissions_status"]),
        ({"status": "approved"}, ["submissions_status", "submissions_created"]),
        ({"team": str(named("team 3"))}, ["submissions_team"]),
        ({"author": str(named("user 3"))}, ["submissions_author"]),
        ({"since": "2026-02-01T00:00:00Z", "until": "2026-02-02T00:00:00Z"}, ["submissions_created"]),
        ({"form": "form-3", "since": "2026-01-03T00:00:00Z"}, ["submissions_form"]),
        ({"bbox": "-65,-65,-64,-64"}, ["submissions_place"]),
        ({"bbox": "179.5,-1,-179.5,1"}, ["submissions_place"]),
        # All of them are in the first, and every other one in the second: it is not read whole, to be sorted.
        ({"bbox": "-180,-90,180,90"}, ["submissions_created"]),
        ({"bbox": "0,-90,180,90"}, ["submissions_created"]),
        ({"bbox": "0,-90,180,90", "form": "form-3"}, ["submissions_form"]),
    ],
)
def test_every_filter_reads_a_page_along_an_index(many, given, indexes, after) -> None:
    plan, pages, _rows = explain(many, filters.submissions(OFFICE, **given), after=after)
    assert any(f'"Index Name": "{index}"' in plan for index in indexes), plan
    assert pages < 1500


@pytest.mark.parametrize("given", [{}, {"form": "form-3"}, {"status": "rejected"}])
def test_a_worker_gets_the_own_teams_rows_without_reading_the_table(many, given) -> None:
    plan, pages, rows = explain(many, filters.submissions(WORKER, **given), after=False)
    assert rows > 0
    assert pages < 3000, plan
