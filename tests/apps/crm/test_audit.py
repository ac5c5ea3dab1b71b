"""The trail: every change, from whatever door, with who, what, old and new; nobody of the API takes any of it away."""

from __future__ import annotations

import psycopg
import pytest

from tests.apps.crm.scene import API, assign, make_customer, make_job, make_material, ok, query, unassign
from tests.apps.crm.test_schema import OUTSIDE


def trail(url, entity_type):
    return query(
        url,
        "SELECT action, details -> 'old', details -> 'new', user_id::text FROM crm.activity_logs"
        " WHERE entity_type = %s ORDER BY created_at",
        entity_type,
    )


def test_changes_by_the_api_and_by_sql_are_told_alike(owner, settings) -> None:
    customer = make_customer(owner, phone="555-1")
    ok(owner.http.patch(f"{API}/customers/{customer['id']}", json={"phone": "555-2"}))
    with psycopg.connect(settings.database_url, autocommit=True) as conn:
        conn.execute("UPDATE crm.customers SET phone = '555-3'")
        conn.execute("UPDATE crm.customers SET phone = phone")
        conn.execute("DELETE FROM crm.customers")
    created, changed, by_sql, deleted = trail(settings.database_url, "customer")
    row = {
        "id": customer["id"], "name": "Ada Lovelace", "phone": "555-1", "email": None, "address": "12 Elm Street",
        "notes": None, "is_archived": False,
    }  # fmt: skip
    assert (created[0], created[1], created[3]) == ("create", None, owner.id)
    assert {name: created[2][name] for name in row} == row
    assert changed == ("update", {"phone": "555-1"}, {"phone": "555-2"}, owner.id)
    assert by_sql == ("update", {"phone": "555-2"}, {"phone": "555-3"}, OUTSIDE)
    assert (deleted[0], deleted[2], deleted[3]) == ("delete", None, OUTSIDE)
    assert {name: deleted[1][name] for name in row} == row | {"phone": "555-3"}


def test_every_table_is_told_of(owner, worker, settings) -> None:
    job = make_job(owner)
    nails = make_material(worker if assign(owner, job, worker) else owner, job)
    ok(worker.http.patch(f"{API}/materials/{nails['id']}", json={"purchased": True}))
    ok(worker.http.delete(f"{API}/materials/{nails['id']}"))
    ok(worker.http.post(f"{API}/jobs/{job['id']}/status", json={"status": "IN_PROGRESS"}))
    unassign(owner, job, worker)
    url = settings.database_url
    told = query(
        url, "SELECT entity_type, action, user_id::text, job_id IS NOT NULL FROM crm.activity_logs ORDER BY created_at"
    )
    assert told == [
        ("customer", "create", owner.id, False),
        ("job", "create", owner.id, True),
        ("job_assignment", "create", owner.id, True),
        ("material", "create", worker.id, True),
        ("material", "update", worker.id, True),
        ("material", "update", worker.id, True),
        ("job", "update", worker.id, True),
        ("job_assignment", "delete", owner.id, True),
    ]
    ticked = trail(url, "material")[1]
    assert (ticked[1]["purchased"], ticked[2]["purchased"], ticked[2]["purchased_by_id"]) == (False, True, worker.id)


def test_the_trail_of_a_deleted_job_stays(owner, worker, settings) -> None:
    job = make_job(owner)
    make_material(owner, job)
    assign(owner, job, worker)
    before = query(settings.database_url, "SELECT id, details FROM crm.activity_logs ORDER BY created_at")
    ok(owner.http.delete(f"{API}/jobs/{job['id']}"))
    url = settings.database_url
    assert query(url, "SELECT count(*) FROM crm.materials") == [(0,)]
    after = query(url, "SELECT id, details FROM crm.activity_logs ORDER BY created_at")
    assert after[: len(before)] == before
    gone = query(
        url, "SELECT entity_type, job_id, user_id::text FROM crm.activity_logs WHERE action = 'delete' ORDER BY 1"
    )
    assert gone == [(kind, None, owner.id) for kind in ("job", "job_assignment", "material")]
    assert query(url, "SELECT count(*) FROM crm.job_activities") == [(0,)]


@pytest.mark.parametrize("table", ["activity_logs", "activity_logs_default", "job_status_history", "job_activities"])
@pytest.mark.parametrize("change", ["UPDATE crm.{} SET id = id", "DELETE FROM crm.{}"])
def test_the_api_s_role_only_adds_to_the_trail(owner, settings, table, change) -> None:
    job = make_job(owner)
    ok(owner.http.post(f"{API}/jobs/{job['id']}/status", json={"status": "ON_HOLD"}))
    with psycopg.connect(settings.database_url, autocommit=True) as conn:
        conn.execute(
            "INSERT INTO crm.activity_logs (entity_type, entity_id, action, user_id, created_at)"
            " VALUES ('job', %s, 'called', %s, '2001-01-01')",
            [job["id"], owner.id],
        )
        conn.execute("SET ROLE homing_api")
        row = conn.execute(f"SELECT count(*) > 0 FROM crm.{table}").fetchone()
        assert row == (True,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute(change.format(table))


@pytest.mark.parametrize("table", ["customers", "materials", "activity_logs"])
def test_nobody_empties_a_table_past_the_trail(settings, server, table) -> None:
    with (
        psycopg.connect(settings.database_url, autocommit=True) as conn,
        pytest.raises(psycopg.errors.RestrictViolation, match="audited row by row"),
    ):
        conn.execute(f"TRUNCATE crm.{table} CASCADE")


def test_rows_of_a_replication_role_are_told_of_too(settings, server) -> None:
    with psycopg.connect(settings.database_url, autocommit=True) as conn:
        conn.execute("SET session_replication_role = replica")
        conn.execute("INSERT INTO crm.customers (name, address) VALUES ('Ada', '1 Elm St')")
    assert [entry[0] for entry in trail(settings.database_url, "customer")] == ["create"]


def test_the_feed_is_filtered_and_paged_and_workers_see_that_of_their_jobs(owner, worker) -> None:
    mine, other = make_job(owner), make_job(owner, title="Not Wim's")
    assign(owner, mine, worker)
    for n in range(5):
        ok(owner.http.patch(f"{API}/jobs/{mine['id']}", json={"notes": f"{n}"}))
        ok(owner.http.patch(f"{API}/jobs/{other['id']}", json={"notes": f"{n}"}))

    def feed(person, **params):
        found, after = [], None
        while True:
            page = ok(person.http.get(f"{API}/activity", params=params | ({"after": after} if after else {})))
            found += page["items"]
            after = page["next"]
            if after is None:
                return found

    notes = feed(owner, job=mine["id"], action="update", limit=2)
    assert [entry["details"]["new"]["notes"] for entry in notes] == ["4", "3", "2", "1", "0"]
    assert {(e["user"], e["entity_type"], e["entity_id"]) for e in notes} == {("Olga", "job", mine["id"])}
    assert {entry["job_id"] for entry in feed(worker, limit=3)} == {mine["id"]}
    assert feed(worker, job=other["id"]) == []
    everything = feed(owner)
    assert len(everything) == 2 + 2 + 1 + 10
    since = everything[4]["created_at"]
    assert feed(owner, **{"from": since}) == everything[:5]
    assert feed(owner, to=since) == everything[5:]
    assert feed(owner, user=worker.id) == []
