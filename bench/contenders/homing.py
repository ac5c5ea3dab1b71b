"""Homing with everything on: accounts, devices, scopes, validation, idempotency, history. One uvicorn process."""

from __future__ import annotations

import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import psycopg
from argon2 import PasswordHasher

from bench.cluster import Cluster
from bench.contenders import Page
from bench.rows import GENERATED, Row
from bench.server import free_port, running
from bench.wire import Connection

DATABASE = "bench_homing"
BASE = "/api/v1"
PASSWORD = "correct horse battery staple"
TEAM = uuid.UUID(int=1)
DEVICES = 8
RATES = "sync=1000000/60"
"""A device that asks for news without a pause is what some measures are about, and is refused by the ordinary rate."""
SIGNED_IN_SECONDS = 40 * 60
"""Access tokens of the bench's server last an hour: sign in again well before."""

ADD_USER = """
INSERT INTO homing.users (username, name, role, password_hash) VALUES (%(login)s, %(login)s, 'WORKER', %(hash)s)
RETURNING id
"""
JOIN = "INSERT INTO bench.members (user_id, team_id) SELECT %(user)s, unnest(%(teams)s::uuid[])"
FILL = f"""
INSERT INTO bench.items (id, team_id, title, status, quantity, notes, updated_at)
SELECT r.id, %(team)s, r.title, r.status, r.quantity, r.notes, r.updated_at FROM ({GENERATED}) AS r
"""
INSERT = """
INSERT INTO bench.items (id, team_id, title, status, quantity, notes, updated_at)
VALUES (%(id)s, %(team)s, %(title)s, %(status)s, %(quantity)s, %(notes)s, %(updated_at)s)
"""
COUNT = "SELECT count(*) FROM bench.items WHERE team_id = %(team)s"
ROWS = """
SELECT i.id::text, i.version FROM bench.items i JOIN bench.members m ON m.team_id = i.team_id WHERE m.user_id = %(user)s
"""


class _Pulled(msgspec.Struct):
    next_token: str
    changes: list[msgspec.Raw]
    has_more: bool


class _Change(msgspec.Struct):
    id: str
    action: str
    server_version: int | None = None


class _Changes(msgspec.Struct):
    changes: list[_Change]


pulled_decoder, changes_decoder = msgspec.json.Decoder(_Pulled), msgspec.json.Decoder(_Changes)


class HomingClient:
    """``team`` is where its rows go."""

    def __init__(self, port: int, *, device: str, access_token: str, team: uuid.UUID) -> None:
        self._connection = Connection(port, {"Authorization": f"Bearer {access_token}"})
        self._push = self._connection.head("POST", f"{BASE}/mobile/sync/push")
        self._pull = self._connection.head("POST", f"{BASE}/mobile/sync/pull")
        self._device = device
        self._team = team

    def encode(self, rows: Sequence[Row]) -> bytes:
        items = [
            {
                "client_temp_id": f"tmp-{row.id}",
                "resource_type": "item",
                "action": "create",
                "payload": {
                    "id": row.id,
                    "team_id": self._team,
                    "title": row.title,
                    "status": row.status,
                    "quantity": row.quantity,
                    "notes": row.notes,
                    "updated_at": row.updated_at,
                },
                "client_version": 1,
            }
            for row in rows
        ]
        return msgspec.json.encode({"device_id": self._device, "batch_token": f"b-{rows[0].id}", "items": items})

    def push(self, body: bytes, items: int) -> None:
        answer = self._connection.send(self._push, body)
        assert answer.status == 200, answer
        assert answer.body.count(b'"status":"ok"') == items, answer.body[:500]

    def write(self, row: Row) -> None:
        self.push(self.encode([row]), 1)

    def page(self, token: str | None, limit: int) -> Page:
        answer = self._connection.send(self._pull, msgspec.json.encode({"since_token": token, "limit": limit}))
        assert answer.status == 200, answer
        page = pulled_decoder.decode(answer.body)
        return Page(page.next_token, len(page.changes), page.has_more, answer.body)

    def changes(self, body: bytes) -> list[tuple[str, int | None]]:
        found = changes_decoder.decode(body).changes
        return [(each.id, None if each.action == "delete" else each.server_version) for each in found]

    def close(self) -> None:
        self._connection.close()


class User:
    """One account and its devices, signed in."""

    def __init__(self, cluster: Cluster, port: int, *, login: str, devices: int, teams: Sequence[uuid.UUID]) -> None:
        self.login = login
        self.team = teams[0]
        self._port = port
        found = cluster.run(DATABASE, ADD_USER, {"login": login, "hash": PasswordHasher().hash(PASSWORD)})
        self.id: uuid.UUID = found[0][0]
        cluster.run(DATABASE, JOIN, {"user": self.id, "teams": list(teams)})
        self._devices = [f"bench-{login}-{number}" for number in range(devices)]
        self._tokens: list[str] = []
        self._signed_in = float("-inf")
        self._sign_in(register=True)

    def client(self, number: int) -> HomingClient:
        if time.monotonic() - self._signed_in > SIGNED_IN_SECONDS:
            self._sign_in(register=False)
        return HomingClient(self._port, device=self._devices[number], access_token=self._tokens[number], team=self.team)

    def access_token(self, number: int) -> str:
        return self._tokens[number]

    def _sign_in(self, *, register: bool) -> None:
        self._tokens = [self._sign_in_device(device, register=register) for device in self._devices]
        self._signed_in = time.monotonic()

    def _sign_in_device(self, device: str, *, register: bool) -> str:
        body = {"login": self.login, "password": PASSWORD, "platform": "mobile", "device_id": device}
        token = str(_post(Connection(self._port), "/auth/login", body)["access_token"])
        if register:
            about = {"device_id": device, "device_type": "bench", "os_version": "1", "app_version": "1"}
            _post(Connection(self._port, {"Authorization": f"Bearer {token}"}), "/mobile/devices", about)
        return token


def _post(connection: Connection, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = connection.request("POST", BASE + path, msgspec.json.encode(body))
    connection.close()
    if answer.status not in (200, 201):
        raise SystemExit(f"{path}: {answer.status} {answer.body.decode()}")
    return dict(msgspec.json.decode(answer.body))


class Homing:
    name = "homing"
    share = 1.0

    def __init__(self, cluster: Cluster, *, pid: int, port: int) -> None:
        self.pid = pid
        self.port = port
        self.url = cluster.url(DATABASE)
        self._cluster = cluster
        self.worker = self.user("worker", devices=DEVICES, teams=[TEAM])

    def user(self, login: str, *, devices: int, teams: Sequence[uuid.UUID]) -> User:
        return User(self._cluster, self.port, login=login, devices=devices, teams=teams)

    def client(self, number: int) -> HomingClient:
        return self.worker.client(number)

    def fill(self, rows: int) -> None:
        missing = rows - self.count()
        if missing > 0:
            self.run(FILL, {"rows": missing, "team": TEAM})
            self.run("VACUUM ANALYZE bench.items")

    def run(self, query: str, parameters: dict[str, Any] | None = None) -> Sequence[tuple[Any, ...]]:
        return self._cluster.run(DATABASE, query, parameters)

    def count(self) -> int:
        return int(self.run(COUNT, {"team": TEAM})[0][0])

    def rows(self, user: User | None = None) -> dict[str, int]:
        """What ``user`` (the worker, by default) should hold."""
        return dict(self.run(ROWS, {"user": (user or self.worker).id}))

    def insert(self, connection: psycopg.Connection[Any], row: Row) -> None:
        connection.execute(INSERT, {**msgspec.structs.asdict(row), "team": TEAM})


@contextmanager
def second_node(engine: Homing) -> Iterator[int]:
    """Another node on the same database; its port."""
    port = free_port()
    environ = {"HOMING_DATABASE_URL": engine.url, "HOMING_PORT": str(port), "HOMING_APPS": "bench.app"}
    environ["HOMING_RATES"] = RATES
    with running([sys.executable, "-m", "bench.servers.homing"], port=port, environ=environ, name="the second node"):
        yield port


@contextmanager
def homing(cluster: Cluster, *, profile: Path | None = None) -> Iterator[Homing]:
    """Start it. ``profile``: where its Python's profile goes (``bench/servers/homing.py`` says how)."""
    url, port = cluster.create(DATABASE), free_port()
    environ = {"HOMING_DATABASE_URL": url, "HOMING_PORT": str(port), "HOMING_APPS": "bench.app"}
    environ["HOMING_RATES"] = RATES
    environ["HOMING_ACCESS_TOKEN_SECONDS"] = "3600"
    if profile:
        environ["BENCH_PROFILE"] = str(profile)
    with running([sys.executable, "-m", "bench.servers.homing"], port=port, environ=environ, name="Homing") as server:
        yield Homing(cluster, pid=server.pid, port=port)
