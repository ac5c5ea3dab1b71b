"""People with devices on a running server, and what they say to it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import httpx
import psycopg

from homing.accounts.access import issue_access

if TYPE_CHECKING:
    from tests.fixtures.server import Server

Json = dict[str, Any]


def ok(answer: httpx.Response, status: int = 200) -> Any:
    """The answer's body, which must come with ``status``."""
    assert answer.status_code == status, f"{answer.status_code} {answer.text}"
    return answer.json() if answer.content else None


def problem(answer: httpx.Response, status: int, code: str) -> Json:
    """The problem document, which must have this status and code."""
    assert (answer.status_code, answer.json().get("code")) == (status, code), answer.text
    found: Json = answer.json()
    return found


def without(row: Json, *names: str) -> Json:
    return {name: value for name, value in row.items() if name not in names}


def create(resource_type: str, temp_id: str | None = None, /, **values: Any) -> Json:
    found = {"resource_type": resource_type, "action": "create", "payload": values, "client_version": 1}
    return found if temp_id is None else {**found, "client_temp_id": temp_id}


def update(resource_type: str, row_id: Any, version: int | None, temp_id: str | None = None, /, **values: Any) -> Json:
    found: Json = {"resource_type": resource_type, "action": "update", "payload": {"id": row_id, **values}}
    if version is not None:
        found["client_version"] = version
    return found if temp_id is None else {**found, "client_temp_id": temp_id}


def delete(resource_type: str, row_id: Any, version: int | None = None, temp_id: str | None = None, /) -> Json:
    return update(resource_type, row_id, version, temp_id) | {"action": "delete"}


@dataclass(frozen=True)
class Caller:
    """Somebody signed in. ``device_id``: the device's own name, None in a browser."""

    scene: Scene
    user_id: str
    username: str
    role: str
    session_id: str
    token: str
    team: str
    device_id: str | None = None
    device_row: str | None = None

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.token}", **more.pop("headers", {})}
        return self.scene.http.request(method, f"/api/v1{path}", headers=headers, **more)

    def get(self, path: str, **params: Any) -> httpx.Response:
        return self.request("GET", path, params=params)

    def post(self, path: str, body: Any = None) -> httpx.Response:
        return self.request("POST", path, json={} if body is None else body)

    def send(self, *items: Any, **envelope: Any) -> httpx.Response:
        """A push as it is answered. Bytes are items as they stand."""
        raw = b",".join(item if isinstance(item, bytes) else json.dumps(item).encode() for item in items)
        body = json.dumps(envelope)[:-1].encode() + (b", " if envelope else b"") + b'"items": [' + raw + b"]}"
        return self.request("POST", "/mobile/sync/push", content=body, headers={"content-type": "application/json"})

    def push(self, *items: Any, **envelope: Any) -> list[Json]:
        """A push that is taken; its results."""
        results: list[Json] = ok(self.send(*items, **envelope))["results"]
        return results

    def page(self, token: str | None = None, **more: Any) -> Json:
        found: Json = ok(self.post("/mobile/sync/pull", {"since_token": token, **more}))
        return found

    def pull(self, token: str | None = None, **more: Any) -> tuple[list[Json], str]:
        """Every page until the answer is complete: the changes, and the token to go on from."""
        changes: list[Json] = []
        while True:
            page = self.page(token, **more)
            changes += page["changes"]
            token = page["next_token"]
            if not page["has_more"]:
                return changes, str(token)


@dataclass(eq=False)
class Scene:
    """A server, its database as somebody outside sees it, and people."""

    server: Server
    http: httpx.Client
    conn: psycopg.Connection
    numbers: Any = None

    def __post_init__(self) -> None:
        self.numbers = count(1)

    def rows(self, query: str, *params: Any) -> list[Any]:
        return self.conn.execute(query, params).fetchall()

    def value(self, query: str, *params: Any) -> Any:
        ((found,),) = self.rows(query, *params)
        return found

    def execute(self, query: str, *params: Any) -> None:
        self.conn.execute(query, params)

    def rowcount(self, *tables: str) -> list[int]:
        """How many rows each table has."""
        return [self.value(f"SELECT count(*) FROM {table}") for table in tables]

    def person(self, role: str = "WORKER", team: str | None = None, *, device: bool = True) -> Caller:
        """A new user, a member of ``team`` (a new one if it is not given), signed in on a new device."""
        number = next(self.numbers)
        user, team = str(uuid4()), team or str(uuid4())
        username = f"{role.lower()}-{number}"
        self.execute(
            "INSERT INTO homing.users (id, username, name, role) VALUES (%s, %s, 'somebody', %s)", user, username, role
        )
        self.execute("INSERT INTO shop.members (team_id, user_id) VALUES (%s, %s)", team, user)
        return self.signed_in(Caller(self, user, username, role, "", "", team), device=device)

    def signed_in(self, person: Caller, *, device: bool = True) -> Caller:
        """The same user in a new session, on a new device or in a browser."""
        session, device_id, row = str(uuid4()), None, None
        if device:
            device_id = f"device-{next(self.numbers)}"
            row = str(
                self.value(
                    "INSERT INTO homing.mobile_devices (device_id, user_id) VALUES (%s, %s) RETURNING id",
                    device_id,
                    person.user_id,
                )
            )
        self.execute(
            "INSERT INTO homing.sessions (id, user_id, device_id, expires_at) VALUES (%s, %s, %s, 'infinity')",
            session,
            person.user_id,
            device_id,
        )
        token = issue_access(
            self.server.tenant.keys,
            user_id=UUID(person.user_id),
            role=person.role,
            tenant="default",
            device_id=device_id,
            platform="mobile" if device else "web",
            session_id=UUID(session),
            now=datetime.now(UTC),
            seconds=3600,
        )
        return replace(person, session_id=session, token=token, device_id=device_id, device_row=row)

    def office(self) -> Caller:
        """Somebody of the office, in a browser."""
        return self.person("OWNER", device=False)

    def join(self, person: Caller, team: str) -> None:
        self.execute("INSERT INTO shop.members (team_id, user_id) VALUES (%s, %s)", team, person.user_id)

    def leave(self, person: Caller, team: str) -> None:
        self.execute("DELETE FROM shop.members WHERE team_id = %s AND user_id = %s", team, person.user_id)

    def shelf(self, team: str, **columns: Any) -> str:
        """A shelf put up by somebody outside."""
        return self._insert("shelves", {"team_id": team, "name": "a shelf", **columns})

    def good(self, team: str, **columns: Any) -> str:
        return self._insert("goods", {"team_id": team, "title": "a good", **columns})

    def crate(self, team: str, **columns: Any) -> int:
        return int(self._insert("crates", {"team_id": team, "name": "a crate", **columns}))

    def _insert(self, table: str, columns: Json) -> str:
        names, marks = ", ".join(columns), ", ".join(["%s"] * len(columns))
        return str(self.value(f"INSERT INTO shop.{table} ({names}) VALUES ({marks}) RETURNING id", *columns.values()))
