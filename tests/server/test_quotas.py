"""Quotas of a tenant, kept by its own database and at the door; its neighbour notices nothing."""

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from homing.protocol.errors import Problem
from homing.settings import Settings
from homing.tenants.quotas import Pushes, Rows
from tests.fixtures.tenants import Crowd, Running, running

Making = Callable[..., Crowd]
PUSH = "/api/v1/mobile/sync/push"


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(database_url=database_url, data_dir=tmp_path, pool_size=2, apps=("fieldwork",))


async def new_user(here: Running, tenant: str, login: str) -> tuple[int, Any]:
    body = {"login": login, "name": login, "role": "WORKER"}
    answer = await here.http.post("/api/v1/users", headers=await here.headers(tenant, "olga"), json=body)
    return answer.status_code, answer.json().get("code")


async def test_active_users_are_counted_also_when_many_come_at_once(settings: Settings, crowd: Making) -> None:
    made = crowd("ada", quotas='{"users": 4}')
    crowd("ben")
    async with running(settings, made) as here:
        found = await asyncio.gather(*(new_user(here, "ada", f"user-{number}") for number in range(6)))
        assert sorted(found, key=str) == [(201, None)] * 2 + [(403, "quota_exceeded")] * 4
        assert made.on("ada", "SELECT count(*) FROM homing.users WHERE is_active") == [(4,)]
        made.on("ada", "UPDATE homing.users SET is_active = false WHERE username = 'wim'")
        assert await new_user(here, "ada", "another") == (201, None)
        with pytest.raises(Exception, match="users"):
            made.on("ada", "UPDATE homing.users SET is_active = true WHERE username = 'wim'")
        assert [await new_user(here, "ben", f"user-{number}") for number in range(3)] == [(201, None)] * 3


async def test_devices_and_bytes_of_files_are_counted(settings: Settings, crowd: Making) -> None:
    made = crowd("ada", quotas='{"devices": 1, "media_bytes": 100}')
    async with running(settings, made) as here:
        body = {"device_id": "a-second-one", "device_type": "test", "os_version": "1", "app_version": "1"}
        answer = await here.http.post(
            "/api/v1/mobile/devices", headers=await here.headers("ada", "olga"), json=body
        )  # fmt: skip
        assert (answer.status_code, answer.json()["code"], answer.json()["quota"]) == (403, "quota_exceeded", "devices")

        headers = await here.headers("ada")
        sizes = []
        for size in (60, 50, 40):
            file = {"filename": "a.bin", "content_type": "application/octet-stream", "size_bytes": size}
            sizes.append(await here.http.post("/api/v1/mobile/media/presign", headers=headers, json=file))
        assert [each.status_code for each in sizes] == [200, 403, 200]
        assert sizes[1].json()["quota"] == "media_bytes"


async def test_the_address_of_an_upload_leads_to_its_tenant_without_any_header(
    settings: Settings, crowd: Making
) -> None:
    async with running(settings, crowd("ada", "ben")) as here:
        data = b"0123456789"
        file = {
            "filename": "a.bin",
            "content_type": "application/octet-stream",
            "size_bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
        }
        asked = await here.http.post(
            "/api/v1/mobile/media/presign", headers=await here.headers("ada"), json=file
        )  # fmt: skip
        url, headers = asked.json()["upload_url"], asked.json()["headers"]
        assert url.endswith("&tenant=ada")
        refused = [
            await here.http.put(url.replace("tenant=ada", other), headers=headers, content=data)
            for other in ("tenant=ben", "tenant=default", "x=1")
        ]
        assert {(each.status_code, each.json()["code"]) for each in refused} == {(403, "invalid_link")}
        assert (await here.http.put(url, headers=headers, content=data)).json()["complete"] is True
        folder = settings.data_dir / "tenants"
        kept = [path.relative_to(folder).parts[:2] for path in settings.data_dir.rglob("*") if holds(path, data)]
        assert kept == [("ada", "media")]


def holds(path: Path, data: bytes) -> bool:
    return path.is_file() and path.read_bytes() == data


async def test_pushes_are_counted_by_the_minute(settings: Settings, crowd: Making) -> None:
    async with running(settings, crowd("ada", quotas='{"pushes_per_minute": 3}')) as here:
        headers = await here.headers("ada")
        push = {"device_id": "wims-phone", "items": []}
        answers = [await here.http.post(PUSH, headers=headers, json=push) for _ in range(5)]
        assert [each.status_code for each in answers] == [200, 200, 200, 429, 429]
        assert answers[3].json()["code"] == "rate_limited"
        assert 1 <= int(answers[3].headers["retry-after"]) <= 20
        pulled = await here.http.post("/api/v1/mobile/sync/pull", headers=headers, json={})
        assert pulled.status_code == 200


async def test_rows_are_bounded_whichever_way_they_are_made_and_can_be_deleted(
    settings: Settings, crowd: Making
) -> None:
    made = crowd("ada", quotas='{"rows": 2}')
    async with running(settings, made) as here:
        office, field = await here.headers("ada", "olga"), await here.headers("ada")

        async def push(*items: dict[str, Any], token: str | None = None) -> Any:
            body = {"items": items, "batch_token": token}
            return (await here.http.post(PUSH, headers=office, json=body)).json()

        async def post(path: str, body: dict[str, Any]) -> Any:
            return await here.http.post(f"/api/v1{path}", headers=office, json=body)

        first = await push(create("one"), create("two"), token="first")
        ids = [each["server_id"] for each in first["results"]]
        refused = [
            await push(create("three")),
            await push(create("three"), create("four"), delete(ids[0])),
            (await post("/teams", {"name": "three"})).json(),
            (await post("/forms", {"code": "three", "name": "three", "schema": {}})).json(),
        ]
        assert [(each.get("code"), each.get("quota")) for each in refused] == [("quota_exceeded", "rows")] * 4
        assert made.on("ada", "SELECT name FROM fieldwork.teams ORDER BY name") == [("one",), ("two",)]

        # A batch whose answer was lost was applied before the room was gone.
        assert (await push(create("one"), create("two"), token="first"))["results"] == first["results"]
        change = await here.http.patch(f"/api/v1/teams/{ids[0]}", headers=office, json={"name": "uno"})
        assert change.status_code == 200
        moved = await push(delete(ids[1]), create("three"))
        assert [each["status"] for each in moved["results"]] == ["ok", "ok"]
        gone = await push(delete(ids[0]))
        assert gone["results"][0]["status"] == "ok"
        pulled = await here.http.post("/api/v1/mobile/sync/pull", headers=field, json={})
        assert pulled.status_code == 200


def create(name: str) -> dict[str, Any]:
    return {"resource_type": "team", "action": "create", "payload": {"name": name}}


def delete(row_id: str) -> dict[str, Any]:
    return {"resource_type": "team", "action": "delete", "payload": {"id": row_id}, "base": {"none": True}}


async def test_rows_are_those_of_the_statistics_and_what_was_let_in_since(settings: Settings, crowd: Making) -> None:
    made = crowd("ada")
    made.on("ada", "INSERT INTO fieldwork.teams (name) VALUES ('one'), ('two')")
    made.on("ada", "ANALYZE fieldwork.teams")
    async with running(settings, made) as here, here.node.lease("ada") as tenant, tenant.database.connection() as conn:
        full, room = Rows(2, tenant.tables), Rows(5, tenant.tables)
        with pytest.raises(Problem, match="quota_exceeded: This tenant may have 2 rows"):
            await full.keep(conn, 1)
        await full.keep(conn, 0)
        await full.keep(conn, -3)
        await Rows(None, tenant.tables).keep(conn, 10**6)
        await room.keep(conn, 2, now=0)
        await room.keep(conn, 2, now=1)
        with pytest.raises(Problem, match="quota_exceeded"):
            await room.keep(conn, 1, now=9)
        await room.keep(conn, 1, now=10)


def test_turns_come_back_evenly() -> None:
    pushes = Pushes(2)
    taken = []
    for now in (0.0, 1.0, 2.0, 31.0, 32.0, 600.0, 600.0, 600.0):
        try:
            pushes.take(now=now)
            taken.append(0)
        except Problem as problem:
            taken.append(problem.retry_after or -1)
    assert taken == [0, 0, 29, 0, 29, 0, 0, 30]
