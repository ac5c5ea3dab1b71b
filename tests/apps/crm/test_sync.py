"""The CRM on phones: who holds what, what two people may do at once, and what becomes of edits nobody may make."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from homing.apps.crm.rules import TRANSITIONS
from homing.client import EditError
from tests.apps.crm.scene import (
    API,
    assign,
    held,
    make_customer,
    make_job,
    make_material,
    ok,
    query,
    synced,
    unassign,
)

NOTHING = {
    "customer": set(),
    "job": set(),
    "job_assignment": set(),
    "material": set(),
    "job_status_history": set(),
    "job_activity": set(),
}


@pytest.fixture
def vera(new_person):
    """Another worker."""
    return new_person("vera")


def of_job(url, job):
    """What the database says belongs to this job."""
    found = {
        "customer": "SELECT customer_id::text FROM crm.jobs WHERE id = %s",
        "job": "SELECT id::text FROM crm.jobs WHERE id = %s",
        "job_assignment": "SELECT id::text FROM crm.job_assignments WHERE job_id = %s",
        "material": "SELECT id::text FROM crm.materials WHERE job_id = %s",
        "job_status_history": "SELECT id::text FROM crm.job_status_history WHERE job_id = %s",
        "job_activity": "SELECT id::text FROM crm.job_activities WHERE job_id = %s",
    }
    return {kind: {row[0] for row in query(url, statement, job["id"])} for kind, statement in found.items()}


def status_of(owner, job):
    return ok(owner.http.get(f"{API}/jobs/{job['id']}"))["status"]


def test_assigning_sends_the_whole_job_and_unassigning_takes_it_away(owner, worker, phones, settings) -> None:
    job = make_job(owner)
    make_material(owner, job)
    make_material(owner, make_job(owner, title="Somebody else's"), "Screws")
    ok(owner.http.post(f"{API}/jobs/{job['id']}/status", json={"status": "IN_PROGRESS"}))
    phone = phones("wim")
    synced(phone)
    assert held(phone) == NOTHING
    assign(owner, job, worker)
    synced(phone)
    of_it = of_job(settings.database_url, job)
    assert held(phone) == of_it
    # The job, a material, a status, and the assignment itself, told as five things that happened.
    assert {kind: len(ids) for kind, ids in of_it.items()} == {
        "customer": 1, "job": 1, "job_assignment": 1, "material": 1, "job_status_history": 1, "job_activity": 4,
    }  # fmt: skip
    unassign(owner, job, worker)
    synced(phone)
    assert held(phone) == NOTHING


def test_a_customer_stays_while_another_of_its_jobs_is_held(owner, worker, phones) -> None:
    customer = make_customer(owner)
    first, second = (make_job(owner, title=title, customer=customer) for title in ("Roof", "Floor"))
    for job in (first, second):
        assign(owner, job, worker)
    phone = phones("wim")
    synced(phone)
    unassign(owner, first, worker)
    synced(phone)
    assert (held(phone)["job"], held(phone)["customer"]) == ({second["id"]}, {customer["id"]})


def test_the_office_holds_everything(owner, phones, settings) -> None:
    make_material(owner, make_job(owner))
    make_customer(owner, "Grace Hopper", "1 Navy Yard")
    desk = phones("olga@example.org")
    synced(desk)
    tables = {"customer": "customers", "job": "jobs", "material": "materials", "job_activity": "job_activities"}
    for kind, table in tables.items():
        assert held(desk)[kind] == {row[0] for row in query(settings.database_url, f"SELECT id::text FROM crm.{table}")}


def test_edits_that_were_not_sent_before_unassigning_stay_on_the_phone_and_are_reported(owner, worker, phones) -> None:
    job = make_job(owner)
    nails = make_material(owner, job)
    assign(owner, job, worker)
    phone = phones("wim")
    synced(phone)
    phone.replica.update("job", job["id"], notes="The sink leaks")
    phone.replica.update("material", nails["id"], purchased=True)
    phone.replica.create("material", {"job_id": job["id"], "item_name": "Seal"})
    unassign(owner, job, worker)
    report = synced(phone)
    assert (report.pushed.sent, report.pushed.refused) == (3, 3)
    lost = phone.replica.refused()
    assert {(verdict.resource_type, verdict.code) for verdict in lost} <= {
        ("job", "not_found"), ("material", "not_found"), ("material", "forbidden"), ("material", "fk_missing"),
    }  # fmt: skip
    assert [verdict.payload for verdict in lost if verdict.resource_type == "job"] == [{"notes": "The sink leaks"}]
    assert held(phone) == NOTHING
    # Assigned again, the person sends again what was kept.
    assign(owner, job, worker)
    synced(phone)
    for verdict in phone.replica.refused():
        phone.replica.retry(verdict.op)
    synced(phone)
    shown = ok(owner.http.get(f"{API}/jobs/{job['id']}"))
    assert shown["notes"] == "The sink leaks"
    assert [(m["item_name"], m["purchased"]) for m in shown["materials"]] == [("Seal", False), ("Nails", True)]


def test_two_workers_tick_the_same_add_offline_and_edit_other_fields_without_a_conflict(
    owner, worker, vera, phones
) -> None:
    job = make_job(owner)
    nails = make_material(owner, job)
    for each in (worker, vera):
        assign(owner, job, each)
    wims, veras = phones("wim"), phones("vera")
    for phone in (wims, veras):
        synced(phone)
    wims.replica.update("material", nails["id"], purchased=True)
    wims.replica.create("material", {"job_id": job["id"], "item_name": "Glue", "quantity": "2.50", "unit": "l"})
    wims.replica.update("job", job["id"], notes="Keys are with the neighbour")
    veras.replica.update("material", nails["id"], purchased=True)
    veras.replica.create("material", {"job_id": job["id"], "item_name": "Tape"})
    veras.replica.update("job", job["id"], status="IN_PROGRESS")
    for phone in (wims, veras, wims):
        synced(phone)
    assert ok(owner.http.get(f"{API}/mobile/conflicts"))["items"] == []
    shown = ok(owner.http.get(f"{API}/jobs/{job['id']}"))
    assert (shown["status"], shown["notes"]) == ("IN_PROGRESS", "Keys are with the neighbour")
    by_name = {m["item_name"]: m for m in shown["materials"]}
    assert {name: (m["quantity"], m["purchased_by_id"]) for name, m in by_name.items()} == {
        "Nails": ("1.00", worker.id), "Glue": ("2.50", None), "Tape": ("1.00", None),
    }  # fmt: skip
    assert held(wims) == held(veras)


def test_two_people_who_set_different_statuses_are_a_conflict_for_the_owner(owner, worker, vera, phones) -> None:
    job = make_job(owner, status="IN_PROGRESS")
    for each in (worker, vera):
        assign(owner, job, each)
    wims, veras = phones("wim"), phones("vera")
    for phone in (wims, veras):
        synced(phone)
    wims.replica.update("job", job["id"], status="ON_HOLD")
    veras.replica.update("job", job["id"], status="WAITING_ON_MATERIALS")
    synced(wims)
    assert synced(veras).pushed.conflicts == 1
    assert status_of(owner, job) == "ON_HOLD"
    (conflict,) = ok(owner.http.get(f"{API}/mobile/conflicts?resolution=pending"))["items"]
    shown = ok(owner.http.get(f"{API}/mobile/conflicts/{conflict['id']}"))
    assert (shown["server_payload"]["status"], shown["client_payload"]["status"]) == ("ON_HOLD", "WAITING_ON_MATERIALS")
    ok(owner.http.post(f"{API}/mobile/conflicts/{conflict['id']}/resolve", json={"resolution": "accept_client"}))
    for phone in (wims, veras):
        synced(phone)
        assert phone.replica.get("job", job["id"])["status"] == "WAITING_ON_MATERIALS"


def test_what_two_people_set_alike_is_no_conflict(owner, worker, vera, phones) -> None:
    job = make_job(owner, status="IN_PROGRESS")
    for each in (worker, vera):
        assign(owner, job, each)
    wims, veras = phones("wim"), phones("vera")
    for phone in (wims, veras):
        synced(phone)
        phone.replica.update("job", job["id"], status="COMPLETED")
    for phone in (wims, veras):
        assert synced(phone).pushed.conflicts == 0
    assert status_of(owner, job) == "COMPLETED"
    assert len(ok(owner.http.get(f"{API}/jobs/{job['id']}/history"))["items"]) == 1


def test_a_day_of_steps_that_were_made_offline_is_history_in_its_order(owner, worker, phones) -> None:
    job = make_job(owner)
    assign(owner, job, worker)
    phone = phones("wim")
    synced(phone)
    steps = ["IN_PROGRESS", "WAITING_ON_MATERIALS", "IN_PROGRESS", "COMPLETED"]
    for status in steps:
        phone.replica.update("job", job["id"], status=status)
    assert synced(phone).pushed.refused == 0
    synced(phone)
    log = ok(owner.http.get(f"{API}/activity", params={"job": job["id"], "entity_type": "job", "action": "update"}))
    assert [entry["details"]["new"]["status"] for entry in reversed(log["items"])] == steps
    assert {entry["user"] for entry in log["items"]} == {"Wim"}


def test_a_tick_was_made_when_it_was_made(owner, worker, phones, settings) -> None:
    job = make_job(owner)
    nails = make_material(owner, job)
    assign(owner, job, worker)
    phone = phones("wim")
    synced(phone)
    before = datetime.now(UTC)
    phone.replica.update("material", nails["id"], purchased=True)
    phone.replica.update("material", nails["id"], purchased=False)
    phone.replica.update("material", nails["id"], purchased=True)
    synced(phone)
    ((by, at, pushed),) = query(
        settings.database_url,
        "SELECT m.purchased_by_id::text, m.purchased_at, (SELECT max(b.processed_at) FROM homing.sync_batches AS b)"
        " FROM crm.materials AS m",
    )
    assert by == worker.id
    assert before <= at < pushed  # as long before the push as the phone says, give or take the way of the request


@pytest.mark.parametrize(
    ("resource_type", "fields", "sentence"),
    [
        ("job", {"status": "COMPLETED"}, "a job that is NOT_STARTED cannot become COMPLETED"),
        ("job", {"status": "LOST"}, "status is one of"),
        ("material", {"quantity": "0"}, "quantity is more than 0"),
        ("material", {"item_name": " "}, "item_name says something"),
    ],
)
def test_a_phone_says_at_once_what_the_server_would_say(owner, worker, phones, resource_type, fields, sentence) -> None:
    job = make_job(owner)
    nails = make_material(owner, job)
    assign(owner, job, worker)
    phone = phones("wim")
    synced(phone)
    row = {"job": job, "material": nails}[resource_type]["id"]
    with pytest.raises(EditError, match=sentence):
        phone.replica.update(resource_type, row, **fields)
    assert phone.replica.status().waiting == 0
    # Without the rules on the phone the edit travels, and the server says the same.
    phone.replica.store.checks = {}
    phone.replica.update(resource_type, row, **fields)
    assert synced(phone).pushed.refused == 1
    (verdict,) = phone.replica.refused()
    assert (verdict.code, sentence in (verdict.error or "")) == ("check_failed", True)


def test_the_server_refuses_every_transition_that_is_not_in_the_table(owner) -> None:
    """Every pair of states, in one batch, with its own job each."""
    customer = make_customer(owner)
    pairs = [(before, after) for before in TRANSITIONS for after in TRANSITIONS if before != after]
    jobs = [make_job(owner, title=before, customer=customer, status=before) for before, _ in pairs]
    items = [
        {"resource_type": "job", "action": "update", "client_version": 1, "payload": {"id": job["id"], "status": after}}
        for job, (_, after) in zip(jobs, pairs, strict=True)
    ]
    results = ok(owner.http.post(f"{API}/mobile/sync/push", json={"items": items}))["results"]
    assert [(pair, result["status"]) for pair, result in zip(pairs, results, strict=True)] == [
        ((before, after), "ok" if after in TRANSITIONS[before] else "error") for before, after in pairs
    ]


@pytest.mark.parametrize(
    ("resource_type", "fields"),
    [
        ("job", {"title": "Mine"}),
        ("job", {"created_by_id": "00000000-0000-0000-0000-000000000000"}),
        ("material", {"purchased_by_id": "00000000-0000-0000-0000-000000000000"}),
        ("material", {"job_id": "00000000-0000-0000-0000-000000000000"}),
        ("customer", {"name": "Mine"}),
    ],
)
def test_workers_write_only_status_notes_and_materials(owner, worker, resource_type, fields) -> None:
    job = make_job(owner)
    rows = {"job": job["id"], "material": make_material(owner, job)["id"], "customer": job["customer_id"]}
    assign(owner, job, worker)
    item = {"resource_type": resource_type, "action": "update", "client_version": 1}
    payload = {"id": rows[resource_type], **fields}
    body = {"items": [{**item, "payload": payload}]}
    (result,) = ok(worker.http.post(f"{API}/mobile/sync/push", json=body))["results"]
    assert (result["status"], result["code"] in ("forbidden", "read_only_column")) == ("error", True), result
    everything = ok(owner.http.get(f"{API}/jobs/{job['id']}"))
    assert (everything["title"], everything["customer"]["name"]) == ("Kitchen", "Ada Lovelace")


def test_a_deleted_material_is_marked_and_an_archived_customer_keeps_its_jobs(owner, worker, phones, settings) -> None:
    job = make_job(owner)
    nails = make_material(owner, job)
    assign(owner, job, worker)
    phone = phones("wim")
    synced(phone)
    phone.replica.delete("material", nails["id"])
    synced(phone)
    ok(owner.http.delete(f"{API}/customers/{job['customer_id']}"))
    synced(phone)
    url = settings.database_url
    assert query(url, "SELECT is_deleted FROM crm.materials") == [(True,)]
    assert query(url, "SELECT is_archived FROM crm.customers") == [(True,)]
    assert ok(owner.http.get(f"{API}/jobs/{job['id']}/materials"))["items"] == []
    assert held(phone)["job"] == {job["id"]}


def test_a_decision_that_is_no_transition_is_refused_with_a_sentence(owner, worker, vera, phones) -> None:
    job = make_job(owner, status="IN_PROGRESS")
    for each in (worker, vera):
        assign(owner, job, each)
    wims, veras = phones("wim"), phones("vera")
    for phone in (wims, veras):
        synced(phone)
    wims.replica.update("job", job["id"], status="WAITING_ON_MATERIALS")
    veras.replica.update("job", job["id"], status="COMPLETED")
    for phone in (wims, veras):
        synced(phone)
    (conflict,) = ok(owner.http.get(f"{API}/mobile/conflicts?resolution=pending"))["items"]
    resolve = f"{API}/mobile/conflicts/{conflict['id']}/resolve"
    answer = owner.http.post(resolve, json={"resolution": "accept_client"})
    assert (answer.status_code, answer.json()["path"]) == (422, "/status")
    assert "a job that is WAITING_ON_MATERIALS cannot become COMPLETED" in answer.json()["detail"]
    assert status_of(owner, job) == "WAITING_ON_MATERIALS"
    ok(owner.http.post(f"{API}/jobs/{job['id']}/status", json={"status": "IN_PROGRESS"}))
    # It changed since the office looked at it, so the first call only says so.
    assert owner.http.post(resolve, json={"resolution": "accept_client"}).status_code == 409
    ok(owner.http.post(resolve, json={"resolution": "accept_client"}))
    assert status_of(owner, job) == "COMPLETED"


def test_an_edit_on_an_older_base_than_the_device_s_own_last_one(owner, worker) -> None:
    """Between the two lies a change of the device's that nobody sends: who wrote last is not on phones."""
    job = make_job(owner)
    assign(owner, job, worker)

    def push(**fields):
        item = {"client_temp_id": f"edit-{fields}", "resource_type": "job", "action": "update", "client_version": 1}
        body = {"device_id": "wims-phone", "items": [{**item, "payload": {"id": job["id"], **fields}}]}
        (result,) = ok(worker.http.post(f"{API}/mobile/sync/push", json=body))["results"]
        return result["status"], result["server_version"]

    assert push(notes="the tap drips") == ("ok", 2)
    assert push(status="IN_PROGRESS") == ("ok", 3)
    job = ok(owner.http.get(f"{API}/jobs/{job['id']}"))
    assert (job["notes"], job["status"]) == ("the tap drips", "IN_PROGRESS")
