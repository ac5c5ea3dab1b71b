"""Phones of freelancers and clients: what they hold, what they may write, and how edits meet."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest

from homing.apps.marketplace.rules import CHECKS
from homing.client import Client, EditError, Replica
from tests.apps.marketplace.scene import API, held, item, pull, push
from tests.fixtures.accounts import PASSWORD, Person, SignIn
from tests.fixtures.server import Server


@pytest.fixture(scope="module")
def settings(module_settings: Any) -> Any:
    return module_settings


@pytest.fixture(scope="module")
def server(module_server: Server) -> Server:
    return module_server


class Cast:
    """Cleo offers work; Fay and Finn look for it."""

    def __init__(self, new_person: SignIn, tag: str) -> None:
        self.cleo, self.fay, self.finn = (
            new_person(f"{name}-{tag}", device_id=f"{name}-{tag}") for name in ("cleo", "fay", "finn")
        )

    def job(self, **more: Any) -> str:
        return made(self.cleo, item("job", "create", title="Inbox for a dentist", **more))

    def proposal(self, person: Person, job: str, **more: Any) -> str:
        return made(person, item("proposal", "create", job_id=job, **{"amount_cents": 50_000, **more}))


def made(person: Person, wanted: dict[str, Any]) -> str:
    (result,) = push(person, wanted)
    assert result["status"] == "ok", result
    return str(result["server_id"])


def verdict(person: Person, wanted: dict[str, Any]) -> tuple[str, str | None]:
    (result,) = push(person, wanted)
    return result["status"], result.get("code")


@pytest.fixture
def cast(new_person: SignIn, request: pytest.FixtureRequest) -> Cast:
    return Cast(new_person, str(abs(hash(request.node.name)))[:8])


def row(person: Person, kind: str, row_id: str) -> dict[str, Any]:
    (found,) = [c for c in pull(person)[0] if c["resource_type"] == kind and c["id"] == row_id]
    return {**found["payload"], "version": found["server_version"]}


def test_a_phone_holds_its_own_things_and_what_they_name_and_nothing_of_the_market_beside_them(cast: Cast) -> None:
    profiles = {name: made(person, item("profile", "create", name=name.title()))
                for name, person in (("cleo", cast.cleo), ("fay", cast.fay), ("finn", cast.finn))}  # fmt: skip
    saved_job, proposed_job, other_job = cast.job(), cast.job(), cast.job()
    saved = made(cast.fay, item("saved_job", "create", job_id=saved_job))
    proposal = cast.proposal(cast.fay, proposed_job)
    others = cast.proposal(cast.finn, proposed_job)
    message = made(cast.fay, item("message", "create", recipient_id=cast.cleo.id, content="Hello", job_id=saved_job))
    assert held(cast.fay) == {
        "profile": {profiles["fay"], profiles["cleo"]},
        "job": {saved_job, proposed_job},
        "saved_job": {saved},
        "proposal": {proposal},
        "message": {message},
    }
    assert held(cast.cleo) == {
        "profile": set(profiles.values()),
        "job": {saved_job, proposed_job, other_job},
        "proposal": {proposal, others},
        "message": {message},
    }


def test_accepting_a_proposal_begins_the_job_and_rejects_the_others(cast: Cast) -> None:
    job = cast.job()
    first, second = cast.proposal(cast.fay, job), cast.proposal(cast.finn, job)
    assert verdict(cast.cleo, item("proposal", "update", id=first, status="accepted")) == ("ok", None)
    assert (row(cast.fay, "proposal", first)["status"], row(cast.finn, "proposal", second)["status"]) == (
        "accepted",
        "rejected",
    )
    begun = row(cast.fay, "job", job)
    assert (begun["status"], begun["freelancer_id"]) == ("in_progress", cast.fay.id)
    assert verdict(cast.cleo, item("proposal", "update", id=second, status="accepted")) == ("error", "check_failed")
    late = item("proposal", "create", job_id=job, amount_cents=1)
    assert verdict(cast.cleo, late) == ("error", "check_failed")  # it is her own
    assert verdict(cast.cleo, item("job", "update", id=job, status="completed")) == ("ok", None)


def test_a_cancelled_job_rejects_what_was_proposed(cast: Cast) -> None:
    job = cast.job()
    proposal = cast.proposal(cast.fay, job)
    assert verdict(cast.cleo, item("job", "update", id=job, status="cancelled")) == ("ok", None)
    rejected = row(cast.fay, "proposal", proposal)
    assert (rejected["status"], rejected["decided_at"] is not None) == ("rejected", True)


def test_who_may_say_what(cast: Cast) -> None:
    job = cast.job()
    proposal = cast.proposal(cast.fay, job)
    profile = made(cast.cleo, item("profile", "create", name="Cleo", kind="client"))
    message = made(cast.cleo, item("message", "create", recipient_id=cast.fay.id, content="Hi"))
    for person, wanted in [
        (cast.fay, item("proposal", "update", id=proposal, status="accepted")),
        (cast.cleo, item("proposal", "update", id=proposal, amount_cents=1)),
        (cast.cleo, item("proposal", "update", id=proposal, status="withdrawn")),
        (cast.fay, item("job", "update", id=job, title="Mine now")),
        (cast.fay, item("profile", "update", id=profile, name="Not Cleo")),
        (cast.cleo, item("message", "update", id=message, is_read=True)),
    ]:
        assert verdict(person, wanted) == ("error", "forbidden"), wanted
    for person, wanted, code in [
        (cast.finn, item("proposal", "update", id=proposal, status="withdrawn"), "not_found"),
        (cast.finn, item("job", "update", id=job, title="Mine now"), "not_found"),
        (cast.fay, item("proposal", "create", job_id=job, amount_cents=1), "unique"),
        (cast.cleo, item("job", "update", id=job, status="in_progress"), "check_failed"),
        (cast.cleo, item("job", "create", title="Begun", status="completed"), "check_failed"),
        (cast.cleo, item("job", "update", id=job, freelancer_id=cast.fay.id), "read_only_column"),
        (cast.finn, item("message", "create", recipient_id=cast.finn.id, content="Me"), "fk_missing"),
    ]:
        assert verdict(person, wanted)[1] == code, wanted
    draft = cast.job(status="draft")
    for wanted in [
        item("saved_job", "create", job_id=draft),
        item("proposal", "create", job_id=draft, amount_cents=1),
        item("saved_job", "create", job_id="00000000-0000-0000-0000-000000000001"),
    ]:
        assert verdict(cast.finn, wanted) == ("error", "fk_missing"), wanted


def test_a_proposal_is_locked_optimistically(cast: Cast) -> None:
    proposal = cast.proposal(cast.fay, cast.job())
    push(cast.fay, item("proposal", "update", id=proposal, amount_cents=60_000))
    stale: dict[str, Any] = {
        "resource_type": "marketplace.proposal",
        "action": "update",
        "client_version": 1,
        "payload": {"id": proposal, "status": "accepted"},
    }
    (result,) = push(cast.cleo, stale)
    assert (result["status"], result["code"], result["server_version"]) == ("conflict", "version_conflict", 2)
    assert row(cast.cleo, "proposal", proposal)["status"] == "submitted"
    (result,) = push(cast.cleo, {**stale, "client_version": 2})
    assert (result["status"], result["server_version"]) == ("ok", 3)


def test_edits_of_one_profile_merge_and_the_server_s_counters_stay(cast: Cast, new_person: SignIn) -> None:
    fay, tablet = cast.fay, new_person(cast.fay.user["username"], device_id=f"{cast.fay.device_id}-tablet")
    profile = made(fay, item("profile", "create", name="Fay", skills=["Excel", "Travel"], total_earnings_cents=10**9))
    before = row(fay, "profile", profile)
    assert (before["total_earnings_cents"], before["profile_views"], before["version"]) == (0, 0, 1)

    def edit(person: Person, at: str, **fields: Any) -> dict[str, Any]:
        payload = {"id": profile, **fields}
        wanted = {"resource_type": "marketplace.profile", "action": "update", "client_version": 1, "payload": payload}
        (result,) = push(person, {**wanted, "edited_at": at})
        assert result["status"] == "ok", result
        return result

    later, earlier = "2026-11-20T10:00:00Z", "2026-11-20T09:00:00Z"
    edit(fay, later, name="Fay the later", skills=["Excel", "Notion"])
    edit(tablet, earlier, name="Fay the earlier", bio="Earlier", skills=["Excel", "Travel", "Asana"],
         profile_views=7, created_at="2001-01-01T00:00:00Z")  # fmt: skip
    merged = row(fay, "profile", profile)
    assert {name: merged[name] for name in ("name", "bio", "skills", "profile_views", "created_at")} == {
        "name": "Fay the later",
        "bio": "Earlier",
        "skills": ["Excel", "Notion", "Asana"],
        "profile_views": 0,
        "created_at": before["created_at"],
    }


def test_a_phone_reads_what_it_should_keep_at_hand(cast: Cast) -> None:
    kept = [c["payload"]["entity"] for c in pull(cast.finn)[0] if c["resource_type"] == "offline_cache_metadata"]
    assert sorted(kept) == ["job", "message", "profile", "proposal", "saved_job"]


def test_the_office_decides_what_two_sides_said_of_a_proposal(cast: Cast, new_person: SignIn) -> None:
    office = new_person("olga", role="OWNER")
    job = cast.job()
    proposal, other = cast.proposal(cast.fay, job), cast.proposal(cast.finn, job)
    push(cast.fay, item("proposal", "update", id=proposal, amount_cents=60_000))
    (result,) = push(
        cast.cleo,
        {
            "resource_type": "marketplace.proposal",
            "action": "update",
            "client_version": 1,
            "payload": {"id": proposal, "status": "accepted"},
        },
    )
    decided = office.http.post(
        f"{API}/mobile/conflicts/{result['conflict_id']}/resolve", json={"resolution": "accept_client"}
    )
    assert decided.status_code == 200, decided.text
    assert (row(cast.fay, "proposal", proposal)["status"], row(cast.finn, "proposal", other)["status"]) == (
        "accepted",
        "rejected",
    )
    assert row(cast.fay, "job", job)["freelancer_id"] == cast.fay.id


def test_a_replica_knows_the_rules_and_equals_the_server(cast: Cast, server: Server, tmp_path: Path) -> None:
    job = cast.job(skills=["Excel"])
    login = str(cast.fay.user["username"])
    with Client(Replica(tmp_path / "fay.db", checks=CHECKS), server.url, rng=Random(1), sleep=lambda _: None) as phone:
        phone.login(login, PASSWORD)
        phone.register_device(device_type="phone", os_version="1", app_version="1.0.0")
        assert phone.sync(verify=True).ok
        assert phone.replica.rows("job") == []
        phone.replica.create("saved_job", {"job_id": job})
        phone.replica.create("profile", {"name": "Fay", "skills": ["Excel"]})
        with pytest.raises(EditError, match="name says something"):
            phone.replica.create("profile", {"name": " "})
        phone.replica.create("proposal", {"job_id": job, "amount_cents": 5})
        report = phone.sync(verify=True)
        assert (report.ok, report.verified, report.repaired) == (True, True, [])
        (held_job,) = phone.replica.rows("job")
        assert held_job["id"] == job
        (sent,) = phone.replica.rows("proposal")
        assert (sent["status"], sent["client_id"]) == ("submitted", cast.cleo.id)
        assert verdict(cast.cleo, item("proposal", "update", id=sent["id"], status="rejected")) == ("ok", None)
        phone.sync()
        with pytest.raises(EditError, match="a proposal that is rejected stays as it is"):
            phone.replica.update("proposal", sent["id"], amount_cents=1)
