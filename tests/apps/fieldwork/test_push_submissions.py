"""Submissions and meters from phones: the examples of spec 2 with real ids, and every refusal in its words."""

import pytest

from tests.apps.fieldwork.scene import (
    SCHEMA,
    make_meter,
    make_team,
    ok,
    publish_form,
    pull,
    pull_all,
    push,
    submission,
    without,
)


def test_the_examples_of_the_sync_lifecycle(owner, worker) -> None:
    """Spec 2: a submission with its form's code, and a meter that somebody else changed twice meanwhile."""
    form = publish_form(owner, "f-1", {"type": "object", "properties": {"fieldA": {"type": "string"}}})
    ok(owner.http.patch("/api/v1/forms/f-1", json={"schema": {"type": "object"}}))
    ok(owner.http.post("/api/v1/forms/f-1/publish", json={"version": "v2"}))
    team = make_team(owner, "Dream", worker)
    meter = make_meter(owner, team_id=team)
    for reading in range(51, 57):
        ok(owner.http.patch(f"/api/v1/meters/{meter['id']}", json={"reading": reading}))
    token = pull_all(worker).token
    answer = ok(
        worker.http.post(
            "/api/v1/mobile/sync/push",
            json={
                "device_id": worker.device_id,
                "client_sync_token": token,
                "items": [
                    {
                        "client_temp_id": "tmp-1",
                        "resource_type": "submission",
                        "action": "create",
                        "payload": {"form_id": "f-1", "form_version": "v2", "data": {"fieldA": "ok"}},
                        "client_version": 1,
                    },
                    {
                        "resource_type": "meter",
                        "action": "update",
                        "payload": {"id": meter["id"], "reading": 42},
                        "client_version": 5,
                    },
                ],
            },
        )
    )
    made, conflict = answer["results"]
    assert made == {
        "index": 0,
        "client_temp_id": "tmp-1",
        "status": "ok",
        "server_id": made["server_id"],
        "server_version": 1,
    }
    assert without(conflict, "conflict_id", "server_payload") == {
        "index": 1,
        "client_temp_id": None,
        "status": "conflict",
        "server_id": meter["id"],
        "server_version": 7,
        "code": "version_conflict",
        "error": "Version mismatch: server_version=7, client_version=5",
    }
    assert conflict["server_payload"]["reading"] == 56
    (change,) = pull(worker, token)
    assert without(change, "payload") == {
        "id": made["server_id"],
        "resource_type": "submission",
        "action": "create",
        "server_version": 1,
    }
    assert without(change["payload"], "created_at", "updated_at") == {
        "id": made["server_id"],
        "form_id": form["id"],
        "form_version": "v2",
        "data": {"fieldA": "ok"},
        "device_id": worker.device["id"],
        "status": "pending",
        "metadata": {},
        "reviewed_at": None,
        "team_id": team,
        "author_id": worker.id,
        "reviewed_by": None,
        "review_notes": None,
    }


REFUSED = [
    ({"data": {}}, "invalid_value", "/data/species", "/data/species is missing"),
    (
        {"data": {"species": "Emperor", "mass": 1}},
        "invalid_value",
        "/data/mass",
        '/data/mass is less than the minimum of 2000; /data/species is not one of "Adelie", "Gentoo" or "Chinstrap"',
    ),
    ({"data": [1]}, "invalid_value", "/data", '/data is not of type "object"'),
    ({"data": None}, "invalid_value", "/data", None),
    ({"form_id": "seals"}, "fk_missing", "/form_id", "form_id: there is no 'seals'"),
    ({"form_id": "draft"}, "fk_missing", "/form_id", "there is no such form"),
    ({"form_id": "2f0e9b50-7d0c-4b0e-9d53-0c6f1f2a3b4c"}, "fk_missing", "/form_id", "there is no such form"),
    ({"form_id": 7}, "invalid_value", "/form_id", None),
    ({"form_version": "v9"}, "fk_missing", "/form_version", "the form has no version 'v9'"),
    ({"status": "approved"}, "read_only_column", "/status", None),
    ({"author_id": None}, "read_only_column", "/author_id", None),
    ({"place": {"lat": 1, "lon": 2}}, "unknown_column", "/place", None),
    ({"metadata": [1]}, "invalid_value", "/metadata", "metadata is a JSON object"),
    ({"metadata": {"gps": {"lat": 1}}}, "invalid_value", "/metadata/gps", 'gps is {"lat": …, "lon": …} in degrees'),
    (
        {"metadata": {"gps": {"lat": 91, "lon": 0}}},
        "invalid_value",
        "/metadata/gps/lat",
        "lat is a number from -90 to 90",
    ),
    ({"media": [{"key": "20260101/" + "0" * 32}]}, "media_missing", "/media/0/key", None),
    ({"media": [{"filename": "a.png"}]}, "invalid_value", "/media/0", None),
]


def test_every_refusal_says_where_and_what_and_costs_itself_only(owner, worker) -> None:
    publish_form(owner)
    ok(owner.http.post("/api/v1/forms", json={"code": "draft", "name": "Draft", "schema": SCHEMA}), 201)
    good = {"species": "Adelie", "mass": 3750}
    items = [submission("good-1", good)]
    items += [
        submission(f"bad-{n}", good, **payload) for n, (payload, *_) in enumerate(REFUSED) if "data" not in payload
    ]
    items += [submission(f"bad-{n}", payload["data"]) for n, (payload, *_) in enumerate(REFUSED) if "data" in payload]
    items += [submission("good-2", good)]
    results = {result["client_temp_id"]: result for result in push(worker, *items)}
    assert (results["good-1"]["status"], results["good-2"]["status"]) == ("ok", "ok")
    for n, (payload, code, path, sentence) in enumerate(REFUSED):
        result = results[f"bad-{n}"]
        assert (result["status"], result["code"], result["path"]) == ("error", code, path), (payload, result)
        assert sentence is None or result["error"] == sentence, payload
    assert sorted(row["id"] for row in pull_all(worker).of("submission")) == sorted(
        results[name]["server_id"] for name in ("good-1", "good-2")
    )


def test_a_draft_is_no_different_from_nothing(owner, worker) -> None:
    ok(owner.http.post("/api/v1/forms", json={"code": "draft", "name": "Draft", "schema": SCHEMA}), 201)
    draft = ok(owner.http.get("/api/v1/forms/draft"))["id"]
    by_id, by_random = push(
        worker,
        submission("a", {}, form_id=draft),
        submission("b", {}, form_id="2f0e9b50-7d0c-4b0e-9d53-0c6f1f2a3b4c"),
    )
    assert without(by_id, "index", "client_temp_id") == without(by_random, "index", "client_temp_id")


def test_a_submission_is_judged_by_its_own_version_however_old(owner, worker) -> None:
    publish_form(owner)
    ok(owner.http.patch("/api/v1/forms/penguins", json={"schema": {"type": "object", "required": ["colony"]}}))
    ok(owner.http.post("/api/v1/forms/penguins/publish", json={}))
    ok(owner.http.patch("/api/v1/forms/penguins", json={"published": False}))
    form_id = ok(owner.http.get("/api/v1/forms/penguins"))["id"]
    old, new, unsaid, wrong = push(
        worker,
        submission("old", {"species": "Adelie"}, form_id=form_id),
        submission("new", {"colony": 1}, form_version="v2"),
        {**submission("unsaid", {}), "payload": {"form_id": "penguins", "data": {"colony": 2}}},
        submission("wrong", {"species": "Adelie"}, form_version="v2"),
    )
    assert [result["status"] for result in (old, new, unsaid, wrong)] == ["ok", "ok", "ok", "error"]
    rows = pull_all(worker).rows
    assert rows["submission", unsaid["server_id"]]["form_version"] == "v2"
    assert wrong["error"] == "/data/colony is missing"


def test_corrections_are_judged_too_even_in_the_batch_that_creates(owner, worker) -> None:
    publish_form(owner)

    def correct(version: int, **payload: object) -> dict[str, object]:
        return {
            "resource_type": "submission",
            "action": "update",
            "payload": {"id": "tmp-1", **payload},
            "client_version": version,
        }

    results = push(
        worker,
        submission("tmp-1", {"species": "Adelie"}),
        correct(1, data={"species": "Emperor"}),
        correct(1, data={"species": "Gentoo"}),
        correct(2, metadata={"gps": {"lat": -64.7, "lon": -64.1}}),
    )
    assert [(result["status"], result.get("code")) for result in results] == [
        ("ok", None),
        ("error", "invalid_value"),
        ("ok", None),
        ("ok", None),
    ]
    (later,) = push(worker, correct(3, data={"mass": 1}))
    assert later["error"] == "/data/mass is less than the minimum of 2000; /data/species is missing"
    (row,) = pull_all(worker).of("submission")
    assert (row["data"], row["metadata"]) == ({"species": "Gentoo"}, {"gps": {"lat": -64.7, "lon": -64.1}})


def test_what_was_reviewed_only_the_office_corrects(owner, worker) -> None:
    publish_form(owner)
    (made,) = push(worker, submission("tmp-1", {"species": "Adelie"}))
    token = pull_all(worker).token
    path = f"/api/v1/submissions/{made['server_id']}"
    reviewed = ok(owner.http.post(f"{path}/review", json={"status": "rejected", "notes": "Weigh it again."}))
    assert (reviewed["status"], reviewed["review_notes"], reviewed["reviewed_by"]) == (
        "rejected",
        "Weigh it again.",
        owner.id,
    )
    (back,) = pull(worker, token)
    assert back["payload"] == without(reviewed, "server_version", "media")
    assert (back["action"], back["server_version"]) == ("update", 2)
    correction = {
        "resource_type": "submission",
        "action": "update",
        "payload": {"id": made["server_id"], "data": {"species": "Gentoo"}},
        "client_version": 2,
    }
    (refused,) = push(worker, correction)
    assert (refused["code"], refused["error"]) == (
        "check_failed",
        "the submission was rejected; only the office can change it now",
    )
    assert ok(owner.http.patch(path, json={"data": {"species": "Gentoo"}}))["data"] == {"species": "Gentoo"}


def test_rows_are_the_teams_and_the_authors(owner, worker, new_person) -> None:
    publish_form(owner)
    ben = new_person("ben", device_id="bens-phone")
    eve = new_person("eve", device_id="eves-phone")
    dream, biscoe = make_team(owner, "Dream", worker, ben), make_team(owner, "Biscoe", eve)
    meter = make_meter(owner, team_id=dream)
    made, elsewhere = push(
        worker, submission("mine", {"species": "Adelie"}), submission("theirs", {"species": "Adelie"}, team_id=biscoe)
    )
    # A team that one is not in looks like no team at all.
    assert (elsewhere["status"], elsewhere["code"]) == ("error", "fk_missing")
    assert {row["id"] for row in pull_all(ben).of("submission")} == {made["server_id"]}
    assert (pull_all(eve).of("submission"), pull_all(eve).of("meter")) == ([], [])
    update = {"resource_type": "submission", "action": "update", "client_version": 1}
    (by_ben,) = push(ben, {**update, "payload": {"id": made["server_id"], "data": {"species": "Gentoo"}}})
    by_eve, nothing = push(
        eve,
        {**update, "payload": {"id": made["server_id"], "data": {"species": "Gentoo"}}},
        {**update, "payload": {"id": "2f0e9b50-7d0c-4b0e-9d53-0c6f1f2a3b4c", "data": {"species": "Gentoo"}}},
    )
    assert by_ben["status"] == "ok"
    assert without(by_eve, "index", "server_id") == without(nothing, "index", "server_id")
    assert by_eve["code"] == "not_found"
    # Ben moves to the other island: the rows leave him, the author keeps hers wherever she goes.
    token = pull_all(ben).token
    ok(owner.http.delete(f"/api/v1/teams/{dream}/members/{ben.id}"), 204)
    ok(owner.http.delete(f"/api/v1/teams/{dream}/members/{worker.id}"), 204)
    left = {(change["resource_type"], change["id"], change["reason"]) for change in pull(ben, token)}
    assert left == {
        ("submission", made["server_id"], "out_of_scope"),
        ("meter", meter["id"], "out_of_scope"),
        ("team", dream, "out_of_scope"),
    }
    assert {row["id"] for row in pull_all(worker).of("submission")} == {made["server_id"]}


@pytest.mark.parametrize("members", [0, 2])
def test_without_exactly_one_team_a_submission_is_the_authors_alone(owner, worker, members) -> None:
    publish_form(owner)
    teams = [make_team(owner, f"team {n}", worker) for n in range(members)]
    (made,) = push(worker, submission("tmp-1", {"species": "Adelie"}))
    rows = pull_all(worker).rows
    assert rows["submission", made["server_id"]]["team_id"] is None
    if teams:
        (said,) = push(worker, submission("tmp-2", {"species": "Adelie"}, team_id=teams[1]))
        assert pull_all(worker).rows["submission", said["server_id"]]["team_id"] == teams[1]


def test_meters_merge_field_by_field(owner, worker, new_person) -> None:
    ben = new_person("ben", device_id="bens-phone")
    team = make_team(owner, "Dream", worker, ben)
    meter = make_meter(owner, team_id=team, tags=["diesel"])

    def edit(person, **payload):
        (result,) = push(
            person,
            {
                "resource_type": "meter",
                "action": "update",
                "payload": {"id": meter["id"], **payload},
                "client_version": 1,
            },
        )
        return result

    assert edit(worker, reading=51.5, tags=["diesel", "shed"])["status"] == "ok"
    merged = edit(ben, notes="door stuck", tags=["diesel", "checked"])
    assert (merged["status"], merged["merged"], merged["server_version"]) == ("ok", True, 3)
    same = edit(ben, reading=51.5)
    assert same["status"] == "ok"
    conflict = edit(ben, reading=52)
    assert (conflict["status"], conflict["code"]) == ("conflict", "version_conflict")
    (row,) = pull_all(worker).of("meter")
    assert (row["reading"], row["notes"], sorted(row["tags"]), row["last_updated_by"]) == (
        51.5,
        "door stuck",
        ["checked", "diesel", "shed"],
        ben.id,
    )
    refused = edit(worker, code="m-9")
    assert (refused["status"], refused["code"], refused["path"]) == ("error", "read_only_column", "/code")
