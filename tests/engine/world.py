"""An engine with people and devices in it, and replicas that apply pages as a device would."""

import json
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import msgspec

from homing.declare import App
from homing.engine import Engine, open_engine
from homing.engine.caller import Claims
from homing.engine.engine import ALONG_INDEXES
from homing.engine.pull import Page, pull
from homing.engine.push import push
from homing.postgres.database import Database
from homing.postgres.roles import AS_API
from homing.protocol import token as tokens
from homing.protocol.messages import PullRequest, PushAnswer, PushRequest
from homing.protocol.token import Token

KEYS = {"test": b"a secret of thirty-two bytes, ok"}

Json = dict[str, Any]


class Replica:
    """What a device holds: rows by (resource type, id), each (version, payload), and the token of the last page."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], tuple[int, Json]] = {}
        self.token: str | None = None

    def apply(self, page: Mapping[str, Any]) -> None:
        for change in page["changes"]:
            key = (change["resource_type"], change["id"])
            if change["action"] == "delete":
                self.rows.pop(key, None)
            else:
                self.rows[key] = (change["server_version"], change["payload"])
        self.token = page["next_token"]

    def payloads(self, resource_type: str) -> dict[str, Json]:
        return {row_id: payload for (name, row_id), (_, payload) in self.rows.items() if name == resource_type}


class World:
    """``url`` is the database; ``person`` brings people in; everything else goes through the engine's own doors."""

    def __init__(self, engine: Engine, url: str) -> None:
        self.engine = engine
        self.url = url

    async def execute(self, query: str, params: Sequence[object] | Mapping[str, object] | None = None) -> list[Any]:
        """One statement from outside the API, by nobody the engine knows; its rows."""
        async with self.engine.owner.connection() as conn:
            cursor = await conn.execute(query, params, prepare=False)  # type: ignore[call-overload]
            return await cursor.fetchall() if cursor.description is not None else []

    async def person(self, role: str = "WORKER", *teams: str | UUID, device: bool = True) -> Claims:
        """A new user with a session and a device, a member of ``teams`` of the demo."""
        user, session, name = uuid4(), uuid4(), f"device-{secrets.token_hex(4)}" if device else None
        await self.execute(
            "INSERT INTO homing.users (id, username, name, role) VALUES (%s, %s, 'somebody', %s)",
            [user, f"user-{user}", role],
        )
        await self.execute(
            "INSERT INTO homing.sessions (id, user_id, expires_at) VALUES (%s, %s, now() + interval '1 day')",
            [session, user],
        )
        if name is not None:
            await self.execute("INSERT INTO homing.mobile_devices (device_id, user_id) VALUES (%s, %s)", [name, user])
        for team in teams:
            await self.execute("INSERT INTO demo.members (team_id, user_id) VALUES (%s, %s)", [team, user])
        return Claims(user, role, "default", "mobile" if device else "web", session, name)

    async def another_device(self, claims: Claims) -> Claims:
        name = f"device-{secrets.token_hex(4)}"
        await self.execute(
            "INSERT INTO homing.mobile_devices (device_id, user_id) VALUES (%s, %s)", [name, claims.user_id]
        )
        return replace(claims, device_name=name)

    async def team(self, name: str = "a team") -> str:
        rows = await self.execute("INSERT INTO demo.teams (name) VALUES (%s) RETURNING id::text", [name])
        return str(rows[0][0])

    async def send(self, claims: Claims, *items: Json | bytes, **envelope: Any) -> PushAnswer:
        """Push a batch; the answer as the server would encode it. Bytes are items as they stand."""
        raws = [msgspec.Raw(item if isinstance(item, bytes) else json.dumps(item).encode()) for item in items]
        return await push(self.engine, claims, PushRequest(items=raws, **envelope))

    async def push(self, claims: Claims, *items: Json | bytes, **envelope: Any) -> list[Json]:
        """Push a batch; its results as a client reads them."""
        answer = await self.send(claims, *items, **envelope)
        results: list[Json] = json.loads(msgspec.json.encode(answer.results))
        return results

    async def answer(
        self, claims: Claims, token: str | None = None, *, limit: int | None = None, tables: list[str] | None = None
    ) -> Page:
        return await pull(self.engine, claims, PullRequest(since_token=token, limit=limit, tables=tables))

    async def page(self, claims: Claims, token: str | None = None, **request: Any) -> Json:
        """Pull one page; the answer as a client reads it."""
        page: Json = json.loads((await self.answer(claims, token, **request)).body())
        return page

    async def sync(self, claims: Claims, replica: Replica | None = None, **request: Any) -> Replica:
        """Pull until the answer is complete."""
        replica = replica or Replica()
        while True:
            page = await self.page(claims, replica.token, **request)
            replica.apply(page)
            if not page["has_more"]:
                return replica

    def read(self, claims: Claims, token: str) -> Token:
        return tokens.decode(token, KEYS, user=claims.user_id, bytes_max=1 << 20)


def item(team: str | UUID, temp_id: str | None = None, **values: Any) -> Json:
    """A create of a demo item."""
    return create("item", temp_id, **{"team_id": str(team), "title": "an item", **values})


def create(resource_type: str, temp_id: str | None = None, **values: Any) -> Json:
    found = {"resource_type": resource_type, "action": "create", "payload": values, "client_version": 1}
    return found if temp_id is None else {**found, "client_temp_id": temp_id}


def update(resource_type: str, row_id: str, version: int | None, temp_id: str | None = None, **values: Any) -> Json:
    found = {"resource_type": resource_type, "action": "update", "payload": {"id": row_id, **values}}
    if version is not None:
        found["client_version"] = version
    return found if temp_id is None else {**found, "client_temp_id": temp_id}


def delete(resource_type: str, row_id: str, version: int | None = None, temp_id: str | None = None) -> Json:
    return update(resource_type, row_id, version, temp_id) | {"action": "delete"}


@asynccontextmanager
async def opened(url: str, apps: Sequence[App], **options: Any) -> AsyncIterator[World]:
    """An engine on the database at ``url``. ``options`` are open_engine's."""
    async with AsyncExitStack() as stack:
        pools = [Database(url), Database(url, options=AS_API), Database(url, options={**AS_API, **ALONG_INDEXES})]
        for pool in pools:
            await pool.open()
            stack.push_async_callback(pool.close)
        engine = await open_engine(
            owner=pools[0], database=pools[1], indexed=pools[2], apps=apps, token_keys=KEYS, **options
        )
        yield World(engine, url)
