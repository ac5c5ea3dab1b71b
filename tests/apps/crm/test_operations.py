"""Operations that wait in crm.sync_queue are applied by a job, once, as the user who asked for them."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from homing.accounts import users
from homing.accounts.users import NewUser
from homing.apps.crm import operations
from homing.apps.crm.jobs import KEPT, OPERATIONS, keep_partitions
from homing.apps.crm.operations import Operation, Queued
from homing.jobs.worker import Worker
from homing.protocol.errors import Problem
from homing.server.tenant import Tenant, now_utc, open_tenant
from homing.settings import Settings

pytestmark = pytest.mark.anyio


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(database_url=database_url, data_dir=tmp_path, pool_size=4, apps=("crm",))


@pytest.fixture
async def tenant(settings: Settings) -> AsyncIterator[Tenant]:
    """Its clock goes on by ``tenant.ahead``."""
    ahead = [timedelta(0)]

    def clock() -> datetime:
        return now_utc() + ahead[0]

    async with open_tenant(settings, clock=clock) as opened:
        opened.ahead = ahead  # type: ignore[attr-defined]
        yield opened


async def person(tenant: Tenant, login: str, role: str) -> UUID:
    new = NewUser(login=login, name=login, role=role, password="correct horse battery")
    return (await users.create(tenant.engine.owner, new, roles=tenant.roles)).id


async def ask(tenant: Tenant, user: UUID, *asked: Operation) -> list[UUID]:
    async with tenant.database.transaction(actor=str(user)) as conn:
        return await operations.enqueue(conn, user=user, operations=asked)


async def drain(tenant: Tenant) -> None:
    await Worker(owner=tenant.engine.owner, tasks=[OPERATIONS], context=tenant, clock=tenant.clock).drain()


async def queued(tenant: Tenant) -> list[Queued]:
    async with tenant.engine.owner.connection() as conn:
        return (await operations.find(conn, user=None, status=None, after=None, limit=500))[::-1]


async def rows(tenant: Tenant, query: str, params: Sequence[Any] = ()) -> list[Any]:
    async with tenant.engine.owner.connection() as conn:
        return await (await conn.execute(query.encode(), params)).fetchall()


def customer(name: str, **more: Any) -> Operation:
    return Operation(operation="create", entity_type="customer", payload={"name": name, "address": "Dam 1", **more})


async def test_operations_take_effect_in_their_order_as_their_user(tenant: Tenant) -> None:
    olga = await person(tenant, "olga@example.org", "OWNER")
    row = uuid4()
    ids = await ask(
        tenant,
        olga,
        customer("A", id=str(row)),
        Operation(operation="update", entity_type="customer", entity_id=row, payload={"name": "B"}),
        *(customer(f"C{n:03}") for n in range(150)),
    )
    assert [each.id for each in await queued(tenant)] == ids
    assert {each.status for each in await queued(tenant)} == {"pending"}
    await drain(tenant)
    done = await queued(tenant)
    assert [each.id for each in done] == ids
    assert {(each.status, each.error, each.retry_count) for each in done} == {("completed", None, 0)}
    assert done[0].entity_id == done[1].entity_id == row
    assert await rows(tenant, "SELECT name, version FROM crm.customers WHERE id = %s", [row]) == [("B", 2)]
    assert await rows(tenant, "SELECT count(*) FROM crm.customers") == [(151,)]
    assert await rows(tenant, "SELECT DISTINCT user_id FROM crm.activity_logs") == [(olga,)]
    assert await rows(tenant, "SELECT count(*) FROM homing.sync_batches") == [(2,)]


async def test_what_the_rules_refuse_fails_with_a_sentence_and_stops_nobody_else(tenant: Tenant) -> None:
    olga = await person(tenant, "olga@example.org", "OWNER")
    wim = await person(tenant, "wim@example.org", "WORKER")
    await ask(tenant, wim, customer("not his to make"))
    await ask(
        tenant,
        olga,
        customer(""),
        Operation(operation="create", entity_type="nothing", payload={}),
        Operation(operation="update", entity_type="customer", entity_id=uuid4(), payload={"name": "x"}),
        customer("good"),
    )
    await drain(tenant)
    done = await queued(tenant)
    assert [each.status for each in done] == ["failed", "failed", "failed", "failed", "completed"]
    assert (done[0].error or "").startswith("forbidden")
    assert (done[2].error or "").startswith("unknown_table")
    assert all(each.error for each in done[:4])
    assert await rows(tenant, "SELECT name FROM crm.customers") == [("good",)]


async def test_what_may_come_is_waited_for(tenant: Tenant) -> None:
    olga = await person(tenant, "olga@example.org", "OWNER")
    row = uuid4()
    await ask(
        tenant, olga, Operation(operation="create", entity_type="job", payload={"title": "T", "customer_id": str(row)})
    )
    await drain(tenant)
    (waiting,) = await queued(tenant)
    assert (waiting.status, waiting.retry_count) == ("pending", 1)
    assert (waiting.error or "").startswith("fk_missing")
    await ask(tenant, olga, customer("A", id=str(row)))
    await drain(tenant)  # not yet its time
    assert [each.status for each in await queued(tenant)] == ["pending", "completed"]
    tenant.ahead[0] = timedelta(minutes=10)  # type: ignore[attr-defined]
    await drain(tenant)
    assert [(each.status, each.error) for each in await queued(tenant)] == [("completed", None)] * 2


async def test_what_never_comes_fails_and_can_be_tried_again(tenant: Tenant) -> None:
    olga = await person(tenant, "olga@example.org", "OWNER")
    row = uuid4()
    (asked,) = await ask(
        tenant, olga, Operation(operation="create", entity_type="job", payload={"title": "T", "customer_id": str(row)})
    )
    for hour in range(1, 8):
        await drain(tenant)
        tenant.ahead[0] = timedelta(hours=hour)  # type: ignore[attr-defined]
    (failed,) = await queued(tenant)
    assert (failed.status, failed.retry_count) == ("failed", operations.TRIES)
    await ask(tenant, olga, customer("A", id=str(row)))
    async with tenant.engine.owner.transaction() as conn:
        await operations.retry(conn, asked)
    await drain(tenant)
    assert [each.status for each in await queued(tenant)] == ["completed", "completed"]
    for wrong, code in ((asked, "state_conflict"), (uuid4(), "not_found")):
        with pytest.raises(Problem) as caught:
            async with tenant.engine.owner.transaction() as conn:
                await operations.retry(conn, wrong)
        assert caught.value.code.code == code


async def test_what_was_cut_off_after_its_effect_is_not_done_twice(tenant: Tenant) -> None:
    """As after a crash between push and the note of it."""
    olga = await person(tenant, "olga@example.org", "OWNER")
    await ask(tenant, olga, customer("A"), customer("B"))
    assert await operations.apply_some(tenant) == 2
    await rows(tenant, "UPDATE crm.sync_queue SET status = 'processing', entity_id = NULL RETURNING id")
    await ask(tenant, olga, customer("C"))
    assert [await operations.apply_some(tenant) for _ in range(3)] == [2, 1, 0]
    assert await rows(tenant, "SELECT name, count(*) FROM crm.customers GROUP BY 1 ORDER BY 1") == [
        ("A", 1),
        ("B", 1),
        ("C", 1),
    ]


async def test_who_left_asks_for_nothing_any_more(tenant: Tenant) -> None:
    olga = await person(tenant, "olga@example.org", "OWNER")
    await ask(tenant, olga, customer("A"))
    await rows(tenant, "UPDATE homing.users SET is_active = false WHERE id = %s RETURNING id", [olga])
    await drain(tenant)
    ((status, error),) = await rows(tenant, "SELECT status, error FROM crm.sync_queue")
    assert (status, error) == ("failed", "forbidden: Whoever asked for it is not active any more.")
    assert await rows(tenant, "SELECT count(*) FROM crm.customers") == [(0,)]


async def test_a_year_ahead_the_partitions_are_there_and_the_old_ones_gone(tenant: Tenant) -> None:
    olga = await person(tenant, "olga@example.org", "OWNER")
    await ask(tenant, olga, customer("A"))
    await drain(tenant)
    parts = (
        "SELECT inhrelid::regclass::text FROM pg_inherits"
        " WHERE inhparent IN ('crm.activity_logs'::regclass, 'crm.sync_queue_completed'::regclass)"
        " AND inhrelid::regclass::text ~ '[0-9]{6}$'"
    )
    before = {name for (name,) in await rows(tenant, parts)}
    later = now_utc() + timedelta(days=366)
    made, dropped = await keep_partitions(tenant.engine.owner, now=later)
    there = {name for (name,) in await rows(tenant, parts)}
    assert (made, dropped) == (8, 0)
    assert there > before
    assert {f"crm.{table}_{later:%Y%m}" for table in ("activity_logs", "sync_queue_completed")} <= there
    assert await keep_partitions(tenant.engine.owner, now=later) == (0, 0)
    gone = later + KEPT
    made, dropped = await keep_partitions(tenant.engine.owner, now=gone)
    left = {name for (name,) in await rows(tenant, parts)}
    assert not before & left
    assert dropped >= len(before)
    assert await rows(tenant, "SELECT count(*) FROM crm.activity_logs") == [(0,)]
    assert await rows(tenant, "SELECT count(*) FROM crm.sync_queue") == [(0,)]
    assert await rows(tenant, "SELECT name FROM crm.customers") == [("A",)]
