"""After the server was set back to an earlier point (restored from a backup, failed over to a lagging copy).

What it had confirmed may be gone there, while this replica still knows it. So applied edits are kept for a while, and
those whose effect the newly pulled base does not show are offered again, under the same key: a server that did not lose
them answers as it did before, one that did lose them applies them now.
"""

from __future__ import annotations

from homing.client import layers, outbox, temp_ids
from homing.client.entries import Entry, unseal
from homing.client.store import Row, Store


def offer_again(store: Store) -> int:
    """Queue the applied edits that the base does not show; returns how many. Part of the caller's transaction."""
    lost = store.all("read_lost")
    for row in lost:
        store.run("requeue_entry", op=row["op"], tries=False)
    unmade = [
        row for row in lost if row["action"] == "create" and store.one("read_temp_id", temp_id=row["op"]) is not None
    ]
    _note_needs(store, unmade)
    for row in unmade:
        # The row has no id there any more: it is a temp id once again, for everything that names it.
        store.run("resolve_temp_id", temp_id=row["op"], resource_type=row["resource_type"], server_id=None)
        temp_ids.rename(store, row["resource_type"], temp_id=row["op"], old=row["row_id"], new=row["op"])
        for needing in store.all("read_needing", temp_id=row["op"]):
            if needing["status"] == "queued":
                store.run("thaw_entry", op=needing["op"])
    layers.refresh(store, {(row["resource_type"], row["row_id"]) for row in lost})
    return len(lost)


def rebase_on_older(store: Store) -> None:
    """Edits based on a version the server never had in this life are based on the one it has."""
    for row in store.all("read_ahead_of_base"):
        entry = unseal(row["entry"])
        if isinstance(entry, Entry):
            outbox.rewrite(store, entry.revised(client_version=row["version"]))
            store.run("thaw_entry", op=row["op"])


def _note_needs(store: Store, unmade: list[Row]) -> None:
    """Which queued edits name a lost row, also those that were made when it had its real id."""
    temp_id_of = {(row["resource_type"], row["row_id"]): row["op"] for row in unmade}
    tables = store.tables()
    for row in store.all("read_entries", status="queued") if unmade else []:
        entry = unseal(row["entry"])
        table = tables.get(row["resource_type"])
        if not isinstance(entry, Entry) or table is None:
            continue
        named = {(entry.resource_type, entry.row_id)} | {
            (reference.resource_type, str(entry.payload.get(name))) for name, reference in table.references.items()
        }
        for key in named & temp_id_of.keys():
            if temp_id_of[key] != entry.op:
                store.run("insert_need", op=entry.op, temp_id=temp_id_of[key])
