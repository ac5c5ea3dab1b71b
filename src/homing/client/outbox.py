"""Local edits: each is one transaction that changes the row and puts an entry into the outbox.

An entry's ``op`` is its client_temp_id, for every action: with the device, the version and the action it is the key
under which the server remembers the verdict, so however often an entry is sent, it has its effect once.

An entry keeps the version of the base that the user saw. Rewriting it later is safe only while the entry was never
sent; from then on its item is frozen text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from homing.client import layers
from homing.client.entries import Entry, seal, unseal
from homing.client.store import Store
from homing.client.tables import SyncedTable, encode_value
from homing.declare import Edit
from homing.protocol.messages import Action

FIRST_VERSION = 1
"""What the client says of a row the server has not answered yet: a row begins with this version."""

_canonical = msgspec.json.Encoder(order="sorted").encode


class EditError(ValueError):
    """A local edit that can be seen to be wrong before it is sent. ``code`` is the error catalogue's."""

    def __init__(self, code: str, sentence: str) -> None:
        self.code = code
        super().__init__(sentence)


def create(store: Store, resource_type: str, payload: Mapping[str, Any], *, together: str | None = None) -> str:
    """Make a row; returns the id it is known by here: a temp id, or the key the payload brings."""
    with store.transaction():
        table = table_of(store, resource_type)
        if not table.wire.create:
            raise EditError("forbidden", f"this role may not create a {resource_type}")
        values = encode_fields(table, payload, action="create")
        given = values.pop(table.wire.key, None)
        if given is None:
            op = row_id = f"tmp-{store.new_id()}"
            store.run("insert_temp_id", temp_id=op, resource_type=resource_type)
        else:
            op, row_id = f"op-{store.new_id()}", str(given)
            if layers.look(store, resource_type, row_id) is not None:
                raise EditError("exists", f"{resource_type} {row_id} exists already")
        check(store, table, Edit(table=resource_type, action="create", row_id=row_id, values=dict(values)))
        append(store, table, op=op, row_id=row_id, action="create", payload=values, together=together)
        return row_id


def update(
    store: Store, resource_type: str, row_id: str, fields: Mapping[str, Any], *, together: str | None = None
) -> str | None:
    """Change fields of a row; returns the entry's op, or None where nothing differs from what is there."""
    with store.transaction():
        table = table_of(store, resource_type)
        row_id = resolve(store, row_id)
        row = existing(store, resource_type, row_id)
        values = encode_fields(table, fields, action="update")
        there = row.values
        changed = {
            name: value
            for name, value in values.items()
            if name not in there or _canonical(there[name]) != _canonical(value)
        }
        if not changed:
            return None
        op = f"op-{store.new_id()}"
        edit = Edit(table=resource_type, action="update", row_id=row_id, values=dict(changed), old=dict(there))
        check(store, table, edit)
        append(store, table, op=op, row_id=row_id, action="update", payload=changed, together=together)
        return op


def delete(store: Store, resource_type: str, row_id: str, *, together: str | None = None) -> str:
    """Delete a row; returns the entry's op."""
    with store.transaction():
        table = table_of(store, resource_type)
        if not table.wire.delete:
            raise EditError("forbidden", f"this role may not delete a {resource_type}")
        row_id = resolve(store, row_id)
        row = existing(store, resource_type, row_id)
        op = f"op-{store.new_id()}"
        edit = Edit(table=resource_type, action="delete", row_id=row_id, values={}, old=dict(row.values))
        check(store, table, edit)
        append(store, table, op=op, row_id=row_id, action="delete", payload={}, together=together)
        return op


def check(store: Store, table: SyncedTable, edit: Edit) -> None:
    """Run the application's rules, given for ``app.type`` or for the type as the server calls it: where two
    applications have jobs, nobody's rules are taken for the other's.

    Raises EditError with the refusal's code and sentence.
    """
    named = f"{table.wire.app}.{edit.table.rpartition('.')[2]}"
    for rule in store.checks.get(named) or store.checks.get(edit.table, ()):
        refusal = rule(edit)
        if refusal is not None:
            raise EditError(refusal.code, refusal.message)


def resolve(store: Store, row_id: str) -> str:
    """The id a row has now: the server's, once a temp id is answered."""
    known = store.one("read_temp_id", temp_id=row_id)
    return row_id if known is None or known["server_id"] is None else str(known["server_id"])


def table_of(store: Store, resource_type: str) -> SyncedTable:
    table = store.tables().get(resource_type)
    if table is None:
        known = ", ".join(sorted(store.tables())) or "none: fetch the schema first"
        raise EditError("unknown_table", f"{resource_type} is no synced table here ({known})")
    return table


def existing(store: Store, resource_type: str, row_id: str) -> layers.Layered:
    row = layers.look(store, resource_type, row_id)
    if row is None:
        raise EditError("not_found", f"there is no {resource_type} {row_id} here")
    return row


def encode_fields(table: SyncedTable, fields: Mapping[str, Any], *, action: Action) -> dict[str, Any]:
    """``fields`` in wire form. Raises EditError for names the table does not have or that may not be written."""
    for name in fields:
        column = table.by_name.get(name)
        if column is None and name not in table.extra:
            raise EditError("unknown_column", f"{table.resource_type} has no {name}")
        if column is not None and action not in column.wire.writable:
            raise EditError("read_only_column", f"{name} of {table.resource_type} cannot be written on {action}")
    return {
        name: encode_value(value, table.by_name[name].wire if name in table.by_name else None)
        for name, value in fields.items()
    }


def append(
    store: Store,
    table: SyncedTable,
    *,
    op: str,
    row_id: str,
    action: Action,
    payload: dict[str, Any],
    together: str | None = None,
) -> None:
    """Put an edit at the end of the outbox, based on what the replica has, and lay it over the row."""
    entry = Entry(
        op=op,
        device_id=store.state().device_id,
        resource_type=table.resource_type,
        row_id=row_id,
        action=action,
        payload=payload,
        client_version=_based_on(store, table.resource_type, row_id, payload),
        edited_at=store.now(),
        together=together,
    )
    store.run(
        "insert_entry",
        op=op,
        resource_type=entry.resource_type,
        row_id=row_id,
        action=action,
        client_version=entry.client_version,
        together=together,
        entry=seal(entry),
    )
    note_needs(store, table, entry)
    layers.refresh(store, [(entry.resource_type, row_id)])


def _based_on(store: Store, resource_type: str, row_id: str, payload: Mapping[str, Any]) -> int:
    """The version of the row that the user saw. Fields that an unanswered edit of theirs lies over are not seen as they
    were pulled since: an edit of such fields alone goes on from that edit's base."""
    base = store.one("read_base", resource_type=resource_type, id=row_id)
    version = FIRST_VERSION if base is None else int(base["version"])
    oldest = store.the("read_oldest_base", resource_type=resource_type, row_id=row_id)["oldest"]
    if oldest is None or oldest >= version:
        return version
    unseen, versions = set(payload), [version]
    for row in store.all("read_unanswered_of_row", resource_type=resource_type, row_id=row_id):
        entry = unseal(row["entry"])
        if isinstance(entry, Entry) and not unseen.isdisjoint(entry.payload):
            unseen.difference_update(entry.payload)
            versions.append(entry.client_version)
    return version if unseen or not payload else min(versions)


def rewrite(store: Store, entry: Entry) -> None:
    """Store a revised entry in place of the one with its op."""
    store.run("rewrite_entry", op=entry.op, row_id=entry.row_id, client_version=entry.client_version, entry=seal(entry))


def note_needs(store: Store, table: SyncedTable, entry: Entry) -> None:
    """Remember which temp ids an entry names: its row, and the rows its references point to."""
    named = [entry.row_id, *(entry.payload.get(name) for name in table.references)]
    for value in named:
        if isinstance(value, str) and value != entry.op and store.one("read_temp_id", temp_id=value) is not None:
            store.run("insert_need", op=entry.op, temp_id=value)
