"""How often push and pull ask PostgreSQL, counted on the wire between them: never more for a larger batch."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, quote, urlsplit
from uuid import uuid4

import httpx
import psycopg
import pytest

from homing.settings import Settings
from tests.fixtures.cluster import Cluster
from tests.fixtures.server import serving
from tests.sync.scene import Caller, Json, Scene, create, delete, update

READY = b"Z"
"""PostgreSQL says ReadyForQuery once a round trip: after each statement, or after a whole pipeline."""


class Tap:
    """A way to PostgreSQL that counts its round trips."""

    def __init__(self, upstream: tuple[str, int] | str, listening: socket.socket) -> None:
        self.round_trips = 0
        self._upstream = upstream
        self._listening = listening
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            family = socket.AF_UNIX if isinstance(self._upstream, str) else socket.AF_INET
            server = socket.socket(family)
            server.connect(self._upstream)
            threading.Thread(target=self._forward, args=[client, server], daemon=True).start()
            threading.Thread(target=self._count, args=[server, client], daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        with source, target:
            try:
                while data := source.recv(65536):
                    target.sendall(data)
            except OSError:
                return

    def _count(self, source: socket.socket, target: socket.socket) -> None:
        rest = b""
        try:
            while data := source.recv(65536):
                rest += data
                while len(rest) >= 5:
                    length = struct.unpack("!I", rest[1:5])[0] + 1
                    if len(rest) < length:
                        break
                    self.round_trips += rest[:1] == READY
                    rest = rest[length:]
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            return


def _upstream(url: str) -> tuple[str, int] | str:
    """Where PostgreSQL listens: a host and port, or the path of its socket."""
    parts = urlsplit(url)
    options = parse_qs(parts.query)
    host = options.get("host", [parts.hostname or "localhost"])[0]
    port = int(options.get("port", [str(parts.port or 5432)])[0])
    return f"{host}/.s.PGSQL.{port}" if host.startswith("/") else (host, port)


@contextmanager
def tapped(url: str) -> Iterator[tuple[Tap, str]]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        info = psycopg.conninfo.conninfo_to_dict(url)
        login = quote(str(info.get("user", "postgres")))
        if info.get("password"):
            login += ":" + quote(str(info["password"]))
        port = listening.getsockname()[1]
        through = f"postgresql://{login}@127.0.0.1:{port}/{info['dbname']}?sslmode=disable&gssencmode=disable"
        yield Tap(_upstream(url), listening), through


@pytest.fixture(scope="module")
def counted(
    cluster: Cluster, shop_template: str, shop_settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Tap, Scene]]:
    """A server with one connection a pool, and a tap between it and its database."""
    url = cluster.create_database(shop_template)
    with tapped(url) as (tap, through):
        settings = Settings(
            database_url=through, data_dir=tmp_path_factory.mktemp("tapped"), apps=shop_settings.apps, pool_size=1
        )
        with (
            serving(settings) as server,
            httpx.Client(base_url=server.url, timeout=60) as http,
            psycopg.connect(url, autocommit=True) as conn,
        ):
            yield tap, Scene(server, http, conn)
    cluster.drop_database(url)


def _creates(scene: Scene, device: Caller, count: int) -> list[Json]:
    return [create("shelf", f"c{n}-{next(scene.numbers)}", team_id=device.team, name="x") for n in range(count)]


def _updates(scene: Scene, device: Caller, count: int) -> list[Json]:
    rows = [scene.shelf(device.team) for _ in range(count)]
    return [update("shelf", row, 1, f"u-{next(scene.numbers)}", name="y") for row in rows]


def _merging(scene: Scene, device: Caller, count: int) -> list[Json]:
    """Of rows that somebody else changed since."""
    items = _updates(scene, device, count)
    scene.execute("UPDATE shop.shelves SET size = 1 WHERE team_id = %s", device.team)
    return items


def _mixed(scene: Scene, device: Caller, count: int) -> list[Json]:
    """Every action, references by temp id, edits of one row after the other, in equal parts."""
    items: list[Json] = []
    for _ in range(count // 5):
        name = f"m-{next(scene.numbers)}"
        items += [
            create("shelf", name, team_id=device.team, name="x"),
            create("good", f"g{name}", team_id=device.team, title="x", shelf_id=name),
            update("good", f"g{name}", 1, title="y"),
            update("shelf", scene.shelf(device.team), 1, name="y"),
            delete("shelf", scene.shelf(device.team), 1),
        ]
    return items


def _tree(scene: Scene, device: Caller, count: int) -> list[Json]:
    """Rows of one table that refer to one made in the same batch."""
    root = f"r-{next(scene.numbers)}"
    return [
        create("crate", root, team_id=device.team, name="root"),
        *(create("crate", f"{root}-{n}", team_id=device.team, name="x", inside_id=root) for n in range(count - 1)),
    ]


@pytest.mark.parametrize("kind", [_creates, _updates, _merging, _mixed, _tree], ids=lambda kind: kind.__name__[1:])
def test_a_push_of_fifty_asks_as_often_as_one_of_five(counted: tuple[Tap, Scene], kind: object) -> None:
    tap, scene = counted
    assert callable(kind)
    seen: dict[int, set[int]] = {}
    # Each statement is prepared in a round trip of its own the second time a connection meets it.
    for count in (5, 50, 5, 50, 5, 50, 5, 50):
        device = scene.person()
        items = kind(scene, device, count)
        before = tap.round_trips
        results = device.push(*items)
        assert {result["status"] for result in results} == {"ok"}
        seen.setdefault(count, set()).add(tap.round_trips - before)
    assert min(seen[5]) == min(seen[50])
    assert min(seen[5]) <= 10


def test_a_create_that_brings_its_key_asks_no_more_often_than_one_that_does_not(counted: tuple[Tap, Scene]) -> None:
    """Whether the key was a deleted row's is asked as the batch opens."""
    tap, scene = counted
    device = scene.person()
    seen: dict[bool, set[int]] = {True: set(), False: set()}
    for brings in (True, False) * 4:  # each statement is prepared in a round trip of its own at first
        key = {"id": str(uuid4())} if brings else {}
        before = tap.round_trips
        (made,) = device.push(create("shelf", f"k-{next(scene.numbers)}", team_id=device.team, name="x", **key))
        assert made["status"] == "ok"
        seen[brings].add(tap.round_trips - before)
    assert min(seen[True]) == min(seen[False])


def test_a_page_of_a_pull_is_one_round_trip(counted: tuple[Tap, Scene]) -> None:
    tap, scene = counted
    device = scene.person()
    for _ in range(30):
        scene.shelf(device.team)
    for _ in range(3):
        _, token = device.pull(limit=10)
        device.page(token)
    counts = []
    token = None
    while True:
        before = tap.round_trips
        page = device.page(token, limit=10)
        counts.append(tap.round_trips - before)
        token = page["next_token"]
        if not page["has_more"]:
            break
    before = tap.round_trips
    assert device.page(token)["changes"] == []
    empty = tap.round_trips - before
    # The first page has to learn which scopes the device enters, and writes down that the device is at it; from then on
    # the guess is right. The last page of several looks ahead, because something was written meanwhile, and writes down
    # that the device is done.
    assert (counts[1:-1], counts[-1], empty) == ([1] * (len(counts) - 2), 3, 1)
    assert counts[0] <= 4
    # What a device mostly does: a change or none, in one page.
    for _ in range(3):
        scene.shelf(device.team)
        before = tap.round_trips
        page = device.page(token)
        assert (len(page["changes"]), page["has_more"], tap.round_trips - before) == (1, False, 1)
        token = page["next_token"]
