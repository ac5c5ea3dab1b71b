import hashlib
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from homing.media.download import byte_range
from homing.media.links import DOWNLOAD_PATH, UPLOAD_PATH, signed_path
from homing.media.names import attachment
from homing.protocol.errors import Problem
from homing.settings import Settings
from tests.fixtures.accounts import Person, SignIn
from tests.fixtures.server import Server
from tests.media.uploads import PNG, name_in_submission, uploaded

SIZE = len(PNG)


@pytest.fixture
def media_id(worker: Person, settings: Settings) -> str:
    """A photo that Wim uploaded and named in a submission."""
    return name_in_submission(settings.database_url or "", uploaded(worker), author=worker.id, filename='Grüße "1".png')


def address(person: Person, media_id: str, query: str = "") -> str:
    answer = person.http.get(f"/api/v1/mobile/media/{media_id}{query}")
    assert (answer.status_code, answer.headers["cache-control"]) == (307, "no-store"), answer.text
    return answer.headers["location"]


def test_whoever_holds_the_row_gets_the_file(worker: Person, owner: Person, media_id: str, server: Server) -> None:
    for person in (worker, owner):
        url = address(person, media_id)
        assert url.startswith(f"{server.url}{DOWNLOAD_PATH}/")
        answer = httpx.get(url, headers={"accept": "image/png", "accept-encoding": "gzip, zstd"})
        assert (answer.status_code, answer.content) == (200, PNG)
        del answer.headers["date"]
        assert dict(answer.headers) == {
            "content-type": "image/png",
            "content-length": str(SIZE),
            "content-disposition": attachment('Grüße "1".png'),
            "content-security-policy": "default-src 'none'; sandbox",
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
            "cache-control": "private, no-store",
            "accept-ranges": "bytes",
            "etag": answer.headers["etag"],
        }


def test_what_is_not_made_yet_is_answered_with_the_original(worker: Person, media_id: str) -> None:
    for variant in ("thumb", "medium", "original"):
        assert httpx.get(address(worker, media_id, f"?variant={variant}")).content == PNG
    wrong = worker.http.get(f"/api/v1/mobile/media/{media_id}?variant=huge")
    assert (wrong.status_code, wrong.json()["code"]) == (400, "invalid_parameter")


def test_a_file_out_of_scope_is_as_absent_as_none(media_id: str, new_person: SignIn, http: httpx.Client) -> None:
    otto = new_person("otto", device_id="ottos-phone")
    foreign = otto.http.get(f"/api/v1/mobile/media/{media_id}")
    nowhere = otto.http.get(f"/api/v1/mobile/media/{uuid4()}")
    assert (foreign.status_code, foreign.json()["code"]) == (404, "not_found")
    assert foreign.content == nowhere.content
    assert http.get(f"/api/v1/mobile/media/{media_id}").status_code == 401
    assert otto.http.get("/api/v1/mobile/media/..%2F..%2Fetc").status_code in (400, 404)


def test_a_part_of_the_file_can_be_asked_for(worker: Person, media_id: str) -> None:
    url = address(worker, media_id)
    whole = httpx.get(url)
    tag = whole.headers["etag"]
    for header, start, stop in (
        ("bytes=0-0", 0, 1),
        ("bytes=100-299", 100, 300),
        ("bytes=5000-", 5000, SIZE),
        ("bytes=5000-999999", 5000, SIZE),
        ("bytes=-28", SIZE - 28, SIZE),
        ("bytes=-999999", 0, SIZE),
    ):
        answer = httpx.get(url, headers={"Range": header, "If-Range": tag})
        assert (answer.status_code, answer.content) == (206, PNG[start:stop]), header
        assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/{SIZE}"
        assert answer.headers["content-length"] == str(stop - start)
    for headers in ({"Range": "lines=1-2"}, {"Range": "bytes=0-1", "If-Range": '"of another file"'}):
        answer = httpx.get(url, headers=headers)
        assert (answer.status_code, answer.content) == (200, PNG)


def test_ranges_that_are_not_there_and_many_at_once_are_refused(worker: Person, media_id: str) -> None:
    url = address(worker, media_id)
    for header in (
        f"bytes={SIZE}-",
        "bytes=9-8",
        "bytes=-0",
        "bytes=-",
        "bytes=a-b",
        "bytes=0-1,3-4",
        "bytes=0-" + ",0-" * 10_000,
    ):
        answer = httpx.get(url, headers={"Range": header})
        assert (answer.status_code, answer.json()["code"], answer.json()["size"]) == (
            416,
            "range_not_satisfiable",
            SIZE,
        )


def test_an_address_for_fetching_works_for_that_file_as_it_was_given_and_for_a_while(
    worker: Person, media_id: str, server: Server
) -> None:
    good = address(worker, media_id)
    key = httpx.URL(good).path.removeprefix(f"{DOWNLOAD_PATH}/")
    secrets = list(server.tenant.keys.media.values())
    extra = {"filename": "a.png", "content_type": "image/png"}
    bad = {
        "expired": server.url + signed_path(DOWNLOAD_PATH, key, secrets=secrets, expires=1_700_000_000, extra=extra),
        "another type": good.replace("image%2Fpng", "text%2Fhtml"),
        "another name": good.replace("png", "exe", 1) if "png&" in good else good + "x",
        "for sending": server.url
        + signed_path(UPLOAD_PATH, key, secrets=secrets, expires=2_000_000_000).replace(UPLOAD_PATH, DOWNLOAD_PATH),
        "unsigned": good.partition("?")[0],
    }
    answers = {why: httpx.get(url) for why, url in bad.items()}
    assert {why: (a.status_code, a.json()["code"]) for why, a in answers.items()} == dict.fromkeys(
        bad, (403, "invalid_link")
    )
    assert httpx.put(good, content=b"x").status_code == 405


def test_a_file_that_the_store_lost_is_not_found(worker: Person, media_id: str, tmp_path: Path) -> None:
    url = address(worker, media_id)
    (file,) = (path for path in (tmp_path / "media" / "files").rglob("*") if path.is_file())
    file.unlink()
    assert (httpx.get(url).status_code, httpx.get(url).json()["code"]) == (404, "not_found")


def test_a_large_file_comes_whole(worker: Person, settings: Settings) -> None:
    data = PNG + bytes(range(256)) * 100_000
    media_id = name_in_submission(settings.database_url or "", uploaded(worker, data), author=worker.id)
    with httpx.stream("GET", address(worker, media_id)) as answer:
        sha256 = hashlib.sha256()
        for chunk in answer.iter_bytes():
            sha256.update(chunk)
    assert (answer.status_code, sha256.hexdigest()) == (200, hashlib.sha256(data).hexdigest())


class TestBucket:
    @pytest.fixture
    def settings(self, database_url: str, tmp_path: Path, bucket_url: str) -> Settings:
        return Settings(database_url=database_url, data_dir=tmp_path, pool_size=4, media_url=bucket_url)

    def test_the_file_comes_straight_from_there(self, worker: Person, settings: Settings, s3: str) -> None:
        key = uploaded(worker)
        done = worker.http.post("/api/v1/mobile/media/complete", json={"key": key})
        assert done.status_code == 200, done.text
        url = address(worker, name_in_submission(settings.database_url or "", key, author=worker.id))
        answer = httpx.get(url)
        assert url.startswith(s3)
        assert (answer.status_code, answer.content) == (200, PNG)
        assert answer.headers["content-type"] == "image/png"
        assert answer.headers["content-disposition"] == "attachment; filename=\"photo.png\"; filename*=UTF-8''photo.png"


@pytest.mark.parametrize(
    ("header", "size", "expected"),
    [
        ("bytes=0-", 10, (0, 10)),
        ("bytes=3-5", 10, (3, 6)),
        ("bytes=3-99", 10, (3, 10)),
        ("bytes=-3", 10, (7, 10)),
        ("bytes=-99", 10, (0, 10)),
        ("items=0-", 10, None),
        ("", 10, None),
        ("bytes=10-", 10, "refused"),
        ("bytes=0-", 0, "refused"),
        ("bytes=-5", 0, "refused"),
        ("bytes=5-4", 10, "refused"),
        ("bytes=1-2,4-5", 10, "refused"),
        ("bytes= 1-2", 10, "refused"),
        ("bytes=" + "9" * 5000 + "-", 10, "refused"),
    ],
)
def test_a_range_header_is_read_strictly(header: str, size: int, expected: object) -> None:
    try:
        found: object = byte_range(header, size)
    except Problem as problem:
        found = "refused"
        assert problem.code.code == "range_not_satisfiable"  # noqa: PT017 - any other problem is a failure
    assert found == expected
