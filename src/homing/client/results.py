"""What the answer to a batch does to its entries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import msgspec
from msgspec import Raw

from homing.client import attachments, layers, outbox, temp_ids
from homing.client.batches import Batch, open_entries, refuse_entry
from homing.client.entries import Entry, unseal
from homing.client.store import Row, Store
from homing.protocol.errors import CATALOGUE, Action
from homing.protocol.messages import Status

MISSING = {"dependency_failed", "not_found", "fk_missing"}
"""Codes that an item gets because a row it names was not created."""
TRIES_MAX = 3
"""Times an item is sent again because its verdict asked for it, before a person has to look."""


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


def conclude(store: Store, batch: Batch, results: Sequence[Result]) -> list[Outcome]:
    """Store the verdicts, one for each item in order: checked by the caller."""
    with store.transaction():
        verdict_of = dict(zip(batch.ops, results, strict=True))
        rows = open_entries(store, batch)
        outcomes = [_conclude(store, row, verdict_of[row["op"]]) for row in rows]
        if Outcome.HELD in outcomes:
            store.run("hold_batch", batch_token=batch.batch_token)
        else:
            store.run("delete_batch", batch_token=batch.batch_token)
        _rebase(store, [(row, verdict_of[row["op"]]) for row in rows])
        layers.refresh(store, {(row["resource_type"], row["row_id"]) for row in rows})
        return outcomes


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
    refuse_entry(store, op, code, sentence)
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
