"""Users, devices and uploads as rows, for tests that do not come through HTTP."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from homing.media.promise import Promise
from homing.media.store import Store, new_key
from homing.postgres.database import Database

NAMING_TABLE = """
CREATE TABLE public.pages (id int PRIMARY KEY GENERATED ALWAYS AS IDENTITY, key text NOT NULL REFERENCES homing.media);
CREATE TRIGGER refer AFTER INSERT ON public.pages REFERENCING NEW TABLE AS named
    FOR EACH STATEMENT EXECUTE FUNCTION homing.refer_to_media();
CREATE TRIGGER release AFTER DELETE ON public.pages REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION homing.release_media();
"""
"""A table whose rows name files, as an application would have it."""


async def add_user(db: Database) -> UUID:
    user_id = uuid4()
    async with db.connection() as conn:
        await conn.execute(
            "INSERT INTO homing.users (id, username, name, role) VALUES (%s, %s, 'Somebody', 'WORKER')",
            [user_id, user_id.hex],
        )
    return user_id


async def begin_upload(
    db: Database, user_id: UUID, data: bytes, *, age: timedelta = timedelta(0), **changed: Any
) -> str:
    """The row of an upload that promises ``data``, begun ``age`` ago; its key."""
    row = {
        "key": new_key(datetime(2026, 3, 1, tzinfo=UTC)),
        "user_id": user_id,
        "filename": "a.txt",
        "content_type": "text/plain",
        "size_bytes": len(data),
        "sha256": hashlib.sha256(data).digest(),
        "age": age,
        **changed,
    }
    async with db.connection() as conn:
        await conn.execute(
            "INSERT INTO homing.media (key, user_id, filename, content_type, size_bytes, sha256, created_at) VALUES"
            " (%(key)s, %(user_id)s, %(filename)s, %(content_type)s, %(size_bytes)s, %(sha256)s, now() - %(age)s)",
            row,
        )
    return str(row["key"])


async def put_file(store: Store, key: str, data: bytes) -> None:
    """A whole file that nobody verified, as a client's PUT to a bucket or a crash before the row leaves it."""
    part = await store.begin(key)
    if data:
        await part.write(data)
    await part.finish(Promise("a", "application/octet-stream", None, None, 2**30))
    await part.close()
