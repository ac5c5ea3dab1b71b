"""Files on their way in, over a line that is cut, by clients that err, and against one another."""

import hashlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psycopg
import pytest

from homing.media.links import DOWNLOAD_PATH, UPLOAD_PATH, signed_path
from homing.protocol.limits import DEFAULT_LIMITS
from homing.settings import Settings
from tests.fixtures.accounts import Person, SignIn
from tests.fixtures.server import Server
from tests.media.uploads import PNG, presign, until, uploaded

LONG = PNG + bytes(range(256)) * 40_000  # 10 MB


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def progress(place: dict[str, Any]) -> tuple[str, str]:
    answer = httpx.head(place["upload_url"])
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    return answer.headers["upload-offset"], answer.headers["upload-complete"]


def row_of(settings: Settings, key: str) -> tuple[Any, ...]:
    with psycopg.connect(settings.database_url or "") as conn:
        row = conn.execute(
            "SELECT found_size, found_sha256, completed_at IS NOT NULL FROM homing.media WHERE key = %s", [key]
        ).fetchone()
    assert row is not None
    return row


def complete(person: Person, key: str) -> httpx.Response:
    return person.http.post("/api/v1/mobile/media/complete", json={"key": key})


@pytest.fixture(params=["folder", "bucket"])
def settings(request: pytest.FixtureRequest, database_url: str, tmp_path: Path) -> Settings:
    """Uploads through the server, to each kind of store."""
    media_url = request.getfixturevalue("bucket_url") if request.param == "bucket" else None
    return Settings(database_url=database_url, data_dir=tmp_path, pool_size=4, media_url=media_url)


@pytest.fixture
def place(worker: Person) -> dict[str, Any]:
    return presign(worker, resumable=True)


def test_a_file_arrives_whole_and_once(place: dict[str, Any], worker: Person, settings: Settings) -> None:
    sha256 = hashlib.sha256(PNG)
    answer = httpx.put(place["upload_url"], content=PNG, headers=place["headers"])
    assert (answer.status_code, answer.json()) == (
        200,
        {"key": place["key"], "offset": len(PNG), "complete": True, "sha256": sha256.hexdigest()},
    )
    assert (answer.headers["upload-offset"], answer.headers["upload-complete"]) == (str(len(PNG)), "?1")
    assert row_of(settings, place["key"]) == (len(PNG), sha256.digest(), True)
    assert progress(place) == (str(len(PNG)), "?1")
    for again in (
        httpx.put(place["upload_url"], content=PNG),
        httpx.put(place["upload_url"], content=b"another file"),
        httpx.patch(place["upload_url"], content=b"more", headers={"Upload-Offset": str(len(PNG))}),
    ):
        assert (code_of(again), again.json()["complete"]) == ((409, "state_conflict"), True)
    done = complete(worker, place["key"])
    assert (done.status_code, done.json()["sha256"]) == (200, sha256.hexdigest())


def test_a_file_goes_on_where_the_line_was_cut(worker: Person, server: Server, settings: Settings) -> None:
    place = presign(worker, LONG, resumable=True)
    cut_off(server, place["upload_url"], LONG[:6_000_000], of=len(LONG))
    kept = int(progress(place)[0])
    assert 4 * 2**20 < kept <= 6_000_000
    assert row_of(settings, place["key"]) == (None, None, False)
    assert code_of(complete(worker, place["key"])) == (409, "state_conflict")
    second = httpx.patch(
        place["upload_url"],
        content=LONG[kept:7_000_000],
        headers={"Upload-Offset": str(kept), "Upload-Complete": "?0", "Content-Type": "application/partial-upload"},
    )
    assert (second.status_code, second.json()) == (
        200,
        {"key": place["key"], "offset": 7_000_000, "complete": False, "sha256": None},
    )
    third = httpx.patch(place["upload_url"], content=LONG[7_000_000:], headers={"Upload-Offset": "7000000"})
    assert third.json() == {
        "key": place["key"],
        "offset": len(LONG),
        "complete": True,
        "sha256": hashlib.sha256(LONG).hexdigest(),
    }
    assert row_of(settings, place["key"]) == (len(LONG), hashlib.sha256(LONG).digest(), True)


def cut_off(server: Server, url: str, data: bytes, *, of: int | None) -> None:
    """Send ``data`` of a PUT of ``of`` bytes (None: in chunks), and hang up; return when the server has noticed."""
    target = httpx.URL(url).raw_path.decode()
    framing = "Transfer-Encoding: chunked" if of is None else f"Content-Length: {of}"
    with socket.create_connection(server.address) as line:
        line.sendall(f"PUT {target} HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n".encode())
        line.sendall(data if of is not None else b"%x\r\n%s\r\n" % (len(data), data))
        until(lambda: int(httpx.head(url).headers["upload-offset"]) >= 4 * 2**20)
    until(
        lambda: (
            'method="PUT",route="/api/v1/media/upload/{key}",status="408"' in httpx.get(f"{server.url}/metrics").text
        )
    )


def test_a_plain_put_that_was_cut_may_simply_start_again(worker: Person, server: Server) -> None:
    place = presign(worker, LONG, resumable=True)
    cut_off(server, place["upload_url"], LONG[:6_000_000], of=len(LONG))
    assert httpx.put(place["upload_url"], content=LONG).json()["complete"] is True


def test_a_chunked_body_that_was_cut_is_not_taken_for_the_end(worker: Person, server: Server) -> None:
    place = presign(worker, size_bytes=None, sha256=None, resumable=True)
    cut_off(server, place["upload_url"], LONG[:6_000_000], of=None)
    assert progress(place)[1] == "?0"
    assert code_of(complete(worker, place["key"])) == (409, "state_conflict")


def test_going_on_from_anywhere_else_is_refused_and_says_from_where(place: dict[str, Any]) -> None:
    httpx.put(place["upload_url"], content=PNG[:1000], headers={"Upload-Complete": "?0"})
    for offset in (0, 999, 1001):
        answer = httpx.patch(place["upload_url"], content=b"x", headers={"Upload-Offset": str(offset)})
        assert code_of(answer) == (409, "state_conflict")
        assert (answer.json()["expected_offset"], answer.json()["provided_offset"]) == (1000, offset)
    far = httpx.patch(place["upload_url"], content=b"x", headers={"Upload-Offset": str(10**14)})
    assert code_of(far) == (413, "too_large")
    assert progress(place) == ("1000", "?0")


def test_headers_that_say_nothing_are_refused(place: dict[str, Any]) -> None:
    for method, headers, detail in (
        ("PATCH", {}, "Upload-Offset: the number of bytes that are there is needed."),
        ("PATCH", {"Upload-Offset": "-1"}, "Upload-Offset: the number of bytes that are there is needed."),
        ("PATCH", {"Upload-Offset": "1_0"}, "Upload-Offset: the number of bytes that are there is needed."),
        ("PUT", {"Upload-Complete": "true"}, "Upload-Complete: ?0 or ?1 is possible."),
    ):
        answer = httpx.request(method, place["upload_url"], content=b"x", headers=headers)
        assert (code_of(answer), answer.json()["detail"]) == ((400, "invalid_parameter"), detail)


def test_another_file_than_was_promised_is_refused_and_gone(place: dict[str, Any], worker: Person) -> None:
    for sent, code, detail in (
        (PNG[:-1] + b"?", (422, "media_mismatch"), "its SHA-256 is "),
        (PNG[:-1], (422, "media_mismatch"), "5128 bytes were promised, 5127 "),
        (PNG + b"?", (413, "too_large"), "This file may have 5128 bytes."),
        (b"", (422, "media_mismatch"), "5128 bytes were promised, 0 "),
    ):
        for body in (sent, stream(sent)):
            answer = httpx.put(place["upload_url"], content=body)
            assert code_of(answer) == code
            assert answer.json()["detail"].startswith(detail)
            assert progress(place) == ("0", "?0")
            assert code_of(complete(worker, place["key"])) == (409, "state_conflict")
    assert httpx.put(place["upload_url"], content=PNG).status_code == 200


def stream(data: bytes) -> Iterator[bytes]:
    """A body whose length is not announced."""
    for start in range(0, len(data), 1000):
        yield data[start : start + 1000]


def test_the_bytes_must_be_of_the_promised_type(worker: Person) -> None:
    place = presign(worker, b"<html>", resumable=True)
    answer = httpx.put(place["upload_url"], content=b"<html>")
    assert code_of(answer) == (422, "media_mismatch")
    assert answer.json()["detail"] == "it does not begin like image/png"


def test_a_compressed_body_is_not_a_file(place: dict[str, Any]) -> None:
    answer = httpx.put(place["upload_url"], content=b"x", headers={"Content-Encoding": "gzip"})
    assert code_of(answer) == (415, "unsupported_media_type")


def test_every_address_that_does_not_work_is_one_answer(place: dict[str, Any], server: Server) -> None:
    secrets = list(server.tenant.keys.media.values())
    good = place["upload_url"]
    unknown = "20260101/" + "0" * 32
    bad = {
        "expired": server.url + signed_path(UPLOAD_PATH, place["key"], secrets=secrets, expires=1_700_000_000),
        "altered": good[:-2] + ("AA" if good[-2:] != "AA" else "BB"),
        "unsigned": good.partition("?")[0],
        "another key's": good.replace(place["key"], unknown),
        "unknown key": server.url + signed_path(UPLOAD_PATH, unknown, secrets=secrets, expires=2_000_000_000),
        "for fetching": server.url
        + signed_path(DOWNLOAD_PATH, place["key"], secrets=secrets, expires=2_000_000_000).replace(
            DOWNLOAD_PATH, UPLOAD_PATH
        ),
        "of a stranger": server.url
        + signed_path(UPLOAD_PATH, place["key"], secrets=[b"0" * 32], expires=2_000_000_000),
        "longer": good + "&x=1",
        "twice": good + "&" + good.partition("?")[2],
    }
    answers = {why: httpx.put(url, content=PNG) for why, url in bad.items()}
    assert {why: code_of(answer) for why, answer in answers.items()} == dict.fromkeys(bad, (403, "invalid_link"))
    assert len({answer.content for answer in answers.values()}) == 1
    assert {httpx.head(url).status_code for url in bad.values()} == {403}
    assert {code_of(httpx.patch(url, content=PNG, headers={"Upload-Offset": "0"})) for url in bad.values()} == {
        (403, "invalid_link")
    }
    assert progress(place) == ("0", "?0")


def test_a_path_that_is_no_key_leads_nowhere(http: httpx.Client, settings: Settings) -> None:
    for key in ("..%2f..%2fetc%2fpasswd", "../../../etc/passwd", "%00", "20260101", "a" * 3000, "20260101/" + "0" * 32):
        answer = http.put(f"/api/v1/media/upload/{key}?expires=2000000000&signature=x", content=PNG)
        assert code_of(answer) in {(403, "invalid_link"), (404, "not_found")}
    assert not [path for path in settings.data_dir.rglob("*") if path.is_file() and path.stat().st_size]


def test_a_revoked_devices_address_dies_with_it(place: dict[str, Any], worker: Person, owner: Person) -> None:
    assert worker.device is not None
    httpx.put(place["upload_url"], content=PNG[:100], headers={"Upload-Complete": "?0"})
    answer = owner.http.patch(f"/api/v1/mobile/devices/{worker.device['id']}", json={"status": "revoked"})
    assert answer.status_code == 200, answer.text
    late = httpx.patch(place["upload_url"], content=PNG[100:], headers={"Upload-Offset": "100"})
    assert code_of(late) == (403, "invalid_link")


def test_two_devices_of_one_user_completing_one_upload(worker: Person, sign_in: SignIn, settings: Settings) -> None:
    second = sign_in("wim", device_id="wims-tablet")
    place = presign(worker, resumable=True)
    answers = at_once(
        lambda: httpx.put(place["upload_url"], content=PNG, timeout=60),
        lambda: httpx.put(place["upload_url"], content=PNG, timeout=60),
    )
    assert (200, None) in [(each.status_code, each.json().get("code")) for each in answers]
    assert {each.status_code for each in answers} <= {200, 409}
    done = [complete(person, place["key"]) for person in (worker, second)]
    assert [each.status_code for each in done] == [200, 200]
    assert done[0].json() == done[1].json()
    assert row_of(settings, place["key"]) == (len(PNG), hashlib.sha256(PNG).digest(), True)


def test_of_many_who_send_different_files_to_one_address_one_wins_whole(worker: Person, settings: Settings) -> None:
    place = presign(worker, size_bytes=None, sha256=None, resumable=True)
    bodies = [PNG + bytes([n]) * 3_000_000 for n in range(6)]
    answers = at_once(*(lambda body=body: httpx.put(place["upload_url"], content=body, timeout=60) for body in bodies))
    assert {each.status_code for each in answers} <= {200, 409}
    winners = [
        hashlib.sha256(body).digest() for body, each in zip(bodies, answers, strict=True) if each.status_code == 200
    ]
    size, sha256, done = row_of(settings, place["key"])
    assert (size, done) == (len(bodies[0]), True)
    assert sha256 in winners


def at_once(*calls: Any) -> list[httpx.Response]:
    """Run the calls side by side, begun together."""
    barrier = threading.Barrier(len(calls))
    answers: list[httpx.Response | None] = [None] * len(calls)

    def run(n: int) -> None:
        barrier.wait()
        answers[n] = calls[n]()

    threads = [threading.Thread(target=run, args=(n,)) for n in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [answer for answer in answers if answer is not None]


def test_completing_needs_the_caller_and_the_file(place: dict[str, Any], worker: Person, new_person: SignIn) -> None:
    assert code_of(complete(worker, place["key"])) == (409, "state_conflict")
    httpx.put(place["upload_url"], content=PNG)
    other = new_person("otto", device_id="ottos-phone")
    foreign, nowhere = complete(other, place["key"]), complete(other, "20260101/" + "0" * 32)
    assert code_of(foreign) == (404, "not_found")
    assert foreign.content == nowhere.content
    answer = complete(worker, place["key"]).json()
    assert answer.pop("uploaded_at").endswith("Z")
    assert answer == {
        "key": place["key"],
        "filename": "photo.png",
        "content_type": "image/png",
        "size_bytes": len(PNG),
        "sha256": hashlib.sha256(PNG).hexdigest(),
    }


class TestBounds:
    """Limits of a server that allows little."""

    @pytest.fixture
    def settings(self, database_url: str, tmp_path: Path) -> Settings:
        limits = msgspec.structs.replace(DEFAULT_LIMITS, media_bytes_max=2_000_000, media_stall_seconds_max=1)
        return Settings(database_url=database_url, data_dir=tmp_path, pool_size=4, limits=limits)

    def test_a_file_over_the_limit_is_refused_however_it_comes(self, worker: Person, tmp_path: Path) -> None:
        place = presign(worker, size_bytes=None, sha256=None)
        for body in (LONG, stream(LONG)):
            answer = httpx.put(place["upload_url"], content=body)
            assert code_of(answer) == (413, "too_large")
            assert answer.json()["limit"] == 2_000_000
            assert progress(place) == ("0", "?0")
        assert list((tmp_path / "media" / "parts").iterdir()) == []
        httpx.put(place["upload_url"], content=LONG[:1_500_000], headers={"Upload-Complete": "?0"})
        answer = httpx.patch(
            place["upload_url"], content=stream(LONG[1_500_000:]), headers={"Upload-Offset": "1500000"}
        )
        assert code_of(answer) == (413, "too_large")

    def test_a_sender_that_falls_silent_is_let_go_and_may_go_on(self, worker: Person, server: Server) -> None:
        place = presign(worker)
        target = httpx.URL(place["upload_url"]).raw_path.decode()
        with socket.create_connection(server.address, timeout=60) as line:
            line.sendall(
                f"PUT {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(PNG)}\r\n\r\n".encode() + PNG[:1000]
            )
            told = b"".join(iter(lambda: line.recv(65536), b""))
        assert told.startswith(b"HTTP/1.1 408 ")
        assert progress(place) == ("1000", "?0")
        rest = httpx.patch(place["upload_url"], content=PNG[1000:], headers={"Upload-Offset": "1000"})
        assert rest.json()["complete"] is True


class TestFullDisk:
    @pytest.fixture
    def settings(self, database_url: str, small_disk: Path) -> Settings:
        return Settings(database_url=database_url, data_dir=small_disk, pool_size=4)

    def test_no_room_is_said_and_a_smaller_file_still_fits(self, worker: Person) -> None:
        place = presign(worker, LONG)
        answer = httpx.put(place["upload_url"], content=LONG)
        assert code_of(answer) == (507, "storage_full")
        assert answer.json()["action"] == "retry"
        assert progress(place) == ("0", "?0")
        uploaded(worker)
