"""Which entries of the outbox travel next, and what their answer does to them.

A batch is written down before it is sent, under a token, with its items frozen: if the answer is lost, the same items
go under the same token again, and the server gives the answer it has. What must not be sent yet:

- an entry that names a row whose create has not succeeded and is not earlier in the same batch,
- an entry whose attached files are not uploaded,
- an entry of a row that has an earlier entry of either kind, or one without a final verdict.

Everything else passes them by: one stuck edit never holds up the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import msgspec
from msgspec import Raw

from homing.client import attachments, layers, outbox, temp_ids
from homing.client.entries import Damaged, Entry, item_text, protect, protected, unseal
from homing.client.store import Row, Store
from homing.protocol.errors import CATALOGUE, Action
from homing.protocol.messages import Status

BATCH_BYTES = 1024 * 1024
"""Bytes of items a batch holds at most, well under any server's limit; a single larger item travels alone."""
MISSING = {"dependency_failed", "not_found", "fk_missing"}
"""Codes that an item gets because a row it names was not created."""
TRIES_MAX = 3
"""Times an item is sent again because its verdict asked for it, before a person has to look."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An entry as the choice sees it. ``unmet``: temp ids it names whose creates are not answered."""

    op: str
    row: tuple[str, str]
    makes: str | None
    unmet: frozenset[str]
    waits: bool
    unanswered: bool
    together: str | None


class Batch(msgspec.Struct, frozen=True):
    """A batch as it travels, each time the same. ``items`` is a JSON list."""

    batch_token: str
    client_sync_token: str | None
    atomic: bool
    ops: tuple[str, ...]
    items: str


class Result(msgspec.Struct, kw_only=True):
    """The verdict on one item, as received; tolerant of members and codes this client does not know."""

    index: int | None = None
    client_temp_id: str | None = None
    status: Status
    server_id: str | int | None = None
    server_version: int | None = None
    merged: bool = False
    conflict_id: str | None = None
    server_payload: Raw = Raw(b"null")
    code: str | None = None
    error: str | None = None


class PushAnswer(msgspec.Struct):
    results: list[Result]


class Outcome(Enum):
    """What became of an entry; a report counts them."""

    APPLIED = "applied"
    MERGED = "merged"
    CONFLICT = "conflict"
    REFUSED = "refused"
    HELD = "held"
    AGAIN = "again"
    STALE = "stale"  # the server was set back: resync, then the entry again


def choose(candidates: Iterable[Candidate], *, size: int, group: Callable[[str], Sequence[Candidate]]) -> list[str]:
    """The ops of the next batch, in order; empty if nothing can be sent. ``group`` gives the members of a group."""
    chosen: list[str] = []
    made: set[str] = set()
    stuck: set[tuple[str, str]] = set()

    def sendable(candidate: Candidate, made: set[str]) -> bool:
        free = not (candidate.unanswered or candidate.waits) and candidate.row not in stuck
        return free and candidate.unmet <= made

    tried: set[str] = set()
    for candidate in candidates:
        if candidate.together is not None and not candidate.unanswered:
            if candidate.together not in tried and not chosen:
                tried.add(candidate.together)
                members = group(candidate.together)
                here: set[str] = set()
                for member in members:
                    if not sendable(member, here):
                        break
                    here.update(() if member.makes is None else (member.makes,))
                else:
                    return [member.op for member in members]
            stuck.add(candidate.row)
            continue
        if not sendable(candidate, made):
            stuck.add(candidate.row)
            continue
        chosen.append(candidate.op)
        if candidate.makes is not None:
            made.add(candidate.makes)
        if len(chosen) == size:
            break
    return chosen


def last_entry(store: Store) -> int:
    """The number of the newest entry. A push ends there: edits made as fast as they travel must not starve the pull."""
    return int(store.the("read_last_seq")["seq"])


def start(store: Store, *, size: int, until: int = 2**62) -> Batch | None:
    """Write the next batch of entries up to ``until`` down, to be sent; None if nothing can be sent now."""
    with store.transaction():
        while ops := choose(_candidates(store, until), size=size, group=lambda name: _group(store, name)):
            entries = [store.the("read_entry", op=op) for op in ops]
            damaged = [row["op"] for row in entries if isinstance(unseal(row["entry"]), Damaged)]
            for op in damaged:
                _refuse(store, op, "damaged", "The saved edit is damaged; it was not sent.")
            if not damaged:
                return _write_down(store, entries)
        return None


def _write_down(store: Store, entries: Sequence[Row]) -> Batch:
    items: list[str] = []
    length = 0
    for row in entries:
        item = protected(row["item"]) or _item(store, row)
        length += len(item)
        if items and length > BATCH_BYTES and row["together"] is None:
            break
        items.append(item)
    token = store.new_id()
    ops = tuple(row["op"] for row in entries[: len(items)])
    for op, item in zip(ops, items, strict=True):
        store.run("freeze_entry", op=op, item=protect(item), batch_token=token)
    batch = Batch(
        batch_token=token,
        client_sync_token=store.state().token,
        atomic=entries[0]["together"] is not None,
        ops=ops,
        items=f"[{','.join(items)}]",
    )
    store.run("insert_batch", batch_token=token, batch=protect(msgspec.json.encode(batch).decode()))
    return batch


def any_sendable(store: Store) -> bool:
    """Whether the next batch would have anything in it."""
    return bool(choose(_candidates(store, 2**62), size=1, group=lambda name: _group(store, name)))


def unanswered(store: Store) -> list[Batch]:
    """Batches that were, or may have been, sent and have no final answer; oldest first.

    A damaged one is taken apart: its entries go again on their own, their keys protect them.
    """
    found = []
    with store.transaction():
        for row in store.all("read_batches"):
            text = protected(row["batch"])
            if text is None:
                store.run("delete_batch", batch_token=row["batch_token"])
            else:
                found.append(msgspec.json.decode(text, type=Batch))
        store.run("requeue_orphans")
    return found


def waiting(store: Store) -> int:
    """Entries without a final verdict."""
    return int(store.the("count_waiting")["entries"])


def count_try(store: Store, batch: Batch) -> int:
    """The server failed on this batch; returns how often it has."""
    with store.transaction():
        store.run("count_try", batch_token=batch.batch_token)
        row = store.one("read_tries", batch_token=batch.batch_token)
        return 0 if row is None else int(row["tries"])


def dissolve(store: Store, batch: Batch) -> None:
    """Back into the queue, items still frozen: the batch was refused as a whole, or has to travel in parts."""
    with store.transaction():
        for row in _open_entries(store, batch):
            store.run("requeue_entry", op=row["op"], tries=False)
        store.run("delete_batch", batch_token=batch.batch_token)


def refuse(store: Store, batch: Batch, *, code: str, error: str) -> int:
    """The batch can never be accepted: its entries wait for a person. Returns how many."""
    with store.transaction():
        rows = _open_entries(store, batch)
        for row in rows:
            _refuse(store, row["op"], code, error)
        store.run("delete_batch", batch_token=batch.batch_token)
        return len(rows)


def conclude(store: Store, batch: Batch, results: Sequence[Result]) -> list[Outcome]:
    """Store the verdicts, one for each item in order: checked by the caller."""
    with store.transaction():
        verdict_of = dict(zip(batch.ops, results, strict=True))
        rows = _open_entries(store, batch)
        outcomes = [_conclude(store, row, verdict_of[row["op"]]) for row in rows]
        if Outcome.HELD in outcomes:
            store.run("hold_batch", batch_token=batch.batch_token)
        else:
            store.run("delete_batch", batch_token=batch.batch_token)
        _rebase(store, [(row, verdict_of[row["op"]]) for row in rows])
        layers.refresh(store, {(row["resource_type"], row["row_id"]) for row in rows})
        return outcomes


def _open_entries(store: Store, batch: Batch) -> list[Row]:
    """The entries of a batch that still wait for its answer: another process may have stored it already."""
    rows = [row for op in batch.ops if (row := store.one("read_entry", op=op)) is not None]
    return [row for row in rows if row["batch_token"] == batch.batch_token]


def _conclude(store: Store, row: Row, result: Result) -> Outcome:
    op = row["op"]
    if result.status == "ok":
        server_id = str(result.server_id) if result.server_id is not None else row["row_id"]
        store.run("apply_entry", op=op, server_id=server_id, server_version=result.server_version,
                  merged=result.merged, at=store.now())  # fmt: skip
        store.run("mark_attachments_sent", op=op)
        if row["action"] == "create" and store.one("read_temp_id", temp_id=op) is not None:
            temp_ids.settle(store, row["resource_type"], op, server_id)
        return Outcome.MERGED if result.merged else Outcome.APPLIED
    code = result.code or ("version_conflict" if result.status == "conflict" else "internal")
    sentence = result.error or (CATALOGUE[code].title if code in CATALOGUE else code)
    if code == "held_for_review":
        store.run("hold_entry", op=op, code=code, error=sentence)
        return Outcome.HELD
    if code in MISSING and msgspec.json.decode(store.the("read_unmet", op=op)["unmet"]):
        # Nothing is wrong with it: it waits for the create it needs, about which a person decides.
        store.run("requeue_entry", op=op, tries=False)
        store.run("thaw_entry", op=op)
        return Outcome.AGAIN
    action = CATALOGUE[code].action if code in CATALOGUE else Action.STOP
    if action in (Action.RETRY, Action.RESYNC) and row["tries"] + 1 < TRIES_MAX:
        # It comes back with other contents (a new upload) or under another key (an older base version), so what was
        # sent does not bind it.
        store.run("requeue_entry", op=op, tries=True)
        store.run("thaw_entry", op=op)
        if code == "media_missing":
            attachments.upload_again(store, op)
        return Outcome.STALE if action is Action.RESYNC else Outcome.AGAIN
    if result.status == "conflict":
        store.run(
            "mark_conflict",
            op=op,
            code=code,
            error=sentence,
            conflict_id=result.conflict_id,
            server_id=None if result.server_id is None else str(result.server_id),
            server_version=result.server_version,
            server_payload=None if bytes(result.server_payload) == b"null" else bytes(result.server_payload).decode(),
            at=store.now(),
        )
        return Outcome.CONFLICT
    _refuse(store, op, code, sentence)
    return Outcome.REFUSED


@dataclass(slots=True)
class _Tip:
    """A row after the user's own applied edits: the versions they were based on, and the one they led to."""

    seen: set[int]
    version: int


def _rebase(store: Store, concluded: Sequence[tuple[Row, Result]]) -> None:
    """Base later edits of a row on the result of an applied one, where that is the user's work alone.

    If the version rose by more than one an edit, somebody else's change is in it, which the user has not seen: the
    later edit keeps its base, and the server finds out what that other change was.
    """
    tips: dict[tuple[str, str], _Tip] = {}
    for row, result in concluded:
        if result.status != "ok" or result.server_version is None or row["action"] == "delete":
            continue
        key = (row["resource_type"], outbox.resolve(store, row["row_id"]))
        tip = tips.pop(key, None)
        based_on = 0 if row["action"] == "create" else row["client_version"]
        if tip is not None and row["client_version"] in tip.seen:
            based_on = tip.version
        if not result.merged and result.server_version <= based_on + 1:
            seen = {row["client_version"]} | (set() if tip is None else tip.seen)
            tips[key] = _Tip(seen, result.server_version)
    for (resource_type, row_id), tip in tips.items():
        for later in store.all("read_row_entries", resource_type=resource_type, row_id=row_id):
            entry = unseal(later["entry"])
            unsent = later["status"] == "queued" and later["item"] is None
            if unsent and isinstance(entry, Entry) and entry.client_version in tip.seen:
                outbox.rewrite(store, entry.revised(client_version=tip.version))


def _refuse(store: Store, op: str, code: str, error: str) -> None:
    store.run("refuse_entry", op=op, code=code, error=error, at=store.now())
    row = store.the("read_entry", op=op)
    layers.refresh(store, [(row["resource_type"], row["row_id"])])


def _item(store: Store, row: Row) -> str:
    entry = unseal(row["entry"])
    if isinstance(entry, Damaged):
        raise TypeError("damaged entries are refused before")
    leaves_id = entry.action == "create" and entry.row_id == entry.op
    table = store.tables().get(entry.resource_type)
    wire_id: Any = entry.row_id if table is None else table.wire_id(entry.row_id)
    return item_text(entry, wire_id=None if leaves_id else wire_id, media=attachments.uploads_of(store, entry.op))


def _candidates(store: Store, until: int) -> Iterable[Candidate]:
    """Entries without a final verdict in the order they were made, read as they are looked at."""
    return map(_candidate, store.stream("read_candidates", until=until))


def _group(store: Store, together: str) -> list[Candidate]:
    return [_candidate(row) for row in store.all("read_group", together=together)]


def _candidate(row: Row) -> Candidate:
    return Candidate(
        op=row["op"],
        row=(row["resource_type"], row["row_id"]),
        makes=row["op"] if row["action"] == "create" and row["row_id"] == row["op"] else None,
        unmet=frozenset(msgspec.json.decode(row["unmet"], type=list[str])),
        waits=bool(row["waits"]),
        unanswered=row["status"] != "queued",
        together=row["together"],
    )
