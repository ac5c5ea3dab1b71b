"""What the database itself keeps true, whoever writes."""

import psycopg
import pytest
from psycopg import errors

from tests.apps.fieldwork.rows import make_form, make_media, make_submission, make_user, one


@pytest.fixture
def conn(database_url: str):
    with psycopg.connect(database_url, autocommit=True) as conn:
        yield conn


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
