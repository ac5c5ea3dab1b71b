import re

import httpx
import psycopg
import pytest

from homing.protocol.limits import DEFAULT_LIMITS
from homing.settings import Settings
from tests.fixtures.accounts import Person, SignIn
from tests.fixtures.server import Server
from tests.media.uploads import PNG, presign

ADDRESS = "/api/v1/mobile/media/presign"
GOOD = {"filename": "photo.png", "content_type": "image/png"}


def test_the_answer_says_where_and_how_to_send_the_file(worker: Person, server: Server) -> None:
    answer = worker.http.post(ADDRESS, json=GOOD)
    found = answer.json()
    key = found["key"]
    assert re.fullmatch(r"\d{8}/[0-9a-f]{32}", key)
    url = httpx.URL(found.pop("upload_url"))
    assert str(url.copy_with(query=None)) == f"{server.url}/api/v1/media/upload/{key}"
    assert set(url.params) == {"expires", "signature"}
    assert (answer.status_code, found) == (
        200,
        {
            "method": "PUT",
            "headers": {"Content-Type": "image/png"},
            "key": key,
            "expires_in": 300,
            "resumable": True,
            "size_bytes_max": 512 * 2**20,
        },
    )


def test_a_promise_is_kept_with_its_owner_and_device(worker: Person, settings: Settings) -> None:
    key = presign(worker, b"1234", filename="Grüße.png", content_type="Image/PNG")["key"]
    with psycopg.connect(settings.database_url or "") as conn:
        row = conn.execute(
            "SELECT m.user_id::text, d.device_id, m.filename, m.content_type, m.size_bytes, encode(m.sha256, 'hex'),"
            " m.completed_at, m.referenced_at"
            " FROM homing.media m LEFT JOIN homing.mobile_devices d ON d.id = m.device_id WHERE m.key = %s",
            [key],
        ).fetchone()
    sha256 = "03ac674216f3e15c761ee1a5e255f067953623c8b388b4459e13f978d7c846f4"
    assert row == (worker.id, "wims-phone", "Grüße.png", "image/png", 4, sha256, None, None)


def test_every_upload_gets_a_place_of_its_own(worker: Person) -> None:
    assert len({presign(worker)["key"] for _ in range(20)}) == 20


REFUSED = (
    ({}, 422, "invalid_envelope", "filename and content_type are needed."),
    ({"filename": "a.png"}, 422, "invalid_envelope", "filename and content_type are needed."),
    (
        GOOD | {"filename": "../../etc/passwd"},
        422,
        "invalid_envelope",
        "filename: a file's name without directories",
    ),
    (GOOD | {"filename": "C:\\x.png"}, 422, "invalid_envelope", "filename: a file's name without directories"),
    (GOOD | {"filename": "a\r\nSet-Cookie: x.png"}, 422, "invalid_envelope", "filename: control characters"),
    (GOOD | {"filename": "\u202egnp.exe"}, 422, "invalid_envelope", "filename: control characters"),
    (GOOD | {"filename": ""}, 422, "invalid_envelope", "filename: 1 to 255 bytes"),
    (GOOD | {"filename": "ä" * 128}, 422, "invalid_envelope", "filename: 1 to 255 bytes"),
    (GOOD | {"content_type": "picture"}, 422, "invalid_envelope", "content_type: a media type such as image/jpeg"),
    (GOOD | {"sha256": "abc"}, 422, "invalid_envelope", "Expected `str` matching regex"),
    (GOOD | {"size_bytes": -1}, 422, "invalid_envelope", "Expected `int` >= 0"),
    (GOOD | {"size_bytes": "4"}, 422, "invalid_envelope", "Expected `int | null`, got `str`"),
    (GOOD | {"sha_256": "abc"}, 422, "invalid_envelope", "Object contains unknown field `sha_256`"),
    (GOOD | {"key": "x"}, 422, "invalid_envelope", "A key stands alone"),
    (GOOD | {"size_bytes": 2**40}, 413, "too_large", "A file may have 536870912 bytes."),
)


def test_a_promise_that_cannot_be_kept_is_refused_at_once(worker: Person) -> None:
    for body, status, code, detail in REFUSED:
        answer = worker.http.post(ADDRESS, json=body)
        assert (answer.status_code, answer.json()["code"]) == (status, code), body
        assert answer.json()["detail"].startswith(detail), body


def test_strangers_get_no_place(http: httpx.Client) -> None:
    answer = http.post(ADDRESS, json=GOOD)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


def test_a_new_address_for_an_upload_that_was_begun(worker: Person) -> None:
    place = presign(worker)
    assert httpx.put(place["upload_url"], content=PNG[:100], headers={"Upload-Complete": "?0"}).status_code == 200
    again = worker.http.post(ADDRESS, json={"key": place["key"]}).json()
    assert {k: v for k, v in again.items() if k != "upload_url"} == {
        k: v for k, v in place.items() if k != "upload_url"
    }
    rest = httpx.patch(again["upload_url"], content=PNG[100:], headers={"Upload-Offset": "100"})
    assert (rest.status_code, rest.json()["complete"]) == (200, True)
    late = worker.http.post(ADDRESS, json={"key": place["key"]})
    assert (late.status_code, late.json()["code"]) == (409, "state_conflict")


def test_somebody_elses_upload_is_as_unknown_as_none(worker: Person, new_person: SignIn) -> None:
    other = new_person("otto", device_id="ottos-phone")
    foreign = other.http.post(ADDRESS, json={"key": presign(worker)["key"]})
    nowhere = other.http.post(ADDRESS, json={"key": "20260101/" + "0" * 32})
    assert (foreign.status_code, foreign.json()["code"]) == (404, "not_found")
    assert foreign.content == nowhere.content


def test_uploads_that_are_begun_and_never_finished_end_somewhere(worker: Person, settings: Settings) -> None:
    with psycopg.connect(settings.database_url or "") as conn:
        conn.execute(
            "INSERT INTO homing.media (key, user_id, filename, content_type)"
            " SELECT 'begun ' || n, %s, 'a', 'text/plain' FROM generate_series(1, %s) n",
            [worker.id, DEFAULT_LIMITS.media_begun_max - 1],
        )
    last = presign(worker)
    answer = worker.http.post(ADDRESS, json=GOOD)
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (429, "rate_limited", "60")
    httpx.put(last["upload_url"], content=PNG)
    assert presign(worker)["key"] != last["key"]


class TestBucket:
    """Where files go to an object store."""

    @pytest.fixture
    def settings(self, settings: Settings, bucket_url: str) -> Settings:
        return Settings(
            database_url=settings.database_url, data_dir=settings.data_dir, pool_size=4, media_url=bucket_url
        )

    def test_the_file_goes_straight_there(self, worker: Person, s3: str) -> None:
        place = presign(worker)
        assert (place["resumable"], place["upload_url"].startswith(f"{s3}/files")) == (False, True)
        assert httpx.put(place["upload_url"], content=PNG, headers=place["headers"]).status_code == 200
        done = worker.http.post("/api/v1/mobile/media/complete", json={"key": place["key"]})
        assert (done.status_code, done.json()["size_bytes"]) == (200, len(PNG))

    def test_who_wants_to_resume_sends_it_through_the_server(self, worker: Person, server: Server) -> None:
        place = presign(worker, resumable=True)
        assert (place["resumable"], place["upload_url"].startswith(server.url)) == (True, True)
