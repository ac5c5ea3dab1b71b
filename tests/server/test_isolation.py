"""Fifty tenants on one node. One of them misbehaves, in every way it can; the others notice nothing. Nothing crosses.

No clock decides here. What is stuck stays stuck until the test lets it go, because no limit of the server's ends a wait
(``unhurried``); when all the others have answered, the bad tenant's requests are looked at, and are still held. On a
machine however slow that takes longer and proves the same.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec
import psycopg
import pytest
from psycopg import sql

from homing.postgres import database
from homing.server import node
from homing.settings import Settings
from tests.fixtures.tenants import Crowd, Running, running

NAMES = [f"t-{number:02}" for number in range(50)]
ME = "/api/v1/auth/me"
PULL = "/api/v1/mobile/sync/pull"
PUSH = "/api/v1/mobile/sync/push"
ACK = "/api/v1/mobile/sync/ack"
STATUS = "/api/v1/mobile/sync/status"


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(database_url=database_url, data_dir=tmp_path, pool_size=2, apps=("fieldwork",))


@pytest.fixture
def many(crowd: Callable[..., Crowd]) -> Crowd:
    made = crowd(*NAMES)
    for name in NAMES:
        made.on(name, "UPDATE homing.users SET name = %s WHERE username = 'wim'", [canary(name)])
    return made


FOREVER = 24 * 3600.0
SHORT = 0.2
STUCK_SECONDS = 600
"""Others who did not answer by then never will: a failure instead of a run that does not end."""


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """No wait of the server's ends by itself, and no failure is forgotten."""
    off = dict.fromkeys(("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"), "0")
    monkeypatch.setattr(database, "SESSION", {**database.SESSION, **off})
    monkeypatch.setattr(database, "CONNECT_DEFAULTS", {**database.CONNECT_DEFAULTS, "connect_timeout": "86400"})
    monkeypatch.setattr(database, "POOL_WAIT_SECONDS", FOREVER)
    monkeypatch.setattr(node, "OPEN_SECONDS", FOREVER)
    monkeypatch.setattr(node, "FAILED_SECONDS", (FOREVER, FOREVER))


@contextmanager
def hurried() -> Iterator[None]:
    """What is opened meanwhile gives up waiting for a connection: for a tenant whose database is not there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "POOL_WAIT_SECONDS", SHORT)
        yield


def canary(name: str) -> str:
    return f"canary-of-{name}-"


async def all_others_answer(here: Running, bad: str) -> None:
    """Every other tenant serves its own user his own name, from REST and from sync."""

    async def one(name: str) -> tuple[str, int, int]:
        headers = await here.headers(name)
        me = await here.http.get(ME, headers=headers)
        assert me.json()["user"]["name"] == canary(name)
        pulled = await here.http.post(PULL, headers=headers, json={"since_token": None})
        return name, me.status_code, pulled.status_code

    others = [name for name in NAMES if name != bad]
    async with asyncio.timeout(STUCK_SECONDS):
        found = [await asyncio.gather(*(one(name) for name in some)) for some in (others[:25], others[25:])]
    assert found[0] + found[1] == [(name, 200, 200) for name in others]


async def connections_of_all(here: Running) -> int:
    """What the tenants hold together, as the node knows it."""
    held = 0
    for name in NAMES:
        async with here.node.lease(name) as tenant:
            held += sum(each.size for each in (tenant.engine.owner, tenant.engine.indexed, tenant.database))
    return held


@contextmanager
def locked(crowd: Crowd, bad: str, table: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(crowd.urls[bad]) as conn:
        conn.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(sql.SQL(table)))  # type: ignore[arg-type]
        yield conn


async def stuck(crowd: Crowd, bad: str, sessions: int) -> None:
    """Returns once so many sessions of the bad tenant wait for a lock."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    async with await psycopg.AsyncConnection.connect(crowd.urls[bad], autocommit=True) as conn:
        while (await (await conn.execute(query)).fetchone()) != (sessions,):
            pass


async def refused(here: Running, bad: str, code: str) -> httpx.Response:
    answer = await here.http.get("/api/v1/capabilities", headers={"x-homing-tenant": bad})
    assert (answer.status_code, answer.json()["code"]) == (503, code)
    return answer


async def hang(here: Running, bad: str) -> None:
    """Its statements hang, and its pools are exhausted."""
    headers = await here.headers(bad)
    with locked(here.crowd, bad, "homing.users"):
        calls = [asyncio.create_task(here.http.get(ME, headers=headers)) for _ in range(20)]
        await stuck(here.crowd, bad, here.node.settings.tenant_pool_size)
        await all_others_answer(here, bad)
        assert [each for each in calls if each.done()] == []
    assert {each.status_code for each in await asyncio.gather(*calls)} == {200}
    assert (await here.http.get(ME, headers=headers)).json()["user"]["name"] == canary(bad)


async def lock_while_opening(here: Running, bad: str) -> None:
    with locked(here.crowd, bad, "homing.keys"):
        call = asyncio.create_task(here.http.get("/api/v1/capabilities", headers={"x-homing-tenant": bad}))
        await stuck(here.crowd, bad, 1)
        await all_others_answer(here, bad)
        assert not call.done()
    assert (await call).status_code == 200


async def rename(here: Running, bad: str) -> None:
    """Its database is renamed while it is open, and comes back."""
    headers = await here.headers(bad)
    name = urlsplit(here.crowd.urls[bad]).path[1:]
    rename_database(here.crowd, name, "elsewhere")
    try:
        # It is still open at this node, so its requests wait for a connection, which are theirs to wait for.
        calls = [asyncio.create_task(here.http.get(ME, headers=headers)) for _ in range(20)]
        await all_others_answer(here, bad)
        assert [each for each in calls if each.done()] == []
        for each in calls:
            each.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        # Opened anew, it is refused, and not tried again for every request.
        here.node._retire(bad)
        with hurried():
            await refused(here, bad, "unavailable")
        failed = here.node.failed
        await asyncio.gather(*(refused(here, bad, "unavailable") for _ in range(50)))
        assert here.node.failed == failed
        await all_others_answer(here, bad)
    finally:
        rename_database(here.crowd, "elsewhere", name)
    here.node._failures.clear()  # as after some seconds
    assert (await here.http.get(ME, headers=headers)).status_code == 200


def rename_database(crowd: Crowd, name: str, to: str) -> None:
    with psycopg.connect(crowd.control, autocommit=True) as conn:
        conn.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        conn.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(name), sql.Identifier(to)))


async def be_gone(here: Running, bad: str) -> None:
    with psycopg.connect(here.crowd.control, autocommit=True) as conn:
        name = urlsplit(here.crowd.urls[bad]).path[1:]
        conn.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
        here.node._retire(bad)
        with hurried():
            await refused(here, bad, "unavailable")
        await all_others_answer(here, bad)
        query = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        conn.execute(query.format(sql.Identifier(name), sql.Identifier(here.crowd.people.template)))
    here.crowd.on(bad, "UPDATE homing.users SET name = %s WHERE username = 'wim'", [canary(bad)])
    here.node._failures.clear()


async def be_behind(here: Running, bad: str) -> None:
    there = here.crowd.on(bad, "DELETE FROM homing_migrations WHERE set = 'fieldwork' RETURNING homing_migrations.*")
    here.node._retire(bad)
    answer = await refused(here, bad, "being_migrated")
    assert answer.headers["retry-after"] == "30"
    await all_others_answer(here, bad)
    for row in there:
        here.crowd.on(bad, "INSERT INTO homing_migrations VALUES (%s, %s, %s, %s, %s)", row)
    here.node._failures.clear()


async def flood(here: Running, bad: str) -> None:
    headers = await here.headers(bad)
    calls = [asyncio.create_task(here.http.post(PULL, headers=headers, json={})) for _ in range(500)]
    await all_others_answer(here, bad)
    assert {each.status_code for each in await asyncio.gather(*calls)} <= {200, 503}


@pytest.mark.usefixtures("unhurried")
async def test_one_tenant_after_the_other_misbehaves_and_the_others_notice_nothing(
    settings: Settings, many: Crowd
) -> None:
    async with running(settings, many) as here:
        await lock_while_opening(here, NAMES[0])
        await hang(here, NAMES[1])
        await flood(here, NAMES[2])
        await rename(here, NAMES[3])
        await be_gone(here, NAMES[4])
        await be_behind(here, NAMES[5])
        assert {each.at_node for each in here.node.states()} == {"open", "closed"}


@pytest.mark.usefixtures("unhurried")
async def test_a_request_to_each_takes_no_more_connections_than_there_is_room_for(
    settings: Settings, many: Crowd
) -> None:
    """Each tenant has three small pools; the fifty together would have taken a hundred connections."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'homing' AND datname = ANY (%s)"
    names = [urlsplit(url).path[1:] for url in many.urls.values()]
    async with (
        running(msgspec.structs.replace(settings, tenant_connections_max=10), many) as here,
        await psycopg.AsyncConnection.connect(many.control, autocommit=True) as conn,
    ):
        for _ in range(2):
            await all_others_answer(here, "nobody")
            assert 0 < await connections_of_all(here) <= 10
            found = 0
            while not 0 < found <= 10:  # those that were closed may still be on their way out
                ((found,),) = await (await conn.execute(query, [names])).fetchall()
        assert here.node.open_now == len(NAMES)


async def test_whoever_holds_a_connection_does_not_wait_for_another(
    settings: Settings, crowd: Callable[..., Crowd]
) -> None:
    """Or requests that hold one each would wait for one another, when together they hold all there is room for."""
    async with running(msgspec.structs.replace(settings, tenant_connections_max=1), crowd("ada")) as here:
        headers = await here.headers("ada")
        first = await here.http.post(PULL, headers=headers, json={})
        pushed = await here.http.post(PUSH, headers=headers, json=meter("M-1"))
        again = await here.http.post(PULL, headers=headers, json={"since_token": first.json()["next_token"]})
        acked = await here.http.post(ACK, headers=headers, json={"ack_token": again.json()["next_token"]})
        others = [await here.http.get(path, headers=headers) for path in (ME, STATUS)]
        assert [each.status_code for each in (first, pushed, again, acked, *others)] == [200] * 6


async def test_no_canary_of_another_tenant_is_ever_seen(
    settings: Settings, many: Crowd, caplog: pytest.LogCaptureFixture
) -> None:
    """Thousands of mixed requests, some cancelled at any moment, over two connections a pool; tenants are closed and
    opened on the way, because not all of them have room."""
    caplog.set_level(logging.DEBUG)
    chance = random.Random(7)
    async with running(
        msgspec.structs.replace(settings, tenants_open_max=45, tenant_connections_max=150), many
    ) as here:
        tokens = {name: await here.headers(name) for name in NAMES}
        seen = dict.fromkeys(NAMES, 0)
        cancelled = 0

        async def one(name: str, number: int) -> None:
            text = f"{canary(name)}{number}"
            kind = number % 5
            if kind == 0:
                answer = await here.http.get(ME, headers=tokens[name])
            elif kind == 1:
                answer = await here.http.post(PULL, headers=tokens[name], json={})
            elif kind == 2:
                answer = await here.http.post(PUSH, headers=tokens[name], json=meter(text))
            elif kind == 3:
                body = {"filename": f"{text}.jpg", "content_type": "image/jpeg", "size_bytes": 4}
                answer = await here.http.post("/api/v1/mobile/media/presign", headers=tokens[name], json=body)
            else:
                bad = {"authorization": tokens[chance.choice(NAMES)]["authorization"], "x-homing-tenant": name}
                answer = await here.http.get(ME, headers=bad)
            assert answer.status_code in (200, 401, 503), answer.text
            foreign = [other for other in NAMES if other != name and canary(other) in answer.text]
            assert foreign == []
            seen[name] += answer.text.count(canary(name))

        for _ in range(100):
            tasks = [asyncio.create_task(one(chance.choice(NAMES), chance.randrange(10**6))) for _ in range(40)]
            for task in tasks:
                if chance.random() < 0.2:
                    for _ in range(chance.randrange(30)):
                        await asyncio.sleep(0)
                    cancelled += task.cancel()
            done = await asyncio.gather(*tasks, return_exceptions=True)
            assert [each for each in done if isinstance(each, Exception)] == []
        assert cancelled > 100
        assert min(seen.values()) > 0
        assert [record for record in caplog.records if "canary" in record.getMessage()] == []
    for name in NAMES:
        ((dump,),) = many.on(name, DUMP)
        assert [other for other in NAMES if other != name and canary(other) in dump] == []
        assert canary(name) in dump


DUMP = """
    SELECT concat((SELECT string_agg(i::text, '') FROM homing.sync_items i),
                  (SELECT string_agg(m::text, '') FROM homing.media m))
"""
"""What was pushed and what was begun to upload."""


def meter(text: str) -> dict[str, Any]:
    item = {"client_temp_id": text, "resource_type": "meter", "action": "create", "client_version": 1}
    return {"device_id": "wims-phone", "items": [{**item, "payload": {"serial": text, "id": text}}]}


async def test_a_token_of_one_tenant_is_worth_nothing_at_another(
    settings: Settings, crowd: Callable[..., Crowd]
) -> None:
    """Forged, foreign or for a tenant that is not there: byte for byte the same answer."""
    async with running(settings, crowd("ada", "ben")) as here:
        ours, theirs = await here.headers("ada"), await here.headers("ben")
        assert (await here.http.get(ME, headers={**ours, "x-homing-tenant": "ada"})).status_code == 200
        signature = theirs["authorization"].rpartition(".")[2]
        forged = ours["authorization"].rpartition(".")[0] + "." + signature
        answers = [
            await here.http.get(ME, headers=headers)
            for headers in (
                {**ours, "x-homing-tenant": "ben"},
                {**ours, "x-homing-tenant": "default"},
                {**ours, "x-homing-tenant": "nobody"},
                [*ours.items(), ("x-homing-tenant", "ben"), ("x-homing-tenant", "ada")],
                {"authorization": forged},
                {"authorization": "Bearer nonsense", "x-homing-tenant": "ben"},
            )
        ]
        assert {(each.status_code, each.content, str(each.headers)) for each in answers} == {
            (401, answers[0].content, str(answers[0].headers))
        }
