"""The same photos where gps columns are PostGIS's geography: nothing that a client sees may differ."""

import psycopg
import pytest

from tests.apps.fieldwork.postgis import make_postgis_database
from tests.apps.fieldwork.test_media import test_a_photo_travels_from_the_phone_to_its_team

__all__ = ["test_a_photo_travels_from_the_phone_to_its_team"]

pytestmark = pytest.mark.postgres15


@pytest.fixture(params=["public", "100% {extensions}"])
def database_url(postgres15, request):
    """PostGIS where it is by default, and in a schema that the API's role has no way into and that needs its quotes."""
    url = make_postgis_database(postgres15, schema=request.param)
    with psycopg.connect(url) as conn:
        assert conn.execute(
            "SELECT t.typname, s.nspname FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid"
            " JOIN pg_namespace s ON s.oid = t.typnamespace"
            " WHERE a.attrelid = 'fieldwork.submission_media'::regclass AND a.attname = 'gps'"
        ).fetchone() == ("geography", request.param)
    yield url
    postgres15.drop_database(url)
