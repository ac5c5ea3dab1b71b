"""What the database itself keeps true, whoever writes."""

from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import errors


@pytest.fixture
def conn(database_url: str):
    with psycopg.connect(database_url, autocommit=True) as conn:
        yield conn


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


@pytest.mark.parametrize(
    "statement",
    [
        'UPDATE fieldwork.form_versions SET schema = \'{"type": "object", "x": 1}\'',
        "UPDATE fieldwork.form_versions SET form_version = 'v2'",
        "DELETE FROM fieldwork.form_versions",
        "TRUNCATE fieldwork.form_versions CASCADE",
        "DELETE FROM fieldwork.mobile_forms",
    ],
)
def test_a_published_version_is_kept_for_ever(conn, statement) -> None:
    make_form(conn)
    with pytest.raises((errors.RestrictViolation, errors.ForeignKeyViolation)):
        conn.execute(statement)
    assert conn.execute("SELECT form_version, schema FROM fieldwork.form_versions").fetchall() == [
        ("v1", {"type": "object"})
    ]


def test_a_submission_names_a_version_that_exists(conn) -> None:
    form = make_form(conn)
    with pytest.raises(errors.ForeignKeyViolation):
        conn.execute("INSERT INTO fieldwork.submissions (form_id, form_version, data) VALUES (%s, 'v9', '{}')", [form])


def test_who_reviewed_follows_from_the_status(conn) -> None:
    form, user = make_form(conn), make_user(conn)
    submission = make_submission(conn, form)
    read = "SELECT status::text, reviewed_at IS NOT NULL, reviewed_by FROM fieldwork.submissions"
    assert conn.execute(read).fetchall() == [("pending", False, None)]
    with conn.transaction():
        conn.execute("SELECT set_config('homing.actor', %s, true)", [str(user)])
        conn.execute("UPDATE fieldwork.submissions SET status = 'approved' WHERE id = %s", [submission])
    assert conn.execute(read).fetchall() == [("approved", True, user)]
    conn.execute("UPDATE fieldwork.submissions SET status = 'pending'")
    assert conn.execute(read).fetchall() == [("pending", False, None)]
    conn.execute("UPDATE fieldwork.submissions SET status = 'rejected'")
    assert conn.execute(read).fetchall() == [("rejected", True, None)]


def test_media_are_in_the_scopes_of_their_submission(conn) -> None:
    form, user = make_form(conn), make_user(conn)
    teams = [one(conn, "INSERT INTO fieldwork.teams (name) VALUES (%s) RETURNING id", name) for name in ("a", "b")]
    submission = make_submission(conn, form, team_id=teams[0], author_id=user)
    make_media(conn, submission, user, None, None)
    read = "SELECT team_id, author_id FROM fieldwork.submission_media"
    assert conn.execute(read).fetchall() == [(teams[0], user)]
    conn.execute("UPDATE fieldwork.submissions SET team_id = %s", [teams[1]])
    assert conn.execute(read).fetchall() == [(teams[1], user)]
    conn.execute("UPDATE fieldwork.submission_media SET team_id = NULL, author_id = NULL")
    assert conn.execute(read).fetchall() == [(teams[1], user)]
    conn.execute("DELETE FROM fieldwork.teams WHERE id = %s", [teams[1]])
    assert conn.execute(read).fetchall() == [(None, user)]


def test_a_photo_added_while_its_submission_moves_ends_in_the_new_team(conn, database_url) -> None:
    form, user = make_form(conn), make_user(conn)
    teams = [one(conn, "INSERT INTO fieldwork.teams (name) VALUES (%s) RETURNING id", name) for name in ("a", "b")]
    submission = make_submission(conn, form, team_id=teams[0])
    with psycopg.connect(database_url) as mover, psycopg.connect(database_url) as adder:
        make_media(adder, submission, user, None, None)
        mover.execute("SET lock_timeout = '200ms'")
        with pytest.raises(errors.LockNotAvailable):
            mover.execute("UPDATE fieldwork.submissions SET team_id = %s", [teams[1]])
        mover.rollback()
        adder.commit()
        mover.execute("UPDATE fieldwork.submissions SET team_id = %s", [teams[1]])
    assert conn.execute("SELECT team_id FROM fieldwork.submission_media").fetchall() == [(teams[1],)]


@pytest.mark.parametrize(
    ("metadata", "place"),
    [
        ('{"gps": {"lat": -64.77, "lon": -64.08}}', (-64.77, -64.08)),
        ('{"gps": {"lat": 90, "lon": -180}}', (90, -180)),
        ('{"gps": {"lat": 1e-400, "lon": 0}}', (0, 0)),
        ("{}", None),
        ('{"gps": null}', None),
        ('{"gps": {"lat": 91, "lon": 0}}', None),
        ('{"gps": {"lat": 1e400, "lon": 0}}', None),
        ('{"gps": {"lat": "1", "lon": 0}}', None),
        ('{"gps": {"lat": [1], "lon": {}}}', None),
        ('{"gps": [1, 2]}', None),
        ('"gps"', None),
        ("[]", None),
    ],
)
def test_metadata_puts_a_submission_on_the_map_and_never_fails(conn, metadata, place) -> None:
    make_submission(conn, make_form(conn), metadata)
    found = conn.execute(
        "SELECT fieldwork.gps_lat(place), fieldwork.gps_lon(place) FROM fieldwork.submissions"
    ).fetchone()
    assert found == (place or (None, None))


@pytest.mark.parametrize(
    ("box", "found"),
    [
        ((-66, -66, -63, -64), {"palmer", "photo"}),
        ((-66, -66, -63, -64.75), {"palmer"}),
        ((-64.08, -64.77, -64.08, -64.77), {"palmer"}),
        ((179, -1, -179, 1), {"east of the line", "west of the line"}),
        ((-179.5, -1, 179.2, 1), {"nowhere else"}),
        ((-180, -90, 180, 90), {"palmer", "photo", "east of the line", "west of the line", "nowhere else"}),
        ((10, 10, 11, 11), set()),
    ],
)
def test_a_box_finds_places_and_photos_also_across_the_date_line(conn, box, found) -> None:
    form, user = make_form(conn), make_user(conn)
    places = {
        "palmer": (-64.77, -64.08),
        "east of the line": (0.5, -179.75),
        "west of the line": (0.5, 179.5),
        "nowhere else": (0, 0),
    }
    names = {
        make_submission(conn, form, f'{{"gps": {{"lat": {lat}, "lon": {lon}}}}}'): name
        for name, (lat, lon) in places.items()
    }
    photographed = make_submission(conn, form)
    names[photographed] = "photo"
    make_media(conn, photographed, user, -64.7, -64.2)
    rows = conn.execute("SELECT fieldwork.submissions_within(%s, %s, %s, %s)", box).fetchall()
    assert {names[row[0]] for row in rows} == found


def test_readings_are_numbers_and_name_their_writer(conn) -> None:
    user = make_user(conn)
    conn.execute("INSERT INTO fieldwork.meters (code, reading) VALUES ('m-1', 50)")
    for reading in ("NaN", "Infinity", "-Infinity"):
        with pytest.raises(errors.CheckViolation):
            conn.execute("UPDATE fieldwork.meters SET reading = %s", [reading])
    read = "SELECT reading, last_updated_by FROM fieldwork.meters"
    assert conn.execute(read).fetchall() == [(50.0, "sys")]
    with conn.transaction():
        conn.execute("SELECT set_config('homing.actor', %s, true)", [str(user)])
        conn.execute("UPDATE fieldwork.meters SET reading = 42, last_updated_by = 'somebody else'")
    assert conn.execute(read).fetchall() == [(42.0, str(user))]
