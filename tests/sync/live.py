"""Live clients: over a WebSocket or as a stream of events, in the test's own thread."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.sync.scene import Caller, Json

SECONDS = 20
"""How long anything may take on a slow machine; nothing waits that long when it works."""


class Listener:
    """``read`` gives the next message, None at the end. ``rows`` and ``token`` are what a replica would hold."""

    def __init__(self, read: Callable[[], Json | None]) -> None:
        self._read = read
        self.token: str | None = None
        self.rows: dict[tuple[str, str], tuple[int, Json]] = {}
        self.heard: list[Json] = []

    def next(self, *types: str) -> Json:
        """The next message of one of these types (all but heartbeats, if none is named), applied."""
        while True:
            message = self._read()
            assert message is not None, f"the connection ended; heard: {self.heard[-5:]}"
            self._apply(message)
            if message["type"] in types or (not types and message["type"] != "heartbeat"):
                return message

    def until(self, wanted: Callable[[], bool]) -> None:
        """Read until ``wanted`` holds."""
        while not wanted():
            self.next("entity_update", "current", "presence", "conflict_resolved", "notification")

    def current(self) -> Listener:
        self.next("current")
        return self

    def bye(self) -> Json:
        """The goodbye, after which nothing comes."""
        message = self.next("bye")
        assert self._read() is None
        return message

    def ids(self, entity: str) -> set[str]:
        return {row_id for name, row_id in self.rows if name == entity}

    def _apply(self, message: Json) -> None:
        self.heard.append(message)
        if message["type"] == "entity_update":
            key = (message["entity"], message["id"])
            if message["action"] == "delete":
                self.rows.pop(key, None)
            else:
                self.rows[key] = (message["server_version"], message["data"])
        self.token = message.get("next_token", self.token)


def address(url: str) -> str:
    return url.replace("http://", "ws://") + "/api/v1/live"


@contextmanager
def socket(url: str, **options: Any) -> Iterator[ClientConnection]:
    """A WebSocket that has said nothing yet."""
    with connect(address(url), open_timeout=SECONDS, compression=None, **options) as connection:
        yield connection


@contextmanager
def listening(
    caller: Caller, since: str | None = None, *, url: str | None = None, **subscribe: Any
) -> Iterator[Listener]:
    """Subscribed over a WebSocket, at the scene's server or the one at ``url``."""
    with socket(url or caller.scene.server.url) as connection:
        say(connection, type="subscribe", token=caller.token, since_token=since, **subscribe)
        yield Listener(lambda: hear(connection))


@contextmanager
def streaming(caller: Caller, since: str | None = None, *, headers: dict[str, str] | None = None) -> Iterator[Listener]:
    """Subscribed to the stream of events."""
    params = {} if since is None else {"since_token": since}
    sent = {"authorization": f"Bearer {caller.token}", **(headers or {})}
    with caller.scene.http.stream("GET", "/api/v1/live", params=params, headers=sent, timeout=SECONDS) as answer:
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        yield Listener(events(answer))


def events(answer: httpx.Response) -> Callable[[], Json | None]:
    lines = answer.iter_lines()

    def read() -> Json | None:
        for line in lines:
            if line.startswith("data: "):
                found: Json = json.loads(line[6:])
                return found
        return None

    return read


def say(connection: ClientConnection, **message: Any) -> None:
    connection.send(json.dumps(message))


def hear(connection: ClientConnection) -> Json | None:
    try:
        found: Json = json.loads(connection.recv(timeout=SECONDS))
    except ConnectionClosed:
        return None
    return found
