"""Backups: one database in one file, proved by restoring it.

The file is pg_dump's custom format, so PostgreSQL's own programs can do everything with it. Beside it stands
``<file>.json``: how many rows each table had in the very snapshot that was dumped, and a digest of them that does not
depend on their order. Whoever restores the file compares, to the row.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex

import msgspec
from psycopg import errors, sql

from homing.postgres.sql import Connection, fetch_all, load
from homing.protocol.errors import Problem
from homing.tenants import databases
from homing.tenants.copying import MAKE_ROLE, SAID_CHARS_MAX, program, start

Told = Callable[[str], None]
"""Told of each table as it is dumped, restored or summed up: what is done, and the table."""

_TABLE_DONE = re.compile(r"(dumping contents of table|processing data for table) \"?(?P<name>.+?)\"?$")
_SESSION = "SET TimeZone = 'UTC'; SET DateStyle = 'ISO, MDY'; SET IntervalStyle = 'postgres'; SET bytea_output = 'hex'"
"""Digests are of rows as text."""
RENAME_ATTEMPTS = 20


class Sum(msgspec.Struct, frozen=True):
    """A table's number of rows, and the sum of their hashes."""

    rows: int
    digest: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup holds. ``bytes`` and ``sha256`` are the file's."""

    taken_at: datetime
    server_version: str
    bytes: int
    sha256: str
    tables: dict[str, Sum]

    @property
    def rows(self) -> int:
        return sum(each.rows for each in self.tables.values())


async def back_up(url: str, file: Path, *, told: Told = lambda _: None) -> Manifest:
    """Dump the database into ``file``, while it is used; whatever was there is replaced once the new one is whole.

    Raises Problem("unavailable") where pg_dump says no, OSError where the file cannot be written.
    """
    part = file.with_name(f"{file.name}.part")
    async with databases.connected(url) as conn:
        await conn.execute(_SESSION)
        await conn.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        ((snapshot, version),) = await fetch_all(conn, load(__package__, "export_snapshot"))
        try:
            with part.open("wb"):
                pass  # said here and not by pg_dump where this may not be written
            options = ["--format=custom", "--no-owner", "--verbose", f"--snapshot={snapshot}", f"--file={part}"]
            await _run("pg_dump", url, *options, told=told)
            tables = await _sum_up(conn, told)
            manifest = Manifest(
                taken_at=datetime.now(UTC),
                server_version=version,
                bytes=part.stat().st_size,
                sha256=await asyncio.to_thread(_hash, part),
                tables=tables,
            )
            part.rename(file)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    _manifest_of(file).write_bytes(msgspec.json.format(msgspec.json.encode(manifest, order="sorted")) + b"\n")
    return manifest


def read_manifest(file: Path) -> Manifest | None:
    """What stands beside the file; None where nothing does. Raises Problem("state_conflict"), OSError."""
    try:
        return msgspec.json.decode(_manifest_of(file).read_bytes(), type=Manifest)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise Problem("state_conflict", f"{_manifest_of(file).name} is not what a backup writes: {error}") from error


async def check(url: str, file: Path, *, told: Told = lambda _: None) -> dict[str, Sum]:
    """Restore the file into a database of its own on the server of ``url``, compare, and drop it.

    Raises Problem: state_conflict where the file is not what its manifest says; unavailable; forbidden.
    """
    async with _scratch(url, "check") as scratch:
        return await fill(scratch, file, told=told)


async def fill(url: str, file: Path, *, told: Told = lambda _: None) -> dict[str, Sum]:
    """Restore the file into the empty database ``url``, whole or not at all, and compare with the manifest.

    Raises Problem: state_conflict where the database is not empty or the rows are not those of the manifest,
    unavailable where pg_restore says no.
    """
    manifest = read_manifest(file)
    if manifest is not None and await asyncio.to_thread(_hash, file) != manifest.sha256:
        raise Problem("state_conflict", f"{file.name} was changed or damaged: its SHA-256 is not the manifest's.")
    async with databases.connected(url) as conn:
        if there := await databases.tables(conn):
            raise Problem("state_conflict", f"The database is not empty: it has {there[0]}.")
        await conn.execute(MAKE_ROLE)
    await _run("pg_restore", url, "--no-owner", "--single-transaction", "--verbose", str(file), told=told)
    async with databases.connected(url) as conn:
        await conn.execute(_SESSION)
        found = await _sum_up(conn, told)
    if manifest is not None and (wrong := _differences(manifest.tables, found)):
        raise Problem("state_conflict", f"These tables are not as they were dumped: {', '.join(wrong)}.")
    return found


@asynccontextmanager
async def beside(url: str) -> AsyncIterator[str]:
    """An empty database next to that of ``url``, dropped where the block raises: what is to take its place."""
    made = databases.beside(url, f"{databases.name_of(url)}_{datetime.now(UTC):%Y%m%dt%H%M%S}_{token_hex(2)}")
    await databases.create(made)
    try:
        yield made
    except BaseException:
        await asyncio.shield(databases.drop(made))
        raise


async def take_place(url: str, new: str) -> str:
    """Let the database ``new`` have the name of ``url``'s; the name under which the old one stays.

    Whoever is connected to either is cut off, and finds the new one at the next attempt.
    Raises Problem: unavailable, forbidden.
    """
    name, made = databases.name_of(url), databases.name_of(new)
    kept = f"{name}_before_{datetime.now(UTC):%Y%m%dt%H%M%S}_{token_hex(2)}"
    async with databases.connected(databases.beside(url, "postgres")) as conn:
        try:
            await _rename(conn, name, kept)
            await _rename(conn, made, name)
        except errors.InsufficientPrivilege as error:
            raise Problem("forbidden", "The database's user may not rename databases.") from error
    return kept


async def _rename(conn: Connection, name: str, to: str) -> None:
    rename = sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(name), sql.Identifier(to))
    for attempt in range(RENAME_ATTEMPTS):
        await fetch_all(conn, load(__package__, "end_sessions"), {"database": name})
        try:
            await conn.execute(rename)
        except errors.ObjectInUse:  # somebody was quick to come back
            if attempt + 1 == RENAME_ATTEMPTS:
                raise Problem("unavailable", f"Sessions on {name} come back too fast: stop the servers.") from None
        else:
            return


@asynccontextmanager
async def _scratch(url: str, purpose: str) -> AsyncIterator[str]:
    scratch = databases.beside(url, f"{databases.name_of(url)}_{purpose}_{token_hex(4)}")
    await databases.create(scratch)
    try:
        yield scratch
    finally:
        await asyncio.shield(databases.drop(scratch))


async def _sum_up(conn: Connection, told: Told) -> dict[str, Sum]:
    found = {}
    for table in await databases.tables(conn):
        told(f"sum of {table}")
        query = sql.SQL(load(__package__, "sum_up")).format(table=sql.SQL(table))  # quoted by PostgreSQL itself
        ((rows, digest),) = await (await conn.execute(query)).fetchall()
        found[table] = Sum(int(rows), str(digest))
    return found


def _differences(expected: Mapping[str, Sum], found: Mapping[str, Sum]) -> list[str]:
    return sorted(table for table in expected.keys() | found.keys() if expected.get(table) != found.get(table))


async def _run(name: str, url: str, *options: str, told: Told) -> None:
    process = await start(program(name), url, *options)
    said: list[str] = []
    try:
        assert process.stderr is not None
        async for raw in process.stderr:
            line = raw.decode(errors="replace").rstrip()
            if (table := _TABLE_DONE.search(line)) is not None:
                told(f"{name}: {table['name']}")
            elif "error:" in line or "fatal:" in line or said:
                said.append(line)
        await process.wait()
    except BaseException:
        if process.returncode is None:
            process.kill()
        raise
    if process.returncode:
        raise Problem("unavailable", f"{name}: {' '.join(said)[:SAID_CHARS_MAX]}")


def _hash(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _manifest_of(file: Path) -> Path:
    return file.with_name(f"{file.name}.json")
