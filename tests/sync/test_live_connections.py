"""Who may connect live, for how long, and how a connection ends."""

from __future__ import annotations

import json
import socket as sockets
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from homing.accounts.access import issue_access
from homing.settings import Settings
from tests.fixtures.server import Server, serving
from tests.sync.live import Listener, hear, listening, say, socket, streaming
from tests.sync.scene import Caller, Scene, ok, without


@pytest.fixture(scope="module")
def other(scene: Scene, shop_settings: Settings) -> Iterator[Server]:
    """A second node on the same database, where pages of one other origin may connect."""
    settings = msgspec.structs.replace(
        shop_settings, live_origins=("https://app.example.org",), presence_grace_seconds=0
    )
    with serving(settings) as server:
        yield server


def ended(connection: object) -> int:
    """The code that a connection which says nothing more was closed with."""
    with pytest.raises(ConnectionClosed) as closed:
        while True:
            connection.recv(timeout=60)  # type: ignore[attr-defined]
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("", "invalid_envelope"),
        ("null", "invalid_envelope"),
        ("{", "invalid_envelope"),
        ('{"type": "nothing"}', "invalid_envelope"),
        ('{"type": "token", "token": "a"}', "invalid_envelope"),
        ('{"type": "subscribe"}', "invalid_envelope"),
        ('{"type": "subscribe", "token": "a", "more": 1}', "invalid_envelope"),
        ('{"type": "subscribe", "token": "nonsense"}', "unauthenticated"),
    ],
)
def test_a_first_message_that_is_none_ends_the_connection(scene: Scene, said: str, code: str) -> None:
    with socket(scene.server.url) as connection:
        connection.send(said)
        message = hear(connection)
        assert message is not None
        assert (message["type"], message["code"]) == ("bye", code)
        assert ended(connection) == 1008


def test_a_sync_token_that_is_not_ours_and_tables_that_are_not_there(scene: Scene) -> None:
    person, stranger = scene.person(), scene.person()
    for more, code in [
        ({"since_token": "tok1_nonsense"}, "invalid_token"),
        ({"since_token": stranger.pull()[1]}, "invalid_token"),
        ({"tables": ["nothing"]}, "invalid_envelope"),
        ({"since_token": person.pull()[1], "tables": ["good"]}, "invalid_envelope"),
    ]:
        with socket(scene.server.url) as connection:
            say(connection, type="subscribe", token=person.token, **more)
            message = hear(connection)
            assert message is not None
            assert (message["type"], message["code"]) == ("bye", code)


def test_a_message_that_is_too_large_ends_the_connection(scene: Scene) -> None:
    with socket(scene.server.url) as connection:
        connection.send("x" * 70_000)
        assert ended(connection) == 1009


def test_web_pages_of_other_origins_may_not_connect(scene: Scene, other: Server) -> None:
    for origin in ("https://evil.example", "null", "http://127.0.0.1:1"):
        with pytest.raises(InvalidStatus) as refused, socket(scene.server.url, origin=origin):
            pass
        assert refused.value.response.status_code == 403
        assert json.loads(refused.value.response.body)["code"] == "forbidden"
    for url, origin in [(scene.server.url, scene.server.url), (other.url, "https://app.example.org")]:
        with socket(url, origin=origin) as connection:
            assert connection.response is not None
            assert connection.response.status_code == 101


def test_no_other_address_and_no_query(scene: Scene) -> None:
    base = scene.server.url.replace("http://", "ws://")
    for path, status in [("/api/v1/push", 404), ("/", 404), ("/api/v1/live?token=a", 400)]:
        with pytest.raises(InvalidStatus) as refused, connect(base + path):
            pass
        assert refused.value.response.status_code == status


def test_a_revoked_device_is_out_at_both_nodes(scene: Scene, other: Server) -> None:
    person, office = scene.person(), scene.office()
    with listening(person) as here, listening(person, url=other.url) as there, streaming(person) as stream:
        for each in (here, there, stream):
            each.current()
        began = datetime.now(UTC)
        ok(office.request("PATCH", f"/mobile/devices/{person.device_row}", json={"status": "revoked"}))
        for each in (here, there, stream):
            bye = each.bye()
            assert without(bye, "detail") == {"type": "bye", "action": "wipe", "code": "device_revoked"}
        took = (datetime.now(UTC) - began).total_seconds()
    assert took < 10, "two seconds on a machine that has nothing else to do"
    with socket(scene.server.url) as connection:
        say(connection, type="subscribe", token=person.token)
        message = hear(connection)
    assert message is not None
    assert (message["type"], message["code"]) == ("bye", "device_revoked")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE homing.users SET is_active = false WHERE id = %(user)s",
        "UPDATE homing.users SET role = 'OWNER' WHERE id = %(user)s",
        "UPDATE homing.sessions SET revoked_at = now() WHERE id = %(session)s",
        "UPDATE homing.sessions SET expires_at = now() WHERE id = %(session)s",
        "DELETE FROM homing.sessions WHERE id = %(session)s",
    ],
)
def test_whoever_may_not_go_on_is_out_although_nobody_gave_a_hint(scene: Scene, statement: str) -> None:
    person = scene.person()
    with listening(person) as live:
        live.current()
        scene.conn.execute(statement, {"user": person.user_id, "session": person.session_id})
        assert without(live.bye(), "detail") == {"type": "bye", "action": "login", "code": "unauthenticated"}


def token_for(person: Caller, seconds: int) -> str:
    return issue_access(
        person.scene.server.tenant.keys,
        user_id=UUID(person.user_id),
        role=person.role,
        tenant="default",
        device_id=person.device_id,
        platform="mobile",
        session_id=UUID(person.session_id),
        now=datetime.now(UTC),
        seconds=seconds,
    )


def test_a_socket_outlives_its_access_token_only_with_a_newer_one(scene: Scene) -> None:
    person = scene.person()
    short = replace(person, token=token_for(person, 2))
    with socket(scene.server.url) as connection, listening(short) as left:
        say(connection, type="subscribe", token=short.token)
        live = Listener(lambda: hear(connection)).current()
        left.current()
        say(connection, type="token", token=person.token)
        assert (bye := left.bye())["action"] == "login", bye
        good = scene.good(person.team)
        live.until(lambda: ("good", good) in live.rows)
        say(connection, type="token", token=scene.signed_in(person).token)
        assert live.bye()["code"] == "unauthenticated"


def test_the_oldest_of_too_many_connections_of_a_device_is_ended(scene: Scene) -> None:
    person = scene.person()
    with ExitStack() as stack:
        lives = [stack.enter_context(listening(person)).current() for _ in range(4)]
        assert without(lives[0].bye(), "detail") == {"type": "bye", "action": "stop", "code": "replaced"}
        good = scene.good(person.team)
        for live in lives[1:]:
            live.until(lambda live=live: ("good", good) in live.rows)


def test_presence_follows_connections_with_a_grace_period(scene: Scene, other: Server) -> None:
    office, person = scene.office(), scene.person()
    scene.execute("UPDATE homing.users SET user_type = 'mobile' WHERE id = %s", person.user_id)

    def told(live: Listener, online: bool) -> None:
        while True:
            message = live.next("presence")
            if (message["userId"], message["online_status"]) == (person.user_id, online):
                return

    updated = scene.value("SELECT updated_at FROM homing.users WHERE id = %s", person.user_id)
    with listening(office) as here:
        here.current()
        with listening(person, url=other.url) as live:  # no grace at this node
            live.current()
            told(here, True)
            assert scene.value("SELECT online_status FROM homing.users WHERE id = %s", person.user_id) is True
        told(here, False)
        assert scene.rows(
            "SELECT online_status, last_seen IS NOT NULL, updated_at FROM homing.users WHERE id = %s", person.user_id
        ) == [(False, True, updated)]
        with listening(person) as live:
            live.current()
            told(here, True)
        with listening(person) as live:  # back within the grace period: that is no news
            live.current()
            scene.execute("UPDATE homing.users SET is_active = false WHERE id = %s", office.user_id)
            assert [each for each in here.heard if each["type"] == "presence"][-1]["online_status"] is True
            here.bye()
        presence = [each for each in here.heard if each["type"] == "presence" and each["userId"] == person.user_id]
        assert [each["online_status"] for each in presence] == [True, False, True]
        assert [each for each in live.heard if each["type"] == "presence"] == []  # a phone is not told


def test_what_a_node_that_died_says_is_not_believed_for_ever(scene: Scene) -> None:
    person, office = scene.person(), scene.office()
    with listening(office) as live:
        live.current()
        with scene.conn.transaction():  # the living look for the dead at any moment
            scene.execute(
                "INSERT INTO homing.live_nodes (node, seen_at) VALUES"
                " ('00000000-0000-0000-0000-00000000dead', now() - interval '1 hour')"
            )
            scene.execute(
                "INSERT INTO homing.live_users VALUES ('00000000-0000-0000-0000-00000000dead', %s)", person.user_id
            )
            scene.execute("INSERT INTO homing.presence VALUES (%s, true, now(), pg_current_xact_id())", person.user_id)
            scene.execute("UPDATE homing.users SET online_status = true WHERE id = %s", person.user_id)
        said = None
        while said != (person.user_id, False):
            message = live.next("presence")
            said = message["userId"], message["online_status"]
    assert scene.value("SELECT online_status FROM homing.users WHERE id = %s", person.user_id) is False


def test_a_stream_is_refused_as_any_request_is(scene: Scene) -> None:
    person = scene.person()
    for headers, params, status in [
        ({}, {}, 401),
        ({"authorization": "Bearer nonsense"}, {}, 401),
        ({"authorization": f"Bearer {person.token}"}, {"since_token": "tok1_nonsense"}, 400),
        ({"authorization": f"Bearer {person.token}"}, {"nothing": "1"}, 400),
        ({"authorization": f"Bearer {person.token}", "accept": "application/xml"}, {}, 406),
    ]:
        answer = scene.http.get("/api/v1/live", params=params, headers=headers)
        assert answer.status_code == status, answer.text


def test_a_server_that_stops_says_goodbye(scene: Scene, shop_settings: Settings) -> None:
    person = scene.person()
    with ExitStack() as stack:
        with serving(shop_settings) as stopping:
            live = stack.enter_context(listening(person, url=stopping.url)).current()
        assert without(live.bye(), "detail") == {"type": "bye", "action": "retry", "code": "going_away"}


def test_a_client_that_does_not_read_is_dropped(scene: Scene) -> None:
    person = scene.person()
    host, port = scene.server.address
    slow = sockets.socket()
    slow.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
    slow.connect((host, port))
    with slow, listening(person) as quick:
        head = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        slow.sendall(
            f"GET /api/v1/live HTTP/1.1\r\nHost: {host}\r\n{head}Sec-WebSocket-Key: {'A' * 22}==\r\n\r\n".encode()
        )
        assert slow.recv(12) == b"HTTP/1.1 101"
        body = json.dumps({"type": "subscribe", "token": person.token, "since_token": person.pull()[1]}).encode()
        slow.sendall(b"\x81\xfe" + len(body).to_bytes(2, "big") + b"\0\0\0\0" + body)
        quick.current()
        live = scene.server.tenant.live
        title, written = "x" * 1000, 0
        while len(live._by_owner.get(person.device_id, {})) > 1:  # it is one of two until it is dropped
            assert written < 40_000
            scene.execute(
                "INSERT INTO shop.goods (team_id, title) SELECT %s, %s FROM generate_series(1, 500)", person.team, title
            )
            written += 500
            quick.until(lambda written=written: len(quick.ids("good")) == written)
        slow.settimeout(20)
        left = b""
        while chunk := slow.recv(1 << 20):
            left = (left + chunk)[-400:]
    # Where the machine was so slow that it was given pages instead, nothing piles up; then its pings stay unanswered.
    assert b'"code":"too_slow_reader"' in left or b"keepalive ping timeout" in left
