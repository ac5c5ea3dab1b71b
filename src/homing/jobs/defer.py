"""Enqueueing: part of the transaction that causes the job."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from homing.postgres.sql import Connection, fetch_all, load


async def defer(conn: Connection, task: str, *, key: str | None = None, at: datetime | None = None, **args: Any) -> int:
    """Enqueue a job of ``task`` with ``args`` (what JSON can say); its id.

    It runs after ``conn``'s transaction commits, not before ``at``, and never if it rolls back.

    Of the jobs with one ``key`` one runs at a time and one waits: deferring again while it waits is no second job, and
    the one that waits will see what this transaction wrote.
    """
    params = {"task": task, "args": msgspec.json.encode(args).decode(), "key": key, "at": at}
    ((job_id,),) = await fetch_all(conn, load(__package__, "defer_job"), params)
    return int(job_id)


async def absorb(conn: Connection, task: str) -> int:
    """Remove jobs of ``task`` that wait for nothing but a worker, because the caller, a job of it, is about to do
    what they would do; how many. ``conn`` is the owner's, outside of a transaction.

    What their transactions wrote can be seen by every statement after this one, and not before it.
    """
    ((absorbed,),) = await fetch_all(conn, load(__package__, "absorb_jobs"), {"task": task})
    return int(absorbed)
