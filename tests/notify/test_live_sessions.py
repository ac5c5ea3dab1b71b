"""Which sessions have a live connection is in the database, so that workers leave their devices alone."""

from pathlib import Path
from typing import Any

import psycopg
import pytest

from homing.settings import Settings
from tests.fixtures.accounts import Person
from tests.fixtures.server import Server
from tests.sync.live import say, socket


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(database_url=database_url, data_dir=tmp_path, pool_size=4, presence_grace_seconds=0)


def until_connected(conn: psycopg.Connection[Any], expected: list[tuple[str, str | None]]) -> None:
    """The hub says it between two rounds, after what it sends: so it is asked for until it is said."""
    found = None
    while found != expected:
        found = conn.execute(
            "SELECT u.username, s.device_id FROM homing.live_sessions l JOIN homing.sessions s ON s.id = l.session_id"
            " JOIN homing.users u ON u.id = s.user_id ORDER BY 1, 2"
        ).fetchall()


@pytest.mark.timeout(60)
def test_sessions_come_and_go_with_their_connections(
    settings: Settings, server: Server, owner: Person, worker: Person
) -> None:
    desk, device = ("olga@example.org", None), ("wim", "wims-phone")
    with psycopg.connect(settings.database_url or "", autocommit=True) as conn, socket(server.url) as watching:
        say(watching, type="subscribe", token=owner.tokens["access_token"])
        until_connected(conn, [desk])
        with socket(server.url) as phone, socket(server.url) as again:
            for each in (phone, again):
                say(each, type="subscribe", token=worker.tokens["access_token"])
            until_connected(conn, [desk, device])
            again.close()
            until_connected(conn, [desk, device])
        until_connected(conn, [desk])
