"""Versioned changes of the database, as plain SQL: ``NNNN_name.sql`` and, to undo it, ``NNNN_name.down.sql``.

Each migration is one transaction that begins by taking a lock of the whole database and reading again what was applied.
So any number of nodes may start at once: one applies a file, the others then find it applied. A file that failed leaves
nothing behind. A file that was applied never changes: its checksum is kept and compared.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from typing import Literal, assert_never

import psycopg

from homing.postgres.database import Database
from homing.postgres.sql import Connection, execute, fetch_all, fetch_one, load

State = Literal["applied", "pending", "changed", "unknown"]

_FILE_NAME = re.compile(r"(?P<version>\d{4})_(?P<name>[a-z0-9_]+?)(?P<down>\.down)?\.sql")

LOCK_SECONDS = 10
"""How long a migration waits for a table in use: while it waits, all later statements on that table wait behind it."""


class MigrationError(Exception):
    """The database cannot be brought to the asked state; the message says which file and why. Nothing was changed by
    the migration it names; the ones before it stay applied."""


@dataclass(frozen=True, slots=True)
class Migrations:
    """A named set of migrations: the folder ``folder`` of ``package``. The core is one, every application another."""

    name: str
    package: str
    folder: str = "schema"


@dataclass(frozen=True, slots=True)
class MigrationStatus:
    """One migration. ``changed``: the file differs from what was applied. ``unknown``: applied, but this version of
    Homing has no such file."""

    set: str
    version: int
    name: str
    state: State
    applied_at: datetime | None

    @property
    def label(self) -> str:
        return _label(self.set, self.version, self.name)


@dataclass(frozen=True, slots=True)
class _File:
    set: str
    version: int
    name: str
    up: str
    down: str | None

    @property
    def label(self) -> str:
        return _label(self.set, self.version, self.name)

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.up.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class _Applied:
    set: str
    version: int
    name: str
    checksum: str
    applied_at: datetime


async def migrate(db: Database, sets: Sequence[Migrations]) -> list[str]:
    """Apply what is pending, set by set in the given order; the labels (``core 0001 core``) of what this call applied.

    Raises MigrationError when a file fails, was changed after it was applied, or is missing here though it was applied
    (an older Homing on a newer database).
    """
    known = _read_sets(sets)
    done: list[str] = []
    while True:
        async with db.transaction() as conn:
            applied = await _begin(conn)
            _refuse_surprises(known, applied)
            pending = [file for file in known if (file.set, file.version) not in applied]
            if not pending:
                return done
            await _apply(conn, pending[0])
        done.append(pending[0].label)


async def rollback(db: Database, sets: Sequence[Migrations], *, set_name: str, to_version: int) -> list[str]:
    """Undo the applied migrations of one set above ``to_version`` (0: all), newest first; their labels.

    Raises MigrationError when a down file is missing (before anything is undone) or fails.
    """
    known = {(file.set, file.version): file for file in _read_sets(sets)}
    if set_name not in {each.name for each in sets}:
        raise MigrationError(f"there is no set of migrations called {set_name!r}")
    done: list[str] = []
    while True:
        async with db.transaction() as conn:
            applied = await _begin(conn)
            newest_first = sorted((key for key in applied if key[0] == set_name and key[1] > to_version), reverse=True)
            if not newest_first:
                return done
            for key in newest_first:
                if key not in known or known[key].down is None:
                    raise MigrationError(
                        f"{_label(*key, applied[key].name)} has no down file here: it cannot be undone"
                    )
            file = known[newest_first[0]]
            await _run(conn, file, file.down or "")
            await execute(conn, load(__package__, "delete_migration"), {"set": file.set, "version": file.version})
        done.append(file.label)


async def status(db: Database, sets: Sequence[Migrations]) -> list[MigrationStatus]:
    """Every migration of ``sets`` and every one applied, in the order of ``sets``. Reads only."""
    async with db.snapshot() as conn:
        exists = await fetch_one(conn, load(__package__, "migrations_exist"))
        applied = await _read_applied(conn) if exists == (True,) else {}
    known = _read_sets(sets)
    found = [_compare(file, applied.get((file.set, file.version))) for file in known]
    there = {(file.set, file.version) for file in known}
    strangers = [
        MigrationStatus(row.set, row.version, row.name, "unknown", row.applied_at)
        for key, row in applied.items()
        if key not in there
    ]
    return found + strangers


def _compare(file: _File, row: _Applied | None) -> MigrationStatus:
    if row is None:
        return MigrationStatus(file.set, file.version, file.name, "pending", None)
    state: State = "applied" if row.checksum == file.checksum else "changed"
    return MigrationStatus(file.set, file.version, file.name, state, row.applied_at)


def _refuse_surprises(known: Sequence[_File], applied: dict[tuple[str, int], _Applied]) -> None:
    sets = {file.set for file in known}
    files_by_key = {(file.set, file.version): file for file in known}
    for key, row in applied.items():
        if row.set not in sets:
            continue  # of an application that this node does not serve
        file = files_by_key.get(key)
        match _compare(file, row).state if file else "unknown":
            case "unknown":
                raise MigrationError(
                    f"{_label(*key, row.name)} was applied to this database, but this version has no such file: "
                    "run the newer version, or roll back with it"
                )
            case "changed":
                raise MigrationError(
                    f"{_label(*key, row.name)} was changed after it was applied: "
                    "an applied migration stays as it is; write a new one"
                )
            case "applied" | "pending":
                pass
            case other:
                assert_never(other)


async def _begin(conn: Connection) -> dict[tuple[str, int], _Applied]:
    # Waiting for another node's migration may take as long as that migration does.
    await conn.execute("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0", prepare=False)
    await conn.execute(load(__package__, "lock_migrations"), prepare=False)
    await conn.execute(load(__package__, "create_migrations"), prepare=False)
    return await _read_applied(conn)


async def _read_applied(conn: Connection) -> dict[tuple[str, int], _Applied]:
    rows = await fetch_all(conn, load(__package__, "read_migrations"))
    return {(row.set, row.version): row for row in (_Applied(*row) for row in rows)}


async def _apply(conn: Connection, file: _File) -> None:
    await _run(conn, file, file.up)
    await execute(
        conn,
        load(__package__, "insert_migration"),
        {"set": file.set, "version": file.version, "name": file.name, "checksum": file.checksum},
    )


async def _run(conn: Connection, file: _File, text: str) -> None:
    await conn.execute("SELECT set_config('lock_timeout', %s, true)", [f"{LOCK_SECONDS}s"], prepare=False)
    try:
        # Without parameters psycopg sends the text as it is: several statements, percent signs and all.
        await conn.execute(text, prepare=False)
    except psycopg.OperationalError:
        raise  # the database went away or a table was busy: becomes Problem("unavailable"), and may be tried again
    except psycopg.Error as error:
        raise MigrationError(f"{file.label}: {_explain(error, text)}") from error


def _explain(error: psycopg.Error, text: str) -> str:
    """PostgreSQL's sentence, with the line of the file it points at."""
    said = error.diag.message_primary or str(error)
    position = error.diag.statement_position
    return f"line {text.count(chr(10), 0, int(position)) + 1}: {said}" if position else said


def _read_sets(sets: Sequence[Migrations]) -> list[_File]:
    return [file for each in sets for file in _read_set(each)]


def _read_set(each: Migrations) -> list[_File]:
    ups: dict[int, tuple[str, str]] = {}
    downs: dict[int, tuple[str, str]] = {}
    for entry in files(each.package).joinpath(each.folder).iterdir():
        if not entry.name.endswith(".sql"):
            continue
        parts = _FILE_NAME.fullmatch(entry.name)
        if parts is None:
            raise MigrationError(f"{each.name}: {entry.name} is not named NNNN_name.sql or NNNN_name.down.sql")
        side, version = (downs if parts["down"] else ups), int(parts["version"])
        if version in side:
            raise MigrationError(f"{each.name}: two files have the number {version:04}")
        # A checkout with other line ends is the same migration.
        side[version] = (parts["name"], entry.read_text(encoding="utf-8").replace("\r\n", "\n"))
    for version, (name, _) in downs.items():
        if version not in ups or ups[version][0] != name:
            raise MigrationError(
                f"{each.name}: {version:04}_{name}.down.sql undoes nothing: there is no {version:04}_{name}.sql"
            )
    return [
        _File(each.name, version, name, text, downs[version][1] if version in downs else None)
        for version, (name, text) in sorted(ups.items())
    ]


def _label(set_name: str, version: int, name: str) -> str:
    return f"{set_name} {version:04} {name}"
