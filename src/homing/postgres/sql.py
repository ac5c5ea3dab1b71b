"""SQL lives in files: ``<package>/queries/<name>.sql``, one statement a file, read once.

Parameters are written ``%(name)s`` and a literal percent sign ``%%``. Comment lines are dropped on the way in, because
psycopg would look for parameters in them too: "5 % of the rows" in a comment would be an error when the query runs.
Lines that several statements share are a file whose name begins with an underscore: ``-- include _filters`` stands for
what is in ``_filters.sql`` beside it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, LiteralString, TypeAlias

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

Connection: TypeAlias = AsyncConnection[TupleRow]

_INCLUDE = re.compile(r"\s*-- include (?P<name>_\w+)")


@cache
def load(package: str, name: str) -> LiteralString:
    """The statement in ``<package>/queries/<name>.sql``; ``name`` may name a folder (``pull/read_departures``).

    The text is as trusted as the code it ships with, so it may pass for a literal.
    Raises FileNotFoundError when there is no such file.
    """
    text = files(package).joinpath("queries", f"{name}.sql").read_text(encoding="utf-8")
    lines: list[LiteralString] = []
    for line in text.splitlines():
        if include := _INCLUDE.fullmatch(line):
            lines.append(load(package, include["name"]))
        elif not line.lstrip().startswith("--"):
            lines.append(line)
    return "\n".join(lines).strip().rstrip(";")


async def fetch_all(conn: Connection, query: LiteralString, params: Mapping[str, Any] | None = None) -> list[TupleRow]:
    """Every row of the answer. Only for queries that bound their own size."""
    return await (await conn.execute(query, params or {})).fetchall()


async def fetch_one(conn: Connection, query: LiteralString, params: Mapping[str, Any] | None = None) -> TupleRow | None:
    """The first row of the answer, or None when there is none."""
    return await (await conn.execute(query, params or {})).fetchone()


async def execute(conn: Connection, query: LiteralString, params: Mapping[str, Any] | None = None) -> int:
    """Run a statement for its effect; the number of rows it touched."""
    return (await conn.execute(query, params or {})).rowcount
