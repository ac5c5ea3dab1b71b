"""The queue's tables: Procrastinate's own, in the schema ``procrastinate``, as the installed package brings them.

They are not copied into our migrations: a fresh database gets the package's whole schema, an older one the package's
own migrations that it does not have yet, and ``homing.jobs_schema`` says how far it is.
"""

from __future__ import annotations

from importlib.resources import files
from typing import LiteralString

from homing.postgres.database import Database
from homing.postgres.sql import Connection, execute, fetch_one, load


async def install(owner: Database) -> list[str]:
    """Bring the queue's tables up to date; what was applied. Safe from several nodes at once.

    ``owner``: a pool of the tables' owner. Raises Problem("unavailable"), and psycopg.Error where a file is refused.
    """
    known = _migrations()
    latest = max(known)
    async with owner.transaction() as conn:
        row = await fetch_one(conn, load(__package__, "read_version"))
        if row == (latest,):
            return []
        # The queue's names are found along the search path. A transaction's own, so the pool gets a clean session back.
        await conn.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('homing jobs', 0)),"
            " set_config('search_path', 'procrastinate', true)"
        )
        row = await fetch_one(conn, load(__package__, "read_version"))
        if row is None:
            applied = ["schema"]
            await _run(conn, files("procrastinate").joinpath("sql", "schema.sql").read_text(encoding="utf-8"))
            for name in ("add_lock_index", "tie_failures", "tie_effects"):
                await execute(conn, load(__package__, name))
        else:
            applied = [name for name in sorted(known) if name > row[0]]
            for name in applied:
                await _run(conn, known[name])
        await execute(conn, load(__package__, "write_version"), {"version": latest})
    return applied


def _migrations() -> dict[str, LiteralString]:
    """The package's own migrations by name, which begins with the version that brought them."""
    folder = files("procrastinate").joinpath("sql", "migrations")
    return {
        each.name: each.read_text(encoding="utf-8")
        for each in folder.iterdir()
        if each.name.endswith(".sql") and each.name[:1].isdigit()
    }


async def _run(conn: Connection, text: LiteralString) -> None:
    # Without parameters: several statements, and percent signs that mean themselves.
    await conn.execute(text, prepare=False)
