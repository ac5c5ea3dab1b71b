"""Proving a replica: to itself, and to the server.

``check`` compares every synced table with what it must be, the base with the open edits laid over it. ``digests`` say
what the base holds, for the server to compare with what it has: a changed bit in a payload shows only there.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec

from homing.client import layers, schema
from homing.client.sql import load, quote
from homing.client.store import Store
from homing.client.tables import SyncedTable
from homing.protocol.messages import Digest

DIGEST_DIGITS = 15
"""Hexadecimal digits of a row's md5 that are summed: 60 bits, which PostgreSQL and Python add alike."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A row of a synced table that is not what the base and the outbox make it; ``row_id`` empty: the whole table."""

    resource_type: str
    row_id: str


def check(store: Store) -> list[Difference]:
    """The rows that differ; empty when all is well. Raises sqlite3.DatabaseError where the file cannot be read."""
    with _comparing(store):
        return [
            Difference(resource_type, row_id)
            for resource_type, table in sorted(store.tables().items())
            for row_id in _differing(store, table)
        ]


def repair(store: Store) -> list[Difference]:
    """Make the differing rows what they must be; returns what was repaired. Digests find what a base has wrong."""
    with store.transaction():
        try:
            differences = check(store)
        except sqlite3.OperationalError:
            # Not even the keys can be read (a flipped bit made one no text): the tables are made anew.
            for table in store.tables().values():
                store.connection.execute(table.clear_sql())
                schema.fill(store, table)
            layers.refresh(store, layers.layered_rows(store))
            return [Difference(resource_type, "") for resource_type in sorted(store.tables())]
        layers.refresh(store, [(difference.resource_type, difference.row_id) for difference in differences])
        return differences


def digests(store: Store) -> tuple[str | None, dict[str, Digest]]:
    """The token, and count and hash of each table as the server sent it, of one instant."""
    with store.reading():
        state = store.state()
        wanted = None if state.wanted is None else set(msgspec.json.decode(state.wanted, type=list[str]))
        tables = [name for name in store.tables() if wanted is None or name in wanted]
        return state.token, {name: _digest(store, name) for name in sorted(tables)}


def _digest(store: Store, resource_type: str) -> Digest:
    total = count = 0
    rows = store.connection.execute(load("read_base_rows"), {"resource_type": resource_type})
    for _, row_id, version, payload in rows:
        text = f"{row_id}:{version}:{payload}".encode()
        total += int(hashlib.md5(text, usedforsecurity=False).hexdigest()[:DIGEST_DIGITS], 16)
        count += 1
    return Digest(count=count, hash=str(total))


@contextmanager
def _comparing(store: Store) -> Iterator[None]:
    """A transaction that leaves nothing behind: the tables are made again beside the ones to be compared."""
    with store.transaction():
        store.connection.execute("SAVEPOINT comparing")
        try:
            yield
        finally:
            store.connection.execute("ROLLBACK TO comparing")
            store.connection.execute("RELEASE comparing")


def _differing(store: Store, table: SyncedTable) -> list[str]:
    store.connection.execute(table.create_sql(schema="temp"))
    schema.fill(store, table, schema="temp")
    for resource_type, row_id in layers.layered_rows(store):
        if resource_type == table.resource_type:
            layers.refresh(store, [(resource_type, row_id)], schema="temp")
    columns = ", ".join([*(quote(column.column) for column in table.columns), "_version"])
    one, other = (f"SELECT {columns} FROM {place}.{quote(table.name)}" for place in ("main", "temp"))
    key = quote(table.key.column)
    rows = store.connection.execute(
        f"SELECT {key} FROM (SELECT * FROM ({one} EXCEPT {other}) UNION ALL SELECT * FROM ({other} EXCEPT {one}))"
    )
    return sorted({str(row_id) for (row_id,) in rows})
