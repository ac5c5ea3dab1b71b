"""Quotas of a tenant, kept by its own database and at the door; its neighbour notices nothing."""

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from homing.protocol.errors import Problem
from homing.settings import Settings
from homing.tenants.entry import Quotas
from homing.tenants.quotas import Pushes
from tests.fixtures.tenants import Crowd, Running, running

Making = Callable[..., Crowd]


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


async def test_pushes_are_counted_by_the_minute_and_rows_by_statistics(settings: Settings, crowd: Making) -> None:
    made = crowd("ada", quotas='{"pushes_per_minute": 3, "rows": 1}')
    async with running(settings, made) as here:
        headers = await here.headers("ada")
        push = {"device_id": "wims-phone", "items": []}
        answers = [await here.http.post("/api/v1/mobile/sync/push", headers=headers, json=push) for _ in range(5)]
        assert [each.status_code for each in answers] == [200, 200, 200, 429, 429]
        assert answers[3].json()["code"] == "rate_limited"
        assert 1 <= int(answers[3].headers["retry-after"]) <= 20
        pulled = await here.http.post("/api/v1/mobile/sync/pull", headers=headers, json={})
        assert pulled.status_code == 200

        async with here.node.lease("ada") as tenant:
            made.on("ada", "INSERT INTO fieldwork.teams (name) VALUES ('one'), ('two')")
            made.on("ada", "ANALYZE fieldwork.teams")
            pushes = Pushes(Quotas(rows=1), tenant.tables)
            with pytest.raises(Problem, match="quota_exceeded: This tenant may have 1 rows"):
                await pushes.take(tenant.database)
            await Pushes(Quotas(rows=3), tenant.tables).take(tenant.database)
            await Pushes(Quotas(), tenant.tables).take(tenant.database)


async def test_turns_come_back_evenly() -> None:
    pushes = Pushes(Quotas(pushes_per_minute=2), ())
    taken = []
    for now in (0.0, 1.0, 2.0, 31.0, 32.0, 600.0, 600.0, 600.0):
        try:
            await pushes.take(None, now=now)  # type: ignore[arg-type]
            taken.append(0)
        except Problem as problem:
            taken.append(problem.retry_after or -1)
    assert taken == [0, 0, 29, 0, 29, 0, 0, 30]
