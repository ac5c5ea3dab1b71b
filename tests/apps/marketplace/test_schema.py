"""The database holds by itself what the marketplace demands, whoever writes: here somebody without Homing, by SQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from homing.apps.marketplace.rules import TRANSITIONS

CLEO, FAY, FINN = (f"00000000-0000-0000-0000-00000000000{n}" for n in (1, 2, 3))
JOB, OTHER = (f"00000000-0000-0000-0001-00000000000{n}" for n in (1, 2))
SETUP = f"""
INSERT INTO homing.users (id, username, name, role)
VALUES ('{CLEO}', 'cleo', 'Cleo', 'WORKER'), ('{FAY}', 'fay', 'Fay', 'WORKER'), ('{FINN}', 'finn', 'Finn', 'WORKER');
INSERT INTO marketplace.jobs (id, client_id, title)
VALUES ('{JOB}', '{CLEO}', 'Inbox'), ('{OTHER}', '{CLEO}', 'Travel');
"""
Conn = psycopg.Connection[dict[str, Any]]


@pytest.fixture
def database_url(new_database: Callable[..., str], started: str) -> str:
    """A server was about, whose stamps and triggers are there too."""
    return new_database(started)


@pytest.fixture
def conn(database_url: str) -> Iterator[Conn]:
    """A connection of the tables' owner."""
    with psycopg.connect(database_url, autocommit=True, row_factory=dict_row) as conn:
        conn.execute(SETUP)  # type: ignore[arg-type]
        yield conn


def propose(conn: Conn, freelancer: str, job: str = JOB) -> str:
    row = conn.execute(
        "INSERT INTO marketplace.proposals (job_id, freelancer_id, amount_cents) VALUES (%s, %s, 1) RETURNING id::text",
        [job, freelancer],
    ).fetchone()
    assert row is not None
    return str(row["id"])


def statuses(conn: Conn) -> dict[str, str]:
    rows = conn.execute("SELECT id::text, status::text FROM marketplace.proposals").fetchall()
    return {row["id"]: row["status"] for row in rows}


def test_the_table_of_transitions_is_the_one_that_replicas_have(conn: Conn) -> None:
    rows = conn.execute(
        "SELECT from_status::text AS a, to_status::text AS b FROM marketplace.job_transitions"
    ).fetchall()
    assert {(row["a"], row["b"]) for row in rows} == {(a, b) for a, after in TRANSITIONS.items() for b in after}


def test_versions_are_the_specification_s(conn: Conn) -> None:
    propose(conn, FAY)
    conn.execute("UPDATE marketplace.proposals SET amount_cents = 2")
    assert conn.execute("SELECT version FROM marketplace.proposals").fetchone() == {"version": 2}
    columns = conn.execute(
        """SELECT table_name, data_type, column_default FROM information_schema.columns
           WHERE table_schema = 'marketplace' AND column_name = 'version' AND table_name IN ('proposals', 'profiles')
           ORDER BY 1"""
    ).fetchall()
    assert [tuple(row.values()) for row in columns] == [("profiles", "integer", "1"), ("proposals", "integer", "1")]


def test_many_jobs_are_begun_by_one_statement(conn: Conn) -> None:
    chosen = [propose(conn, FAY, JOB), propose(conn, FINN, OTHER)]
    others = [propose(conn, FINN, JOB), propose(conn, FAY, OTHER)]
    conn.execute("UPDATE marketplace.proposals SET status = 'accepted' WHERE id = ANY (%s::uuid[])", [chosen])
    assert statuses(conn) == dict.fromkeys(chosen, "accepted") | dict.fromkeys(others, "rejected")
    jobs = conn.execute("SELECT id::text, status::text, freelancer_id::text AS f FROM marketplace.jobs").fetchall()
    assert {tuple(row.values()) for row in jobs} == {(JOB, "in_progress", FAY), (OTHER, "in_progress", FINN)}


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("UPDATE marketplace.jobs SET status = 'completed'", "job_transition"),
        ("UPDATE marketplace.jobs SET status = 'in_progress'", "job_has_freelancer"),
        ("UPDATE marketplace.jobs SET budget_min_cents = 2, budget_max_cents = 1", "jobs_budget"),
        ("UPDATE marketplace.jobs SET freelancer_id = client_id", "jobs_others"),
        ("UPDATE marketplace.jobs SET skills = '{Excel,NULL}'", "jobs_skills"),
        ("UPDATE marketplace.jobs SET skills = '{{Excel},{Word}}'", "jobs_skills"),
        ("UPDATE marketplace.jobs SET title = '  '", "jobs_titled"),
        ("UPDATE marketplace.proposals SET status = 'accepted'", "proposals_accepted"),
        ("UPDATE marketplace.proposals SET amount_cents = -1", "proposals_amount"),
        (f"INSERT INTO marketplace.proposals (job_id, freelancer_id, amount_cents) VALUES ('{JOB}', '{FAY}', 1)",
         "proposals_once"),
        (f"INSERT INTO marketplace.proposals (job_id, freelancer_id, amount_cents) VALUES ('{JOB}', '{CLEO}', 1)",
         "proposals_others"),
        (f"INSERT INTO marketplace.profiles (user_id, name, skills) VALUES ('{FAY}', 'Fay', '{{\"\"}}')",
         "profiles_skills"),
        (f"INSERT INTO marketplace.messages (sender_id, recipient_id, content) VALUES ('{FAY}', '{CLEO}', ' ')",
         "messages_content"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(conn: Conn, statement: str, constraint: str) -> None:
    propose(conn, FAY)
    propose(conn, FINN)
    with pytest.raises(psycopg.IntegrityError) as refused:
        conn.execute(statement)  # type: ignore[arg-type]
    assert refused.value.diag.constraint_name == constraint


def test_what_is_decided_stays(conn: Conn) -> None:
    proposal = propose(conn, FAY)
    conn.execute("UPDATE marketplace.jobs SET status = 'cancelled'")
    assert statuses(conn) == {proposal: "rejected"}
    with pytest.raises(psycopg.errors.CheckViolation, match="a proposal that is rejected stays so"):
        conn.execute("UPDATE marketplace.proposals SET status = 'submitted'")
    with pytest.raises(psycopg.errors.CheckViolation, match="the job takes no proposals: it is cancelled"):
        propose(conn, FINN)


def test_what_is_read_stays_read(conn: Conn) -> None:
    conn.execute(
        "INSERT INTO marketplace.messages (sender_id, recipient_id, content) VALUES (%s, %s, 'Hi')", [FAY, CLEO]
    )
    conn.execute("UPDATE marketplace.messages SET is_read = true")
    before = conn.execute("SELECT read_at FROM marketplace.messages").fetchone()
    conn.execute("UPDATE marketplace.messages SET is_read = false, read_at = NULL")
    assert conn.execute("SELECT read_at FROM marketplace.messages WHERE is_read").fetchone() == before


def waiting(conn: Conn, future: Future[Any], pid: int) -> None:
    """Until that connection waits for a lock."""
    while not future.done():
        row = conn.execute("SELECT wait_event_type AS w FROM pg_stat_activity WHERE pid = %s", [pid]).fetchone()
        if row is not None and row["w"] == "Lock":
            return
    raise AssertionError("it did not wait")


def test_a_proposal_that_comes_while_another_is_accepted_waits_and_is_refused(conn: Conn, database_url: str) -> None:
    chosen = propose(conn, FAY)
    with psycopg.connect(database_url, row_factory=dict_row) as late, ThreadPoolExecutor(1) as pool:
        with conn.transaction():
            conn.execute("UPDATE marketplace.proposals SET status = 'accepted' WHERE id = %s", [chosen])
            coming = pool.submit(propose, late, FINN)
            waiting(conn, coming, late.info.backend_pid)
        with pytest.raises(psycopg.errors.CheckViolation, match="the job takes no proposals: it is in_progress"):
            coming.result()


def test_accepting_waits_for_a_proposal_that_is_just_coming_and_rejects_it(conn: Conn, database_url: str) -> None:
    chosen = propose(conn, FAY)

    def accept(other: Conn) -> None:
        other.execute("UPDATE marketplace.proposals SET status = 'accepted' WHERE id = %s", [chosen])
        other.commit()

    with psycopg.connect(database_url, row_factory=dict_row) as deciding, ThreadPoolExecutor(1) as pool:
        with conn.transaction():
            coming = propose(conn, FINN)
            decided = pool.submit(accept, deciding)
            waiting(conn, decided, deciding.info.backend_pid)
        decided.result()
    assert statuses(conn) == {chosen: "accepted", coming: "rejected"}
