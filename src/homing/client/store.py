"""The replica's SQLite file: how it is opened, its transactions, its state.

Durability: WAL with ``synchronous=FULL``. What the application was told is saved must survive a power cut; with
``NORMAL`` one commit in nine did not (251 of 2,242, measured).

Threads: one connection, one lock held for a whole transaction, so that an asyncio driver may run a sync step in a
thread while the application writes. A flow never holds a transaction across a yield.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from homing.client.sql import load, migrations, quote
from homing.client.tables import Schema, SyncedTable, compile_tables, name_tables, stamp
from homing.declare.edits import Check
from homing.protocol.limits import DEFAULT_LIMITS, Limits

BUSY_SECONDS = 10.0
"""Seconds a write waits for another process's transaction: the longest applies one page."""
CACHE_KIB = 32 * 1024
"""KiB of pages kept in memory: the indexes of some 200,000 rows, which every page of a pull touches at random."""
PAGE_BYTES = 8192
"""Bytes of a database page. With 4096 a first sync wrote a third more."""
CHECKPOINT_PAGES = 4000
"""Pages in the WAL (32 MiB) before it is copied back: a first sync rewrites the same index pages again and again."""
SQLITE_VERSION_MIN = (3, 37, 0)
"""STRICT tables."""

Row = sqlite3.Row
Clock = Callable[[], datetime]
NewId = Callable[[], str]


class State(msgspec.Struct, frozen=True, kw_only=True):
    """The one row of ``_state``; its columns are explained in ``layout/0001_replica.sql``."""

    device_id: str
    device: str | None
    server: str | None
    user_id: str | None
    schema_version: str | None
    schema: str | None
    limits: str | None
    schema_at: str | None
    wanted: str | None
    complete: bool
    token: str | None
    acked_token: str | None
    chain_token: str | None
    replaces: str | None
    repair_token: str | None
    repair_tables: str | None
    offer_again: bool


class Session(msgspec.Struct, frozen=True):
    access_token: str
    refresh_token: str


class ClosedError(Exception):
    """The replica was closed, or wiped at the server's word."""


class Store:
    """One open replica file. ``folder`` holds the copies of attached files."""

    def __init__(self, path: Path, *, clock: Clock, new_id: NewId) -> None:
        if sqlite3.sqlite_version_info < SQLITE_VERSION_MIN:
            raise RuntimeError(f"SQLite {'.'.join(map(str, SQLITE_VERSION_MIN))} or newer is needed")
        self.path = path
        self.folder = path.with_name(path.name + ".files")
        self.clock = clock
        self.new_id = new_id
        self.checks: Mapping[str, Sequence[Check]] = {}
        self._lock = threading.RLock()
        self._depth = 0
        self._tables: tuple[str | None, dict[str, SyncedTable]] = (None, {})
        self._after_commit: list[Callable[[], None]] = []
        self._connection: sqlite3.Connection | None = connect(path)
        self._migrate()

    # Statements.

    @property
    def connection(self) -> sqlite3.Connection:
        if self._connection is None:
            raise ClosedError(f"{self.path} is closed")
        return self._connection

    def run(self, name: str, /, **params: Any) -> int:
        """Run a statement of ``queries/``; the number of rows it changed."""
        with self._lock:
            return self.connection.execute(load(name), params).rowcount

    def all(self, name: str, /, **params: Any) -> list[Row]:
        with self._lock:
            return self.connection.execute(load(name), params).fetchall()

    def one(self, name: str, /, **params: Any) -> Row | None:
        """The first row, or None."""
        with self._lock:
            row: Row | None = self.connection.execute(load(name), params).fetchone()
            return row

    def the(self, name: str, /, **params: Any) -> Row:
        """The first row, which exists."""
        row = self.one(name, **params)
        if row is None:
            raise LookupError(f"{name} found nothing for {params}")
        return row

    def stream(self, name: str, /, **params: Any) -> Iterator[Row]:
        """Rows as they are looked at, for queries of which only the beginning may be needed."""
        cursor = self.connection.execute(load(name), params)
        try:
            yield from cursor
        finally:
            cursor.close()

    def many(self, statement: str, rows: Iterable[Iterable[Any]]) -> None:
        """Run the SQL ``statement`` once for each of ``rows``."""
        with self._lock:
            self.connection.executemany(statement, rows)  # type: ignore[arg-type]

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, flushed to disk at the end. Inside another transaction: part of it."""
        with self._lock:
            if self._depth:
                yield
                return
            self.connection.execute("BEGIN IMMEDIATE")
            self._depth = 1
            try:
                yield
                self.connection.execute("COMMIT")
            except BaseException:
                self._after_commit.clear()
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise
            finally:
                self._depth = 0
            done, self._after_commit = self._after_commit, []
            for action in done:
                action()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Everything read inside belongs to one state of the replica."""
        with self._lock:
            if self._depth:
                yield
                return
            self.connection.execute("BEGIN")
            self._depth = 1
            try:
                yield
            finally:
                self._depth = 0
                if self.connection.in_transaction:
                    self.connection.execute("COMMIT")

    def after_commit(self, action: Callable[[], None]) -> None:
        """Do ``action`` once the running transaction is on disk: files go only after the rows that name them."""
        self._after_commit.append(action)

    # State.

    def state(self) -> State:
        return msgspec.convert(dict(self.the("read_state")), State, strict=False)

    def set_state(self, **columns: Any) -> None:
        assignments = ", ".join(f"{quote(name)} = :{name}" for name in columns)
        with self._lock:
            self.connection.execute(f"UPDATE _state SET {assignments}", columns)

    def session(self) -> Session | None:
        row = self.one("read_session")
        return None if row is None else Session(row["access_token"], row["refresh_token"])

    def set_session(self, session: Session | None) -> None:
        with self.transaction():
            self.run("delete_session")
            if session is not None:
                self.run("insert_session", access_token=session.access_token, refresh_token=session.refresh_token)

    def limits(self) -> Limits:
        text = self.state().limits
        return DEFAULT_LIMITS if text is None else msgspec.json.decode(text, type=Limits)

    def now(self) -> str:
        """The device's clock as the wire says it."""
        return stamp(self.clock())

    def ago(self, *, days: int) -> str:
        return stamp(self.clock() - timedelta(days=days))

    # The synced tables.

    def tables(self) -> dict[str, SyncedTable]:
        """The synced tables by resource type; empty until the server's schema was fetched."""
        row = self.the("read_schema")
        if row["schema"] is None:
            return {}
        if self._tables[0] != row["schema"]:
            names = {given["resource_type"]: given["name"] for given in self.all("read_table_names")}
            schema = msgspec.json.decode(row["schema"], type=Schema)
            self._tables = (row["schema"], compile_tables(schema, name_tables(schema, names)))
        return self._tables[1]

    def existing_columns(self, table: SyncedTable) -> Mapping[str, str]:
        """Column → declared type of the table in SQLite; empty if there is none."""
        rows = self.connection.execute(f"PRAGMA main.table_info({quote(table.name)})").fetchall()
        return {row["name"]: row["type"] for row in rows}

    # The file.

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def checkpoint(self) -> None:
        """Copy the WAL back and empty it: what was erased from the database must not survive there."""
        with self._lock:
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _migrate(self) -> None:
        scripts = migrations()
        if self._layout() == len(scripts):
            return
        with self.transaction():
            version = self._layout()  # again: another process may have been first
            if version > len(scripts):
                raise RuntimeError(f"{self.path} was written by a newer client (layout {version})")
            for script in scripts[version:]:
                for statement in _statements(script):
                    self.connection.execute(statement)
            self.connection.execute(f"PRAGMA user_version = {len(scripts)}")
            if self.one("read_state") is None:
                self.run("insert_state", device_id=self.new_id())

    def _layout(self) -> int:
        version: int = self.connection.execute("PRAGMA user_version").fetchone()[0]
        return version


def connect(path: Path) -> sqlite3.Connection:
    """A connection with the settings a replica needs. The file is made, for this user's eyes only, if there is none."""
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        connection.row_factory = Row
        for pragma in (
            f"page_size = {PAGE_BYTES}",
            "journal_mode = WAL",
            "synchronous = FULL",
            "foreign_keys = OFF",
            "secure_delete = ON",
            f"cache_size = -{CACHE_KIB}",
            f"wal_autocheckpoint = {CHECKPOINT_PAGES}",
            "journal_size_limit = 67108864",
        ):
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection


def utc_now() -> datetime:
    return datetime.now(UTC)


def _statements(script: str) -> Iterator[str]:
    """The statements of a script one by one: ``executescript`` would commit the running transaction first."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
