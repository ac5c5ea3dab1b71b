"""Temp ids: names of rows made here, until the server has answered their create.

The server resolves a temp id wherever it is sent, in this batch or a later one, so nothing depends on when the rename
below happens. It is done at once all the same: the application then sees the same id everywhere.
"""

from __future__ import annotations

from homing.client import layers, outbox
from homing.client.entries import Entry, unseal
from homing.client.store import Store


def settle(store: Store, resource_type: str, temp_id: str, server_id: str) -> None:
    """The server made the row ``temp_id`` as ``server_id``: call it that in rows, entries, references, attachments.

    A second answer with another id (the server was restored and made the row again) renames from the first one.
    """
    known = outbox.resolve(store, temp_id)
    store.run("resolve_temp_id", temp_id=temp_id, resource_type=resource_type, server_id=server_id)
    if known != server_id:
        rename(store, resource_type, temp_id=temp_id, old=known, new=server_id)


def rename(store: Store, resource_type: str, *, temp_id: str, old: str, new: str) -> None:
    """``old`` → ``new`` in every entry that names the row, and in the rows they are laid over."""
    tables = store.tables()
    changed = {(resource_type, old), (resource_type, new)}
    naming = [
        *store.all("read_row_entries", resource_type=resource_type, row_id=old),
        *store.all("read_needing", temp_id=temp_id),
    ]
    for text in {row["op"]: row["entry"] for row in naming}.values():
        entry = unseal(text)
        if not isinstance(entry, Entry):
            continue
        table = tables.get(entry.resource_type)
        payload = dict(entry.payload)
        for name, reference in ({} if table is None else table.references).items():
            if reference.resource_type == resource_type and str(payload.get(name)) == old:
                target = tables.get(resource_type)
                payload[name] = new if target is None else target.wire_id(new)
        row_id = new if entry.resource_type == resource_type and entry.row_id == old else entry.row_id
        outbox.rewrite(store, entry.revised(row_id=row_id, payload=payload))
        changed.add((entry.resource_type, row_id))
    store.run("rename_attachments", resource_type=resource_type, old=old, new=new)
    layers.refresh(store, changed)
