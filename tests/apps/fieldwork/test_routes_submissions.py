"""Submissions over HTTP: lists and filters, writing from the web, review, exports."""

import csv
import io
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg

from tests.apps.fieldwork.scene import make_team, ok, pages, problem, publish_form, push, submission, without

PATH = "/api/v1/submissions"


def ids(rows: list[dict]) -> list[str]:
    return [row["id"] for row in rows]


def test_every_filter_alone_and_together_and_page_by_page(owner, worker, new_person, settings) -> None:
    publish_form(owner)
    publish_form(owner, "seals", {"type": "object"})
    ben = new_person("ben", device_id="bens-phone")
    dream, biscoe = make_team(owner, "Dream", worker), make_team(owner, "Biscoe", ben)
    at = {"dream": {"lat": -64.73, "lon": -64.23}, "biscoe": {"lat": -65.43, "lon": -65.5}}
    mine = push(
        worker,
        *(submission(f"w{n}", {"species": "Adelie"}, metadata={"gps": at["dream"]}) for n in range(3)),
        submission("w3", {}, form_id="seals"),
    )
    bens = push(ben, *(submission(f"b{n}", {"species": "Gentoo"}, metadata={"gps": at["biscoe"]}) for n in range(2)))
    w0, w1, w2, w3, b0, b1 = (result["server_id"] for result in (*mine, *bens))
    # Spread over six days, as a season is.
    start = datetime(2026, 1, 1, tzinfo=UTC)
    with psycopg.connect(settings.database_url) as conn:
        for day, row_id in enumerate((w0, b0, w1, b1, w2, w3)):
            conn.execute(
                "UPDATE fieldwork.submissions SET created_at = %s WHERE id = %s", [start + timedelta(days=day), row_id]
            )
    ok(owner.http.post(f"{PATH}/{w1}/review", json={"status": "approved"}))
    ok(owner.http.post(f"{PATH}/{b1}/review", json={"status": "rejected", "notes": "blurred"}))
    seals = ok(owner.http.get("/api/v1/forms/seals"))["id"]

    def found(person, **params) -> list[str]:
        once, in_pages = pages(person, PATH, **params), pages(person, PATH, **params, limit=2)
        assert once == in_pages
        return ids(once)

    newest_first = [w3, w2, b1, w1, b0, w0]
    for person, params, expected in [
        (owner, {}, newest_first),
        (owner, {"form": "penguins"}, [w2, b1, w1, b0, w0]),
        (owner, {"form": seals}, [w3]),
        (owner, {"form": "no such form"}, []),
        (owner, {"device": "bens-phone"}, [b1, b0]),
        (owner, {"device": worker.device["id"]}, [w3, w2, w1, w0]),
        (owner, {"status": "pending"}, [w3, w2, b0, w0]),
        (owner, {"status": "rejected"}, [b1]),
        (owner, {"team": dream}, [w3, w2, w1, w0]),
        (owner, {"author": ben.id}, [b1, b0]),
        (owner, {"from": "2026-01-02T00:00:00Z", "to": "2026-01-04T00:00:00Z"}, [w1, b0]),
        (owner, {"bbox": "-65,-65,-64,-64"}, [w2, w1, w0]),
        (owner, {"bbox": "-65,-65,-64,-64", "status": "approved", "form": "penguins", "team": dream}, [w1]),
        (owner, {"status": "approved", "team": biscoe}, []),
        (worker, {}, [w3, w2, w1, w0]),
        (worker, {"status": "pending", "form": "penguins"}, [w2, w0]),
        (worker, {"author": ben.id}, []),
        (worker, {"team": biscoe}, []),
        (ben, {"bbox": "-180,-90,180,90"}, [b1, b0]),
    ]:
        assert found(person, **params) == expected, params
    row = ok(owner.http.get(f"{PATH}/{b1}"))
    assert pages(owner, PATH, status="rejected") == [without(row, "media")]
    for wrong in (
        {"status": "aproved"},
        {"bbox": "1,2"},
        {"from": "monday"},
        {"after": "x"},
        {"limit": 0},
        {"colour": "red"},
    ):
        problem(owner.http.get(PATH, params=wrong), 400, "invalid_parameter")
    # A cursor of another list, and one that was tampered with.
    cursor = ok(owner.http.get(PATH, params={"limit": 1}))["next"]
    problem(owner.http.get(PATH, params={"after": cursor[:-4] + "AAAA"}), 400, "invalid_parameter")


def test_the_web_writes_by_the_rules_of_a_push(owner, worker, new_person) -> None:
    publish_form(owner)
    team = make_team(owner, "Dream", worker)
    eve = new_person("eve")
    made = ok(
        worker.http.post(PATH, json={"form_id": "penguins", "data": {"species": "Adelie"}, "metadata": {"by": "web"}}),
        201,
    )
    assert without(made, "id", "form_id", "created_at", "updated_at", "device_id") == {
        "form_version": "v1",
        "data": {"species": "Adelie"},
        "status": "pending",
        "metadata": {"by": "web"},
        "reviewed_at": None,
        "team_id": team,
        "author_id": worker.id,
        "reviewed_by": None,
        "review_notes": None,
        "server_version": 1,
        "media": [],
    }
    path = f"{PATH}/{made['id']}"
    assert ok(owner.http.get(path)) == made
    problem(eve.http.get(path), 404, "not_found")
    absent = problem(eve.http.get(f"{PATH}/{uuid4()}"), 404, "not_found")
    assert eve.http.get(path).json() == absent
    problem(eve.http.patch(path, json={"data": {"species": "Gentoo"}}), 404, "not_found")

    fault = problem(worker.http.post(PATH, json={"form_id": "penguins", "data": {"mass": 1}}), 422, "invalid_value")
    assert (fault["path"], fault["detail"]) == (
        "/data/mass",
        "/data/mass is less than the minimum of 2000; /data/species is missing",
    )
    problem(
        worker.http.post(PATH, json={"form_id": "penguins", "data": {}, "status": "approved"}), 422, "read_only_column"
    )
    problem(worker.http.post(PATH, json={"form_id": "penguins", "data": {}, "colour": 1}), 422, "unknown_column")

    second = ok(owner.http.patch(path, json={"server_version": 1, "data": {"species": "Gentoo"}}))
    assert (second["data"], second["server_version"]) == ({"species": "Gentoo"}, 2)
    late = problem(
        worker.http.patch(path, json={"server_version": 1, "data": {"species": "Chinstrap"}}), 409, "version_conflict"
    )
    assert (late["server_version"], late["server_payload"]["data"]) == (2, {"species": "Gentoo"})
    merged = ok(worker.http.patch(path, json={"server_version": 1, "metadata": {"by": "phone"}}))
    assert (merged["data"], merged["metadata"], merged["server_version"]) == ({"species": "Gentoo"}, {"by": "phone"}, 3)
    problem(worker.http.patch(path, json={"server_version": "1"}), 422, "invalid_envelope")
    # A colleague who was faster is an answer at once, not a case for the office.
    assert pages(owner, "/api/v1/mobile/conflicts") == []

    problem(worker.http.post(f"{path}/review", json={"status": "approved"}), 403, "forbidden")
    problem(owner.http.post(f"{path}/review", json={"status": "pending"}), 422, "invalid_envelope")
    problem(owner.http.post(f"{PATH}/{uuid4()}/review", json={"status": "approved"}), 404, "not_found")
    approved = ok(owner.http.post(f"{path}/review", json={"status": "approved", "notes": "fine"}))
    assert (approved["status"], approved["review_notes"], approved["reviewed_by"]) == ("approved", "fine", owner.id)


def test_exports_hold_what_the_filters_list(owner, worker, new_person) -> None:
    publish_form(owner)
    team = make_team(owner, "Dream", worker)
    eve = new_person("eve")
    placed, unplaced = push(
        worker,
        submission(
            "a",
            {"species": "Adelie", "mass": 3750.5, "comment": "=1+1"},
            metadata={"gps": {"lat": -64.5, "lon": -64.25}},
        ),
        submission("b", {"species": "Gentoo"}),
    )
    features = ok(owner.http.get(f"{PATH}/export.geojson", params={"form": "penguins"}))
    assert features["type"] == "FeatureCollection"
    by_id = {feature["id"]: feature for feature in features["features"]}
    assert set(by_id) == {placed["server_id"], unplaced["server_id"]}
    feature = by_id[placed["server_id"]]
    assert feature["geometry"] == {"type": "Point", "coordinates": [-64.25, -64.5]}
    assert without(feature["properties"], "created_at") == {
        "form": "penguins",
        "form_version": "v1",
        "status": "pending",
        "team": "Dream",
        "author": "wim",
        "device": "wims-phone",
        "reviewed_at": None,
        "review_notes": None,
        "data": {"species": "Adelie", "mass": 3750.5, "comment": "=1+1"},
        "media": [],
    }
    assert by_id[unplaced["server_id"]]["geometry"] is None

    answer = owner.http.get(f"{PATH}/export.csv", params={"form": "penguins"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/csv; charset=utf-8")
    assert answer.headers["content-disposition"] == 'attachment; filename="submissions.csv"'
    lines = {row["id"]: row for row in csv.DictReader(io.StringIO(answer.text, newline=""))}
    assert {name: lines[placed["server_id"]][name] for name in ("species", "mass", "comment", "lat", "team")} == {
        "species": "Adelie",
        "mass": "3750.5",
        "comment": "'=1+1",
        "lat": "-64.5",
        "team": "Dream",
    }
    everything = list(csv.DictReader(io.StringIO(owner.http.get(f"{PATH}/export.csv").text, newline="")))
    assert {row["data"] for row in everything} == {
        '{"mass":3750.5,"comment":"=1+1","species":"Adelie"}',
        '{"species":"Gentoo"}',
    }
    boxed = ok(worker.http.get(f"{PATH}/export.geojson", params={"bbox": "-65,-65,-64,-64", "team": team}))
    assert [feature["id"] for feature in boxed["features"]] == [placed["server_id"]]
    assert ok(eve.http.get(f"{PATH}/export.geojson")) == {"type": "FeatureCollection", "features": []}
    problem(owner.http.get(f"{PATH}/export.csv", params={"bbox": "x"}), 400, "invalid_parameter")
    problem(owner.http.get(f"{PATH}/export.geojson", headers={"accept": "text/html"}), 406, "not_acceptable")


def test_an_export_of_many_rows_is_whole(owner, settings) -> None:
    form = publish_form(owner, "many", {"type": "object"})
    with psycopg.connect(settings.database_url) as conn:
        conn.execute(
            "INSERT INTO fieldwork.submissions (form_id, form_version, data, created_at)"
            " SELECT %s, 'v1', jsonb_build_object('n', n), timestamptz '2026-01-01' + n / 3 * interval '1 minute'"
            " FROM generate_series(1, 1234) n",
            [form["id"]],
        )
    features = ok(owner.http.get(f"{PATH}/export.geojson"))["features"]
    assert sorted(feature["properties"]["data"]["n"] for feature in features) == list(range(1, 1235))
    times = [feature["properties"]["created_at"] for feature in features]
    assert times == sorted(times, reverse=True)
    lines = list(csv.DictReader(io.StringIO(owner.http.get(f"{PATH}/export.csv?form=many").text, newline="")))
    # A schema without properties has no columns of its own: the data come as JSON.
    assert sorted(row["data"] for row in lines) == sorted(f'{{"n":{n}}}' for n in range(1, 1235))
