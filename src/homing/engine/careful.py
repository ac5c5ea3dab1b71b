"""The careful way to write a batch: item by item, in order, each under a savepoint.

Also what the fast way means: where both can be walked, they give the same rows and verdicts. An item that fails is
rolled back to its savepoint and gets a verdict that says why, in the catalogue's words; the others never notice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import psycopg
from psycopg import errors

from homing.engine import decide, write
from homing.engine.fast import ABOUT_DATA, advance, settle, to_write
from homing.engine.items import Verdict, Work
from homing.engine.meet import Meeting, edits_failed, judge, note_failed, refers_to_failed, refuse_dependent
from homing.engine.tables import BoundTable
from homing.postgres.sql import Call, Connection

_SENTENCES = {
    "forbidden": "the row would be outside what the caller may see and write",
    "fk_missing": "a referenced row does not exist, or the caller cannot see it",
    "not_found": "there is no such row",
}

_OUT_OF_ORDER = ("fk_missing", "still_referenced")
"""What an item is refused for that may only have come before the one it needs."""


async def apply(conn: Connection, meeting: Meeting, works: Sequence[Work]) -> None:
    """Decide and write every open item, one after the other; gives each its verdict.

    Creates may come before what they refer to, and deletes before what refers to them: the fast way writes them in the
    order that works. So an item that is refused for that gets another turn after the others, and what follows it on its
    row waits with it, until a turn brings nothing.
    """
    turn = list(works)
    last = False
    while turn:
        waiting: list[Work] = []
        rows: set[tuple[int, str]] = set()
        applied = False
        for work in turn:
            if work.verdict is None:
                assert work.table is not None
                assert work.row_id is not None
                row = (work.table.id, work.row_id)
                if row in rows or not await _apply_one(conn, meeting, work, last=last):
                    waiting.append(work)
                    rows.add(row)
                    continue
                applied = True
            note_failed(meeting, work)
        turn, last = waiting, not applied


async def _apply_one(conn: Connection, meeting: Meeting, work: Work, *, last: bool) -> bool:
    """Whether the item has its verdict now; without one, everything is as it was before."""
    assert work.table is not None
    assert work.row_id is not None
    if edits_failed(meeting, work) or refers_to_failed(meeting, work):
        refuse_dependent(work)
        return True
    edit, standing = meeting.edits[work.index], meeting.standing(work)
    values, before = edit.values, replace(standing, own=dict(standing.own))
    await _try(conn, meeting, work)
    assert work.verdict is not None
    if last or work.verdict.code not in _OUT_OF_ORDER:
        return True
    work.verdict, edit.values, edit.refusal = None, values, None
    meeting.standings[work.table.id, work.row_id] = before
    return False


async def _try(conn: Connection, meeting: Meeting, work: Work) -> None:
    outcome = judge(meeting, work)
    if not settle(meeting, work, outcome):
        if work.verdict is not None and work.verdict.status == "ok":
            await _effects_alone(conn, meeting, work)
        return
    assert isinstance(outcome, decide.Create | decide.Update | decide.Delete)
    assert work.table is not None
    group, row = to_write(work, outcome)
    group.rows.append(row)
    await conn.run_all([Call("SAVEPOINT homing_item")])
    try:
        statement = meeting.engine.writers.statement(group)
        params = write.params_of(group, user=meeting.claims.user_id, device=meeting.device_id)
        result = write.written(group, (await statement.run(conn, params)).rows)[row.row_id]
        edit = meeting.edits[work.index]
        if result.stopped is None:
            for hook in work.table.declared.effects:
                if edit.refusal is None:
                    await hook(conn, [edit], meeting.who)
            # Constraints that wait for the end of the transaction must speak now, while this item is to blame.
            await conn.run_all([Call("SET CONSTRAINTS ALL IMMEDIATE"), Call("SET CONSTRAINTS ALL DEFERRED")])
    except ABOUT_DATA as error:
        await conn.run_all([Call("ROLLBACK TO SAVEPOINT homing_item")])
        work.verdict = verdict_of(error, work.table, work)
        return
    if result.stopped is not None:
        await conn.run_all([Call("ROLLBACK TO SAVEPOINT homing_item")])
        work.refuse(result.stopped, _SENTENCES[result.stopped])
        return
    if edit.refusal is not None:
        await conn.run_all([Call("ROLLBACK TO SAVEPOINT homing_item")])
        work.refused(edit.refusal)
        return
    await conn.run_all([Call("RELEASE SAVEPOINT homing_item")])
    advance(meeting, work, outcome)
    assert work.verdict is not None
    assert result.version is not None
    work.verdict.version = meeting.standing(work).version = result.version


async def _effects_alone(conn: Connection, meeting: Meeting, work: Work) -> None:
    """An item that leaves its row as it is may still bring something of its own, such as a photo."""
    assert work.table is not None
    edit = meeting.edits[work.index]
    await conn.run_all([Call("SAVEPOINT homing_item")])
    for hook in work.table.declared.effects:
        if edit.refusal is None:
            await hook(conn, [edit], meeting.who)
    if edit.refusal is not None:
        await conn.run_all([Call("ROLLBACK TO SAVEPOINT homing_item")])
        meeting.conflicts[:] = [found for found in meeting.conflicts if found["n"] != work.index]
        work.verdict = None
        work.refused(edit.refusal)
    else:
        await conn.run_all([Call("RELEASE SAVEPOINT homing_item")])


def verdict_of(error: psycopg.Error, table: BoundTable, work: Work) -> Verdict:
    """A database error in the catalogue's words: which rule of the schema an item broke. Errors that are not about the
    item's data are bugs and raised again."""
    diag = error.diag
    path = f"/{diag.column_name}" if diag.column_name else None
    row = work.row_id
    match error:
        case errors.UniqueViolation() if diag.constraint_name and _is_key(error, table):
            # A row that the caller may see was found before (meet.py); of another nothing is told but this.
            return Verdict("error", "not_found", "This id cannot be used; leave it to the server to give one.")
        case errors.UniqueViolation() | errors.ExclusionViolation():
            made = work.item is not None and work.item.action == "create"
            return Verdict(
                "conflict",
                "unique",
                f"Another row has this value already ({diag.constraint_name}).",
                row_id=None if made else row,
            )
        case errors.ForeignKeyViolation() if work.item is not None and work.item.action == "delete":
            return Verdict("error", "still_referenced", "Other rows still refer to this one.", row_id=row)
        case errors.ForeignKeyViolation():
            return Verdict("error", "fk_missing", _SENTENCES["fk_missing"], path, row_id=row)
        case errors.NotNullViolation():
            return Verdict("error", "missing_value", f"{diag.column_name} needs a value", path, row_id=row)
        case errors.CheckViolation():
            return Verdict(
                "error", "check_failed", f"the value breaks the rule {diag.constraint_name}", path, row_id=row
            )
        case errors.ProgramLimitExceeded():
            return Verdict("error", "too_large", "a value is too large for an index", row_id=row)
        case errors.RaiseException() | errors.IntegrityConstraintViolation():
            return Verdict("error", "check_failed", diag.message_primary or "refused by the database", row_id=row)
        case psycopg.DataError():
            return Verdict("error", "invalid_value", diag.message_primary or "a value is not valid", path, row_id=row)
        case errors.InsufficientPrivilege():
            return Verdict("error", "forbidden", "the database does not allow this", row_id=row)
    raise error


def _is_key(error: psycopg.Error, table: BoundTable) -> bool:
    detail = error.diag.message_detail or ""
    return detail.startswith(f"Key ({table.key.name})=")
