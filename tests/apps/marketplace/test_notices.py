"""Who is told of what, by the jobs that the cause enqueues."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.apps.marketplace.scene import API, item, ok, push, query
from tests.fixtures.accounts import Person, SignIn


@pytest.fixture
def told(settings: Any, do_jobs: Callable[[], None]) -> Callable[[], list[tuple[str, str]]]:
    """Does the jobs; (username, kind) of every notification since the last time, in order."""

    def since() -> list[tuple[str, str]]:
        do_jobs()
        found = query(
            settings.database_url,
            """WITH gone AS (DELETE FROM homing.push_notifications RETURNING user_id, notification_type)
               SELECT u.username, g.notification_type FROM gone g JOIN homing.users u ON u.id = g.user_id
               ORDER BY 1, 2""",
        )
        return [(name, kind) for name, kind in found]

    return since


def post(person: Person, path: str, **body: Any) -> Any:
    return ok(person.http.post(API + path, json=body))


def test_people_are_told_of_proposals_and_decisions(
    new_person: SignIn, told: Callable[[], list[tuple[str, str]]]
) -> None:
    cleo, fay, finn = (new_person(name) for name in ("cleo", "fay", "finn"))
    job = post(cleo, "/jobs", title="Inbox")
    first, _ = (post(each, "/proposals", job_id=job["id"], amount_cents=1) for each in (fay, finn))
    assert told() == [("cleo", "proposal_received")] * 2
    post(cleo, f"/proposals/{first['id']}/status", status="shortlisted")
    assert told() == [("fay", "proposal_shortlisted")]
    refused = fay.http.post(f"{API}/proposals", json={"job_id": job["id"], "amount_cents": 1})
    assert (refused.status_code, told()) == (409, [])
    post(cleo, f"/proposals/{first['id']}/status", status="accepted")
    assert told() == [("fay", "proposal_accepted"), ("finn", "proposal_rejected")]
    other = post(cleo, "/jobs", title="Travel")
    third, fourth = (post(each, "/proposals", job_id=other["id"], amount_cents=1) for each in (fay, finn))
    told()
    post(finn, f"/proposals/{fourth['id']}/status", status="withdrawn")
    post(cleo, f"/jobs/{other['id']}/status", status="cancelled")
    assert told() == [("cleo", "proposal_withdrawn"), ("fay", "proposal_rejected")]
    assert ok(fay.http.get(f"{API}/proposals/{third['id']}"))["status"] == "rejected"


def test_a_batch_from_a_phone_tells_each_client_once(
    new_person: SignIn, told: Callable[[], list[tuple[str, str]]]
) -> None:
    cleo, fay = new_person("cleo"), new_person("fay", device_id="fay")
    jobs = [post(cleo, "/jobs", title=f"Job {n}") for n in range(3)]
    told()
    batch = [item("proposal", "create", job_id=job["id"], amount_cents=1) for job in jobs]
    assert {result["status"] for result in push(fay, *batch, batch_token="a")} == {"ok"}
    push(fay, *batch, batch_token="a")
    assert told() == [("cleo", "proposal_received")] * 3
    assert told() == []


def test_whoever_has_the_skills_is_told_of_a_new_job(
    new_person: SignIn, told: Callable[[], list[tuple[str, str]]]
) -> None:
    cleo, fay, finn, busy = (new_person(name) for name in ("cleo", "fay", "finn", "busy"))
    for person, more in (
        (cleo, {"kind": "both", "skills": ["Excel"]}),
        (fay, {"skills": ["EXCEL", "Travel"]}),
        (finn, {"skills": ["Falconry"]}),
        (busy, {"skills": ["Excel"], "is_available": False}),
    ):
        ok(person.http.put(f"{API}/profile", json={"name": person.user["name"], **more}))
    draft = post(cleo, "/jobs", title="Sheets", skills=["excel"], status="draft")
    post(cleo, "/jobs", title="Nothing asked for")
    assert told() == []
    post(cleo, f"/jobs/{draft['id']}/status", status="open")
    assert told() == [("fay", "job_match")]
    ok(fay.http.put("/api/mobile/notifications/preferences", json={
        "jobMatches": False, "proposalUpdates": True, "paymentAlerts": True, "marketing": False}))  # fmt: skip
    post(cleo, "/jobs", title="More sheets", skills=["excel", "falconry"])
    assert told() == [("finn", "job_match")]
