"""The server's schema: fetched, and the synced tables made to follow it.

A table only ever gains columns. One that the server no longer sends is emptied and stays, so that an application's
queries and indexes keep working. New columns are filled from the base, where the server's text has had them since it
began to send them; so do whole tables that were unknown until now.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from homing.client import layers
from homing.client.call import call, decode, get
from homing.client.exchange import Flow, Progress
from homing.client.sql import load, quote
from homing.client.store import Store
from homing.client.tables import Schema, SyncedTable, compile_tables, name_tables
from homing.protocol.limits import Limits

FRESH_FOR = timedelta(hours=24)
"""How long a schema is used before it is asked for again. A pull that brings something unknown asks at once."""


CHUNK_ROWS = 5000
"""Rows of the base that are in memory at once while a table is made."""


class Capabilities(msgspec.Struct):
    limits: Limits = Limits()


def ensure(store: Store) -> Flow[None]:
    """Fetch the schema unless the one here is recent."""
    fetched_at = store.state().schema_at
    if fetched_at is None or store.clock() - datetime.fromisoformat(fetched_at) > FRESH_FOR:
        yield from fetch(store)


def fetch(store: Store) -> Flow[None]:
    """Fetch schema and limits, and make the tables follow."""
    yield Progress("schema", 0)
    request = get("/mobile/schema")
    response = yield from call(store, request)
    schema: Schema = decode(response, Schema, request)
    request = get("/capabilities")
    capabilities: Capabilities = decode((yield from call(store, request)), Capabilities, request)
    adopt(store, schema)
    store.set_state(limits=msgspec.json.encode(capabilities.limits).decode(), schema_at=store.now())


def adopt(store: Store, schema: Schema) -> None:
    """Make the synced tables what ``schema`` says, in one transaction."""
    with store.transaction():
        given = {row["resource_type"]: row["name"] for row in store.all("read_table_names")}
        names = name_tables(schema, given)
        for resource_type, name in names.items():
            store.run("insert_table_name", resource_type=resource_type, name=name)
        for table in compile_tables(schema, names).values():
            _follow(store, table)
        store.set_state(schema=msgspec.json.encode(schema).decode(), schema_version=schema.version)
        layers.refresh(store, layers.layered_rows(store))


def _follow(store: Store, table: SyncedTable) -> None:
    there = store.existing_columns(table)
    declared = {column.column: column.declared for column in table.columns}
    if not there:
        store.connection.execute(table.create_sql())
        fill(store, table)
        return
    if any(there.get(name, kind) != kind for name, kind in declared.items()):
        # Another type would convert what is stored; SQLite cannot change a column's type in place.
        store.connection.execute(f"DROP TABLE main.{quote(table.name)}")
        store.connection.execute(table.create_sql())
        fill(store, table)
        return
    added = [name for name in declared if name not in there]
    for name in added:
        store.connection.execute(f"ALTER TABLE main.{quote(table.name)} ADD COLUMN {quote(name)} {declared[name]}")
    gone = [name for name in there if name not in declared and name != "_version"]
    if gone:
        emptied = ", ".join(f"{quote(name)} = NULL" for name in gone)
        store.connection.execute(f"UPDATE main.{quote(table.name)} SET {emptied}")
    if added:
        fill(store, table)


def fill(store: Store, table: SyncedTable, *, schema: str = "main") -> None:
    """Make every row of a synced table from the base."""
    rows = store.connection.execute(load("read_base_rows"), {"resource_type": table.resource_type})
    while chunk := rows.fetchmany(CHUNK_ROWS):
        store.many(table.upsert_sql(schema=schema), table.bind_all(map(tuple, chunk)))
