"""Photos of submissions: uploaded first, named in a push, verified, in the scopes of their submission."""

from uuid import uuid4

import httpx

from tests.apps.fieldwork.scene import make_team, ok, problem, publish_form, pull, pull_all, push, submission, without

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360000002000100"
    "05fe02fea7a5a90000000049454e44ae426082"
)


def upload(person, filename: str = "nest.png", body: bytes = PNG, *, send: bool = True) -> str:
    """Presign and, unless told not to, send a file; its key."""
    begun = ok(
        person.http.post(
            "/api/v1/mobile/media/presign",
            json={"filename": filename, "content_type": "image/png", "size_bytes": len(body)},
        )
    )
    if send:
        assert httpx.put(begun["upload_url"], content=body, headers=begun["headers"], timeout=30).status_code == 200
    return str(begun["key"])


def test_a_photo_travels_from_the_phone_to_its_team(owner, worker, new_person, do_jobs) -> None:
    publish_form(owner)
    ben, eve = new_person("ben", device_id="bens-phone"), new_person("eve")
    team = make_team(owner, "Dream", worker, ben)
    key = upload(worker)
    named = {
        "key": key,
        "filename": "nest 7.png",
        "gps": {"lat": -64.73, "lon": -64.23},
        "captured_at": "2026-01-02T03:04:05Z",
    }
    (made,) = push(worker, submission("tmp-1", {"species": "Adelie"}, media=[named]))
    assert made["status"] == "ok", made
    (photo,) = pull_all(ben).of("submission_media")
    assert without(photo, "id", "uploaded_at", "created_at") == {
        "submission_id": made["server_id"],
        "key": key,
        "filename": "nest 7.png",
        "content_type": "image/png",
        "size_bytes": len(PNG),
        "captured_at": "2026-01-02T03:04:05.000000Z",
        "team_id": team,
        "author_id": worker.id,
        "gps": {"lat": -64.73, "lon": -64.23},
    }
    shown = ok(ben.http.get(f"/api/v1/submissions/{made['server_id']}"))["media"]
    assert shown == [{**photo, "server_version": 1}]
    do_jobs()  # nobody but Wim and the office gets a photo before its metadata are gone
    found = ben.http.get(f"/api/v1/mobile/media/{photo['id']}", follow_redirects=True)
    assert (found.status_code, found.content) == (200, PNG)
    absent = problem(eve.http.get(f"/api/v1/mobile/media/{uuid4()}"), 404, "not_found")
    assert eve.http.get(f"/api/v1/mobile/media/{photo['id']}").json() == absent
    # The photo puts the submission on the map.
    boxed = ok(owner.http.get("/api/v1/submissions", params={"bbox": "-65,-65,-64,-64"}))["items"]
    assert [row["id"] for row in boxed] == [made["server_id"]]
    (feature,) = ok(owner.http.get("/api/v1/submissions/export.geojson"))["features"]
    assert feature["geometry"] == {"type": "Point", "coordinates": [-64.23, -64.73]}
    assert feature["properties"]["media"] == [
        {"id": photo["id"], "key": key, "filename": "nest 7.png", "gps": {"lat": -64.73, "lon": -64.23}}
    ]
    # When the submission goes to another team, its photo goes with it.
    token = pull_all(ben).token
    other = make_team(owner, "Biscoe")
    ok(owner.http.patch(f"/api/v1/submissions/{made['server_id']}", json={"team_id": other}))
    left = {(change["resource_type"], change["id"], change["reason"]) for change in pull(ben, token)}
    assert left == {
        ("submission", made["server_id"], "out_of_scope"),
        ("submission_media", photo["id"], "out_of_scope"),
    }
    problem(ben.http.get(f"/api/v1/mobile/media/{photo['id']}"), 404, "not_found")


def test_a_missing_file_costs_its_submission_only_until_it_has_arrived(owner, worker) -> None:
    publish_form(owner)
    begun, foreign = upload(worker, send=False), upload(owner)
    items = [
        submission("whole", {"species": "Adelie"}, media=[{"key": upload(worker)}]),
        submission("begun", {"species": "Adelie"}, media=[{"key": begun, "filename": "nest.png"}]),
        submission("foreign", {"species": "Adelie"}, media=[{"key": foreign}]),
        submission("never", {"species": "Adelie"}, media=[{"key": "../../etc/passwd"}]),
        submission("name", {"species": "Adelie"}, media=[{"key": upload(worker), "filename": "../a.png"}]),
        submission("place", {"species": "Adelie"}, media=[{"key": upload(worker), "gps": {"lat": 99, "lon": 0}}]),
        submission("plain", {"species": "Adelie"}),
    ]
    results = {result["client_temp_id"]: (result["status"], result.get("code")) for result in push(worker, *items)}
    assert results == {
        "whole": ("ok", None),
        "begun": ("error", "media_missing"),
        "foreign": ("error", "media_missing"),
        "never": ("error", "media_missing"),
        "name": ("error", "invalid_value"),
        "place": ("error", "invalid_value"),
        "plain": ("ok", None),
    }
    again = ok(worker.http.post("/api/v1/mobile/media/presign", json={"key": begun}))
    assert httpx.put(again["upload_url"], content=PNG, headers=again["headers"], timeout=30).status_code == 200
    (sent_again,) = push(worker, items[1])
    assert sent_again["status"] == "ok"
    assert sorted(row["key"] for row in pull_all(worker).of("submission_media")) == sorted(
        [items[0]["payload"]["media"][0]["key"], begun]
    )


def test_photos_can_follow_later_and_naming_one_twice_is_naming_it_once(owner, worker) -> None:
    publish_form(owner)
    (made,) = push(worker, submission("tmp-1", {"species": "Adelie"}))
    one, two = upload(worker), upload(worker)

    def add(*keys: str) -> dict:
        return {
            "resource_type": "submission",
            "action": "update",
            "payload": {"id": made["server_id"], "media": [{"key": key} for key in keys]},
            "client_version": 1,
        }

    # Beside an item that the database refuses, the batch is written item by item: the photo must come all the same.
    twice = {"client_version": 1, "resource_type": "submission", "action": "create", "client_temp_id": "tmp-2"}
    bad = {**twice, "payload": {"id": made["server_id"], "form_id": "penguins", "data": {"species": "Adelie"}}}
    results = push(worker, add(one), bad, add(one, two))
    assert [(result["status"], result.get("code")) for result in results] == [
        ("ok", None),
        ("conflict", "exists"),
        ("ok", None),
    ]
    (alone,) = push(worker, add(two))
    assert (alone["status"], alone["server_version"]) == ("ok", 1)
    assert sorted(row["key"] for row in pull_all(worker).of("submission_media")) == sorted([one, two])
