"""What every store promises: run on a folder and on an S3 bucket."""

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from homing.media import open_store
from homing.media.promise import Found, Promise
from homing.media.sniff import SNIFF_BYTES
from homing.media.store import KEY, Progress, Store, new_key
from homing.protocol.errors import Problem

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LONG = bytes(range(256)) * 4096 * 11  # 11 MiB: more than two of S3's parts


def promise(data: bytes | None = None, **changed: Any) -> Promise:
    """Of ``data``, or of anything."""
    of_data = {} if data is None else {"size": len(data), "sha256": hashlib.sha256(data).digest()}
    return Promise(
        **{"filename": "a.bin", "content_type": "application/octet-stream", "size": None, "sha256": None}
        | of_data
        | {"bytes_max": 2**25}
        | changed
    )


def found(data: bytes) -> Found:
    return Found(len(data), hashlib.sha256(data).digest(), data[:SNIFF_BYTES])


async def bytes_of(store: Store, key: str, **where: int) -> bytes:
    return b"".join([chunk async for chunk in store.read(key, **where)])


async def put(store: Store, key: str, data: bytes, promised: Promise | None = None) -> Found:
    part = await store.begin(key)
    if data:
        await part.write(data)
    try:
        return await part.finish(promised or promise(data))
    finally:
        await part.close()


async def refused(code: str, doing: Any) -> Problem:
    with pytest.raises(Problem) as caught:
        await doing
    assert caught.value.code.code == code
    return caught.value


async def test_a_file_written_in_pieces_is_read_back_whole_and_in_ranges(store: Store) -> None:
    key = new_key(NOW)
    part = await store.begin(key)
    for start in range(0, len(LONG), store.piece_bytes):
        await part.write(LONG[start : start + store.piece_bytes])
    assert await part.finish(promise(LONG)) == found(LONG)
    await part.close()
    assert await store.settle(key, promise(LONG)) == found(LONG)
    assert await store.size(key) == len(LONG)
    assert await bytes_of(store, key) == LONG
    assert await bytes_of(store, key, start=1_000_001) == LONG[1_000_001:]
    assert await bytes_of(store, key, start=255, stop=700_000) == LONG[255:700_000]
    assert await bytes_of(store, key, start=7, stop=7) == b""


async def test_an_empty_file_is_a_file(store: Store) -> None:
    key = new_key(NOW)
    assert await put(store, key, b"") == found(b"")
    assert await store.settle(key, promise(b"")) == found(b"")
    assert (await store.size(key), await bytes_of(store, key)) == (0, b"")


async def test_a_part_is_invisible_and_goes_on_where_it_stopped(store: Store) -> None:
    key = new_key(NOW)
    assert await store.progress(key) == Progress(0, whole=False)
    assert await store.resume(key) is None
    first = await store.begin(key)
    await first.write(b"first half, ")
    await first.keep()
    await first.close()
    assert await store.progress(key) == Progress(12, whole=False)
    assert await store.size(key) is None
    assert await store.settle(key, promise()) is None
    with pytest.raises(FileNotFoundError):
        await bytes_of(store, key)
    second = await store.resume(key)
    assert second is not None
    assert second.offset == 12
    await second.write(b"second half")
    assert await second.finish(promise(b"first half, second half")) == found(b"first half, second half")
    await second.close()
    assert await store.progress(key) == Progress(23, whole=True)


async def test_what_breaks_its_promise_leaves_nothing(store: Store) -> None:
    for data, promised in (
        (b"123", promise(size=4)),
        (b"12345", promise(size=4)),
        (b"1234", promise(sha256=hashlib.sha256(b"4321").digest())),
        (b"not a picture", promise(content_type="image/png")),
        (b"123456", promise(bytes_max=5)),
    ):
        key = new_key(NOW)
        await refused("media_mismatch", put(store, key, data, promised))
        assert await store.progress(key) == Progress(0, whole=False)
        assert await store.settle(key, promised) is None


async def test_beginning_anew_overtakes_who_was_writing(store: Store) -> None:
    key = new_key(NOW)
    stalled = await store.begin(key)
    await stalled.write(b"old beginning")
    fresh = await store.begin(key)
    await fresh.write(b"new")
    await refused("state_conflict", _write_and_finish(stalled, b" and its end"))
    await stalled.close()
    assert await fresh.finish(promise(b"new")) == found(b"new")
    await fresh.close()
    await store.settle(key, promise(b"new"))
    assert await bytes_of(store, key) == b"new"


async def _write_and_finish(part: Any, data: bytes) -> None:
    await part.write(data)
    await part.finish(promise())


async def test_of_two_who_go_on_from_one_place_the_second_changes_nothing(store: Store) -> None:
    key = new_key(NOW)
    stalled = await store.begin(key)
    await stalled.write(b"both have this. ")
    successor = await store.resume(key)
    assert successor is not None
    await successor.write(b"the successor's")
    await refused("state_conflict", stalled.write(b"the dead one's!"))
    await stalled.close()
    whole = b"both have this. the successor's"
    assert await successor.finish(promise(whole)) == found(whole)
    await successor.close()


async def test_eight_writers_at_once_leave_one_whole_file_of_one_of_them(store: Store) -> None:
    key = new_key(NOW)
    bodies = [bytes([n]) * (store.piece_bytes * 2 + n) for n in range(8)]

    async def write(data: bytes) -> bool:
        part = await store.begin(key)
        try:
            for start in range(0, len(data), store.piece_bytes):
                await part.write(data[start : start + store.piece_bytes])
            await part.finish(promise(data))
        except Problem as problem:
            assert problem.code.code == "state_conflict"  # noqa: PT017 - any other problem is a failure
            return False
        finally:
            await part.close()
        return True

    won = await asyncio.gather(*(write(data) for data in bodies))
    assert any(won)
    await store.settle(key, promise())
    assert await bytes_of(store, key) in [data for data, one in zip(bodies, won, strict=True) if one]


async def test_deleting_removes_parts_and_files_and_may_be_repeated(store: Store) -> None:
    begun, whole = new_key(NOW), new_key(NOW)
    part = await store.begin(begun)
    await part.write(b"x")
    await part.close()
    await put(store, whole, b"y")
    await store.settle(whole, promise())
    for key in (begun, whole, begun, new_key(NOW)):
        await store.delete(key)
    assert await store.progress(begun) == await store.progress(whole) == Progress(0, whole=False)
    assert await store.size(whole) is None


async def test_the_sweep_removes_parts_by_age_and_no_file(store: Store) -> None:
    begun, whole = new_key(NOW), new_key(NOW)
    part = await store.begin(begun)
    await part.write(b"x")
    await part.close()
    await put(store, whole, b"y")
    await store.settle(whole, promise())
    long_ago, soon = datetime.now(UTC) - timedelta(days=1), datetime.now(UTC) + timedelta(hours=1)
    assert await store.sweep_parts(before=long_ago) == 0
    assert await store.progress(begun) == Progress(1, whole=False)
    assert await store.sweep_parts(before=soon) == 1
    assert await store.progress(begun) == Progress(0, whole=False)
    assert await bytes_of(store, whole) == b"y"


@pytest.mark.parametrize("key", ["../../etc/passwd", "20260301/" + "0" * 31, "20260301/" + "G" * 32, "", "a" * 41])
async def test_only_keys_of_ours_reach_the_store(store: Store, key: str) -> None:
    with pytest.raises(ValueError, match="not a key of ours"):
        await store.progress(key)


def test_keys_say_when_and_nothing_else() -> None:
    keys = {new_key(NOW) for _ in range(100)}
    assert len(keys) == 100
    assert all(KEY.fullmatch(key) and key.startswith("20260301/") for key in keys)


# A bucket's own promises: clients hold addresses of it that work for a while.


async def send(url: str, data: bytes) -> None:
    async with httpx.AsyncClient() as http:
        assert (await http.put(url, content=data)).status_code == 200


async def test_what_is_settled_cannot_be_replaced_by_an_address_given_out_before(bucket: Any) -> None:
    key = new_key(NOW)
    url = await bucket.put_url(key, seconds=60)
    picture = b"\x89PNG\r\n\x1a\n" + b"the photo"
    promised = promise(picture, content_type="image/png", filename='Grüße "1".png')
    await send(url, picture)
    assert await bucket.size(key) is None
    assert await bucket.progress(key) == Progress(len(picture), whole=True)
    assert await bucket.settle(key, promised) == found(picture)
    await send(url, b"something else altogether")
    assert await bucket.settle(key, promised) == found(picture)
    async with httpx.AsyncClient() as http:
        served = await http.get(await bucket.get_url(key, seconds=60))
    assert served.content == picture
    assert {name: served.headers[name] for name in ("content-type", "content-disposition")} == {
        "content-type": "image/png",
        "content-disposition": "attachment; filename=\"Gru_e _1_.png\"; filename*=UTF-8''Gr%C3%BC%C3%9Fe%20%221%22.png",
    }


async def test_a_file_that_came_by_an_address_and_breaks_its_promise_is_not_settled(bucket: Any) -> None:
    key = new_key(NOW)
    url = await bucket.put_url(key, seconds=60)
    promised = promise(b"right", content_type="text/plain")
    for wrong in (b"wrong", b"far too long", b"no"):
        await send(url, wrong)
        await refused("media_mismatch", bucket.settle(key, promised))
        assert await bucket.size(key) is None
    await send(url, b"right")
    assert await bucket.settle(key, promised) == found(b"right")


async def test_an_address_that_gives_cannot_write_and_one_that_writes_cannot_give(bucket: Any) -> None:
    key = new_key(NOW)
    await put(bucket, key, b"secret")
    await bucket.settle(key, promise())
    from_bucket, to_bucket = await bucket.get_url(key, seconds=60), await bucket.put_url(key, seconds=60)
    assert from_bucket.split("?")[0] != to_bucket.split("?")[0]


@pytest.mark.parametrize("missing", ["bucket", "server"])
async def test_a_bucket_that_is_away_is_one_answer(bucket_url: str, tmp_path: Path, missing: str) -> None:
    url = {
        "bucket": bucket_url.replace("s3://files", "s3://nowhere"),
        "server": "s3://files1/media?endpoint=http://127.0.0.1:1&region=us-east-1",
    }[missing]
    away = open_store(url, data_dir=tmp_path, bytes_max=100)
    part = await away.begin(new_key(NOW))
    problem = await refused("unavailable", part.write(b"x"))
    assert problem.detail == "The media store cannot be reached."
