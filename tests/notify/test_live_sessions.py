"""Which sessions have a live connection is in the database, so that workers leave their devices alone."""

from pathlib import Path
from typing import Any

import psycopg
import pytest

from homing.settings import Settings
from tests.fixtures.accounts import Person
from tests.fixtures.server import Server
from tests.sync.live import hear, say, socket


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(database_url=database_url, data_dir=tmp_path, pool_size=4, presence_grace_seconds=0)


def connected(settings: Settings) -> list[Any]:
    assert settings.database_url is not None
    with psycopg.connect(settings.database_url) as conn:
        return conn.execute(
            "SELECT u.username, s.device_id FROM homing.live_sessions l JOIN homing.sessions s ON s.id = l.session_id"
            " JOIN homing.users u ON u.id = s.user_id ORDER BY 1, 2"
        ).fetchall()


def until_seen(connection: Any, user: Person, *, online: bool) -> None:
    while True:
        message = hear(connection)
        assert message is not None
        if message["type"] == "presence" and message["userId"] == user.id and message["online_status"] is online:
            return


def test_sessions_come_and_go_with_their_connections(
    settings: Settings, server: Server, owner: Person, worker: Person
) -> None:
    with socket(server.url) as watching:
        say(watching, type="subscribe", token=owner.tokens["access_token"])
        until_seen(watching, owner, online=True)
        assert connected(settings) == [("olga@example.org", None)]
        with socket(server.url) as phone, socket(server.url) as again:
            for each in (phone, again):
                say(each, type="subscribe", token=worker.tokens["access_token"])
            until_seen(watching, worker, online=True)
            assert connected(settings) == [("olga@example.org", None), ("wim", "wims-phone")]
        until_seen(watching, worker, online=False)
        assert connected(settings) == [("olga@example.org", None)]
