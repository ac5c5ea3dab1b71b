"""A client that follows: its replica changes as the server does, and survives whatever happens to the stream."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import anyio
import psycopg
import pytest

from homing.cli import main
from homing.client import AsyncClient, Client, Heard
from tests.apps.fieldwork.scene import make_meter, make_team
from tests.fixtures.accounts import PASSWORD, Person, create_user
from tests.fixtures.server import Server


@pytest.fixture
def client(settings: Any, server: Server, owner: Person, tmp_path: Path) -> Iterator[Client]:
    """Ana's device; she is a member of a team."""
    user_id = create_user(settings.database_url, "ana", "WORKER")
    with Client(tmp_path / "ana.db", server.url, rng=Random(1), sleep=lambda _seconds: None) as made:
        made.login("ana", PASSWORD)
        made.register_device(device_type="tablet", os_version="1", app_version="1.0.0")
        team = make_team(owner, "South")
        assert owner.http.put(f"/api/v1/teams/{team}/members/{user_id}").status_code == 200
        made.meter = lambda code: make_meter(owner, code, team_id=team)  # type: ignore[attr-defined]
        yield made


def rows_after(news: Iterator[Heard], wanted: tuple[str, str]) -> Heard:
    """The first news with this row."""
    return next(heard for heard in news if wanted in [(name, row_id) for name, row_id, _ in heard.rows])


def test_a_replica_follows(client: Client, settings: Any) -> None:
    news = client.follow()
    first = next(news)
    assert first.report is not None
    assert first.report.ok
    meter = client.meter("m-1")  # type: ignore[attr-defined]
    heard = rows_after(news, ("meter", meter["id"]))
    assert heard.rows == [("meter", meter["id"], "create")]
    assert client.replica.get("meter", meter["id"])["code"] == meter["code"]  # type: ignore[index]
    assert client.replica.status().acked
    with psycopg.connect(settings.database_url, autocommit=True) as conn:
        # The server's side of the stream is cut, and while it is away a row goes: the next sync brings that.
        conn.execute("DELETE FROM fieldwork.meters WHERE id = %s", [meter["id"]])
        rows_after(news, ("meter", meter["id"]))
        assert client.replica.get("meter", meter["id"]) is None
        conn.execute("UPDATE homing.epoch SET epoch = gen_random_uuid(), reason = 'a test'")
        resynced = next(heard for heard in news if heard.report is not None)
        assert resynced.report is not None
        assert (resynced.report.ok, resynced.report.pulled.resyncs) == (True, 1)
        again = client.meter("m-2")  # type: ignore[attr-defined]
        rows_after(news, ("meter", again["id"]))
        conn.execute("UPDATE homing.mobile_devices SET status = 'suspended'")
        ended = list(news)
    assert ended[-1].report is not None
    assert (ended[-1].report.action, ended[-1].report.code) == ("stop", "device_suspended")


def test_an_edit_made_while_following_is_sent_with_the_next_sync(client: Client) -> None:
    news = client.follow()
    next(news)
    meter = client.meter("m-3")  # type: ignore[attr-defined]
    rows_after(news, ("meter", meter["id"]))
    client.replica.update("meter", meter["id"], reading=7)
    assert client.sync().ok  # while the stream is open
    other = client.meter("m-4")  # type: ignore[attr-defined]
    for _ in news:  # the stream noticed that the replica moved, or brings its own edit back; either way it goes on
        if client.replica.get("meter", other["id"]) is not None:
            break
    assert client.replica.get("meter", meter["id"])["reading"] == 7  # type: ignore[index]


async def test_the_asyncio_client_follows(client: Client, server: Server) -> None:
    client.sync()
    async with AsyncClient(client.replica, server.url) as follower:
        with anyio.fail_after(60):
            meter = None
            async for heard in follower.follow():
                if meter is None:
                    meter = await anyio.to_thread.run_sync(client.meter, "m-9")  # type: ignore[attr-defined]
                elif heard.rows:
                    assert heard.rows == [("meter", meter["id"], "create")]
                    break


def test_watching_from_the_shell_ends_when_something_has_to_happen(
    client: Client, settings: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    meter = client.meter("m-5")  # type: ignore[attr-defined]
    client.sync()
    token = client.replica.store.state().token
    follow = Client.follow

    def deleted_and_revoked(self: Client) -> Iterator[Heard]:
        news = follow(self)
        yield next(news)
        with psycopg.connect(settings.database_url, autocommit=True) as conn:
            conn.execute("DELETE FROM fieldwork.meters WHERE id = %s", [meter["id"]])
            yield rows_after(news, ("meter", meter["id"]))
            conn.execute("UPDATE homing.mobile_devices SET status = 'suspended'")
        yield from news

    monkeypatch.setattr(Client, "follow", deleted_and_revoked)
    with pytest.raises(SystemExit) as exited:
        main(["client", "watch", "--replica", str(client.replica.store.path), "--json"])
    out, err = capsys.readouterr()
    assert exited.value.code == 1
    assert json.loads(out.splitlines()[0]) == {"action": "delete", "resource_type": "meter", "id": meter["id"]}
    assert err.startswith("stop: ")
    assert token is not None
