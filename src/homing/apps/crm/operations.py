"""Operations that the server could not finish at once: kept in crm.sync_queue, applied by a job.

Whoever asked for them acts: each goes through push, with the rights, checks, history and feed of any other change, and
as its user is now. Operations of one user are taken together, in the order in which they came. What was taken is a
batch whose token follows from it, so a batch that was cut off is taken again and answered by push from what it
remembers: each operation takes effect once.

An operation is ``pending`` until it is taken, ``processing`` meanwhile, then ``completed``, or ``failed`` with a
sentence why. What may get better by itself (a row it refers to is not there yet) is tried again, ``TRIES`` times, later
and later.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from time import monotonic
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from psycopg.rows import dict_row

from homing.engine.caller import Claims
from homing.engine.push import push
from homing.jobs import Job, Task, defer
from homing.postgres.sql import Connection, execute, fetch_all, load
from homing.protocol.errors import CATALOGUE, Action, Problem
from homing.protocol.messages import PushRequest, Result
from homing.server.tenant import Tenant

TASK = "crm.operations"
TAKEN_MAX = 100
TRIES = 5
WORK_SECONDS = 300.0
"""After this the job makes way for others and goes on later."""
NO_SESSION = UUID(int=0)

Status = Literal["pending", "processing", "completed", "failed"]

_MAY_COME = ("fk_missing", "dependency_failed")
"""Refusals that another operation or device may take the cause away of."""


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """What to do with a row. ``entity_type`` as push names it; ``entity_id`` is the row's, needed but for a create."""

    operation: Literal["create", "update", "delete"]
    entity_type: Annotated[str, msgspec.Meta(min_length=1, max_length=50, pattern=r"^[\w.-]+$")]
    payload: dict[str, Any]
    entity_id: UUID | None = None


class Queued(msgspec.Struct, frozen=True, kw_only=True):
    """An operation as it is kept. ``processed_at``: when it was last tried."""

    id: UUID
    user_id: UUID
    operation: str
    entity_type: str
    entity_id: UUID | None
    payload: dict[str, Any]
    retry_count: int
    status: Status
    error: str | None
    created_at: datetime
    processed_at: datetime | None


async def enqueue(conn: Connection, *, user: UUID, operations: Sequence[Operation]) -> list[UUID]:
    """Keep operations that ``user`` asks for; their ids, in the same order. They are applied after ``conn``'s
    transaction commits, in their order, one user's one after the other."""
    given = msgspec.json.encode(operations).decode()
    ids = [
        row[0] for row in await fetch_all(conn, load(__package__, "keep_operations"), {"user": user, "given": given})
    ]
    await defer(conn, TASK, key=TASK)
    return ids


async def find(
    conn: Connection, *, user: UUID | None, status: Status | None, after: tuple[datetime, UUID] | None, limit: int
) -> list[Queued]:
    """Operations, the newest first; of one user, in one state."""
    at, after_id = after or (None, None)
    params = {"user": user, "status": status, "after_at": at, "after_id": after_id, "limit": limit}
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(load(__package__, "list_operations"), params)
        return [Queued(**row) for row in await cursor.fetchall()]


async def retry(conn: Connection, operation: UUID) -> None:
    """Try a failed operation again from the beginning. Raises Problem: not_found, state_conflict."""
    row = await (await conn.execute(load(__package__, "retry_operation"), {"id": operation})).fetchone()
    if row is None:
        raise Problem("not_found")
    if not row[0]:
        raise Problem("state_conflict", "The operation has not failed.")
    await defer(conn, TASK, key=TASK)


async def work(tenant: Tenant, _: Job) -> None:
    """Apply what is pending, for ``WORK_SECONDS`` at most. Raises Problem("unavailable"): the job is tried again."""
    began = monotonic()
    while await apply_some(tenant):
        if monotonic() - began > WORK_SECONDS:
            async with tenant.engine.owner.transaction() as conn:
                await defer(conn, TASK, key=TASK)
            return


async def apply_some(tenant: Tenant) -> int:
    """Take up to ``TAKEN_MAX`` operations of one user and apply them; how many there were."""
    owner = tenant.engine.owner
    async with owner.transaction() as conn:
        # One at a time: what is being processed then was left by a dead worker, or another does it at this moment, and
        # push gives both the same answer.
        await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('crm operations', 0))")
        taken = await _take(conn, now=tenant.clock())
    if not taken:
        return 0
    request = PushRequest(items=[_item(each) for each in taken], batch_token=_token(taken))
    ((role, active),) = await _read_user(tenant, taken[0].user_id)
    if active:
        claims = Claims(taken[0].user_id, role, tenant.name, "job", NO_SESSION, None)
        results = (await push(tenant.engine, claims, request, in_session=False)).results
    else:
        gone = "Whoever asked for it is not active any more."
        results = [
            Result(index=n, client_temp_id=None, status="error", code="forbidden", error=gone)
            for n in range(len(taken))
        ]
    async with owner.transaction() as conn:
        told = [_told(each, result) for each, result in zip(taken, results, strict=True)]
        params = {"told": msgspec.json.encode(told).decode(), "now": tenant.clock()}
        await execute(conn, load(__package__, "finish_operations"), params)
    return len(taken)


async def _take(conn: Connection, *, now: datetime) -> list[Queued]:
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(load(__package__, "take_operations"), {"limit": TAKEN_MAX, "now": now})
        return [Queued(**row) for row in await cursor.fetchall()]


async def _read_user(tenant: Tenant, user: UUID) -> list[tuple[Any, ...]]:
    async with tenant.engine.owner.connection() as conn:
        return await fetch_all(conn, "SELECT role, is_active FROM homing.users WHERE id = %(user)s", {"user": user})


def _item(queued: Queued) -> msgspec.Raw:
    payload = queued.payload if queued.entity_id is None else {**queued.payload, "id": str(queued.entity_id)}
    item: dict[str, Any] = {
        "resource_type": queued.entity_type,
        "action": queued.operation,
        "payload": payload,
        "edited_at": queued.created_at.isoformat(),
    }
    if queued.operation != "create":
        item["base"] = {"none": True}
    return msgspec.Raw(msgspec.json.encode(item))


def _token(taken: Sequence[Queued]) -> str:
    hashed = hashlib.sha256()
    for each in taken:
        hashed.update(each.id.bytes + each.retry_count.to_bytes(4, "big"))
    return f"crm-operations-{hashed.hexdigest()}"


def _told(queued: Queued, result: Result) -> dict[str, Any]:
    retry_count = queued.retry_count
    status: Status = "failed"
    error = f"{result.code or result.status}: {result.error or ''}".strip(": ")
    if result.status == "ok":
        status, error = "completed", ""
    elif result.status != "conflict":
        code = CATALOGUE.get(result.code or "")
        may_come = result.code in _MAY_COME or (code is not None and code.action is Action.RETRY)
        retry_count += 1
        status = "pending" if may_come and retry_count < TRIES else "failed"
    return {
        "id": str(queued.id),
        "status": status,
        "error": error or None,
        "retry_count": retry_count,
        "entity_id": result.server_id or (None if queued.entity_id is None else str(queued.entity_id)),
    }


OPERATIONS = Task(name=TASK, run=work, every=timedelta(minutes=5), seconds=2 * WORK_SECONDS)
"""Every five minutes also for what waits to be tried again."""
