"""The CRM on the web: search, dashboards, one job with everything, people, CSV."""

from __future__ import annotations

import csv
import io

import pytest

from tests.apps.crm.scene import API, assign, make_customer, make_job, make_material, ok, refused


def names(answer):
    return [item["name"] for item in ok(answer)["items"]]


def titles(answer):
    return [item["title"] for item in ok(answer)["items"]]


def test_customers_are_found_by_words_and_by_the_beginning_of_their_phone(owner, worker) -> None:
    make_customer(owner, "Ada Lovelace", "12 Elm Street", phone="555-0100")
    make_customer(owner, "Grace Hopper", "1 Navy Yard, Elmhurst", phone="555-0200")
    make_customer(owner, "Elm & Sons", "3 Oak Road", phone="(030) 1")
    gone = make_customer(owner, "Elmer", "9 Elm Street")
    ok(owner.http.delete(f"{API}/customers/{gone['id']}"))
    search = f"{API}/customers"

    def find(q, **params):
        return names(owner.http.get(search, params={"q": q, **params}))

    assert find("elm") == ["Elm & Sons", "Ada Lovelace"]
    assert find("street elm") == ["Ada Lovelace"]
    assert find("555-0") == ["Grace Hopper", "Ada Lovelace"]
    assert find("(030") == ["Elm & Sons"]
    assert find("%") == find("_55") == find("nobody") == []
    assert find("elm", archived="all") == ["Elmer", "Elm & Sons", "Ada Lovelace"]
    assert find("elm", archived="yes") == ["Elmer"]
    # What was changed last comes first.
    first = ok(owner.http.get(search, params={"q": "Ada"}))["items"][0]
    ok(owner.http.patch(f"{search}/{first['id']}", json={"notes": "Call before noon"}))
    assert names(owner.http.get(search)) == ["Ada Lovelace", "Elm & Sons", "Grace Hopper"]
    assert refused(worker.http.get(search)) == (403, "forbidden")


def test_a_search_has_twenty_a_page(owner) -> None:
    rows = "".join(f"Customer {n},{n} Elm Street\r\n" for n in range(45))
    ok(owner.http.post(f"{API}/customers/import", json={"csv": f"name,address\r\n{rows}"}))
    found, after, sizes = [], None, []
    while True:
        params = {"q": "elm"} | ({"after": after} if after else {})
        page = ok(owner.http.get(f"{API}/customers", params=params))
        found += [item["name"] for item in page["items"]]
        sizes.append(len(page["items"]))
        after = page["next"]
        if after is None:
            break
    assert sizes == [20, 20, 5]
    assert sorted(found) == sorted(f"Customer {n}" for n in range(45))


def test_an_import_says_all_that_is_wrong_and_takes_nothing_then(owner) -> None:
    make_customer(owner, "Ada Lovelace", "12 Elm Street")
    text = (
        "Name,Phone,Address\n"
        "Grace Hopper,555-0200,1 Navy Yard\n"
        ",555-0300,2 Navy Yard\n"
        f"Alan Turing,{'5' * 21},3 Navy Yard\n"
        "Ada Lovelace,,12 Elm Street\n"
        "Grace Hopper,,1 Navy Yard\n"
        "too,many,cells,here\n"
    )
    preview = ok(owner.http.post(f"{API}/customers/import", json={"csv": text, "dry_run": True}))
    errors = [
        {"line": 3, "column": "name", "error": "it is empty"},
        {"line": 4, "column": "phone", "error": "it has more than 20 characters"},
        {"line": 5, "column": None, "error": "there is a customer with this name and address"},
        {"line": 6, "column": None, "error": "the same name and address as line 2"},
        {"line": 7, "column": None, "error": "4 cells under 3 columns"},
    ]
    assert preview == {"rows": 2, "imported": 0, "queued": 0, "errors": errors, "dry_run": True}
    assert ok(owner.http.post(f"{API}/customers/import", json={"csv": text})) == preview | {"dry_run": False}
    assert names(owner.http.get(f"{API}/customers")) == ["Ada Lovelace"]
    for bad, error in [
        ("name\nAda\n", {"line": 1, "column": "address", "error": "the column is missing"}),
        ("", None),
        ('name,address\n"Ada\n', {"line": 2, "column": None, "error": "not CSV: unexpected end of data"}),
    ]:
        answer = owner.http.post(f"{API}/customers/import", json={"csv": bad})
        if error is None:
            assert answer.status_code == 422
        else:
            assert ok(answer)["errors"] == [error]


def test_what_is_exported_can_be_imported_again(owner, worker) -> None:
    odd = make_customer(owner, '=SUM(1)"', "1 Elm Street\nback door", notes="two, words", phone="+1 555")
    answer = owner.http.get(f"{API}/customers/export.csv")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/csv; charset=utf-8")
    rows = list(csv.reader(io.StringIO(answer.text, newline="")))
    assert rows == [
        ["name", "phone", "email", "address", "notes"],
        ["'=SUM(1)\"", "'+1 555", "", "1 Elm Street\nback door", "two, words"],
    ]
    ok(owner.http.delete(f"{API}/customers/{odd['id']}"))
    assert ok(owner.http.post(f"{API}/customers/import", json={"csv": answer.text}))["imported"] == 1
    (again,) = ok(owner.http.get(f"{API}/customers"))["items"]
    assert {name: again[name] for name in ("name", "phone", "address", "notes")} == {
        name: odd[name] for name in ("name", "phone", "address", "notes")
    }
    assert refused(worker.http.get(f"{API}/customers/export.csv")) == (403, "forbidden")


def test_the_owner_s_dashboard_has_what_is_not_completed_the_latest_first(owner, worker) -> None:
    customer = make_customer(owner, "Ada Lovelace", "12 Elm Street", phone="555")
    jobs = [make_job(owner, title=title, customer=customer) for title in ("Roof", "Floor", "Sink")]
    make_job(owner, title="Done", customer=customer, status="COMPLETED")
    assign(owner, jobs[1], worker)
    ok(owner.http.patch(f"{API}/jobs/{jobs[0]['id']}", json={"notes": "Ladder"}))
    assert titles(owner.http.get(f"{API}/jobs")) == ["Roof", "Sink", "Floor"]
    page = ok(owner.http.get(f"{API}/jobs", params={"limit": 2}))
    rest = ok(owner.http.get(f"{API}/jobs", params={"limit": 2, "after": page["next"]}))
    (floor,) = rest["items"]
    shown = {name: floor[name] for name in ("customer_name", "customer_address", "customer_phone", "assigned_workers")}
    assert shown == {
        "customer_name": "Ada Lovelace", "customer_address": "12 Elm Street", "customer_phone": "555",
        "assigned_workers": ["Wim"],
    }  # fmt: skip
    assert rest["next"] is None
    for params, expected in [
        ({"status": "COMPLETED"}, ["Done"]),
        ({"worker": worker.id}, ["Floor"]),
        ({"customer": customer["id"], "status": "NOT_STARTED"}, ["Roof", "Sink", "Floor"]),
        ({"customer": worker.id}, []),
    ]:
        assert titles(owner.http.get(f"{API}/jobs", params=params)) == expected


def test_the_worker_s_dashboard_has_what_is_to_do_the_next_first(owner, worker) -> None:
    for title, status, start in [
        ("Later", "NOT_STARTED", "2026-03-01"),
        ("Some day", "NOT_STARTED", None),
        ("Now", "IN_PROGRESS", "2026-01-01"),
        ("Waiting", "WAITING_ON_MATERIALS", "2026-01-01"),
        ("Done", "COMPLETED", "2025-01-01"),
    ]:
        assign(owner, make_job(owner, title=title, status=status, start_date=start), worker)
    make_job(owner, title="Somebody else's")
    assert titles(worker.http.get(f"{API}/jobs")) == ["Now", "Later", "Some day"]
    page = ok(worker.http.get(f"{API}/jobs", params={"limit": 2}))
    assert titles(worker.http.get(f"{API}/jobs", params={"limit": 2, "after": page["next"]})) == ["Some day"]
    assert titles(owner.http.get(f"{API}/jobs", params={"view": "worker", "worker": worker.id}))[0] == "Now"
    assert refused(worker.http.get(f"{API}/jobs", params={"view": "owner"})) == (403, "forbidden")


def test_a_job_with_everything(owner, worker) -> None:
    job = make_job(owner, start_date="2026-01-05", end_date="2026-01-09", description="New cabinets")
    assert refused(worker.http.get(f"{API}/jobs/{job['id']}")) == (404, "not_found")
    assign(owner, job, worker)
    nails = make_material(worker, job, quantity="250", unit="pcs")
    glue = make_material(owner, job, "Glue")
    ok(worker.http.patch(f"{API}/materials/{nails['id']}", json={"purchased": True}))
    ok(worker.http.post(f"{API}/jobs/{job['id']}/status", json={"status": "IN_PROGRESS", "notes": "Started"}))
    shown = ok(worker.http.get(f"{API}/jobs/{job['id']}"))
    assert shown == ok(owner.http.get(f"{API}/jobs/{job['id']}"))
    assert (shown["title"], shown["status"], shown["notes"]) == ("Kitchen", "IN_PROGRESS", "Started")
    assert (shown["start_date"], shown["created_by_id"], "updated_by_id" in shown) == ("2026-01-05", owner.id, False)
    assert shown["customer"]["id"] == job["customer_id"]
    assert [(a["user_id"], a["name"]) for a in shown["assignments"]] == [(worker.id, "Wim")]
    assert [(m["id"], m["purchased"]) for m in shown["materials"]] == [(glue["id"], False), (nails["id"], True)]
    (step,) = shown["history"]
    assert (step["from_status"], step["to_status"], step["changed_by"]) == ("NOT_STARTED", "IN_PROGRESS", "Wim")
    assert [(e["entity_type"], e["action"]) for e in reversed(shown["activity"])] == [
        ("job", "create"), ("job_assignment", "create"), ("material", "create"), ("material", "create"),
        ("material", "update"), ("job", "update"),
    ]  # fmt: skip
    assert shown["materials"] == ok(worker.http.get(f"{API}/jobs/{job['id']}/materials"))["items"]
    assert shown["history"] == ok(worker.http.get(f"{API}/jobs/{job['id']}/history"))["items"]


@pytest.mark.parametrize("path", ["", "/materials", "/history", "/assignments"])
def test_a_job_that_is_not_held_is_not_there(owner, worker, path) -> None:
    job = make_job(owner)
    assert refused(worker.http.get(f"{API}/jobs/{job['id']}{path}")) == (404, "not_found")
    assert ok(owner.http.get(f"{API}/jobs/{job['id']}{path}")) is not None


def test_a_status_goes_along_the_transitions_and_on_top_of_what_was_seen(owner) -> None:
    job = make_job(owner)
    transitions = ok(owner.http.get(f"{API}/jobs/transitions"))
    assert transitions["COMPLETED"] == ["IN_PROGRESS"]
    change = f"{API}/jobs/{job['id']}/status"
    answer = owner.http.post(change, json={"status": "COMPLETED"})
    assert refused(answer) == (422, "check_failed")
    assert "it can become IN_PROGRESS, WAITING_ON_MATERIALS, ON_HOLD" in answer.json()["detail"]
    ok(owner.http.post(change, json={"status": "IN_PROGRESS", "server_version": 1}))
    late = owner.http.post(change, json={"status": "ON_HOLD", "server_version": 1})
    assert (refused(late), late.json()["server_payload"]["status"]) == ((409, "version_conflict"), "IN_PROGRESS")
    assert refused(owner.http.post(change, json={"status": "LOST"})) == (422, "invalid_envelope")


def test_assigning_twice_is_assigning_once_and_only_people_who_are_there(owner, worker, http) -> None:
    job = make_job(owner)
    people = f"{API}/jobs/{job['id']}/assignments"
    first = assign(owner, job, worker)
    assert assign(owner, job, worker) == first == ok(owner.http.get(people))
    assert refused(owner.http.post(people, json={"user_id": worker.id})) == (409, "already_exists")
    ok(owner.http.delete(f"{people}/{worker.id}"))
    assert refused(owner.http.delete(f"{people}/{worker.id}")) == (404, "not_found")
    ok(owner.http.patch(f"{API}/users/{worker.id}", json={"is_active": False}))
    assert refused(owner.http.put(f"{people}/{worker.id}"))[1] == "fk_missing"
    assert refused(owner.http.put(f"{people}/{job['id']}"))[1] == "fk_missing"
    assert ok(owner.http.get(people)) == {"items": []}


def test_workers_change_materials_but_nobody_s_job_or_customer(owner, worker) -> None:
    job = make_job(owner)
    assign(owner, job, worker)
    nails = make_material(worker, job)
    changed = ok(worker.http.patch(f"{API}/materials/{nails['id']}", json={"quantity": "3.5", "unit": "kg"}))
    assert (changed["quantity"], changed["unit"], changed["added_by_id"]) == ("3.50", "kg", worker.id)
    assert refused(worker.http.patch(f"{API}/materials/{nails['id']}", json={"quantity": "-1"}))[1] == "check_failed"
    assert refused(worker.http.patch(f"{API}/jobs/{job['id']}", json={"title": "Mine"}))[1] in (
        "forbidden", "read_only_column",
    )  # fmt: skip
    for answer in (
        worker.http.post(f"{API}/jobs", json={}),
        worker.http.delete(f"{API}/jobs/{job['id']}"),
        worker.http.patch(f"{API}/customers/{job['customer_id']}", json={"name": "Mine"}),
        worker.http.put(f"{API}/jobs/{job['id']}/assignments/{worker.id}"),
    ):
        assert refused(answer) == (403, "forbidden")
    ok(worker.http.delete(f"{API}/materials/{nails['id']}"))
    assert ok(owner.http.get(f"{API}/jobs/{job['id']}/materials"))["items"] == []


def test_dates_that_do_not_fit_are_refused_wherever_they_come_from(owner) -> None:
    job = make_job(owner, start_date="2026-02-01")
    late = {"start_date": "2026-02-02", "end_date": "2026-02-01", "title": "x", "customer_id": job["customer_id"]}
    for answer in (
        owner.http.post(f"{API}/jobs", json=late),
        owner.http.patch(f"{API}/jobs/{job['id']}", json={"end_date": "2026-01-31"}),
    ):
        assert refused(answer) == (422, "check_failed")
    ok(owner.http.patch(f"{API}/jobs/{job['id']}", json={"end_date": "2026-02-01"}))


def test_every_route_is_at_the_application_s_own_address_too(owner) -> None:
    job = make_job(owner)
    for path in ("jobs", f"jobs/{job['id']}", "customers", "activity"):
        assert ok(owner.http.get(f"{API}/crm/{path}")) == ok(owner.http.get(f"{API}/{path}"))
    assert ok(owner.http.get(f"{API}/fieldwork/teams")) == {"items": [], "next": None}
    assert refused(owner.http.get(f"{API}/crm/teams")) == (404, "not_found")
    assert refused(owner.http.get(f"{API}/crm/jobs?colour=red")) == (400, "invalid_parameter")


@pytest.mark.parametrize("text", [r"\u0000", r"a\u0000b", r"\ud800"])
def test_text_that_postgresql_has_no_room_for_is_refused_wherever_it_stands(owner, text) -> None:
    """Half an emoji is read as NUL, and NUL was once a bug in the server."""
    customer = make_customer(owner)
    job = make_job(owner, customer=customer)
    material = make_material(owner, job)
    answers = []
    for method, at, column in [
        ("POST", "customers", "name"),
        ("PATCH", f"customers/{customer['id']}", "notes"),
        ("POST", "jobs", "title"),
        ("PATCH", f"jobs/{job['id']}", "status"),
        ("POST", f"jobs/{job['id']}/materials", "item_name"),
        ("PATCH", f"materials/{material['id']}", "unit"),
        ("PATCH", f"materials/{material['id']}", text),
        ("POST", f"jobs/{job['id']}/status", "status"),
        ("POST", "operations", "operations"),
        ("POST", "customers/import", "csv"),
    ]:
        answers.append(
            owner.http.request(
                method,
                f"{API}/{at}",
                content=f'{{"{column}": "{text}"}}',
                headers={"Content-Type": "application/json"},
            )
        )
    assert {answer.status_code for answer in answers} <= {400, 422}, [answer.text for answer in answers]
    assert names(owner.http.get(f"{API}/customers")) == [customer["name"]]
