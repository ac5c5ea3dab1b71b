"""Places behave the same on PostgreSQL's own point and on PostGIS's geography."""

import psycopg
import pytest

from tests.apps.fieldwork.postgis import make_postgis_database
from tests.apps.fieldwork.rows import make_form, make_media, make_submission, make_user


@pytest.fixture(scope="module", params=["point", pytest.param("geography", marks=pytest.mark.postgres15)])
def placed(request):
    """A cluster and, in it, a migrated database whose gps columns are of the type that the parameter names."""
    if request.param == "point":
        return request.getfixturevalue("cluster"), request.getfixturevalue("template")
    old = request.getfixturevalue("postgres15")
    return old, make_postgis_database(old).partition("?")[0].rpartition("/")[2]


@pytest.fixture
def conn(placed):
    cluster, template = placed
    url = cluster.create_database(template)
    with psycopg.connect(url, autocommit=True) as conn:
        yield conn
    cluster.drop_database(url)


def test_the_column_is_of_the_best_type_there_is(conn, request) -> None:
    found = conn.execute(
        "SELECT a.atttypid::regtype::text, i.indexdef ~ 'USING gist' FROM pg_attribute a, pg_indexes i"
        " WHERE a.attrelid = 'fieldwork.submission_media'::regclass AND a.attname = 'gps'"
        " AND i.indexname = 'submission_media_gps'"
    ).fetchone()
    assert found == (request.node.callspec.params["placed"], True)


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
