"""What a client does to upload a file, and rows that name one, for tests that come through HTTP."""

import hashlib
import threading
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx
import psycopg

from tests.fixtures.accounts import Person

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20

NAMING_ROWS = """
WITH form AS (
    INSERT INTO fieldwork.mobile_forms (id, code, name, draft_schema)
    VALUES (%(id)s, %(code)s, 'A form', '{}') RETURNING id
), version AS (
    INSERT INTO fieldwork.form_versions (form_id, form_version, schema) SELECT id, '1', '{}' FROM form RETURNING form_id
), submission AS (
    INSERT INTO fieldwork.submissions (id, form_id, form_version, data, author_id)
    SELECT %(id)s, form_id, '1', '{}', %(author)s FROM version RETURNING id
)
SELECT id FROM submission
"""


def presign(person: Person, data: bytes = PNG, **changed: Any) -> dict[str, Any]:
    """Promise ``data``; None takes a member out."""
    body = {
        "filename": "photo.png",
        "content_type": "image/png",
        "size_bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        **changed,
    }
    answer = person.http.post("/api/v1/mobile/media/presign", json={k: v for k, v in body.items() if v is not None})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def uploaded(person: Person, data: bytes = PNG, **changed: Any) -> str:
    """The key of a file that arrived."""
    place = presign(person, data, **changed)
    answer = httpx.put(place["upload_url"], content=data, headers=place["headers"], timeout=30)
    assert answer.status_code == 200, answer.text
    return str(place["key"])


def name_in_submission(database_url: str, key: str, *, author: str, filename: str = "photo.png") -> str:
    """The id of a ``submission_media`` row of a new submission by ``author``."""
    media_id = str(uuid4())
    with psycopg.connect(database_url, autocommit=True) as conn:
        row = conn.execute(NAMING_ROWS, {"id": uuid4(), "code": f"form-{uuid4().hex[:8]}", "author": author}).fetchone()
        assert row is not None
        conn.execute(
            "INSERT INTO fieldwork.submission_media"
            " (id, submission_id, key, filename, content_type, size_bytes, uploaded_at)"
            " SELECT %s, %s, key, %s, content_type, coalesce(found_size, 0), now() FROM homing.media WHERE key = %s",
            [media_id, row[0], filename, key],
        )
    return media_id


def until(done: Callable[[], bool]) -> None:
    """Wait for something the server does by itself."""
    deadline = time.monotonic() + 60
    nobody_sets_this = threading.Event()
    while not done():
        assert time.monotonic() < deadline, "it never happened"
        nobody_sets_this.wait(0.01)  # the server has no signal for us: it is asked again, with a bound
