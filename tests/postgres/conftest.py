"""What the tests of connections share."""

from collections.abc import AsyncIterator

import psycopg
import pytest


@pytest.fixture
async def watcher(database_url: str) -> AsyncIterator[psycopg.AsyncConnection]:
    """A connection outside the pool, to look at the pool's sessions and to stand in their way."""
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as conn:
        yield conn
