"""A damaged replica: found out before it is used, put aside, and its unsent edits saved.

Everything the server sent can be pulled again, so only what exists nowhere else is carried over: the outbox, what was
being sent, temp ids, attached files, the device's name, the session. The new replica starts with an empty base, which
is harmless: nothing here ever turns the absence of a row into a delete.

Tables are read row by row around the damage. If SQLite cannot read the outbox at all, the entries are looked for in the
raw bytes (see ``entries.py``). One that was sent before is sent again under its old key: the server remembers.

The new file is made beside the old one and then takes its name. A kill at any step leaves one of the two whole.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import msgspec

from homing.client.entries import Entry, scan, seal, unseal
from homing.client.outbox import note_needs
from homing.client.schema import adopt
from homing.client.sql import quote
from homing.client.store import Clock, NewId, Store
from homing.client.tables import Schema

PARTS = ("", "-wal", "-shm")
CARRIED = ("_state", "_session", "_tables", "_outbox", "_batches", "_temp_ids", "_attachments")
STATE_KEPT = {"id", "device_id", "device", "server", "user_id", "schema_version", "schema", "wanted"}
"""Columns of ``_state`` that no pull brings. The schema stays, so that the application can go on editing at once."""
UNREADABLE = (sqlite3.DatabaseError, UnicodeDecodeError)
"""What reading damage raises; the second where the name in SQLite's own complaint is no text any more."""
PROBES_MAX = 200_000
"""Row numbers tried one by one between damaged pages: more edits than anybody leaves unsent."""


@dataclass(frozen=True, slots=True)
class Salvage:
    """What was saved. ``damaged``: where the old file is now. ``entries`` of the outbox were saved, ``lost`` ones were
    seen but not whole; ``raw``: they had to be found in the file's bytes."""

    damaged: Path
    reason: str
    entries: int
    lost: int
    raw: bool


def damage(path: Path) -> str | None:
    """Why the file cannot be trusted; None if it can. An absent file is a new replica, not a damaged one."""
    if not path.exists() or path.stat().st_size == 0:
        return "its log is there, the file is not" if _with(path, "-wal").exists() else None
    try:
        with closing(sqlite3.connect(path, timeout=10.0, isolation_level=None)) as connection:
            found = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
            if found != "ok":
                return str(found)
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = '_state'").fetchone():
                made = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
                return "it has no state" if made else None
            for table in (*CARRIED, "_needs", "_staged"):
                for _row in connection.execute(f"SELECT * FROM {quote(table)}"):
                    pass  # text that is no UTF-8 shows only when it is read
            for _id, _payload, readable in connection.execute("SELECT id, payload, json_valid(payload) FROM _base"):
                if not readable:
                    return "a row of the server's is no JSON any more"
    except sqlite3.OperationalError as error:
        if "locked" in str(error) or "busy" in str(error):
            return None
        return str(error)
    except UNREADABLE as error:
        return str(error)
    return None


def salvage(path: Path, reason: str, *, clock: Clock, new_id: NewId) -> Salvage:
    """Put the damaged file aside and make a replica with what could be saved under its name."""
    source, target = _with(path, ".salvage-source"), _with(path, ".salvage")
    for part in PARTS:
        # Read a copy: opening a damaged file may change it, and this may be the second attempt.
        _with(target, part).unlink(missing_ok=True)
        _with(source, part).unlink(missing_ok=True)
        if part != "-shm" and _with(path, part).exists():
            shutil.copyfile(_with(path, part), _with(source, part))
    store = Store(target, clock=clock, new_id=new_id)
    try:
        entries, lost, raw = _carry_over(path, source, store)
        store.checkpoint()
    finally:
        store.close()
    for part in PARTS:
        _with(source, part).unlink(missing_ok=True)
    aside = _aside(path, clock)
    for part in PARTS[::-1]:  # the file itself last: while it stands, this is simply done again
        if _with(path, part).exists():
            _with(path, part).rename(_with(aside, part))
    finish(path)
    return Salvage(aside, reason, entries, lost, raw)


def finish(path: Path) -> None:
    """Let a finished salvage take the replica's name, where a kill came in between."""
    target = _with(path, ".salvage")
    if target.exists() and not path.exists():
        for part in PARTS[1:]:
            _with(path, part).unlink(missing_ok=True)
        target.rename(path)


def _carry_over(path: Path, source: Path, store: Store) -> tuple[int, int, bool]:
    """Entries saved, entries lost, and whether they had to be found in raw bytes."""
    lost = 0
    with store.transaction():
        try:
            with closing(sqlite3.connect(source, isolation_level=None)) as old:
                old.row_factory = sqlite3.Row
                old.text_factory = lambda data: data.decode(errors="replace")
                for table in CARRIED:
                    missed = _carry_table(old, store, table)
                    lost += missed if table == "_outbox" else 0
        except UNREADABLE:
            lost = max(lost, 1)
        raw = lost > 0 and _carry_raw(path, store)
        store.run("requeue_orphans")
        _make_derived(store)
        saved = int(store.the("count_all_entries")["entries"])
        return saved, 0 if raw else lost, raw


def _carry_table(old: sqlite3.Connection, store: Store, table: str) -> int:
    """Copy the rows that can be read; the number of places with damage, and of entries that are not whole."""
    here = {row["name"] for row in store.connection.execute(f"PRAGMA table_info({quote(table)})")}
    columns = [row["name"] for row in old.execute(f"PRAGMA table_info({quote(table)})") if row["name"] in here]
    if table == "_state":
        columns = [column for column in columns if column in STATE_KEPT]
    if not columns:
        return 1
    names = ", ".join(map(quote, columns))
    into = f"INSERT OR REPLACE INTO {quote(table)} ({names}) VALUES ({', '.join('?' * len(columns))})"
    missed = 0
    for row in _readable(old, table, names):
        if row is None or (table == "_outbox" and not isinstance(unseal(row["entry"]), Entry)):
            missed += 1
            continue
        try:
            store.connection.execute(into, tuple(row)[-len(columns) :])
        except sqlite3.IntegrityError:
            missed += 1  # a flipped bit made it a row that cannot be
    return missed


def _readable(old: sqlite3.Connection, table: str, names: str) -> Iterator[sqlite3.Row | None]:
    """The rows that can be read, from both ends and then one by one; None for each place where there was damage."""
    low, high = 0, 2**62
    rows = f"SELECT rowid AS _rowid, {names} FROM {quote(table)}"
    for forward in (True, False):
        order = "" if forward else "DESC"
        try:
            for row in old.execute(f"{rows} WHERE rowid > ? AND rowid < ? ORDER BY rowid {order}", (low, high)):
                low, high = (row["_rowid"], high) if forward else (low, row["_rowid"])
                yield row
        except UNREADABLE:
            yield None
        else:
            return
    for number in range(low + 1, min(high, low + PROBES_MAX)):
        try:
            yield from old.execute(f"{rows} WHERE rowid = ?", (number,))
        except UNREADABLE:
            continue


def _carry_raw(path: Path, store: Store) -> bool:
    """Add the entries found in the bytes of the file and its log that SQLite did not give us."""
    latest: dict[str, Entry] = {}
    for part in PARTS[:2]:
        if _with(path, part).exists():
            for entry in scan(_with(path, part).read_bytes()):
                if entry.op not in latest or entry.revision > latest[entry.op].revision:
                    latest[entry.op] = entry
    found = [entry for entry in latest.values() if store.one("read_entry", op=entry.op) is None]
    for entry in sorted(found, key=lambda entry: entry.edited_at):
        store.run(
            "insert_entry",
            op=entry.op,
            resource_type=entry.resource_type,
            row_id=entry.row_id,
            action=entry.action,
            client_version=entry.client_version,
            together=entry.together,
            entry=seal(entry),
        )
        if entry.action == "create" and entry.op.startswith("tmp-"):
            server_id = None if entry.row_id == entry.op else entry.row_id
            store.run("resolve_temp_id", temp_id=entry.op, resource_type=entry.resource_type, server_id=server_id)
    return bool(found)


def _make_derived(store: Store) -> None:
    """What follows from the entries: the device's name, the synced tables with the edits, which temp ids are needed."""
    rows = store.connection.execute("SELECT entry FROM _outbox ORDER BY seq").fetchall()
    entries = [entry for row in rows if isinstance(entry := unseal(row["entry"]), Entry)]
    if entries:
        # Sealed, where the state's own copy may have a flipped bit: the server's keys belong to this name.
        store.set_state(device_id=entries[0].device_id)
    text = store.state().schema
    try:
        if text is not None:
            adopt(store, msgspec.json.decode(text, type=Schema))
    except (msgspec.DecodeError, UnicodeDecodeError):
        store.set_state(schema=None, schema_version=None)
    tables = store.tables()
    for entry in entries:
        if entry.resource_type in tables:
            note_needs(store, tables[entry.resource_type], entry)


def _aside(path: Path, clock: Clock) -> Path:
    name = _with(path, f".damaged-{clock():%Y%m%dT%H%M%S}")
    number = 1
    while name.exists():
        number += 1
        name = _with(path, f".damaged-{clock():%Y%m%dT%H%M%S}-{number}")
    return name


def _with(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)
