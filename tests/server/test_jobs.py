"""The office sees what waits, runs or lies dead, and deals with it."""

import psycopg
import pytest

from tests.fixtures.accounts import Person
from tests.fixtures.server import Server

JOBS = "/api/v1/admin/jobs"


@pytest.fixture
def ids(server: Server) -> list[int]:
    """A job that waits, one that is dead and one that runs."""
    with psycopg.connect(server.tenant.engine.owner.url, autocommit=True) as conn:
        conn.execute("SET search_path = procrastinate")
        made = [
            row[0]
            for n in range(3)
            for row in conn.execute(
                "SELECT homing.defer_job('extra.take', jsonb_build_object('n', %s::int), 'k' || %s)", [n, n]
            )
        ]
        conn.execute("UPDATE procrastinate_jobs SET status = 'failed', attempts = 8 WHERE id = %s", [made[1]])
        conn.execute(
            "INSERT INTO homing.job_failures VALUES (%s, 8, '2031-01-01Z', 'ValueError: x')",
            [made[1]],
        )
        conn.execute("UPDATE procrastinate_jobs SET status = 'doing' WHERE id = %s", [made[2]])
    return made


def test_jobs_are_listed_a_page_at_a_time(owner: Person, ids: list[int]) -> None:
    first = owner.http.get(f"{JOBS}?limit=2").json()
    rest = owner.http.get(JOBS, params={"after": first["next"]}).json()
    assert [(j["id"], j["status"], j["attempts"], j["error"]) for j in first["items"] + rest["items"]] == [
        (ids[0], "waiting", 0, None),
        (ids[1], "dead", 8, "ValueError: x"),
        (ids[2], "running", 0, None),
    ]
    assert rest["next"] is None
    (dead,) = owner.http.get(f"{JOBS}?status=dead&task=extra.take").json()["items"]
    shown = owner.http.get(f"{JOBS}/{dead['id']}").json()
    assert (shown["args"], shown["key"]) == ({"n": 1}, "k1")
    assert shown["failures"] == [{"attempt": 8, "at": "2031-01-01T00:00:00Z", "error": "ValueError: x"}]


def test_a_dead_job_is_tried_again_or_discarded(owner: Person, ids: list[int]) -> None:
    again = owner.http.post(f"{JOBS}/{ids[1]}/retry").json()
    assert (again["status"], again["attempts"], again["failures"], again["error"]) == ("waiting", 0, [], None)
    assert owner.http.delete(f"{JOBS}/{ids[0]}").status_code == 204
    assert owner.http.get(f"{JOBS}/{ids[0]}").status_code == 404


def test_a_job_that_runs_is_left_alone(owner: Person, ids: list[int]) -> None:
    for answer in (owner.http.post(f"{JOBS}/{ids[2]}/retry"), owner.http.delete(f"{JOBS}/{ids[2]}")):
        assert (answer.status_code, answer.json()["code"]) == (409, "state_conflict")


def test_what_is_no_job_is_not_found(owner: Person, ids: list[int]) -> None:
    for number in (0, ids[2] + 1, 2**63 - 1, 2**63, 10**30):
        for answer in (
            owner.http.get(f"{JOBS}/{number}"),
            owner.http.post(f"{JOBS}/{number}/retry"),
            owner.http.delete(f"{JOBS}/{number}"),
        ):
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_the_field_does_not_see_jobs(worker: Person, ids: list[int]) -> None:
    for answer in (
        worker.http.get(JOBS),
        worker.http.get(f"{JOBS}/{ids[1]}"),
        worker.http.post(f"{JOBS}/{ids[1]}/retry"),
        worker.http.delete(f"{JOBS}/{ids[1]}"),
    ):
        assert answer.status_code == 403
