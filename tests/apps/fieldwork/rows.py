"""Rows of fieldwork's tables, written by plain SQL, for tests of what the database itself does."""

from uuid import UUID, uuid4

import psycopg


def one(conn: psycopg.Connection, query: str, *params: object) -> object:
    row = conn.execute(query, params).fetchone()
    assert row is not None
    return row[0]


def make_user(conn: psycopg.Connection, name: str = "ana") -> UUID:
    return one(
        conn, "INSERT INTO homing.users (username, name, role) VALUES (%s, %s, 'WORKER') RETURNING id", name, name
    )


def make_form(conn: psycopg.Connection) -> UUID:
    form = one(
        conn,
        "INSERT INTO fieldwork.mobile_forms (code, name, schema, version, published, draft)"
        " VALUES ('f-1', 'Form', '{\"type\": \"object\"}', 'v1', true, false) RETURNING id",
    )
    conn.execute(
        "INSERT INTO fieldwork.form_versions (form_id, form_version, schema)"
        " VALUES (%s, 'v1', '{\"type\": \"object\"}')",
        [form],
    )
    return form


def make_submission(conn: psycopg.Connection, form: UUID, metadata: str = "{}", **columns: object) -> UUID:
    names, values = "".join(f", {name}" for name in columns), ", %s" * len(columns)
    return one(
        conn,
        f"INSERT INTO fieldwork.submissions (form_id, form_version, data, metadata{names})"
        f" VALUES (%s, 'v1', '{{}}', %s{values}) RETURNING id",
        form,
        metadata,
        *columns.values(),
    )


def make_media(conn: psycopg.Connection, submission: UUID, user: UUID, lat: float | None, lon: float | None) -> UUID:
    key = f"k/{uuid4()}"
    conn.execute(
        "INSERT INTO homing.media (key, user_id, filename, content_type) VALUES (%s, %s, 'a.png', 'image/png')",
        [key, user],
    )
    return one(
        conn,
        "INSERT INTO fieldwork.submission_media"
        " (submission_id, key, filename, content_type, size_bytes, uploaded_at, gps)"
        " VALUES (%s, %s, 'a.png', 'image/png', 3, now(), fieldwork.gps_from(%s, %s)) RETURNING id",
        submission,
        key,
        lat,
        lon,
    )
