"""Meeting: a batch's items and the rows they are about.

``Meeting`` carries what the steps of one attempt share: whose batch it is, the rows as they stand, the history that the
decisions need, the conflicts found. It belongs to one attempt and is thrown away with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec

from homing.declare import Edit, Who
from homing.engine import base, decide, former
from homing.engine import values as value_codec
from homing.engine.base import Since, Standing, Wanted
from homing.engine.caller import Claims
from homing.engine.engine import Engine
from homing.engine.former import Former
from homing.engine.items import Verdict, Work, base_version, is_numbered, key_text, resolve
from homing.engine.pull import read_token
from homing.engine.tables import BoundTable
from homing.engine.values import Values
from homing.postgres.sql import Call, Connection
from homing.protocol.errors import Problem
from homing.protocol.messages import Item
from homing.protocol.token import Snapshot, Token


@dataclass(slots=True)
class Meeting:
    """One attempt at a batch."""

    engine: Engine
    claims: Claims
    batch: UUID
    device_id: UUID | None
    now: datetime
    base_token: Token | None
    atomic: bool = False
    sent: datetime | None = None
    """When the batch was sent, where that is long ago: what the device sent after it, it did not have then."""
    standings: dict[tuple[int, str], Standing] = field(default_factory=dict)
    edits: dict[int, Edit] = field(default_factory=dict)
    seen: dict[int, Snapshot] = field(default_factory=dict)
    history: dict[Wanted, Since] = field(default_factory=dict)
    conflicts: list[dict[str, Any]] = field(default_factory=list)
    failed: set[tuple[str, str]] = field(default_factory=set)
    """Tables and keys of rows whose create failed in this batch."""
    former: Mapping[int, Former] = field(default_factory=dict)
    """By table, what the opening found out."""
    tables: tuple[BoundTable, ...] = ()
    """The tables of the batch, referenced ones first."""

    @property
    def who(self) -> Who:
        return Who(self.claims.user_id, self.claims.role, self.device_id)

    def standing(self, work: Work) -> Standing:
        """The row a work is about, as it stands in this batch."""
        assert work.table is not None
        assert work.row_id is not None
        key = (work.table.id, work.row_id)
        found = self.standings.get(key)
        if found is None:
            found = self.standings[key] = Standing(None, 0, 0, 0)
        return found

    async def undo(self, conn: Connection) -> None:
        """Take back every row this attempt wrote; the claim stays."""
        await conn.run_all([Call("ROLLBACK TO SAVEPOINT homing_works")])
        self.conflicts.clear()


async def meet(
    conn: Connection, meeting: Meeting, works: Sequence[Work], known: Mapping[str, str], *, careful: bool
) -> None:
    """Step 2: ids given, temp ids replaced (``known`` are earlier batches'), values checked, rows locked, history read,
    the applications' ``prepare`` hooks run."""
    meeting.tables = _tables(meeting.engine, works)
    if meeting.atomic:
        await conn.run_all([Call("SAVEPOINT homing_works")])
    await _give_ids(conn, meeting, works, known)
    resolve(works, known)
    await _find_named(conn, meeting, works)
    chained = _chained(works)
    for work in _open(works):
        if careful or not _is_plain(work, chained) or not _accept(meeting, work):
            _read_values(meeting, work)
    await _lock(conn, meeting, works, careful=careful)
    await _find_former(conn, meeting, works)
    await _prepare(conn, meeting, works)
    await _read_history(conn, meeting, works)


def _is_plain(work: Work, chained: Set[str | None]) -> bool:
    """A create that nothing looks into on its way: its own text goes to the database as it came."""
    if work.item is None or work.table is None or work.item.action != "create" or work.replaced:
        return False
    declared = work.table.declared
    references = work.table.references
    if any(name in references and references[name].table == work.table.name for name in work.members):
        return False
    looked_into = declared.prepare or declared.checks or declared.effects or work.item.base is not None
    return not looked_into and work.row_id not in chained


def _accept(meeting: Meeting, work: Work) -> bool:
    """Whether a plain create is sound at the first look; if not, it is looked at thoroughly."""
    assert work.table is not None
    assert work.item is not None
    rights = work.table.rights(meeting.claims.role)
    if rights.create is None:
        return False
    columns = value_codec.accept(work.table, work.members, rights.create, bytes(work.item.payload))
    if columns is None:
        return False
    work.columns, work.plain = columns, True
    return True


def _chained(works: Sequence[Work]) -> set[str | None]:
    """Rows that more than one item of the batch is about."""
    if len(works) == 1:
        return set()
    count = Counter(work.row_id for work in works)
    return {row_id for row_id, times in count.items() if times > 1}


def _open(works: Sequence[Work]) -> list[Work]:
    return [work for work in works if work.verdict is None]


def _tables(engine: Engine, works: Sequence[Work]) -> tuple[BoundTable, ...]:
    used = {work.table.id for work in works if work.table is not None}
    return tuple(table for table in engine.bound.tables if table.id in used)


async def _give_ids(conn: Connection, meeting: Meeting, works: Sequence[Work], known: Mapping[str, str]) -> None:
    """Keys for creates of tables that number their rows themselves: first, so that others can refer to them."""
    for table in meeting.tables:
        if not table.numbers_itself:
            continue
        waiting = [
            work
            for work in _open(works)
            if work.table is table and work.item is not None and work.item.action == "create"
            if is_numbered(work, known)
        ]
        if not waiting:
            continue
        made = await meeting.engine.readers.new_ids(table).run(conn, {"count": len(waiting)})
        for work, (row_id,) in zip(waiting, made.rows, strict=True):
            work.row_id = row_id


async def _find_named(conn: Connection, meeting: Meeting, works: Sequence[Work]) -> None:
    """Put keys in place of names, in columns that may hold either."""
    for table in meeting.tables:
        for column, query in table.declared.named.items():
            waiting: dict[str, list[Work]] = {}
            for work in _open(works):
                raw = work.members.get(column) if work.table is table else None
                name = key_text(raw) if raw is not None and bytes(raw).startswith(b'"') else None
                if name is not None and "\x00" not in name and not _is_uuid(name):
                    waiting.setdefault(name, []).append(work)
            if not waiting:
                continue
            cursor = await conn.execute(query, {"names": sorted(waiting)})
            for name, key in await cursor.fetchall():
                for work in waiting.pop(name):
                    work.members[column] = msgspec.Raw(msgspec.json.encode(str(key)))
                    work.replaced = True
            for name, nowhere in waiting.items():
                for work in nowhere:
                    work.refuse("fk_missing", f"{column}: there is no {name[:63]!r}", f"/{column}")


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _read_values(meeting: Meeting, work: Work) -> None:
    table, item = work.table, work.item
    assert table is not None
    assert item is not None
    rights = table.rights(meeting.claims.role)
    if item.action == "delete":
        work.values = Values({}, {}, {})
    else:
        writable = rights.create if item.action == "create" else rights.update
        if writable is None:
            # Not allowed at all: decided where it cannot tell whether the row exists.
            work.values = Values({}, {}, {})
            if item.action == "create":
                work.refuse("forbidden", f"this role may not create a {table.resource_type}")
                return
        else:
            payload = None if work.replaced else bytes(item.payload)
            found = value_codec.read(table, work.members, writable, payload=payload)
            if not isinstance(found, Values):
                work.refused(found)
                return
            work.values = found
    if item.base is not None and item.base.token is not None:
        _read_seen(meeting, work, item.base.token)
    values, extra = work.values.wire(table), work.values.extra
    meeting.edits[work.index] = Edit(
        table.name, item.action, work.row_id, values, extra, index=work.index, edited_at=work.edited_at
    )


def _read_seen(meeting: Meeting, work: Work, token: str | bool) -> None:
    """The snapshot of the token an edit was based on."""
    found: Token | None
    if isinstance(token, str):
        try:
            found = read_token(meeting.engine, meeting.claims, token)
        except Problem:
            found = None
    else:
        found = meeting.base_token
    if found is None or found.since is None:
        work.refuse("invalid_value", "base.token must be a complete sync token of this user", "/base/token")
        return
    meeting.seen[work.index] = found.since


async def _lock(conn: Connection, meeting: Meeting, works: Sequence[Work], *, careful: bool) -> None:
    """Lock the rows, in the engine's one order. All tables in one round trip."""
    ids: dict[int, set[str]] = {}
    for work in _open(works):
        assert work.table is not None
        assert work.row_id is not None
        assert work.item is not None
        # Whether a create's own id is taken, the fast way finds out by inserting.
        if work.item.action != "create" or (careful and work.given_id is not None):
            ids.setdefault(work.table.id, set()).add(work.row_id)
    if not ids:
        return
    tables = [table for table in meeting.tables if table.id in ids]
    readers = meeting.engine.readers
    user = meeting.claims.user_id
    locked = await conn.run_all(
        [readers.rows(each).call({"ids": sorted(ids[each.id]), "user": user}) for each in tables]
    )
    for table, answer in zip(tables, locked, strict=True):
        for row_id, version, changed, payload in answer.rows:
            values = value_codec.read_row(payload)
            meeting.standings[table.id, row_id] = Standing(values, version, version, int(changed))
    for table in tables:
        made = {w.row_id for w in _open(works) if w.table is table and w.item is not None and w.item.action == "create"}
        missing = [r for r in ids[table.id] if (table.id, r) not in meeting.standings and r not in made]
        if missing:
            left = await readers.left(table).run(conn, {"ids": sorted(missing), "user": user})
            for (row_id,) in left.rows:
                meeting.standings[table.id, row_id] = Standing(None, 0, 0, 0, left=True)


async def _find_former(conn: Connection, meeting: Meeting, works: Sequence[Work]) -> None:
    """Creates whose key was a row's that is deleted. Of rows that the caller may not have seen nothing is told."""
    for table in meeting.tables:
        chosen = {w.row_id: w for w in _open(works) if w.table is table and w.chosen and w.row_id is not None}
        if not chosen:
            continue
        user = meeting.claims.user_id
        for row_id in await former.find(meeting.engine, conn, table, chosen.keys(), user=user, known=meeting.former):
            meeting.standings[table.id, row_id] = Standing(None, 0, 0, 0, left=True)
            if chosen[row_id].plain:
                chosen[row_id].plain = False
                _read_values(meeting, chosen[row_id])


async def _prepare(conn: Connection, meeting: Meeting, works: Sequence[Work]) -> None:
    for table in meeting.tables:
        if not table.declared.prepare:
            continue
        mine = [w for w in _open(works) if w.table is table]
        edits = [meeting.edits[w.index] for w in mine]
        for work, edit in zip(mine, edits, strict=True):
            standing = meeting.standings.get((table.id, work.row_id or ""))
            edit.old = standing.values if standing is not None else None
        for hook in table.declared.prepare:
            waiting = [edit for edit in edits if edit.refusal is None]
            if waiting:
                await hook(conn, waiting, meeting.who)
        for work, edit in zip(mine, edits, strict=True):
            if edit.refusal is not None:
                work.refused(edit.refusal)


async def _read_history(conn: Connection, meeting: Meeting, works: Sequence[Work]) -> None:
    """The history that decisions will ask for, one statement a table. Which that is depends only on the items' bases,
    so it is found by walking them once without deciding."""
    wanted: dict[int, list[Wanted]] = {}
    probes: dict[tuple[int, str], Standing] = {}
    for work in _open(works):
        assert work.table is not None
        assert work.item is not None
        if work.item.action == "create":
            continue
        key = (work.table.id, work.row_id or "")
        standing = meeting.standings.get(key)
        if standing is None:
            continue
        probe = probes.setdefault(key, replace(standing))
        need = decide.wanted(work.item, probe, work.row_id or "", _unseen(meeting, work, standing))
        if need is not None:
            wanted.setdefault(work.table.id, []).append(need)
        add_link(probe, work.item)
    for table in meeting.tables:
        needs = list(dict.fromkeys(wanted.get(table.id, [])))
        if needs:
            params = {"wanted": base.wanted_json(needs), "device": meeting.device_id, "sent": meeting.sent}
            answer = await meeting.engine.readers.history(table).run(conn, params)
            meeting.history |= base.since(answer.rows, needs, table)


def add_link(standing: Standing, item: Item) -> None:
    """One more edit of the row in this batch."""
    version = base_version(item)
    if version is not None:
        standing.base_floor = version if standing.base_floor is None else min(version, standing.base_floor)
    standing.links += 1


def _unseen(meeting: Meeting, work: Work, standing: Standing) -> Snapshot | None:
    """The token's snapshot, unless the row has not changed since."""
    snapshot = meeting.seen.get(work.index)
    if snapshot is None or snapshot.sees(standing.changed):
        return None
    return snapshot


def judge(meeting: Meeting, work: Work) -> decide.Outcome:
    """Step 3 for one item: what it means for its row as it stands now. Runs the table's checks."""
    table, item = work.table, work.item
    assert table is not None
    assert item is not None
    edit = meeting.edits[work.index]
    standing = meeting.standing(work)
    edit.old = standing.values
    if item.action == "update":
        work.sent = dict(edit.values)
    outcome = decide.decide(
        work,
        edit,
        standing,
        rights=table.rights(meeting.claims.role),
        device=meeting.device_id,
        seen=_unseen(meeting, work, standing),
        history=meeting.history,
    )
    if item.action != "create":
        add_link(standing, item)
    taken = isinstance(outcome, decide.Conflict) and outcome.code == "exists"
    if taken:
        edit.old = None  # judged as the fast way judges it, which learns only by inserting that the id is taken
    if taken or isinstance(outcome, decide.Create | decide.Update | decide.Delete):
        if isinstance(outcome, decide.Create | decide.Update):
            edit.values = outcome.values
        refusal = decide.check(edit, table)
        if refusal is not None:
            return decide.Refused(refusal.code, refusal.message, refusal.path)
    return outcome


def note_failed(meeting: Meeting, work: Work) -> None:
    """Remember the row of a create that came to nothing, unless the row is known to be there all the same."""
    if work.item is None or work.table is None or work.item.action != "create" or work.row_id is None:
        return
    standing = meeting.standings.get((work.table.id, work.row_id))
    there = standing is not None and standing.values is not None
    if work.verdict is not None and work.verdict.status != "ok" and not there:
        meeting.failed.add((work.table.name, work.row_id))


def edits_failed(meeting: Meeting, work: Work) -> bool:
    """Whether the item edits a row whose create failed in this batch."""
    if work.table is None or work.item is None or work.row_id is None or work.item.action == "create":
        return False
    return (work.table.name, work.row_id) in meeting.failed


def refers_to_failed(meeting: Meeting, work: Work) -> bool:
    """Whether a reference of the item is to such a row."""
    if not meeting.failed or work.table is None:
        return False
    return any(
        (reference.table, key_text(work.members[name])) in meeting.failed
        for name, reference in work.table.references.items()
        if name in work.members
    )


def refuse_dependent(work: Work) -> None:
    work.refuse("dependency_failed", "it refers to a row that was not created")


def conflict(meeting: Meeting, work: Work, outcome: decide.Conflict) -> None:
    """Record an open conflict and give the item its verdict."""
    table, item = work.table, work.item
    assert table is not None
    assert item is not None
    standing = meeting.standing(work)
    message = _conflict_message(outcome, standing, base_version(item))
    server = None if standing.values is None else msgspec.json.encode(standing.values)
    work.verdict = Verdict(
        "conflict",
        outcome.code,
        message,
        row_id=work.row_id,
        version=None if standing.values is None else standing.version,
        server_payload=server,
    )
    # Of an edit from another epoch nothing can be decided: its device resyncs, and sends it again on what it finds.
    if outcome.code in ("exists", "unique", "stale_epoch") or meeting.atomic:
        return
    work.verdict.conflict_id = uuid4()
    meeting.conflicts.append(
        {
            "n": work.index,
            "id": str(work.verdict.conflict_id),
            "resource_type": table.resource_type,
            "row_id": work.row_id,
            "server_payload": standing.values,
            "client_payload": msgspec.Raw(_client_payload(work)),
            "base_payload": None if outcome.base is None else dict(outcome.base),
            "base_version": base_version(item),
            "server_version": standing.version,
            "fields": list(outcome.fields),
            "action": item.action,
            "code": outcome.code,
        }
    )


def decided(
    meeting: Meeting, work: Work, policies: Mapping[str, str], base_row: Mapping[str, Any] | None, server: Any
) -> None:
    """Record, as a resolved conflict, what policies decided: the losing values stay in sight."""
    table, item = work.table, work.item
    assert table is not None
    assert item is not None
    standing = meeting.standing(work)
    meeting.conflicts.append(
        {
            "n": work.index,
            "id": str(uuid4()),
            "resource_type": table.resource_type,
            "row_id": work.row_id,
            "server_payload": server,
            "client_payload": msgspec.Raw(_client_payload(work)),
            "base_payload": None if base_row is None else dict(base_row),
            "base_version": base_version(item),
            "server_version": standing.version,
            "fields": sorted(policies),
            "action": item.action,
            "code": "version_conflict",
            "policy": dict(policies),
            "resolved_payload": {name: (standing.values or {}).get(name) for name in policies},
        }
    )


def _client_payload(work: Work) -> bytes:
    """What the device wanted, with real ids in place of temp ids."""
    assert work.item is not None
    assert work.table is not None
    if work.item.action == "delete":
        return msgspec.json.encode({work.table.key.name: work.row_id})
    assert work.values is not None
    members = ",".join(f'"{name}":{bytes(raw).decode()}' for name, raw in work.values.raw.items())
    head = f'"{work.table.key.name}":{msgspec.json.encode(work.row_id).decode()}'
    return f"{{{head}{',' if members else ''}{members}}}".encode()


def _conflict_message(outcome: decide.Conflict, standing: Standing, client_version: int | None) -> str:
    match outcome.code:
        case "deleted":
            return "The row was deleted; the edit is kept for the office."
        case "exists":
            return "A row with this id exists already."
        case _ if client_version is None:
            return f"The row changed since it was read: server_version={standing.version}"
        case _:
            return f"Version mismatch: server_version={standing.version}, client_version={client_version}"
