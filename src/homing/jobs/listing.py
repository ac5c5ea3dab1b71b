"""Jobs as the office sees them: those that wait, run, or lie dead. What is done is gone."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec
from psycopg.rows import dict_row

from homing.postgres.database import Database
from homing.postgres.sql import execute, fetch_one, load
from homing.protocol.errors import Problem

ID_END = 2**63 - 1
Status = Literal["waiting", "running", "dead"]


class JobSummary(msgspec.Struct, frozen=True, kw_only=True):
    """``attempts`` failed so far, the last with ``error``; ``not_before`` where it waits for its time."""

    id: int
    task: str
    status: Status
    key: str | None
    attempts: int
    not_before: datetime | None
    enqueued_at: datetime | None
    error: str | None


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    attempt: int
    at: datetime
    error: str


class JobDetail(JobSummary, frozen=True, kw_only=True):
    args: dict[str, Any]
    failures: list[Failure]


async def find(
    owner: Database, *, status: Status | None = None, task: str | None = None, after: int | None = None, limit: int = 50
) -> list[JobSummary]:
    """Jobs, the oldest first, those behind the id ``after``."""
    params = {"status": status, "task": task, "after": after, "limit": limit}
    async with owner.connection() as conn, conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(load(__package__, "list_jobs"), params)
        return [JobSummary(**row) for row in await cursor.fetchall()]


async def show(owner: Database, job_id: int) -> JobDetail:
    """One job with its arguments and why each try failed. Raises Problem("not_found")."""
    if not 0 < job_id < ID_END:
        raise Problem("not_found")
    async with owner.connection() as conn, conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(load(__package__, "read_job"), {"id": job_id})
        row = await cursor.fetchone()
    if row is None:
        raise Problem("not_found")
    return msgspec.convert(row, JobDetail)


async def retry(owner: Database, job_id: int) -> JobDetail:
    """Try a job at once that waits or is dead, with all of its tries before it.

    Raises Problem: not_found, state_conflict while it runs.
    """
    await _change(owner, "retry_job", job_id)
    return await show(owner, job_id)


async def discard(owner: Database, job_id: int) -> None:
    """Remove a job that waits or is dead. Raises Problem: not_found, state_conflict while it runs."""
    await _change(owner, "discard_job", job_id)


async def forget(owner: Database, *, before: datetime) -> int:
    """Remove the jobs that have been dead since before; how many."""
    async with owner.transaction() as conn:
        return await execute(conn, load(__package__, "delete_dead"), {"before": before})


async def _change(owner: Database, query: str, job_id: int) -> None:
    if not 0 < job_id < ID_END:
        raise Problem("not_found")
    async with owner.transaction() as conn:
        done = await fetch_one(conn, load(__package__, query), {"id": job_id}) == (True,)
    if not done:
        await show(owner, job_id)
        raise Problem("state_conflict", "The job is running.")
