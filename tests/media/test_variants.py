"""An image goes in with everything a camera writes, and comes out upright, smaller, and silent about where it was."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import psycopg
import pytest
from PIL import Image

from homing.media import shrink, sweep
from homing.media.store import KEY
from homing.protocol.limits import DEFAULT_LIMITS
from homing.server.tenant import Tenant
from homing.settings import Settings
from tests.fixtures.accounts import Person, SignIn
from tests.media.images import (
    SECRET,
    encoded,
    exif,
    heic_saying,
    iphone_photo,
    is_upright,
    opened,
    photo,
    png_saying,
    png_unpacking_to,
    scene,
    screenshot,
)
from tests.media.uploads import name_in_submission, uploaded

AVIF = {"accept": "text/html,image/avif,image/webp,*/*;q=0.8"}
WEBP = {"accept": "image/webp, */*"}


in_both_stores = pytest.mark.parametrize("settings", ["folder", "bucket"], indirect=True)


@pytest.fixture
def settings(request: pytest.FixtureRequest, database_url: str, tmp_path: Path) -> Settings:
    where = getattr(request, "param", "folder")
    media_url = request.getfixturevalue("bucket_url") if where == "bucket" else None
    limits = msgspec.structs.replace(DEFAULT_LIMITS, media_pixels_max=2_000_000)
    return Settings(database_url=database_url, data_dir=tmp_path, pool_size=4, media_url=media_url, limits=limits)


@pytest.fixture
def put(worker: Person, settings: Settings) -> Callable[..., str]:
    """Uploads an image of Wim's and names it in a submission; its id."""

    def put(data: bytes, content_type: str = "image/jpeg", **changed: Any) -> str:
        key = uploaded(worker, data, content_type=content_type, **changed)
        done = worker.http.post("/api/v1/mobile/media/complete", json={"key": key})
        assert done.status_code == 200, done.text
        return name_in_submission(settings.database_url or "", key, author=worker.id)

    return put


def fetch(person: Person, media_id: str, variant: str = "", headers: dict[str, str] | None = None) -> httpx.Response:
    query = f"?variant={variant}" if variant else ""
    answer = person.http.get(f"/api/v1/mobile/media/{media_id}{query}", headers=headers)
    return httpx.get(answer.headers["location"]) if answer.status_code == 307 else answer


def state_of(person: Person, media_id: str) -> dict[str, Any]:
    answer = person.http.get(f"/api/v1/mobile/media/{media_id}/variants")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def files(settings: Settings) -> set[str]:
    """The keys that the database knows."""
    with psycopg.connect(settings.database_url or "") as conn:
        return {
            key for (key,) in conn.execute("SELECT key FROM homing.media UNION SELECT key FROM homing.image_variants")
        }


@in_both_stores
def test_a_photo_comes_out_in_the_sizes_and_formats_that_clients_take(
    put: Callable[..., str], worker: Person, new_person: SignIn, do_jobs: Callable[[], None]
) -> None:
    media_id = put(photo(orientation=6))
    assert state_of(worker, media_id) == {"state": "waiting", "problem": None, "variants": []}
    do_jobs()
    found = state_of(worker, media_id)
    assert (found["state"], found["problem"]) == ("made", None)
    assert [(each["kind"], each["format"], each["width"], each["height"]) for each in found["variants"]] == [
        *(("thumb", name, 240, 320) for name in ("avif", "jpeg", "webp")),
        *(("medium", name, 480, 640) for name in ("avif", "jpeg", "webp")),
        ("original", "jpeg", 480, 640),
    ]
    sizes = {(each["kind"], each["format"]): each["bytes"] for each in found["variants"]}
    for variant in ("thumb", "medium", "original"):
        for headers, name in (
            (AVIF, "avif"),
            (WEBP, "webp"),
            (None, "jpeg"),
            ({"accept": "image/avif;q=0, */*"}, "jpeg"),
        ):
            expected = "jpeg" if variant == "original" else name
            answer = fetch(worker, media_id, variant, headers)
            assert (answer.status_code, answer.headers["content-type"]) == (200, f"image/{expected}")
            assert len(answer.content) == sizes[variant, expected]
            ending = "jpg" if expected == "jpeg" else expected
            assert f'filename="photo.{ending}"' in answer.headers["content-disposition"]
            image = opened(answer.content)
            assert dict(image.getexif()) == {}
            assert SECRET not in answer.content
            # 6 says "turn me to the right": what was left is on top now.
            assert is_upright(image.rotate(90, expand=True))


def test_every_way_of_holding_a_camera(
    put: Callable[..., str], worker: Person, do_jobs: Callable[[], None], settings: Settings
) -> None:
    way = Image.Transpose
    # What the camera did: the inverse of what a viewer must do.
    held = {
        1: scene(),
        2: scene().transpose(way.FLIP_LEFT_RIGHT),
        3: scene().transpose(way.ROTATE_180),
        4: scene().transpose(way.FLIP_TOP_BOTTOM),
        5: scene().transpose(way.TRANSPOSE),
        6: scene().transpose(way.ROTATE_90),
        7: scene().transpose(way.TRANSVERSE),
        8: scene().transpose(way.ROTATE_270),
    }
    media = {turn: put(encoded(image, exif=exif(turn))) for turn, image in held.items()}
    do_jobs()
    for turn, image in held.items():
        assert is_upright(image) == (turn == 1)
        for variant in ("thumb", "original"):
            assert is_upright(opened(fetch(worker, media[turn], variant).content)), (turn, variant)


def test_only_the_sender_and_the_office_see_a_photo_before_it_is_clean(
    put: Callable[..., str],
    worker: Person,
    owner: Person,
    new_person: SignIn,
    settings: Settings,
    do_jobs: Callable[[], None],
) -> None:
    data = photo()
    media_id = put(data)
    ben = new_person("ben", device_id="bens-phone")
    with psycopg.connect(settings.database_url or "") as conn:
        conn.execute("UPDATE fieldwork.submissions SET author_id = %s", [ben.id])
        conn.execute("UPDATE fieldwork.submission_media SET author_id = %s", [ben.id])
    early = fetch(ben, media_id)
    assert (early.status_code, early.json()["code"], early.headers["retry-after"]) == (503, "unavailable", "2")
    for person in (owner,):
        assert fetch(person, media_id, "thumb").content == data
    do_jobs()
    clean = fetch(ben, media_id).content
    assert SECRET not in clean
    assert opened(clean).tobytes() == opened(data).tobytes()  # upright: not a pixel is lost
    assert fetch(owner, media_id).content == clean


@in_both_stores
def test_an_upload_may_keep_what_the_camera_wrote(
    put: Callable[..., str], worker: Person, do_jobs: Callable[[], None]
) -> None:
    data = photo()
    kept, stripped = put(data, keep_metadata=True), put(data, keep_metadata=False)
    do_jobs()
    assert fetch(worker, kept).content == data
    assert SECRET not in fetch(worker, kept, "medium").content
    assert SECRET not in fetch(worker, stripped).content
    assert "original" not in {each["kind"] for each in state_of(worker, kept)["variants"]}


def test_what_has_no_metadata_is_its_own_original(
    put: Callable[..., str], worker: Person, do_jobs: Callable[[], None]
) -> None:
    data = encoded(scene(2000, 900))
    media_id = put(data)
    do_jobs()
    assert fetch(worker, media_id, "original").content == data
    assert [
        (e["kind"], e["width"], e["height"]) for e in state_of(worker, media_id)["variants"] if e["format"] == "jpeg"
    ] == [
        ("thumb", 320, 144),
        ("medium", 1280, 576),
    ]


def test_every_kind_of_image(put: Callable[..., str], worker: Person, do_jobs: Callable[[], None]) -> None:
    clear = scene(mode="RGBA")
    clear.putalpha(100)
    two = [scene(), scene().rotate(180)]
    given = {
        "cmyk": (encoded(scene(mode="CMYK")), "image/jpeg", "jpeg", "jpeg"),
        "grey": (encoded(scene(mode="L")), "image/jpeg", "jpeg", "jpeg"),
        "16 bits": (
            encoded(scene(mode="L").convert("I;16").point(lambda v: v * 256 + 0), "PNG"),
            "image/png",
            "jpeg",
            "png",
        ),
        "palette": (encoded(scene(mode="P"), "PNG"), "image/png", "jpeg", "png"),
        "transparent": (encoded(clear, "PNG"), "image/png", "png", "png"),
        "with text": (screenshot(), "image/png", "jpeg", "png"),
        "webp": (encoded(scene(), "WEBP", exif=exif()), "image/webp", "jpeg", "webp"),
        "avif": (encoded(scene(), "AVIF", exif=exif()), "image/avif", "jpeg", "jpeg"),
        "tiff": (encoded(scene(), "TIFF", description=SECRET.decode()), "image/tiff", "jpeg", "png"),
        "bmp": (encoded(scene(), "BMP"), "image/bmp", "jpeg", "png"),
        "animated": (
            encoded(two[0], "GIF", save_all=True, append_images=two[1:], comment=SECRET),
            "image/gif",
            "jpeg",
            "gif",
        ),
        "animated png": (encoded(two[0], "PNG", save_all=True, append_images=two[1:]), "image/png", "jpeg", "png"),
    }
    media = {what: put(data, kind) for what, (data, kind, _, _) in given.items()}
    do_jobs()
    for what, (data, _, small, whole) in given.items():
        assert state_of(worker, media[what])["problem"] is None, what
        thumb, original = fetch(worker, media[what], "thumb"), fetch(worker, media[what], "original")
        assert thumb.headers["content-type"] == f"image/{small}", what
        assert original.headers["content-type"] == f"image/{whole}", what
        assert SECRET not in original.content
        assert dict(opened(original.content).getexif()) == {}, what
        assert getattr(opened(original.content), "n_frames", 1) == getattr(opened(data), "n_frames", 1), what
        if what in ("grey", "16 bits"):
            top, bottom = (opened(thumb.content).convert("L").getpixel((200, y)) for y in (20, 200))
            assert 70 < top < 100, what  # type: ignore[operator]
            assert 40 < bottom < 65, what  # type: ignore[operator]
        else:
            assert is_upright(opened(thumb.content).convert("RGB")), what


def test_an_iphones_photo_is_read_like_any_other(
    put: Callable[..., str], worker: Person, new_person: SignIn, settings: Settings, do_jobs: Callable[[], None]
) -> None:
    turned = iphone_photo(6)
    clear = scene(mode="RGBA")
    clear.putalpha(100)
    media_id, kept = put(turned, "image/heic"), put(turned, "image/heif", keep_metadata=True)
    upright, see_through = put(iphone_photo(), "image/heif"), put(encoded(clear, "HEIF"), "image/heic")
    do_jobs()
    assert [
        (each["kind"], each["format"], each["width"], each["height"]) for each in state_of(worker, media_id)["variants"]
    ] == [
        *(("thumb", name, 240, 320) for name in ("avif", "jpeg", "webp")),
        *(("medium", name, 480, 640) for name in ("avif", "jpeg", "webp")),
        ("original", "jpeg", 480, 640),
    ]
    for variant, headers, kind in (
        ("thumb", AVIF, "avif"),
        ("medium", WEBP, "webp"),
        ("thumb", None, "jpeg"),
        ("original", AVIF, "jpeg"),
    ):
        answer = fetch(worker, media_id, variant, headers)
        assert (answer.status_code, answer.headers["content-type"]) == (200, f"image/{kind}")
        image = opened(answer.content)
        assert dict(image.getexif()) == {}
        assert SECRET not in answer.content
        assert is_upright(image.rotate(90, expand=True)), variant  # turned once, and not twice
        assert is_upright(opened(fetch(worker, upright, variant, headers).content)), variant
    assert fetch(worker, kept).content == turned
    assert SECRET not in fetch(worker, kept, "medium").content
    assert fetch(worker, see_through).headers["content-type"] == "image/png"


def test_what_is_no_image_is_told_so_and_done_with(
    put: Callable[..., str], worker: Person, new_person: SignIn, settings: Settings, do_jobs: Callable[[], None]
) -> None:
    jpeg = photo()
    given = {
        "truncated": (jpeg[: len(jpeg) // 2], "image/jpeg", "it cannot be read: "),
        "a head and noise": (b"\xff\xd8\xff\xe0" + bytes(range(256)) * 9, "image/jpeg", "it is no JPEG file"),
        "a page": (b"\xff\xd8\xff<html><script>alert(1)</script>", "image/jpeg", "it is no JPEG file"),
        "huge by its head": (png_saying(2**31 - 1, 2**31 - 1), "image/png", "it has more than 2000000 pixels"),
        "large by its head": (png_saying(2000, 1001), "image/png", "it has more than 2000000 pixels"),
        "no pixels": (png_saying(0, 5), "image/png", "it is no PNG file"),
        "few of many": (png_saying(1000, 1000), "image/png", "it cannot be read: "),
        "half a heic": (iphone_photo()[:-600], "image/heic", "it "),
        "heic's head and noise": (iphone_photo()[:64] + bytes(range(256)) * 9, "image/heic", "it is no HEIF file"),
        "huge by heic's head": (heic_saying(2**31 - 1, 2**31 - 1), "image/heic", "it "),
        "large by heic's head": (heic_saying(2000, 1001), "image/heic", "it has more than 2000000 pixels"),
        "other than heic's head": (heic_saying(1000, 1000), "image/heif", "it cannot be read: "),
        "avif that says heic": (encoded(scene(), "AVIF").replace(b"ftypavif", b"ftypheic", 1), "image/heic", "it "),
        "a text of many megabytes": (png_unpacking_to(2**26), "image/png", "it cannot be read: ValueError"),
    }
    media = {what: put(data, kind) for what, (data, kind, _) in given.items()}
    fine = put(jpeg)
    do_jobs()
    for what, (data, _, problem) in given.items():
        found = state_of(worker, media[what])
        assert (found["state"], found["variants"]) == ("broken", []), what
        assert found["problem"].startswith(problem), (what, found)
        for variant in ("thumb", "medium"):
            answer = fetch(worker, media[what], variant)
            assert (answer.status_code, answer.json()["code"]) == (422, "image_broken"), what
            assert found["problem"] in answer.json()["detail"]
        assert fetch(worker, media[what]).content == data  # the sender's own
    assert state_of(worker, fine)["state"] == "made"
    ben = new_person("ben", device_id="bens-phone")
    with psycopg.connect(settings.database_url or "") as conn:
        conn.execute("UPDATE fieldwork.submission_media SET author_id = %s WHERE id = %s", [ben.id, media["truncated"]])
        conn.execute(
            "UPDATE fieldwork.submissions SET author_id = %s WHERE id ="
            " (SELECT submission_id FROM fieldwork.submission_media WHERE id = %s)",
            [ben.id, media["truncated"]],
        )
        assert conn.execute("SELECT count(*) FROM procrastinate.procrastinate_jobs").fetchone() == (0,)
    foreign = fetch(ben, media["truncated"])
    assert (foreign.status_code, foreign.json()["code"]) == (422, "image_broken")


def test_an_image_with_a_page_behind_it_comes_out_without(
    put: Callable[..., str], worker: Person, do_jobs: Callable[[], None]
) -> None:
    page = b"<html><script>alert(1)</script></html>"
    media_id = put(encoded(scene()) + page)
    do_jobs()
    assert page not in fetch(worker, media_id).content


def test_what_is_no_image_by_its_type_stays_as_it_was(put: Callable[..., str], worker: Person) -> None:
    media_id = put(b"%PDF-1.7 ...", "application/pdf", filename="plan.pdf")
    assert state_of(worker, media_id) == {"state": None, "problem": None, "variants": []}
    for variant in ("thumb", "medium", "original"):
        assert fetch(worker, media_id, variant).content == b"%PDF-1.7 ..."


def test_images_from_before_there_were_variants_get_theirs_when_somebody_asks(
    put: Callable[..., str], worker: Person, settings: Settings, do_jobs: Callable[[], None]
) -> None:
    data = photo()
    media_id = put(data)
    do_jobs()
    with psycopg.connect(settings.database_url or "") as conn:
        conn.execute("DELETE FROM homing.image_variants")
        conn.execute("UPDATE homing.media SET image_state = NULL")
    assert fetch(worker, media_id, "thumb").content == data
    do_jobs()
    assert opened(fetch(worker, media_id, "thumb").content).size == (320, 240)


@in_both_stores
def test_out_of_scope_there_is_nothing(
    put: Callable[..., str], new_person: SignIn, do_jobs: Callable[[], None]
) -> None:
    media_id = put(photo())
    do_jobs()
    otto = new_person("otto", device_id="ottos-phone")
    nowhere = otto.http.get(f"/api/v1/mobile/media/{uuid4()}/variants")
    for address in (f"{media_id}/variants", f"{media_id}?variant=thumb"):
        answer = otto.http.get(f"/api/v1/mobile/media/{address}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert answer.content == nowhere.content


@in_both_stores
@pytest.mark.anyio
async def test_variants_go_with_their_image(
    put: Callable[..., str], settings: Settings, do_jobs: Callable[[], None], tenant: Tenant
) -> None:
    await asyncio.to_thread(put, photo())
    await asyncio.to_thread(do_jobs)
    keys = files(settings)
    assert len(keys) == 8
    assert all(KEY.fullmatch(key) for key in keys)
    assert None not in [await tenant.store.size(key) for key in keys]
    later = tenant.clock() + timedelta(days=2)
    assert (await sweep(tenant.database, tenant.store, now=later)).uploads == 0
    async with tenant.engine.owner.connection() as conn:
        await conn.execute("DELETE FROM fieldwork.submission_media")
    assert (await sweep(tenant.database, tenant.store, now=later)).uploads == 1
    assert files(settings) == set()
    assert [await tenant.store.size(key) for key in keys] == [None] * 8


@in_both_stores
@pytest.mark.anyio
async def test_a_try_that_died_leaves_nothing_behind(
    put: Callable[..., str], worker: Person, settings: Settings, do_jobs: Callable[[], None], tenant: Tenant
) -> None:
    media_id = await asyncio.to_thread(put, photo())
    await asyncio.to_thread(do_jobs)
    first = files(settings)
    async with tenant.database.transaction() as conn:  # as if it had died before it said that it was done
        await conn.execute(
            "UPDATE homing.media SET image_state = 'waiting' WHERE homing.defer_job("
            "'homing.images', jsonb_build_object('key', key)) > 0"
        )
    await asyncio.to_thread(do_jobs)
    second = files(settings)
    assert len(first & second) == 1  # the upload
    assert {await tenant.store.size(key) for key in first - second} == {None}
    assert None not in [await tenant.store.size(key) for key in second]
    assert (await asyncio.to_thread(state_of, worker, media_id))["state"] == "made"


def test_memory_and_time_of_reading_are_bounded(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(encoded(Image.new("RGB", (6000, 6000)), "PNG"))
    order = {
        "path": str(image),
        "folder": str(tmp_path),
        "reader": "PNG",
        "boxes": {"thumb": 320},
        "whole": False,
        "pixels_max": 50_000_000,
        "memory_bytes_max": 1536 * 2**20,
        "seconds_max": 60,
    }

    def run(**changed: int) -> tuple[int, Any]:
        command = [sys.executable, "-I", shrink.__file__, json.dumps({**order, **changed})]
        done = subprocess.run(command, capture_output=True, check=False, env={})
        return done.returncode, json.loads(done.stdout) if done.stdout else None

    assert run()[1]["made"][0]["kind"] == "thumb"
    status, answer = run(memory_bytes_max=160 * 2**20)
    assert (status, answer) == (0, {"problem": "reading it needs more memory than an image may take"})
    assert run(seconds_max=0) == (-signal.SIGKILL, None)
