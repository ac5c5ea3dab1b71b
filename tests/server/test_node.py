"""A node and its tenants: opened when they are used, bounded in number, closed when nobody uses them."""

import asyncio
from collections.abc import Callable

import msgspec
import psycopg
import pytest

from homing.protocol.errors import Problem
from homing.server.tenant import Tenant
from homing.settings import Settings
from tests.fixtures.tenants import Crowd, running

Making = Callable[..., Crowd]
ME = "/api/v1/auth/me"
MOBILE = "/api/v1/mobile"


@pytest.fixture
def settings(database_url: str, tmp_path: object) -> Settings:
    return Settings(database_url=database_url, data_dir=tmp_path, pool_size=2, tenants_open_max=2)  # type: ignore[arg-type]


def states(node: object) -> dict[str, str]:
    return {each.name: each.at_node for each in node.states()}  # type: ignore[attr-defined]


async def test_a_tenant_is_opened_when_it_is_used_and_the_least_recently_used_one_closed(
    settings: Settings, crowd: Making
) -> None:
    async with running(settings, crowd("ada", "ben", "cleo")) as here:
        assert states(here.node) == {"ada": "closed", "ben": "closed", "cleo": "closed"}
        for name in ("ada", "ben", "ada", "cleo"):
            answer = await here.http.get(ME, headers=await here.headers(name))
            assert (answer.status_code, answer.json()["tenant"]) == (200, name)
        assert states(here.node) == {"ada": "open", "ben": "closed", "cleo": "open"}
        assert (here.node.opened, here.node.closed, here.node.failed) == (3, 1, 0)
        page = (await here.http.get("/metrics")).text
        assert [line for line in page.splitlines() if line.startswith("homing_tenants")] == [
            "homing_tenants_known 3.0",
            "homing_tenants_open 2.0",
            "homing_tenants_opened 3.0",
            "homing_tenants_failed 0.0",
            "homing_tenants_closed 1.0",
        ]


async def test_a_tenant_in_use_is_never_closed_and_one_too_many_is_told_to_come_back(
    settings: Settings, crowd: Making
) -> None:
    async with running(settings, crowd("ada", "ben", "cleo")) as here, here.node.lease("ada"):
        async with here.node.lease("ben"):
            answer = await here.http.get("/api/v1/capabilities", headers={"x-homing-tenant": "cleo"})
            assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
            assert answer.headers["retry-after"] == "1"
        answer = await here.http.get("/api/v1/capabilities", headers={"x-homing-tenant": "cleo"})
        assert answer.status_code == 200
        assert states(here.node) == {"ada": "open", "ben": "closed", "cleo": "open"}


async def test_one_opening_serves_all_who_wait_and_belongs_to_none_of_them(settings: Settings, crowd: Making) -> None:
    made = crowd("ada")
    async with running(settings, made) as here:
        with psycopg.connect(made.urls["ada"]) as conn:
            # The opening waits here, and so do all requests.
            conn.execute("LOCK TABLE homing.keys IN ACCESS EXCLUSIVE MODE")
            leases = [here.node.lease("ada") for _ in range(10)]
            tasks = [asyncio.create_task(lease.__aenter__()) for lease in leases]
            while not waits(made.control):  # noqa: ASYNC110 - what is waited for is seen in the database only
                await asyncio.sleep(0)
            assert states(here.node) == {"ada": "opening"}
            tasks[0].cancel()
            await asyncio.wait([tasks[0]])
            assert [task.done() for task in tasks] == [True] + [False] * 9
        opened = await asyncio.gather(*tasks[1:])
        assert {id(tenant) for tenant in opened} == {id(opened[0])}
        assert here.node.opened == 1
        assert here.node.states()[0].leases == 9
        for lease in leases[1:]:
            await lease.__aexit__(None, None, None)


def waits(control: str) -> bool:
    """Whether a session of the server waits for a lock. What a test waits for, it looks at."""
    with psycopg.connect(control, autocommit=True) as conn:
        found = conn.execute("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock')").fetchone()
    return found == (True,)


async def test_what_is_not_there_has_one_answer(settings: Settings, crowd: Making) -> None:
    made = crowd("ada", "gone", "half")
    made.on_control("UPDATE homing_control.tenants SET status = 'dropped' WHERE name = 'gone'")
    made.on_control("UPDATE homing_control.tenants SET status = 'creating' WHERE name = 'half'")
    async with running(settings, made) as here:
        answers = [
            await here.http.get("/api/v1/capabilities", headers={"x-homing-tenant": name})
            for name in ("nobody", "gone", "half", "", "../ada", "ADA")
        ]
        assert {(each.status_code, each.content) for each in answers} == {(404, answers[0].content)}
        assert answers[0].json()["code"] == "not_found"


async def test_a_tenant_that_is_created_or_suspended_or_moved_is_noticed(settings: Settings, crowd: Making) -> None:
    async with running(settings, crowd("ada")) as here:
        ask = {"x-homing-tenant": "ben"}
        made = crowd("ben")
        answer = await here.http.get("/api/v1/capabilities", headers=ask)
        assert answer.status_code == 200

        made.on_control("UPDATE homing_control.tenants SET status = 'suspended' WHERE name = 'ben'")
        await here.node.refresh()
        answer = await here.http.get("/api/v1/capabilities", headers=ask)
        assert (answer.status_code, answer.json()["code"], answer.json()["action"]) == (403, "tenant_suspended", "stop")
        assert states(here.node)["ben"] == "closed"

        made.on_control("UPDATE homing_control.tenants SET status = 'moving' WHERE name = 'ben'")
        await here.node.refresh()
        answer = await here.http.get("/api/v1/capabilities", headers=ask)
        assert (answer.status_code, answer.json()["code"], answer.json()["action"]) == (503, "being_migrated", "retry")
        assert answer.headers["retry-after"] == "10"

        made.on_control("UPDATE homing_control.tenants SET status = 'active' WHERE name = 'ben'")
        await here.node.refresh()
        assert (await here.http.get("/api/v1/capabilities", headers=ask)).status_code == 200


async def test_who_uses_a_tenant_when_it_changes_may_finish(settings: Settings, crowd: Making) -> None:
    made = crowd("ada")
    async with running(settings, made) as here:
        async with here.node.lease("ada") as before:
            made.on_control("UPDATE homing_control.tenants SET quotas = '{\"users\": 9}' WHERE name = 'ada'")
            await here.node.refresh()
            assert before.leaving.is_set()
            async with here.node.lease("ada") as after:
                assert (before.quotas.users, after.quotas.users) == (None, 9)
            async with before.database.connection() as conn:
                assert await (await conn.execute("SELECT 1")).fetchone() == (1,)
        # Closed once the last one left, in a task of the node's own.
        await asyncio.gather(*here.node._leaving)
        with pytest.raises(RuntimeError, match="not open"):
            async with before.database.connection():
                pass


async def test_while_the_control_database_is_away_the_known_tenants_are_served(
    settings: Settings, crowd: Making
) -> None:
    made = crowd("ada")
    async with running(settings, made) as here:
        headers = await here.headers("ada")
        await here.node.control.close()
        control = here.node.control
        control._conninfo = control._conninfo.replace("dbname=", "dbname=not_")
        await control.open()
        with pytest.raises(Problem, match="unavailable"):
            await here.node.refresh()
        assert (await here.http.get(ME, headers=headers)).status_code == 200
        answer = await here.http.get("/api/v1/capabilities", headers={"x-homing-tenant": "nobody"})
        assert answer.status_code == 404


async def test_a_key_that_another_node_made_is_known_at_once(settings: Settings, crowd: Making) -> None:
    made = crowd("ada")
    async with running(settings, made) as one, running(settings, made) as two:
        await one.headers("ada")
        made.on("ada", "UPDATE homing.keys SET retired_at = now() WHERE purpose = 'access'")
        headers = await two.headers("ada")  # opened now: it made a key of its own
        async with one.node.lease("ada") as tenant:
            tenant._keys_read = float("-inf")  # long ago
        assert (await one.http.get(ME, headers=headers)).status_code == 200
        assert (await two.http.get(ME, headers=headers)).status_code == 200


async def test_what_another_node_signed_with_a_new_key_is_good_here(settings: Settings, crowd: Making) -> None:
    """Sync tokens and addresses of files, whichever request brings one first; made-up ones cost no query each."""
    made = crowd("ada")
    async with running(settings, made) as one, running(settings, made) as two:
        headers = await one.headers("ada")
        made.on("ada", "UPDATE homing.keys SET retired_at = now() WHERE purpose IN ('token', 'media')")
        await two.headers("ada")  # opened now: it made keys of its own
        async with one.node.lease("ada") as ones, two.node.lease("ada") as twos:
            file = {"filename": "a.bin", "content_type": "application/octet-stream", "size_bytes": 4}
            asked = [await two.http.post(f"{MOBILE}/media/presign", headers=headers, json=file) for _ in range(2)]
            links = [(each.json()["upload_url"], each.json()["headers"]) for each in asked]
            pulled = await two.http.post(f"{MOBILE}/sync/pull", headers=headers, json={})
            token = pulled.json()["next_token"]
            old = (dict(ones.keys.token), dict(ones.keys.media))
            device = {"device_id": "wims-phone"}
            calls = {
                "pull": {"since_token": token},
                "ack": {**device, "ack_token": token},
                "push": {**device, "items": [], "client_sync_token": token},
            }
            for name, body in calls.items():
                _forget(ones, old)
                answer = await one.http.post(f"{MOBILE}/sync/{name}", headers=headers, json=body)
                assert answer.status_code == 200, (name, answer.text)
                assert ones.keys.token == twos.keys.token, name
            for url, sent in links:
                _forget(ones, old)
                assert (await one.http.put(url, headers=sent, content=b"abcd")).json()["complete"] is True

            read = ones._keys_read
            for _ in range(20):
                answer = await one.http.post(f"{MOBILE}/sync/pull", headers=headers, json={"since_token": "made-up"})
                assert (answer.status_code, answer.json()["code"]) == (400, "invalid_token")
            assert ones._keys_read == read


def _forget(tenant: Tenant, keys: tuple[dict[str, bytes], dict[str, bytes]]) -> None:
    """As the node was before it read the keys again, long ago."""
    for mine, old in zip((tenant.keys.token, tenant.keys.media), keys, strict=True):
        mine.clear()  # type: ignore[attr-defined]
        mine.update(old)  # type: ignore[attr-defined]
    tenant._keys_read = float("-inf")


async def test_a_server_of_one_tenant_is_what_it_was(settings: Settings) -> None:
    async with running(msgspec.structs.replace(settings), None) as here:  # type: ignore[arg-type]
        answers = [
            await here.http.get("/api/v1/capabilities", headers=headers)
            for headers in ({}, {"x-homing-tenant": "default"}, {"host": "anything.example.org"})
        ]
        assert {each.status_code for each in answers} == {200}
        answer = await here.http.get("/api/v1/capabilities", headers={"x-homing-tenant": "acme"})
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
