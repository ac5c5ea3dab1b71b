"""What a phone did while it was away: spec 4's operations, each with its own result, in order, each once."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest

from tests.apps.marketplace.scene import API, item, ok, pull, push, query, refused
from tests.fixtures.accounts import Person, SignIn
from tests.fixtures.server import Server

OPERATIONS = "/api/mobile/sync/offline-operations"


@pytest.fixture(scope="module")
def settings(module_settings: Any) -> Any:
    return module_settings


@pytest.fixture(scope="module")
def server(module_server: Server) -> Server:
    return module_server


@pytest.fixture
def url(settings: Any) -> str:
    return str(settings.database_url)


def ago(**more: float) -> str:
    return (datetime.now(UTC) - timedelta(**more)).isoformat().replace("+00:00", "Z")


def operation(kind: str, data: Any, /, **more: Any) -> dict[str, Any]:
    return {"type": kind, "data": data, "timestamp": ago(minutes=1), **more}


def send(person: Person, *operations: Any, **more: Any) -> httpx.Response:
    return person.http.post(OPERATIONS, json={"operations": list(operations), **more})


def results(person: Person, *operations: Any, **more: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ok(send(person, *operations, **more))["results"]
    assert [each["index"] for each in found] == list(range(len(operations)))
    return found


def said(found: list[dict[str, Any]]) -> list[tuple[str, str | None]]:
    return [(each["status"], each.get("code")) for each in found]


class Cast:
    def __init__(self, new_person: SignIn) -> None:
        tag = uuid4().hex[:8]
        self.fay, self.cleo = (new_person(f"{n}-{tag}", device_id=f"{n}-{tag}") for n in ("fay", "cleo"))
        self.web = new_person(f"fay-{tag}")
        pushed = push(self.cleo, *(item("job", "create", title=f"Job {n}") for n in range(3)))
        self.jobs = [str(each["server_id"]) for each in pushed]


@pytest.fixture
def cast(new_person: SignIn) -> Cast:
    return Cast(new_person)


def profile(url: str, person: Person) -> Any:
    ((name, bio, skills, views, version),) = query(
        url, "SELECT name, bio, skills, profile_views, version FROM marketplace.profiles WHERE user_id = %s", person.id
    )
    return name, bio, skills, views, version


def test_the_specifications_named_operations(cast: Cast, url: str) -> None:
    found = results(
        cast.fay,
        operation("UPDATE_PROFILE", {"name": "Fay", "bio": "Sites", "skills": ["sql"]}),
        operation("CREATE_PROPOSAL", {"jobId": cast.jobs[0], "amountCents": "5000", "coverLetter": "I can"}, id="p-1"),
        operation("SAVE_JOB", {"jobId": cast.jobs[1]}),
        operation("SEND_MESSAGE", {"recipientId": cast.cleo.id, "content": "Hello"}),
        operation("UNSAVE_JOB", {"jobId": cast.jobs[1]}),
        operation("SAVE_JOB", {"job_id": cast.jobs[2]}),
    )
    assert said(found) == [("ok", None)] * 6
    assert [each["entity"] for each in found] == [
        "profile",
        "proposal",
        "saved_job",
        "message",
        "saved_job",
        "saved_job",
    ]
    assert (found[1]["id"], found[1]["type"], found[1]["server_version"]) == ("p-1", "CREATE_PROPOSAL", 1)
    assert profile(url, cast.fay)[:3] == ("Fay", "Sites", ["sql"])
    held = {(c["resource_type"], c["id"]) for c in pull(cast.fay)[0]}
    assert held >= {("proposal", found[1]["server_id"]), ("saved_job", found[5]["server_id"]), ("job", cast.jobs[2])}
    assert ("saved_job", found[2]["server_id"]) not in held
    (read,) = results(cast.cleo, operation("MARK_MESSAGE_READ", {"id": found[3]["server_id"]}))
    assert (read["status"], read["server_version"]) == ("ok", 2)
    (withdrawn,) = results(cast.fay, operation("WITHDRAW_PROPOSAL", {"id": found[1]["server_id"]}))
    assert withdrawn["status"] == "ok"
    assert query(url, "SELECT status FROM marketplace.proposals WHERE id = %s", found[1]["server_id"]) == [
        ("withdrawn",)
    ]


def test_generic_operations_name_their_table_in_many_ways(cast: Cast, url: str) -> None:
    for entity in ("saved_job", "savedJob", "saved-jobs", "savedJobs", "marketplace.saved_job"):
        (made,) = results(cast.fay, operation("create", {"jobId": cast.jobs[0], "note": entity}, entity=entity))
        (noted,) = results(cast.fay, operation("update", {"id": made["server_id"], "note": "x"}, entity=entity))
        (gone,) = results(cast.fay, operation("delete", {"id": made["server_id"]}, entity=entity))
        assert said([made, noted, gone]) == [("ok", None)] * 3, entity
    assert query(url, "SELECT count(*) FROM marketplace.saved_jobs WHERE user_id = %s", cast.fay.id) == [(0,)]


def test_operations_refer_to_rows_by_the_phones_own_names(cast: Cast, url: str) -> None:
    found = results(
        cast.cleo,
        operation("create", {"id": "local-1", "title": "Made offline"}, entity="jobs"),
        operation("update", {"id": "local-1", "title": "And changed"}, entity="jobs"),
    )
    assert said(found) == [("ok", None)] * 2
    assert found[0]["server_id"] == found[1]["server_id"]
    (later,) = results(cast.cleo, operation("UPDATE_JOB", {"id": "local-1", "description": "in another batch"}))
    assert later["server_id"] == found[0]["server_id"]
    title = query(url, "SELECT title, description FROM marketplace.jobs WHERE id = %s", found[0]["server_id"])
    assert title == [("And changed", "in another batch")]


def test_a_batch_sent_again_is_answered_as_before(cast: Cast, url: str) -> None:
    for person in (cast.fay, cast.web):
        batch = [
            operation("UPDATE_PROFILE", {"name": "Fay"}),
            operation("SAVE_JOB", {"jobId": cast.jobs[0]}),
            operation("UNSAVE_JOB", {"jobId": cast.jobs[0]}),
            operation("UNSAVE_JOB", {"jobId": cast.jobs[1]}),
            operation("SEND_MESSAGE", {"recipientId": cast.cleo.id, "content": f"Hello {person.device_id}"}),
            operation("nothing", {}),
            5,
        ]
        first = ok(send(person, *batch))
        assert said(first["results"]) == [
            *[("ok", None)] * 5, ("error", "invalid_value"), ("error", "invalid_value"),
        ]  # fmt: skip
        assert ok(send(person, *batch)) == first
        assert ok(send(person, *batch, clientTime=ago())) == first
    assert query(url, "SELECT count(*) FROM marketplace.messages WHERE sender_id = %s", cast.fay.id) == [(2,)]


def test_an_operation_sent_again_in_another_batch_takes_effect_once(cast: Cast, url: str) -> None:
    one = operation("SEND_MESSAGE", {"recipientId": cast.cleo.id, "content": "Once"})
    two = operation("UPDATE_PROFILE", {"name": "Fay"})
    three = operation("SAVE_JOB", {"jobId": cast.jobs[0]})
    first = results(cast.fay, one, two, three)
    again = results(cast.fay, three, operation("SAVE_JOB", {"jobId": cast.jobs[1]}), two, one, one)
    assert [again[n]["server_id"] for n in (3, 2, 0)] == [each["server_id"] for each in first]
    assert said(again) == [("ok", None)] * 5
    assert query(url, "SELECT count(*) FROM marketplace.messages WHERE sender_id = %s", cast.fay.id) == [(1,)]
    assert profile(url, cast.fay)[-1] == 1


def test_a_batch_sent_many_times_at_once_takes_effect_once(cast: Cast, url: str) -> None:
    batch = [
        operation("UPDATE_PROFILE", {"name": "Fay"}),
        operation("SAVE_JOB", {"jobId": cast.jobs[0]}),
        operation("SEND_MESSAGE", {"recipientId": cast.cleo.id, "content": "Once"}),
    ]
    with ThreadPoolExecutor(6) as pool:
        answers = [answer.json() for answer in pool.map(lambda _: send(cast.fay, *batch), range(6))]
    assert all(answer == answers[0] for answer in answers), answers
    assert said(answers[0]["results"]) == [("ok", None)] * 3
    assert query(url, "SELECT count(*) FROM marketplace.messages WHERE sender_id = %s", cast.fay.id) == [(1,)]


def test_saving_what_is_saved_and_unsaving_what_is_not_is_as_it_should_be(cast: Cast, url: str) -> None:
    save, unsave = ({"jobId": cast.jobs[0]}, {"jobId": cast.jobs[1]})
    (first,) = results(cast.fay, operation("SAVE_JOB", save))
    second, other = results(
        cast.fay, operation("SAVE_JOB", save, timestamp=ago(seconds=5)), operation("UNSAVE_JOB", unsave)
    )
    assert (second["server_id"], second["server_version"]) == (first["server_id"], 1)
    gone, never, both, generic = results(
        cast.fay,
        operation("UNSAVE_JOB", {"id": first["server_id"]}),
        operation("UNSAVE_JOB", {"id": str(uuid4())}),
        operation("UNSAVE_JOB", {"id": first["server_id"].upper(), **save}),
        operation("delete", save, entity="savedJob"),
    )
    assert said([first, second, other, gone, never, both, generic]) == [("ok", None)] * 7
    assert [each.get("server_id") for each in (other, gone, never, both)] == [None, first["server_id"], None, None]
    assert query(url, "SELECT count(*) FROM marketplace.saved_jobs WHERE user_id = %s", cast.fay.id) == [(0,)]
    # Nobody in the office has anything to look at.
    quarantined = (
        "SELECT count(*) FROM homing.sync_items i JOIN homing.mobile_devices d ON d.id = i.device_id"
        " WHERE d.device_id = %s AND i.quarantined_at IS NOT NULL"
    )
    assert query(url, quarantined, cast.fay.device_id) == [(0,)]


# --------------------------------------------------------------------------------------------------------- consistency


def test_the_profile_merges_as_the_specification_says(cast: Cast, url: str) -> None:
    """Name and bio by time of edit, skills as a union, views and earnings the server's, created kept, updated now; from
    a phone that sends the whole profile back."""
    results(cast.fay, operation("UPDATE_PROFILE", {"name": "Fay", "bio": "old", "skills": ["sql", "css"]}))
    (change,) = [c for c in pull(cast.fay)[0] if c["resource_type"] == "profile"]
    seen = {"".join(w.title() if n else w for n, w in enumerate(k.split("_"))): v for k, v in change["payload"].items()}
    query_views = "UPDATE marketplace.profiles SET profile_views = 40 WHERE user_id = %s RETURNING profile_views"
    with psycopg.connect(url) as conn:
        conn.execute(query_views, [cast.fay.id])
    # In the browser, an hour after the phone: another name and another skill.
    push_web = [
        {"resource_type": "marketplace.profile", "action": "update", "client_version": 2, "edited_at": ago(minutes=10),
         "payload": {"id": change["id"], "name": "Fay of the web", "skills": ["sql", "css", "vue"]}},
    ]  # fmt: skip
    answer = ok(cast.web.http.post(f"{API}/mobile/sync/push", json={"items": push_web}))
    assert [each["status"] for each in answer["results"]] == ["ok"]
    (result,) = results(
        cast.fay,
        operation(
            "UPDATE_PROFILE",
            {**seen, "name": "Fay of the phone", "bio": "new", "skills": ["sql", "css", "rust"], "profileViews": 7,
             "totalEarnings": 9, "version": 1},
            timestamp=ago(hours=1),
        ),
    )  # fmt: skip
    assert (result["status"], result["merged"]) == ("ok", True)
    name, bio, skills, views, _ = profile(url, cast.fay)
    assert (name, bio, sorted(skills), views) == ("Fay of the web", "new", ["css", "rust", "sql", "vue"], 40)
    ((created, updated),) = query(
        url,
        "SELECT created_at::text, updated_at > created_at FROM marketplace.profiles WHERE user_id = %s",
        cast.fay.id,
    )
    assert created.startswith(change["payload"]["created_at"][:10])
    assert updated is True


@pytest.mark.parametrize(("minutes", "winner"), [(30, "web"), (2, "phone")])
@pytest.mark.parametrize("clock", ["right", "ten years ahead", "ten years behind"])
def test_an_operation_that_says_no_version_is_based_on_the_row_as_it_was_then(
    cast: Cast, url: str, minutes: int, winner: str, clock: str
) -> None:
    """The phone says only when. What was changed after that, at a later time of edit, is not overwritten."""
    results(cast.fay, operation("UPDATE_PROFILE", {"name": "Fay", "bio": "first"}))
    ((row,),) = query(url, "SELECT id::text FROM marketplace.profiles WHERE user_id = %s", cast.fay.id)
    web = {"resource_type": "marketplace.profile", "action": "update", "client_version": 1,
           "edited_at": ago(minutes=15), "payload": {"id": row, "bio": "web"}}  # fmt: skip
    ok(cast.web.http.post(f"{API}/mobile/sync/push", json={"items": [web]}))
    off = {"right": 0, "ten years ahead": 3652, "ten years behind": -3652}[clock]
    (result,) = results(
        cast.fay,
        operation("UPDATE_PROFILE", {"bio": "phone"}, timestamp=ago(minutes=minutes, days=-off)),
        clientTime=ago(days=-off),
    )
    assert (result["status"], result["merged"]) == ("ok", True)
    assert profile(url, cast.fay)[1] == winner


def test_a_proposal_is_locked_optimistically(cast: Cast, url: str) -> None:
    (made,) = results(cast.fay, operation("CREATE_PROPOSAL", {"jobId": cast.jobs[0], "amountCents": "5000"}))
    push(cast.cleo, item("proposal", "update", id=made["server_id"], status="shortlisted"))
    for data in ({"version": 1}, {}):
        (late,) = results(
            cast.fay,
            operation(
                "UPDATE_PROPOSAL", {"id": made["server_id"], "amountCents": "6000", **data}, timestamp=ago(hours=1)
            ),
        )
        assert (late["status"], late["code"]) == ("conflict", "version_conflict")
        assert late["server_payload"]["status"] == "shortlisted"
    (now,) = results(
        cast.fay, operation("UPDATE_PROPOSAL", {"id": made["server_id"], "amountCents": "6000", "version": 2})
    )
    assert (now["status"], now["server_version"]) == ("ok", 3)


def test_operations_may_name_the_pull_they_were_made_on(cast: Cast, url: str) -> None:
    (made,) = results(cast.fay, operation("CREATE_PROPOSAL", {"jobId": cast.jobs[0], "amountCents": "5000"}))
    _, token = pull(cast.fay)
    push(cast.cleo, item("proposal", "update", id=made["server_id"], status="shortlisted"))
    edit = {"id": made["server_id"], "amountCents": "6000"}
    (late,) = results(cast.fay, operation("UPDATE_PROPOSAL", edit), syncToken=token)
    assert (late["status"], late["code"]) == ("conflict", "version_conflict")
    _, token = pull(cast.fay)
    (now,) = results(cast.fay, operation("UPDATE_PROPOSAL", edit, timestamp=ago()), syncToken=token)
    assert now["status"] == "ok"
    (odd,) = results(cast.fay, operation("UPDATE_PROPOSAL", edit, timestamp=ago(seconds=1)), syncToken="nonsense")
    assert (odd["status"], odd["code"]) == ("error", "invalid_value")


# ----------------------------------------------------------------------------------------------------------- refusing


def test_bad_operations_cost_only_themselves(cast: Cast, url: str) -> None:
    good = operation("SAVE_JOB", {"jobId": cast.jobs[0]})
    job = cast.jobs[1]
    bad: list[tuple[Any, str]] = [
        (operation("FLY", {}), "invalid_value"),
        (operation("create", {}), "unknown_table"),
        (operation("create", {}, entity="users"), "unknown_table"),
        (operation("create", {}, entity="\0"), "invalid_value"),
        (operation("SAVE_JOB", {"jobId": job}, entity="profile"), "invalid_value"),
        (operation("SAVE_JOB", {}), "missing_value"),
        (operation("SAVE_JOB", {"jobId": 5}), "dependency_failed"),
        (operation("SAVE_JOB", {"jobId": str(uuid4())}), "fk_missing"),
        (operation("SAVE_JOB", {"jobId": job, "job_id": job}), "invalid_value"),
        (operation("SAVE_JOB", {"jobId": job}, timestamp="yesterday"), "invalid_value"),
        (operation("SAVE_JOB", {"jobId": job}, timestamp=5), "invalid_value"),
        (operation("SAVE_JOB", [job]), "invalid_value"),
        (operation("CREATE_PROPOSAL", {"jobId": job}), "missing_value"),
        (operation("CREATE_PROPOSAL", {"jobId": job, "amountCents": "-5"}), "check_failed"),
        (operation("CREATE_PROPOSAL", {"jobId": job, "amountCents": 10**30}), "invalid_value"),
        (operation("CREATE_PROPOSAL", {"jobId": job, "amountCents": "1", "speed": 9}), "unknown_column"),
        (operation("UPDATE_JOB", {"id": job, "title": "Not mine", "version": 1}), "not_found"),
        (operation("UPDATE_JOB", {"title": "Which?"}), "invalid_value"),
        (operation("UPDATE_JOB", {"id": "", "title": "x"}), "invalid_value"),
        (operation("UPDATE_JOB", {"id": 5, "title": "x"}), "invalid_value"),
        (operation("UPDATE_JOB", {"id": job, "title": "x", "version": "new"}), "invalid_value"),
        (operation("UPDATE_JOB", {"id": job, "title": "x", "version": 2**40}), "invalid_value"),
        (operation("UPDATE_JOB", {"id": job, "title": "x", "version": 1e99}), "invalid_value"),
        (operation("delete", {"id": "nowhere"}, entity="job"), "not_found"),
        (operation("SEND_MESSAGE", {"recipientId": cast.cleo.id, "content": "a\0b"}), "invalid_value"),
        ({"data": {}}, "invalid_value"),
        ({"type": "SAVE_JOB"}, "invalid_value"),
        ({"resource_type": "saved_job", "action": "create", "payload": {"job_id": job}}, "invalid_value"),
        (None, "invalid_value"),
        ([], "invalid_value"),
        ("SAVE_JOB", "invalid_value"),
    ]
    batch = [good, *(wrong for wrong, _ in bad), operation("SAVE_JOB", {"jobId": cast.jobs[2]})]
    found = results(cast.fay, *batch)
    assert said(found) == [("ok", None), *(("error", code) for _, code in bad), ("ok", None)]
    assert all(each["error"] for each in found[1:-1])
    assert ok(send(cast.fay, *batch))["results"] == found
    saved = query(url, "SELECT job_id::text FROM marketplace.saved_jobs WHERE user_id = %s", cast.fay.id)
    assert {job for (job,) in saved} == {cast.jobs[0], cast.jobs[2]}


def test_half_an_emoji_costs_its_operation_only(cast: Cast) -> None:
    text = json.dumps({"operations": [
        operation("SEND_MESSAGE", {"recipientId": cast.cleo.id, "content": "HALF"}),
        operation("SAVE_JOB", {"jobId": cast.jobs[0]}),
    ]})  # fmt: skip
    answer = cast.fay.http.post(
        OPERATIONS, content=text.replace("HALF", "\\ud83d"), headers={"content-type": "application/json"}
    )
    assert said(ok(answer)["results"]) == [("error", "invalid_value"), ("ok", None)]


def test_bad_batches_are_refused_whole(cast: Cast, url: str) -> None:
    def post(content: bytes) -> tuple[int, str]:
        return refused(cast.fay.http.post(OPERATIONS, content=content, headers={"content-type": "application/json"}))

    for body in (b"{}", b'{"operations": 5}', b'{"operations": {}}', b"[]", b'{"operations": [], "clientTime": 5}'):
        assert post(body) == (422, "invalid_envelope") or post(body) == (400, "invalid_envelope"), body
    assert post(b'{"operations": [{]}') == (400, "invalid_json")
    assert post(b'{"operations": [{"type": "a", "type": "b", "data": {}}]}') == (400, "duplicate_key")
    assert post(b'{"operations": [' + b"[" * 40 + b"]" * 40 + b"]}") == (400, "too_deep")
    many = json.dumps({"operations": [operation("SAVE_JOB", {"jobId": cast.jobs[0]})] * 501}).encode()
    assert post(many) == (413, "too_many_items")
    assert ok(send(cast.fay))["results"] == []
    assert query(url, "SELECT count(*) FROM marketplace.saved_jobs WHERE user_id = %s", cast.fay.id) == [(0,)]


def test_what_somebody_may_not_write_is_left_out_of_updates_and_named(cast: Cast, url: str) -> None:
    (found,) = results(
        cast.cleo,
        operation("UPDATE_JOB", {"id": cast.jobs[0], "title": "New", "clientId": cast.fay.id, "updatedAt": ago()}),
    )
    assert (found["status"], found["ignored"]) == ("ok", ["client_id", "updated_at"])
    assert query(url, "SELECT title, client_id::text FROM marketplace.jobs WHERE id = %s", cast.jobs[0]) == [
        ("New", cast.cleo.id)
    ]


def test_what_was_refused_waits_where_the_office_sees_it(cast: Cast, owner: Person) -> None:
    results(cast.fay, operation("FLY", {"how": "high"}), operation("create", {"x": 1}, entity="profile"))
    kept = ok(owner.http.get(f"{API}/mobile/quarantine", params={"device_id": cast.fay.device_id}))["items"]
    assert len(kept) == 2
