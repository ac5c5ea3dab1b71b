"""Teams, members and meters over HTTP."""

from uuid import uuid4

from tests.apps.fieldwork.scene import make_meter, make_team, ok, pages, problem, pull, pull_all, without


def test_whoever_joins_a_team_gets_its_rows_and_whoever_leaves_loses_them(owner, worker) -> None:
    team = ok(owner.http.post("/api/v1/teams", json={"name": "Dream"}), 201)
    assert without(team, "created_at", "updated_at") == {
        "id": team["id"],
        "name": "Dream",
        "server_version": 1,
        "members": [],
    }
    path = f"/api/v1/teams/{team['id']}"
    meter = make_meter(owner, team_id=team["id"])
    token = pull_all(worker).token
    problem(worker.http.get(path), 404, "not_found")
    assert pages(worker, "/api/v1/teams") == []
    member = ok(owner.http.put(f"{path}/members/{worker.id}"))
    assert without(member, "joined_at") == {
        "team_id": team["id"],
        "user_id": worker.id,
        "username": "wim",
        "name": "Wim",
    }
    assert ok(owner.http.put(f"{path}/members/{worker.id}")) == member
    assert ok(worker.http.get(path))["members"] == [member]
    assert pages(worker, "/api/v1/teams") == [without(team, "members")]
    came = pull(worker, token)
    assert {(change["resource_type"], change["id"]) for change in came} == {
        ("team", team["id"]),
        ("meter", meter["id"]),
    }
    ok(owner.http.delete(f"{path}/members/{worker.id}"), 204)
    problem(owner.http.delete(f"{path}/members/{worker.id}"), 404, "not_found")
    assert pull_all(worker).of("meter") == []
    renamed = ok(owner.http.patch(path, json={"name": "Dream Island"}))
    assert (renamed["name"], renamed["server_version"]) == ("Dream Island", 2)


def test_what_cannot_be_done_with_teams(owner, worker) -> None:
    team = make_team(owner, "Dream")
    problem(owner.http.post("/api/v1/teams", json={"name": "dream"}), 409, "already_exists")
    problem(owner.http.post("/api/v1/teams", json={"name": ""}), 422, "invalid_envelope")
    problem(owner.http.put(f"/api/v1/teams/{team}/members/{uuid4()}"), 404, "not_found")
    problem(owner.http.put(f"/api/v1/teams/{uuid4()}/members/{worker.id}"), 404, "not_found")
    problem(owner.http.patch(f"/api/v1/teams/{uuid4()}", json={"name": "x"}), 404, "not_found")
    problem(owner.http.put(f"/api/v1/teams/{team}/members/wim"), 404, "not_found")
    problem(worker.http.post("/api/v1/teams", json={"name": "mine"}), 403, "forbidden")
    problem(worker.http.put(f"/api/v1/teams/{team}/members/{worker.id}"), 403, "forbidden")
    assert ok(owner.http.get(f"/api/v1/teams/{team}"))["members"] == []


def test_meters_from_the_web(owner, worker, new_person) -> None:
    team = make_team(owner, "Dream", worker)
    meter = make_meter(owner, code="m-1", name="Generator", unit="kWh", team_id=team, tags=["diesel"])
    other = make_meter(owner, code="m-2")
    assert without(meter, "id", "created_at", "updated_at") == {
        "code": "m-1",
        "name": "Generator",
        "site": None,
        "unit": "kWh",
        "reading": 50,
        "read_at": None,
        "last_updated_by": owner.id,
        "team_id": team,
        "notes": None,
        "tags": ["diesel"],
        "server_version": 1,
    }
    path = f"/api/v1/meters/{meter['id']}"
    assert pages(owner, "/api/v1/meters", limit=1) == [other, meter]
    assert pages(owner, "/api/v1/meters", team=team) == [meter]
    assert pages(worker, "/api/v1/meters") == [meter]
    assert ok(worker.http.get(path)) == meter
    problem(worker.http.get(f"/api/v1/meters/{other['id']}"), 404, "not_found")
    problem(worker.http.patch(f"/api/v1/meters/{other['id']}", json={"reading": 1}), 404, "not_found")

    read = ok(worker.http.patch(path, json={"reading": 51.25, "read_at": "2026-01-02T03:04:05Z"}))
    assert (read["reading"], read["read_at"], read["last_updated_by"], read["server_version"]) == (
        51.25,
        "2026-01-02T03:04:05.000000Z",
        worker.id,
        2,
    )
    problem(owner.http.patch(path, json={"server_version": 1, "reading": 52}), 409, "version_conflict")
    moved = ok(owner.http.patch(path, json={"server_version": 1, "site": "shed"}))
    assert (moved["reading"], moved["site"], moved["server_version"]) == (51.25, "shed", 3)
    problem(worker.http.patch(path, json={"code": "m-9"}), 422, "read_only_column")
    problem(owner.http.patch(path, json={"reading": "51"}), 422, "invalid_value")
    problem(owner.http.post("/api/v1/meters", json={"code": "m-1"}), 409, "already_exists")
    problem(owner.http.post("/api/v1/meters", json={"name": "no code"}), 422, "missing_value")
    problem(worker.http.post("/api/v1/meters", json={"code": "m-3"}), 403, "forbidden")
