"""The jobs and rounds of many tenants: one that fails stops no other's."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import psycopg
import pytest
from psycopg import sql

from homing.jobs import Job, Task, defer
from homing.server import working
from homing.server.metrics import Metrics
from homing.server.tenant import Tenant
from homing.server.working import Working
from homing.settings import Settings
from tests.fixtures.tenants import Crowd, running

NAMES = ("ada", "ben", "cleo", "dee")


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(database_url=database_url, data_dir=tmp_path, pool_size=2, apps=("fieldwork",))


async def test_one_failing_tenant_does_not_stop_the_others(
    settings: Settings, crowd: Callable[..., Crowd], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Ben's jobs fail, his daily round too, and Cleo's database is gone; Ada and Dee come before and after them."""
    monkeypatch.setattr(working, "ROUND_SECONDS", 0.05)
    caplog.set_level(logging.WARNING, "homing.jobs")
    made = crowd(*NAMES)
    done: list[str] = []

    async def take(tenant: Tenant, _: Job) -> None:
        if tenant.name == "ben":
            raise RuntimeError("his own fault")
        done.append(tenant.name)

    async with running(settings, made) as here:
        extra = ModuleType("extra")
        extra.JOBS = [Task(name="extra.take", run=take)]  # type: ignore[attr-defined]
        here.node.default.modules = {**here.node.default.modules, "extra": extra}
        for name in NAMES:
            async with here.node.lease(name) as tenant, tenant.database.transaction() as conn:
                await defer(conn, "extra.take", n=1)
        made.on("ben", "ALTER TABLE homing.departures RENAME TO departed")
        for name in ("ada", "ben", "dee"):
            made.on(name, ROUND_NOW)
        here.node._retire("cleo")
        await asyncio.gather(*here.node._leaving)
        with psycopg.connect(made.control, autocommit=True) as control:
            gone = sql.Identifier(psycopg.conninfo.conninfo_to_dict(made.urls["cleo"])["dbname"])
            control.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(gone))
            task = asyncio.create_task(Working(here.node, Metrics()).run())
            try:
                async with asyncio.timeout(60):
                    while not (sorted(done) == ["ada", "dee"] and rounds(made) == {"ada": 1, "dee": 1}):
                        await asyncio.to_thread(rounds, made)
                    while "tenant cleo wait" not in caplog.text or len(made.on("ben", FAILURES)) < 2:
                        await asyncio.to_thread(rounds, made)
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                control.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(gone))
    kinds = {error.partition(":")[0] for (error,) in made.on("ben", FAILURES)}
    assert kinds == {"RuntimeError", "UndefinedTable"}


ROUND_NOW = """
    INSERT INTO homing.periodic_jobs (name, next_at) VALUES ('homing.daily', now() - interval '1 hour')
    ON CONFLICT (name) DO UPDATE SET next_at = EXCLUDED.next_at
"""
FAILURES = "SELECT error FROM homing.job_failures"
ROUNDS = """
    SELECT count(*) FROM homing.periodic_jobs WHERE name = 'homing.daily' AND next_at > now()
    AND NOT EXISTS (SELECT FROM procrastinate.procrastinate_jobs WHERE task_name = 'homing.daily')
"""
"""Jobs that succeeded are not kept."""


def rounds(made: Crowd) -> dict[str, int]:
    """The daily rounds that were done, by tenant."""
    return {name: made.on(name, ROUNDS)[0][0] for name in ("ada", "dee")}
