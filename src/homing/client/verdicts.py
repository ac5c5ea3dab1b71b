"""Edits that wait for a decision here: refused by the server, or in conflict with what somebody else did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from homing.client import layers, outbox, temp_ids
from homing.client.entries import Entry, unseal
from homing.client.outbox import EditError
from homing.client.store import Row, Store
from homing.declare import Edit
from homing.protocol.messages import Action


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """``payload`` is the edit; ``server_payload`` what the server has, where it said so."""

    op: str
    resource_type: str
    row_id: str
    action: Action
    payload: dict[str, Any]
    client_version: int
    edited_at: str
    code: str
    error: str
    conflict_id: str | None
    server_version: int | None
    server_payload: Any


def verdicts(store: Store, status: Literal["refused", "conflict"]) -> list[Verdict]:
    """The entries with this verdict, oldest first."""
    return [_verdict(row) for row in store.all("read_entries", status=status)]


def discard(store: Store, op: str) -> list[str]:
    """Give an edit up; returns the ops that went. With a create go the other edits of its row.

    What refers to a row that will never be made is refused as ``dependency_failed``, for somebody to see.
    """
    with store.transaction():
        row = _decidable(store, op)
        changed = {(row["resource_type"], row["row_id"])}
        gone = [op]
        if row["action"] == "create":
            entries = store.all("read_row_entries", resource_type=row["resource_type"], row_id=row["row_id"])
            gone = [entry["op"] for entry in entries]
            for needing in store.all("read_needing", temp_id=op):
                if needing["op"] not in gone and needing["status"] == "queued":
                    why = f"It refers to {op}, which was discarded."
                    store.run("refuse_entry", op=needing["op"], code="dependency_failed", error=why, at=store.now())
                    changed.add((needing["resource_type"], needing["row_id"]))
            # What names the row from now on is refused by the server, rather than waiting for ever.
            store.run("delete_temp_id", temp_id=op)
        for each in gone:
            store.run("delete_attachments_of_entry", op=each)
            store.run("delete_needs", op=each)
            store.run("delete_entry", op=each)
        layers.refresh(store, changed)
        store.after_commit(store.checkpoint)  # an edit given up must not come back out of an old WAL frame
        return gone


def retry(store: Store, op: str, payload: Mapping[str, Any] | None = None) -> str:
    """Send a refused or conflicting edit again, with ``payload`` in place of its own if given; returns its op now.

    The user decides in view of what the replica has now, so the new edit is based on that.
    """
    with store.transaction():
        row = _decidable(store, op)
        if row["status"] == "queued":
            raise EditError("state_conflict", f"{op} waits to be sent already")
        entry = unseal(row["entry"])
        if not isinstance(entry, Entry):
            raise EditError("invalid_value", f"{op} is damaged: discard it and make the edit again")
        table = outbox.table_of(store, entry.resource_type)
        values = entry.payload if payload is None else outbox.encode_fields(table, payload, action=entry.action)
        there = None if entry.action == "create" else layers.look(store, entry.resource_type, entry.row_id)
        edit = Edit(
            table=entry.resource_type,
            action=entry.action,
            row_id=entry.row_id,
            values=dict(values),
            old=None if there is None else dict(there.values),
        )
        outbox.check(store, table, edit)
        if entry.action == "create":
            return _create_again(store, entry.revised(payload=values), bound=row["status"] == "conflict")
        store.run("delete_needs", op=op)
        store.run("delete_entry", op=op)
        fresh = f"op-{store.new_id()}"
        outbox.append(store, table, op=fresh, row_id=entry.row_id, action=entry.action, payload=values)
        store.run("move_attachments", op=op, to=fresh)
        return fresh


def _create_again(store: Store, entry: Entry, *, bound: bool) -> str:
    """A create keeps its place: everything that refers to its row comes after it.

    ``bound``: the server keeps its verdict under this op, so the row needs another, which for a temp id is its name.
    """
    old, op = entry.op, entry.op
    table = outbox.table_of(store, entry.resource_type)
    if bound:
        op = f"{'tmp' if entry.row_id == entry.op else 'op'}-{store.new_id()}"
        entry = entry.revised(op=op)
        store.run("rename_entry", old=old, new=op)
        store.run("move_attachments", op=old, to=op)
    outbox.rewrite(store, entry)
    store.run("delete_needs", op=old)
    outbox.note_needs(store, table, entry)
    store.run("requeue_entry", op=op, tries=False)
    store.run("thaw_entry", op=op)
    if bound and entry.row_id == old:
        store.run("insert_temp_id", temp_id=op, resource_type=entry.resource_type)
        temp_ids.rename(store, entry.resource_type, temp_id=old, old=old, new=op)
        store.run("move_needs", old=old, new=op)
    layers.refresh(store, [(entry.resource_type, entry.row_id)])
    return op


def _decidable(store: Store, op: str) -> Row:
    row = store.one("read_entry", op=op)
    if row is None:
        raise EditError("not_found", f"the outbox has no {op}")
    never_sent = row["status"] == "queued" and row["item"] is None
    if row["status"] not in ("refused", "conflict") and not never_sent:
        raise EditError("state_conflict", f"{op} is {row['status']}: the server may have it already")
    return row


def _verdict(row: Row) -> Verdict:
    entry = unseal(row["entry"])
    whole = isinstance(entry, Entry)
    text = row["server_payload"]
    return Verdict(
        op=row["op"],
        resource_type=row["resource_type"],
        row_id=row["row_id"],
        action=row["action"],
        payload=entry.payload if isinstance(entry, Entry) else {},
        client_version=row["client_version"],
        edited_at=entry.edited_at if isinstance(entry, Entry) else "",
        code=row["code"] or ("version_conflict" if whole else "damaged"),
        error=row["error"] or "",
        conflict_id=row["conflict_id"],
        server_version=row["server_version"],
        server_payload=None if text is None else msgspec.json.decode(text),
    )
