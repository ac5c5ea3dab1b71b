"""The database holds by itself what spec 5 demands, whoever writes: here somebody without Homing, by SQL."""

from __future__ import annotations

from datetime import date

import psycopg
import pytest
from psycopg.rows import dict_row

from homing.apps.crm.rules import TRANSITIONS

OLGA = "00000000-0000-0000-0000-000000000001"
WIM = "00000000-0000-0000-0000-000000000002"
OUTSIDE = "00000000-0000-4000-8000-00000000c0de"
SETUP = f"""
INSERT INTO homing.users (id, username, name, role)
VALUES ('{OLGA}', 'olga', 'Olga', 'OWNER'), ('{WIM}', 'wim', 'Wim', 'WORKER');
"""


@pytest.fixture
def database_url(new_database, started):
    """A server was about, whose stamps and triggers are there too."""
    return new_database(started)


@pytest.fixture
def conn(database_url):
    """A connection of the tables' owner."""
    with psycopg.connect(database_url, autocommit=True, row_factory=dict_row) as conn:
        conn.execute(SETUP)
        yield conn


def one(conn, query, *params):
    return conn.execute(query, params).fetchone()


def make_job(conn, **columns):
    customer = one(conn, "INSERT INTO crm.customers (name, address) VALUES ('Ada', '1 Elm St') RETURNING id")["id"]
    values = {"title": "Kitchen", "customer_id": customer, "created_by_id": OLGA} | columns
    names = ", ".join(values)
    marks = ", ".join(["%s"] * len(values))
    return one(conn, f"INSERT INTO crm.jobs ({names}) VALUES ({marks}) RETURNING id", *values.values())["id"]


def act(conn, user):
    conn.execute("SELECT set_config('homing.actor', %s, false)", [user])


def test_the_table_of_transitions_is_the_one_that_replicas_have(conn) -> None:
    rows = conn.execute("SELECT from_status, to_status FROM crm.status_transitions").fetchall()
    assert {(row["from_status"], row["to_status"]) for row in rows} == {
        (before, after) for before, all_after in TRANSITIONS.items() for after in all_after
    }


def test_a_status_only_goes_along_the_transitions_and_its_history_names_who_did_it(conn) -> None:
    job = make_job(conn)
    act(conn, WIM)
    conn.execute("UPDATE crm.jobs SET status = 'IN_PROGRESS' WHERE id = %s", [job])
    with pytest.raises(psycopg.errors.CheckViolation, match="a job that is IN_PROGRESS cannot become NOT_STARTED"):
        conn.execute("UPDATE crm.jobs SET status = 'NOT_STARTED' WHERE id = %s", [job])
    act(conn, "")
    conn.execute("UPDATE crm.jobs SET status = 'COMPLETED' WHERE id = %s", [job])
    conn.execute("UPDATE crm.jobs SET status = 'IN_PROGRESS', updated_by_id = %s WHERE id = %s", [OLGA, job])
    conn.execute("UPDATE crm.jobs SET notes = 'again' WHERE id = %s", [job])
    history = conn.execute(
        "SELECT from_status, to_status, changed_by_id::text FROM crm.job_status_history"
        " WHERE job_id = %s ORDER BY changed_at",
        [job],
    ).fetchall()
    assert [tuple(row.values()) for row in history] == [
        ("NOT_STARTED", "IN_PROGRESS", WIM),
        ("IN_PROGRESS", "COMPLETED", OUTSIDE),
        ("COMPLETED", "IN_PROGRESS", OLGA),
    ]


def test_the_account_outside_is_made_when_it_is_needed_and_nobody_can_sign_in_to_it(conn, http) -> None:
    act(conn, OLGA)
    make_job(conn)
    assert one(conn, "SELECT count(*) AS n FROM homing.users WHERE id = %s", OUTSIDE) == {"n": 0}
    act(conn, "")
    make_job(conn)
    row = one(conn, "SELECT username, role, is_active, password_hash FROM homing.users WHERE id = %s", OUTSIDE)
    assert row == {"username": "outside (no actor)", "role": "OUTSIDE", "is_active": False, "password_hash": None}
    body = {"login": "outside (no actor)", "password": ""}
    assert http.post("/api/v1/auth/login", json=body).status_code in (400, 401)


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("UPDATE crm.jobs SET status = 'LOST'", "job_status_transition"),
        ("UPDATE crm.jobs SET start_date = '2026-02-02', end_date = '2026-02-01'", "check_job_dates"),
        ("UPDATE crm.materials SET quantity = 0", "check_quantity_positive"),
        ("UPDATE crm.materials SET purchased_at = now()", "check_purchase_consistency"),
        (f"UPDATE crm.materials SET purchased = false, purchased_by_id = '{WIM}'", "check_purchase_consistency"),
        ("INSERT INTO crm.job_assignments (job_id, user_id) SELECT job_id, user_id FROM crm.job_assignments",
         "unique_job_user_assignment"),
        (f"INSERT INTO crm.sync_queue (user_id, operation, entity_type, payload) VALUES ('{WIM}', 'steal', 'x', '1')",
         "sync_queue_operation_check"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(conn, statement, constraint) -> None:
    job = make_job(conn)
    conn.execute("INSERT INTO crm.job_assignments (job_id, user_id) VALUES (%s, %s)", [job, WIM])
    conn.execute("INSERT INTO crm.materials (job_id, item_name, added_by_id) VALUES (%s, 'Nails', %s)", [job, WIM])
    with pytest.raises(psycopg.IntegrityError) as refused:
        conn.execute(statement)
    assert refused.value.diag.constraint_name == constraint


def test_ticking_fills_in_who_and_when_and_unticking_takes_both_away(conn) -> None:
    act(conn, WIM)
    job = make_job(conn)
    conn.execute("INSERT INTO crm.materials (job_id, item_name, added_by_id) VALUES (%s, 'Nails', %s)", [job, WIM])
    ticked = one(
        conn,
        "UPDATE crm.materials SET purchased = true RETURNING purchased_by_id::text, purchased_at IS NOT NULL AS at",
    )
    assert ticked == {"purchased_by_id": WIM, "at": True}
    taken = one(conn, "UPDATE crm.materials SET purchased = false RETURNING purchased_by_id, purchased_at")
    assert taken == {"purchased_by_id": None, "purchased_at": None}


def test_log_activity_writes_an_entry_that_the_job_s_people_see(conn) -> None:
    job = make_job(conn)
    entry = one(
        conn, "SELECT crm.log_activity('job', %s, 'called', %s, %s, '{\"by\": \"phone\"}') AS id", job, WIM, job
    )
    expected = {"entity_type": "job", "action": "called", "details": {"by": "phone"}}
    for table in ("activity_logs", "job_activities"):
        row = one(conn, f"SELECT entity_type, action, details FROM crm.{table} WHERE id = %s", entry["id"])
        assert row == expected


def test_partitions_are_made_ahead_and_dropped_by_age(conn) -> None:
    job = make_job(conn)
    assert one(conn, "SELECT crm.make_partitions('2027-11-15') AS made") == {"made": 8}
    assert one(conn, "SELECT crm.make_partitions('2027-11-15') AS made") == {"made": 0}
    for month in ("2027-11-20", "2027-12-20"):
        conn.execute(
            "INSERT INTO crm.activity_logs (entity_type, entity_id, action, user_id, job_id, created_at)"
            " VALUES ('job', %s, 'called', %s, %s, %s)",
            [job, WIM, job, month],
        )
        conn.execute(
            "INSERT INTO crm.sync_queue (user_id, operation, entity_type, payload, created_at)"
            " VALUES (%s, 'create', 'job', '{}', %s)",
            [WIM, month],
        )
    where = one(conn, "SELECT array_agg(tableoid::regclass::text ORDER BY 1) AS t FROM crm.sync_queue")
    assert where == {"t": ["crm.sync_queue_pending"] * 2}
    conn.execute("UPDATE crm.sync_queue SET status = 'completed', processed_at = created_at")
    where = one(conn, "SELECT array_agg(tableoid::regclass::text ORDER BY 1) AS t FROM crm.sync_queue")
    assert where == {"t": ["crm.sync_queue_completed_202711", "crm.sync_queue_completed_202712"]}
    # A year ahead: this month and the three that were made with it, of each table, and November 2027.
    assert one(conn, "SELECT crm.drop_partitions('2027-12-10') AS dropped") == {"dropped": 10}
    for table in ("activity_logs", "job_activities", "sync_queue"):
        left = one(conn, f"SELECT array_agg(created_at::date) AS days FROM crm.{table}")
        assert left == {"days": [date(2027, 12, 20)]}


def test_quarters_are_dropped_like_months(conn) -> None:
    conn.execute(
        "CREATE TABLE crm.activity_logs_2024_q2 PARTITION OF crm.activity_logs"
        " FOR VALUES FROM ('2024-04-01') TO ('2024-07-01')"
    )
    assert one(conn, "SELECT crm.drop_partitions('2024-06-30') AS dropped") == {"dropped": 0}
    assert one(conn, "SELECT crm.drop_partitions('2024-07-01') AS dropped") == {"dropped": 1}


def test_the_spec_s_queries_run_as_written(conn) -> None:
    act(conn, OLGA)
    job = make_job(conn)
    conn.execute("INSERT INTO crm.job_assignments (job_id, user_id) VALUES (%s, %s)", [job, WIM])
    conn.execute("SET search_path = crm")
    owner = one(
        conn,
        """SELECT j.*, c.name as customer_name, array_agg(u.name) as assigned_workers
        FROM jobs j JOIN customers c ON j.customer_id = c.id
        LEFT JOIN job_assignments ja ON j.id = ja.job_id LEFT JOIN users u ON ja.user_id = u.id
        WHERE j.status != 'COMPLETED' GROUP BY j.id, c.name ORDER BY j.updated_at DESC""",
    )
    assert (owner["customer_name"], owner["assigned_workers"]) == ("Ada", ["Wim"])
    found = one(
        conn,
        """SELECT name FROM customers
        WHERE to_tsvector('english', name || ' ' || COALESCE(address, '')) @@ plainto_tsquery('english', %s)
           OR phone ILIKE %s || '%%'
        ORDER BY updated_at DESC LIMIT 20""",
        "elm",
        "elm",
    )
    assert found == {"name": "Ada"}
    assert one(conn, "SELECT count(*) AS n FROM refresh_tokens") == {"n": 0}
