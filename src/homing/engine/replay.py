"""Replay: the office runs stored payloads again, with the rights of the user who sent them.

For a batch held for review it is the approval; for quarantined items the way back, after somebody repaired the payload
or what it depended on. Items that were applied keep their verdict. A dry run does everything and rolls back.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec

from homing.engine import careful, record
from homing.engine.again import give_twins, part_twins, recall
from homing.engine.caller import Caller, Claims
from homing.engine.engine import Engine
from homing.engine.items import Verdict, Work, correct_times, read_all, references
from homing.engine.meet import Meeting, meet
from homing.engine.pull import read_token
from homing.postgres.sql import Connection, load
from homing.protocol.errors import Problem
from homing.protocol.messages import Result
from homing.protocol.token import Token


async def replay(
    engine: Engine,
    caller: Caller,
    batch: UUID,
    *,
    item: UUID | None = None,
    payload: Mapping[str, Any] | None = None,
    dry_run: bool = False,
) -> list[Result]:
    """Run the refused and held items of a batch again, or one of them. One result an item that was asked for.

    ``payload``: what the item is given in place of its own first; with a dry run, that is not kept either.
    Raises Problem: not_found, state_conflict (the user or device is gone or barred).
    """
    async with engine.owner.connection() as conn:
        await conn.execute("BEGIN")
        if payload is not None:
            await repair(conn, caller, item, payload)
        works = await _replay(engine, conn, caller, batch, item)
        await conn.execute("ROLLBACK" if dry_run else "COMMIT")
    return record.results_of(works)


async def repair(conn: Connection, caller: Caller, item: UUID | None, payload: Mapping[str, Any]) -> None:
    """Give a quarantined item another payload, inside the caller's transaction. Raises Problem("not_found")."""
    await conn.execute("SELECT set_config('homing.actor', %s, true)", [str(caller.user_id)])
    params = {"item": item, "payload": msgspec.json.encode(payload).decode()}
    if await (await conn.execute(load(__package__, "repair_item"), params)).fetchone() is None:
        raise Problem("not_found")


async def _replay(engine: Engine, conn: Connection, caller: Caller, batch: UUID, item: UUID | None) -> list[Work]:
    owner = await (await conn.execute(load(__package__, "read_batch_owner"), {"batch": batch})).fetchone()
    if owner is None:
        raise Problem("not_found")
    _, user_id, role, active, device_id, device_name, device_status, token, atomic, sent = owner
    if user_id is None or not active:
        raise Problem("state_conflict", "The user who sent this batch is gone or inactive.")
    if device_status == "revoked":
        raise Problem("state_conflict", "The device that sent this batch is revoked.")
    rows = await (await conn.execute(load(__package__, "read_replayed"), {"batch": batch, "item": item})).fetchall()
    if not rows:
        raise Problem("not_found")
    now = engine.clock()
    claims = Claims(user_id, role, caller.tenant, "replay", uuid4(), device_name)
    await _act_as(conn, str(user_id), device_id, batch)
    works = read_all([_raw(row) for row in rows], engine.bound.by_resource_type, engine.limits, now=now)
    correct_times(works, timedelta(0), now)
    ids: dict[int, UUID] = {}
    final: set[int] = set()
    for work, row in zip(works, rows, strict=True):
        ids[work.index] = row[0]
        if row[7] == "ok" or (row[7] == "conflict" and row[14] is not None):
            final.add(work.index)
            work.row_id = row[10]
            work.verdict = Verdict(
                row[7],
                row[12],
                row[13],
                row_id=row[10],
                version=row[11],
                merged=row[15],
                conflict_id=row[14],
                stored=True,
            )
    judged: list[tuple[object, ...]] = []
    if device_name is not None and (temp_ids := references(works)):
        # As push does: nothing else of this device is judged meanwhile.
        await conn.execute("SELECT FROM homing.mobile_devices WHERE id = %s FOR NO KEY UPDATE", [device_id])
        cursor = await conn.execute(
            load(__package__, "read_keys"), {"device": device_name, "temp_ids": sorted(temp_ids)}
        )
        here = set(ids.values())
        judged = [row for row in await cursor.fetchall() if row[10] not in here]
    known = await recall(conn, works, judged)
    fresh, twins = part_twins(works)
    base_token = _base_token(engine, claims, token)
    meeting = Meeting(engine, claims, batch, device_id, now, base_token, atomic=atomic and item is None, sent=sent)
    await meet(conn, meeting, fresh, known, careful=True)
    await careful.apply(conn, meeting, fresh)
    if meeting.atomic and (culprit := next((w for w in fresh if w.verdict and w.verdict.status != "ok"), None)):
        await meeting.undo(conn)
        record.abort(works, culprit)
    await _act_as(conn, str(caller.user_id), None, batch)
    await record.keep_conflicts(conn, meeting, works)
    give_twins(twins)
    judged_now = [work for work in works if work.index not in final]
    await conn.execute(load(__package__, "keep_replayed"), {"items": _verdicts(judged_now, ids)})
    await conn.execute(
        "UPDATE homing.sync_batches SET status = 'completed', processed_at = %s, held_reason = NULL"
        " WHERE id = %s AND held_reason IS NOT NULL AND NOT EXISTS"
        " (SELECT FROM homing.sync_items i WHERE i.batch_id = sync_batches.id AND i.status = 'pending')",
        [now, batch],
    )
    for work in works:
        work.index = rows[work.index][1]
    return works


def _base_token(engine: Engine, claims: Claims, text: str | None) -> Token | None:
    """The client's sync token as the batch came with it, if it was one of ours."""
    if text is None:
        return None
    try:
        return read_token(engine, claims, text)
    except Problem:
        return None


async def _act_as(conn: Connection, actor: str, device: UUID | None, batch: UUID) -> None:
    await conn.execute(
        "SELECT set_config('homing.actor', %s, true), set_config('homing.device', %s, true),"
        " set_config('homing.batch', %s, true)",
        [actor, "" if device is None else str(device), str(batch)],
    )


def _raw(row: tuple[object, ...]) -> bytes:
    """A stored item as the client would send it."""
    _id, _position, temp_id, resource_type, action, payload, version, _status, base, edited_at, *_ = row
    return msgspec.json.encode(
        {
            "client_temp_id": temp_id,
            "resource_type": resource_type,
            "action": action,
            "payload": msgspec.Raw(str(payload).encode()),
            "client_version": version,
            "base": None if base is None else msgspec.Raw(str(base).encode()),
            "edited_at": edited_at,
        }
    )


def _verdicts(works: list[Work], ids: dict[int, UUID]) -> str:
    kept = [
        {
            "id": ids[work.index],
            "status": work.verdict.status,
            "server_version": work.verdict.version,
            "error": work.verdict.message,
            "row_id": work.verdict.row_id,
            "code": work.verdict.code,
            "merged": work.verdict.merged,
            "conflict_id": work.verdict.conflict_id,
            "details": record.details_of(work.verdict),
            "again": work.verdict.stored,
            "quarantined": record.is_quarantined(work.verdict),
        }
        for work in works
        if work.verdict is not None
    ]
    return msgspec.json.encode(kept).decode()
