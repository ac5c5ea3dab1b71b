"""Forms over HTTP: drafts, publishing, versions, and what reaches devices."""

from tests.apps.fieldwork.scene import SCHEMA, ok, pages, problem, publish_form, pull, pull_all, without

OTHER = {"type": "object", "required": ["mass"]}
TIMES = ("created_at", "updated_at")


def test_a_form_from_draft_to_its_second_version(owner, worker) -> None:
    new = ok(owner.http.post("/api/v1/forms", json={"code": "penguins", "name": "Penguins", "schema": SCHEMA}), 201)
    assert without(new, *TIMES) == {
        "id": new["id"],
        "code": "penguins",
        "name": "Penguins",
        "schema": None,
        "version": None,
        "published": False,
        "draft": True,
        "created_by": owner.id,
        "server_version": 1,
        "draft_schema": SCHEMA,
    }
    # A draft is the office's alone.
    assert pull_all(worker).of("mobile_form") == []
    assert pages(worker, "/api/v1/forms") == []
    for path in ("penguins", new["id"], "penguins/versions", "penguins/versions/v1"):
        problem(worker.http.get(f"/api/v1/forms/{path}"), 404, "not_found")

    first = ok(owner.http.post("/api/v1/forms/penguins/publish", json={}))
    assert without(first, *TIMES) == {
        **without(new, *TIMES),
        "schema": SCHEMA,
        "version": "v1",
        "published": True,
        "draft": False,
        "server_version": 2,
        "draft_schema": None,
    }
    shown = without(first, "draft_schema")
    assert ok(worker.http.get("/api/v1/forms/penguins")) == shown
    assert ok(worker.http.get(f"/api/v1/forms/{new['id']}")) == shown
    assert pages(worker, "/api/v1/forms") == [shown]
    pulled = pull_all(worker)
    assert pulled.of("mobile_form") == [without(shown, "server_version")]
    (synced,) = pulled.of("form_version")
    assert without(synced, "published_at") == {
        "id": synced["id"],
        "form_id": new["id"],
        "form_version": "v1",
        "schema": SCHEMA,
        "published_by": owner.id,
    }

    edited = ok(owner.http.patch("/api/v1/forms/penguins", json={"name": "All penguins", "schema": OTHER}))
    assert (edited["schema"], edited["draft_schema"], edited["draft"], edited["version"]) == (SCHEMA, OTHER, True, "v1")
    second = ok(owner.http.post("/api/v1/forms/penguins/publish", json={"version": "2026"}))
    assert (second["schema"], second["draft_schema"], second["draft"], second["version"]) == (
        OTHER,
        None,
        False,
        "2026",
    )
    versions = pages(worker, "/api/v1/forms/penguins/versions", limit=1)
    assert [(version["form_version"], version["schema"]) for version in versions] == [("2026", OTHER), ("v1", SCHEMA)]
    assert ok(worker.http.get("/api/v1/forms/penguins/versions/v1")) == versions[1]
    problem(worker.http.get("/api/v1/forms/penguins/versions/v2"), 404, "not_found")


def test_withdrawing_a_form_takes_it_off_devices_and_keeps_its_versions(owner, worker) -> None:
    form = publish_form(owner)
    token = pull_all(worker).token
    withdrawn = ok(owner.http.patch("/api/v1/forms/penguins", json={"published": False}))
    assert (withdrawn["published"], withdrawn["version"]) == (False, "v1")
    assert pull(worker, token) == [
        {
            "id": form["id"],
            "resource_type": "mobile_form",
            "action": "delete",
            "payload": None,
            "server_version": None,
            "reason": "out_of_scope",
        }
    ]
    problem(worker.http.get("/api/v1/forms/penguins"), 404, "not_found")
    assert ok(worker.http.get("/api/v1/forms/penguins/versions/v1"))["schema"] == SCHEMA
    assert ok(owner.http.get("/api/v1/forms/penguins"))["published"] is False
    ok(owner.http.patch("/api/v1/forms/penguins", json={"published": True}))
    assert [form["code"] for form in pages(worker, "/api/v1/forms")] == ["penguins"]


def test_every_fault_of_a_schema_is_named_and_nothing_is_published(owner) -> None:
    schema = {"type": "object", "required": "species", "properties": {"mass": {"minimum": "2000"}}}
    ok(owner.http.post("/api/v1/forms", json={"code": "bad", "name": "Bad", "schema": schema}), 201)
    found = problem(owner.http.post("/api/v1/forms/bad/publish", json={}), 422, "invalid_value")
    assert sorted(found["problems"], key=lambda fault: fault["path"]) == [
        {"path": "/properties/mass/minimum", "message": 'is not of type "number"'},
        {"path": "/required", "message": 'is not of type "array"'},
    ]
    assert ok(owner.http.get("/api/v1/forms/bad"))["published"] is False
    assert pages(owner, "/api/v1/forms/bad/versions") == []


def test_what_the_office_cannot_do_with_forms(owner) -> None:
    publish_form(owner)
    new = {"code": "penguins", "name": "Penguins", "schema": SCHEMA}
    problem(owner.http.post("/api/v1/forms", json=new), 409, "already_exists")
    problem(owner.http.post("/api/v1/forms/penguins/publish", json={}), 409, "state_conflict")
    ok(owner.http.patch("/api/v1/forms/penguins", json={"schema": OTHER}))
    problem(owner.http.post("/api/v1/forms/penguins/publish", json={"version": "v1"}), 409, "already_exists")
    problem(owner.http.post("/api/v1/forms/seals/publish", json={}), 404, "not_found")
    problem(owner.http.patch("/api/v1/forms/seals", json={"name": "Seals"}), 404, "not_found")
    ok(owner.http.post("/api/v1/forms", json={**new, "code": "draft"}), 201)
    problem(owner.http.patch("/api/v1/forms/draft", json={"published": True}), 409, "state_conflict")
    like_an_id = {**new, "code": "2f0e9b50-7d0c-4b0e-9d53-0c6f1f2a3b4c"}
    problem(owner.http.post("/api/v1/forms", json=like_an_id), 422, "invalid_value")


def test_a_form_of_another_shape_is_refused(owner) -> None:
    for body in [
        {"code": "", "name": "n", "schema": {}},
        {"code": "a b", "name": "n", "schema": {}},
        {"code": "a", "name": "", "schema": {}},
        {"code": "a", "name": "n", "schema": []},
        {"code": "a", "name": "n"},
        {"code": "a", "name": "n", "schema": {}, "published": True},
    ]:
        problem(owner.http.post("/api/v1/forms", json=body), 422, "invalid_envelope")
    assert pages(owner, "/api/v1/forms") == []


def test_forms_are_the_offices_to_change(owner, worker) -> None:
    publish_form(owner)
    before = ok(owner.http.get("/api/v1/forms/penguins"))
    new = {"code": "mine", "name": "Mine", "schema": SCHEMA}
    problem(worker.http.post("/api/v1/forms", json=new), 403, "forbidden")
    problem(worker.http.patch("/api/v1/forms/penguins", json={"name": "Mine"}), 403, "forbidden")
    problem(worker.http.post("/api/v1/forms/penguins/publish", json={}), 403, "forbidden")
    assert pages(owner, "/api/v1/forms") == [before]
