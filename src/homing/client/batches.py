"""Batches of the outbox on their way.

A batch is written down before it is sent, under a token, with its items frozen: if the answer is lost, the same items
go under the same token again, and the server gives the answer it has.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from homing.client import attachments, layers
from homing.client.choice import Candidate, choose
from homing.client.entries import Damaged, item_text, protect, protected, unseal
from homing.client.store import Row, Store

BATCH_BYTES = 1024 * 1024
"""Bytes of items a batch holds at most, well under any server's limit; a single larger item travels alone."""


class Batch(msgspec.Struct, frozen=True):
    """A batch as it travels, each time the same. ``items`` is a JSON list."""

    batch_token: str
    client_sync_token: str | None
    atomic: bool
    ops: tuple[str, ...]
    items: str


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
                refuse_entry(store, op, "damaged", "The saved edit is damaged; it was not sent.")
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
        for row in open_entries(store, batch):
            store.run("requeue_entry", op=row["op"], tries=False)
        store.run("delete_batch", batch_token=batch.batch_token)


def refuse(store: Store, batch: Batch, *, code: str, error: str) -> int:
    """The batch can never be accepted: its entries wait for a person. Returns how many."""
    with store.transaction():
        rows = open_entries(store, batch)
        for row in rows:
            refuse_entry(store, row["op"], code, error)
        store.run("delete_batch", batch_token=batch.batch_token)
        return len(rows)


def open_entries(store: Store, batch: Batch) -> list[Row]:
    """The entries of a batch that still wait for its answer: another process may have stored it already."""
    rows = [row for op in batch.ops if (row := store.one("read_entry", op=op)) is not None]
    return [row for row in rows if row["batch_token"] == batch.batch_token]


def refuse_entry(store: Store, op: str, code: str, error: str) -> None:
    """A verdict given here or by the server: the entry waits for a person, its row shows what the server has."""
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
