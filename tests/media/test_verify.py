import hashlib
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest

from homing.media import Upload, verify_uploads
from homing.media.store import Store, new_key
from homing.postgres.database import Database
from tests.media.people import add_user, begin_upload, put_file

pytestmark = pytest.mark.anyio


async def verify(db: Database, store: Store, user_id: UUID, *keys: str) -> dict[str, Upload | None]:
    async with db.transaction() as conn:
        return await verify_uploads(conn, store, user_id=user_id, keys=keys)


async def row_of(db: Database, key: str) -> tuple[Any, ...]:
    async with db.connection() as conn:
        found = await conn.execute(
            "SELECT completed_at, found_size, found_sha256, referenced_at FROM homing.media WHERE key = %s", [key]
        )
        row = await found.fetchone()
    assert row is not None
    return row


async def test_a_whole_upload_as_promised_is_verified_and_the_row_says_so(db: Database, store: Store) -> None:
    user = await add_user(db)
    key = await begin_upload(db, user, b"four")
    await put_file(store, key, b"four")
    found = await verify(db, store, user, key)
    completed_at, *rest = await row_of(db, key)
    digest = hashlib.sha256(b"four").digest()
    assert isinstance(completed_at, datetime)
    assert rest == [4, digest, None]
    assert found == {key: Upload(key, "a.txt", "text/plain", 4, digest, completed_at)}
    assert await verify(db, store, user, key) == found
    assert await store.size(key) == 4


async def test_what_was_not_promised_is_found_out(db: Database, store: Store) -> None:
    user = await add_user(db)
    key = await begin_upload(db, user, b"", size_bytes=None, sha256=None)
    await put_file(store, key, b"anything")
    found = (await verify(db, store, user, key))[key]
    assert found is not None
    assert (found.size_bytes, found.sha256) == (8, hashlib.sha256(b"anything").digest())


async def test_each_key_is_judged_alone_and_every_reason_is_the_same_none(db: Database, store: Store) -> None:
    user, other = await add_user(db), await add_user(db)
    good = await begin_upload(db, user, b"good")
    foreign = await begin_upload(db, other, b"good")
    wrong_size = await begin_upload(db, user, b"longer")
    wrong_hash = await begin_upload(db, user, b"gold")
    wrong_type = await begin_upload(db, user, b"good", content_type="image/png")
    for key in (good, foreign, wrong_size, wrong_hash, wrong_type):
        await put_file(store, key, b"good")
    begun = await begin_upload(db, user, b"good")
    part = await store.begin(begun)
    await part.write(b"go")
    await part.close()
    never = await begin_upload(db, user, b"good")
    unknown = new_key(datetime(2026, 3, 1))  # noqa: DTZ001
    odd = "../../etc/passwd"
    keys = [good, foreign, wrong_size, wrong_hash, wrong_type, begun, never, unknown, odd, good]
    found = await verify(db, store, user, *keys)
    assert [key for key, upload in found.items() if upload is not None] == [good]
    assert set(found) == set(keys)
    assert (await verify(db, store, other, foreign))[foreign] is not None


async def test_a_file_that_the_store_lost_is_missing_again(db: Database, store: Store) -> None:
    user = await add_user(db)
    key = await begin_upload(db, user, b"four")
    await put_file(store, key, b"four")
    assert (await verify(db, store, user, key))[key] is not None
    await store.delete(key)
    assert await verify(db, store, user, key) == {key: None}


async def test_a_file_is_read_once(db: Database, folder: Any, tmp_path: Any) -> None:
    user = await add_user(db)
    key = await begin_upload(db, user, b"four")
    await put_file(folder, key, b"four")
    before = await verify(db, folder, user, key)
    (tmp_path / "media" / "files" / key).write_bytes(b"FOUR")  # not a thing that happens; it shows that nobody looks
    assert await verify(db, folder, user, key) == before


async def test_a_rollback_takes_the_verdict_back(db: Database, store: Store) -> None:
    user = await add_user(db)
    key = await begin_upload(db, user, b"four")
    await put_file(store, key, b"four")
    with pytest.raises(LookupError):
        async with db.transaction() as conn:
            assert (await verify_uploads(conn, store, user_id=user, keys=[key]))[key] is not None
            raise LookupError
    assert await row_of(db, key) == (None, None, None, None)
    assert (await verify(db, store, user, key))[key] is not None
