"""The same photos where gps columns are PostGIS's geography: nothing that a client sees may differ."""

import psycopg
import pytest

from tests.apps.fieldwork.postgis import make_postgis_database
from tests.apps.fieldwork.test_media import test_a_photo_travels_from_the_phone_to_its_team

__all__ = ["test_a_photo_travels_from_the_phone_to_its_team"]

pytestmark = pytest.mark.postgres15


@pytest.fixture
def database_url(postgres15):
    url = make_postgis_database(postgres15)
    with psycopg.connect(url) as conn:
        assert conn.execute(
            "SELECT atttypid::regtype::text FROM pg_attribute"
            " WHERE attrelid = 'fieldwork.submission_media'::regclass AND attname = 'gps'"
        ).fetchone() == ("geography",)
    yield url
    postgres15.drop_database(url)
