"""The fast way to write a batch: all items decided first, then each group by one statement, in one round trip.

Edits of one row keep their order by levels: the first edit of a row is in level 0, the next in level 1. Within a level
all creates come first (referenced tables before those that refer to them), then updates, then deletes (the other way
round). Anything unforeseen (a statement that fails, a row that a statement stopped, a hook that refuses after the
write) raises ``NeedsCareError``: the batch is rolled back and done again the careful way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import psycopg

from homing.engine import decide, write
from homing.engine.items import Verdict, Work
from homing.engine.meet import (
    Meeting,
    conflict,
    decided,
    edits_failed,
    judge,
    note_failed,
    refers_to_failed,
    refuse_dependent,
)
from homing.engine.merge import added
from homing.engine.values import wire
from homing.engine.write import Group, Row
from homing.postgres.sql import Answer, Call, Connection

_ORDER = {"create": 0, "update": 1, "delete": 2}


STOPPED = "HM001"
"""SQLSTATE of homing.stop(): a group's statement found a row that did not become what was planned."""

ABOUT_DATA = (
    psycopg.IntegrityError,
    psycopg.DataError,
    psycopg.ProgrammingError,
    psycopg.InternalError,
    psycopg.NotSupportedError,
    psycopg.errors.ProgramLimitExceeded,
)
"""Errors that the data of an item can cause; the others are the database's or ours."""


class NeedsCareError(Exception):
    """Something failed that the careful way will pin on one item."""


def plan(meeting: Meeting, works: Sequence[Work]) -> list[Group]:
    """Decide every open item, in order, and give it its verdict; the groups to write for that, in order."""
    groups: dict[tuple[Any, ...], Group] = {}
    order = {table.id: position for position, table in enumerate(meeting.tables)}
    for work in works:
        if work.verdict is None and edits_failed(meeting, work):
            refuse_dependent(work)
        if work.verdict is not None:
            note_failed(meeting, work)
            continue
        if refers_to_failed(meeting, work):
            raise NeedsCareError  # unless the row is there after all, which only the careful way finds out
        if work.plain:
            _plan_plain(groups, order, work)
            continue
        outcome = judge(meeting, work)
        if not settle(meeting, work, outcome):
            note_failed(meeting, work)
            continue
        assert isinstance(outcome, decide.Create | decide.Update | decide.Delete)
        group, row = to_write(work, outcome)
        standing = meeting.standing(work)
        standing.level = max([standing.level, *_levels_referred(meeting, work, outcome)])
        level, place = standing.level, order[group.table.id]
        signature = (
            level,
            _ORDER[group.kind],
            -place if group.kind == "delete" else place,
            group.columns,
            tuple(sorted(group.supplied)),
            group.revives,
        )
        advance(meeting, work, outcome)
        row.version = standing.version
        groups.setdefault(signature, group).rows.append(row)
    return [groups[signature] for signature in sorted(groups, key=lambda signature: signature[:3])]


def _levels_referred(
    meeting: Meeting, work: Work, outcome: decide.Create | decide.Update | decide.Delete
) -> Iterator[int]:
    """Levels after those of the rows of the same table that an edit refers to: a statement does not see its own rows,
    so a tree made in one batch is written generation by generation."""
    assert work.table is not None
    if isinstance(outcome, decide.Delete):
        return
    for name, reference in work.table.references.items():
        if reference.table == work.table.name and name in outcome.values:
            referred = meeting.standings.get((work.table.id, str(outcome.values[name])))
            if referred is not None:
                yield referred.level


def _plan_plain(groups: dict[tuple[Any, ...], Group], order: Mapping[int, int], work: Work) -> None:
    """A create that nothing looks into: most of what phones send, so it takes the short way."""
    assert work.table is not None
    assert work.item is not None
    assert work.row_id is not None
    signature = (0, 0, order[work.table.id], work.columns, work.columns)
    group = groups.get(signature)
    if group is None:
        group = groups[signature] = Group(work.table, "create", work.columns, frozenset(work.columns))
    group.rows.append(Row(work.row_id, write.doc_of(work.row_id, bytes(work.item.payload)), version=1))
    work.verdict = Verdict("ok", row_id=work.row_id, version=1)


def settle(meeting: Meeting, work: Work, outcome: decide.Outcome) -> bool:
    """Give a verdict to what needs no writing. True: there is something to write."""
    standing = meeting.standing(work)
    match outcome:
        case decide.Refused():
            work.refuse(outcome.code, outcome.message, outcome.path)
            return False
        case decide.Conflict():
            conflict(meeting, work, outcome)
            assert work.table is not None
            standing.own |= added(work.table.declared.merge, work.sent)
            return False
        case decide.Nothing():
            if outcome.decided:
                decided(meeting, work, outcome.decided, outcome.base, standing.values)
            standing.own |= work.sent
            version = None if standing.values is None else standing.version
            work.verdict = Verdict("ok", row_id=work.row_id, version=version, merged=outcome.merged)
            return False
    return True


def to_write(work: Work, outcome: decide.Create | decide.Update | decide.Delete) -> tuple[Group, Row]:
    """The group an edit belongs to (empty) and its row."""
    table = work.table
    assert table is not None
    assert work.row_id is not None
    assert work.values is not None
    if isinstance(outcome, decide.Delete):
        if table.declared.soft_delete is not None:
            members = {table.declared.soft_delete: b"true"}
            return (
                Group(table, "update", (table.declared.soft_delete,)),
                Row(work.row_id, write.doc(work.row_id, members)),
            )
        return Group(table, "delete", ()), Row(work.row_id, b"")
    given = work.values.raw
    members = {
        # The client's own text where the value is still its own, so that a number keeps every digit.
        name: given[name] if name in given and not _changed(work, name, value) else msgspec.json.encode(value)
        for name, value in outcome.values.items()
    }
    kind: write.Kind = "create" if isinstance(outcome, decide.Create) else "update"
    columns = tuple(sorted(members))
    return (
        Group(
            table,
            kind,
            columns,
            frozenset(given) & frozenset(columns),
            revives=isinstance(outcome, decide.Create) and outcome.revives,
        ),
        Row(work.row_id, write.doc(work.row_id, members)),
    )


def _changed(work: Work, name: str, value: object) -> bool:
    assert work.table is not None
    assert work.values is not None
    own = wire(work.table.columns[name], work.values.typed[name])
    return own is not value and own != value


def advance(meeting: Meeting, work: Work, outcome: decide.Create | decide.Update | decide.Delete) -> None:
    """The row as it stands after this edit, for the edits of it that follow."""
    standing = meeting.standing(work)
    before = standing.values
    standing.level += 1
    if isinstance(outcome, decide.Create):
        standing.values, standing.version, merged = dict(outcome.values), 1, False
    elif isinstance(outcome, decide.Update):
        assert standing.values is not None
        standing.values = {**standing.values, **outcome.values}
        standing.version += 1
        standing.own |= work.sent
        merged = outcome.merged
    else:
        standing.values, standing.left, merged = None, True, False
        standing.own.clear()
        standing.version += 1 if work.table is not None and work.table.declared.soft_delete else 0
    work.verdict = Verdict("ok", row_id=work.row_id, version=standing.version, merged=merged)
    if isinstance(outcome, decide.Update) and outcome.decided:
        decided(meeting, work, outcome.decided, outcome.base, before)


def writes(meeting: Meeting, groups: Sequence[Group]) -> list[Call]:
    """The groups' statements. Each fails as a whole unless every row of it became what was planned."""
    user, device = meeting.claims.user_id, meeting.device_id
    writers = meeting.engine.writers
    return [writers.sealed(group).call(write.params_of(group, user=user, device=device)) for group in groups]


async def run_pinned(conn: Connection, calls: Sequence[Call], behind: Sequence[Call] = ()) -> list[Answer]:
    """Run statements whose failures, where they are about the data, become NeedsCareError. Returns the answers of those
    ``behind`` them, as far as they did not fail."""
    try:
        return (await conn.run_all([*calls, *behind], needed=len(calls)))[len(calls) :]
    except psycopg.DatabaseError as error:
        if error.sqlstate == STOPPED or isinstance(error, ABOUT_DATA):
            raise NeedsCareError from error
        raise


async def run_effects(conn: Connection, meeting: Meeting, works: Sequence[Work]) -> None:
    """The applications' effects, once a table. Raises NeedsCareError when one refuses."""
    for table in meeting.tables:
        if not table.declared.effects:
            continue
        edits = [
            meeting.edits[work.index]
            for work in works
            if work.table is table
            and work.verdict is not None
            and work.verdict.status == "ok"
            and not work.verdict.stored
        ]
        for hook in table.declared.effects:
            if edits:
                await hook(conn, edits, meeting.who)
        if any(edit.refusal is not None for edit in edits):
            raise NeedsCareError
