"""A node works on its tenants' jobs: always on the default one's, on another's when there is something to do."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from types import ModuleType
from typing import Any

import pytest

from homing.jobs import Job, Task, defer
from homing.server import operate
from homing.server.metrics import Metrics
from homing.server.node import Node, open_node
from homing.server.tasks import DAILY, IMAGES, NOTIFY, RECEIPTS, REINDEX, VACUUM, tasks_of
from homing.server.tenant import Tenant, now_utc
from homing.server.working import Working
from homing.settings import Settings
from homing.tenants.entry import UNLIMITED

pytestmark = pytest.mark.anyio

ALWAYS = (DAILY.name, IMAGES.name, NOTIFY.name, RECEIPTS.name)
TASKS = ("homing.daily", "homing.reindex", "homing.vacuum")
"""Those that run by themselves."""


@pytest.fixture
def seen() -> list[tuple[str, dict[str, Any]]]:
    return []


@pytest.fixture
async def node(settings: Settings, seen: list[tuple[str, dict[str, Any]]]) -> AsyncIterator[Node]:
    """A node whose applications add a kind of job, and whose clock goes on by ``node.ahead``."""

    async def take(tenant: Tenant, job: Job) -> None:
        seen.append((tenant.name, dict(job.args)))

    def clock() -> datetime:
        return now_utc() + ahead[0]

    ahead = [timedelta(0)]
    async with open_node(settings, clock=clock) as opened:
        extra = ModuleType("extra")
        extra.JOBS = [Task(name="extra.take", run=take)]  # type: ignore[attr-defined]
        opened.default.modules = {**opened.default.modules, "extra": extra}
        opened.ahead = ahead  # type: ignore[attr-defined]
        yield opened


async def periodic(tenant: Tenant) -> list[Any]:
    async with tenant.engine.owner.connection() as conn:
        found = await conn.execute("SELECT name, next_at FROM homing.periodic_jobs ORDER BY name")
        return await found.fetchall()


async def test_what_the_server_does_by_itself(node: Node) -> None:
    assert [task.name for task in tasks_of(node.settings, {})] == [*ALWAYS, VACUUM.name, REINDEX.name]
    off = Settings(maintenance=False)
    assert [task.name for task in tasks_of(off, node.modules)] == [*ALWAYS, "extra.take"]
    metrics = Metrics()
    worker = Working(node, metrics).worker(node.default)
    await worker.drain()
    assert tuple(name for name, _ in await periodic(node.default)) == TASKS
    node.ahead[0] = timedelta(days=31)  # type: ignore[attr-defined]
    await worker.drain()
    page = metrics.page().decode()
    for name in TASKS:
        assert f'homing_jobs_total{{outcome="done",task="{name}"}} 1.0' in page


async def test_a_year_ahead_partitions_are_there_and_the_old_ones_gone(node: Node) -> None:
    """Telemetry and history, through the job; the CRM's are in tests/apps/crm."""
    worker = Working(node, Metrics()).worker(node.default)
    await worker.drain()

    async def partitions() -> set[str]:
        async with node.default.engine.owner.connection() as conn:
            found = await conn.execute(
                "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhrelid::regclass::text ~ '_[0-9]{6}$'"
                " AND inhparent IN ('homing.history'::regclass, 'homing.telemetry'::regclass)"
            )
            return {name for (name,) in await found.fetchall()}

    def months(days: int) -> set[str]:
        at = now_utc() + timedelta(days=days)
        first = at.year * 12 + at.month - 1
        named = [f"{month // 12}{month % 12 + 1:02}" for month in range(first, first + 4)]
        return {f"homing.{table}_{name}" for table in ("history", "telemetry") for name in named}

    assert months(0) <= await partitions()
    for days in (366, 900):
        node.ahead[0] = timedelta(days=days)  # type: ignore[attr-defined]
        await worker.drain()
        assert months(days) <= await partitions()
    assert not months(0) & await partitions()


async def test_a_tenant_is_worked_for_when_something_is_due(node: Node, seen: list[tuple[str, dict[str, Any]]]) -> None:
    working = Working(node, Metrics())
    entry = await operate.create(node.settings, node.control, name="acme", limits=UNLIMITED)
    await node.refresh()
    try:
        outlook = await working.visit(entry)  # nobody has looked at it yet
        assert 0 < outlook.seconds <= 60
        async with node.lease("acme") as tenant, tenant.database.transaction() as conn:
            await defer(conn, "extra.take", n=1)
        outlook = await working.visit(entry)
        assert seen == [("acme", {"n": 1})]
        assert (outlook.waiting, outlook.dead) == (0, 0)
        opened = node.opened
        await working.visit(entry)
        assert node.opened == opened
    finally:
        await node.close()
        await operate.drop(node.settings, node.control, "acme", keep_database=False)


async def test_a_request_s_job_is_done_beside_the_requests(node: Node, seen: list[tuple[str, dict[str, Any]]]) -> None:
    metrics = Metrics()
    task = asyncio.create_task(Working(node, metrics).run())
    try:
        async with node.default.database.transaction() as conn:
            await defer(conn, "extra.take", n=1)
        async with asyncio.timeout(60):
            while not seen:
                await periodic(node.default)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert seen == [("default", {"n": 1})]
