"""A row as the application sees it: what the server sent, with the local edits laid over it in their order.

Only edits whose fate is open are laid over (queued, in flight, held for review), and those that the server applied but
no pull has shown yet. So a pull that is still behind never brings the old value back for a moment, and a refused edit
falls back to what the server has without anybody undoing it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import Raw

from homing.client.entries import Damaged, unseal
from homing.client.store import Store


@dataclass(frozen=True, slots=True)
class Layered:
    """``raw`` values by name, JSON text as the server or the edit has it. ``version`` is the base's; None while the
    server has not sent the row."""

    raw: dict[str, Raw]
    version: int | None

    @property
    def values(self) -> dict[str, Any]:
        """The values as the wire says them."""
        return {name: msgspec.json.decode(value) for name, value in self.raw.items()}


def look(store: Store, resource_type: str, row_id: str) -> Layered | None:
    """The row as it stands now; None if it is not here, or deleted here."""
    base = store.one("read_base", resource_type=resource_type, id=row_id)
    raw: dict[str, Raw] | None = None if base is None else msgspec.json.decode(base["payload"], type=dict[str, Raw])
    for layer in store.all("read_layers", resource_type=resource_type, row_id=row_id):
        entry = unseal(layer["entry"])
        if isinstance(entry, Damaged):
            continue
        edit = {name: Raw(msgspec.json.encode(value)) for name, value in entry.payload.items()}
        match entry.action:
            case "create":
                raw = {**(raw or {}), **edit}
            case "update":
                # An edit of a row that is gone shows nothing; the server will say what became of it.
                raw = None if raw is None else {**raw, **edit}
            case "delete":
                raw = None
    return None if raw is None else Layered(raw, None if base is None else base["version"])


def refresh(store: Store, keys: Iterable[tuple[str, str]], *, schema: str = "main") -> None:
    """Make these rows of the synced tables what ``look`` says. Part of the caller's transaction."""
    tables = store.tables()
    for resource_type, row_id in keys:
        table = tables.get(resource_type)
        if table is None:
            continue
        row = look(store, resource_type, row_id)
        if row is None:
            store.connection.execute(table.delete_sql(schema=schema), (row_id,))
        else:
            payload = msgspec.json.encode(row.raw)
            store.connection.execute(table.upsert_sql(schema=schema), table.bind(row_id, payload, row.version))


def layered_rows(store: Store) -> set[tuple[str, str]]:
    """The rows that have edits laid over them."""
    return {(row["resource_type"], row["row_id"]) for row in store.all("read_layered_rows")}
