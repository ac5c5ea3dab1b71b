"""Lists: a page at a time, newest first.

Two statements a page. The first finds the places (when made, id) of the page's rows along an index; the second reads
exactly those rows (``rows.py``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec
import psycopg

from homing.engine.tables import BoundTable
from homing.postgres.lines import load_with
from homing.postgres.sql import Connection, fetch_all
from homing.protocol.errors import Problem
from homing.server.pages import Page, page_of, read_cursor
from homing.server.rows import read_rows

Place = tuple[str, UUID]
"""When a row was made, as PostgreSQL writes it (a time that Python cannot hold must not stop a list), and its id."""


@dataclass(frozen=True, slots=True)
class Query:
    """A list's statement (``<package>/queries/<name>.sql``), which of its filters are on, and their parameters."""

    package: str
    name: str
    filters: frozenset[str]
    params: Mapping[str, Any]


async def find_places(conn: Connection, query: Query, *, after: Place | None, limit: int) -> Sequence[Place]:
    """The places of the next ``limit`` rows. Raises Problem("invalid_parameter")."""
    filters, params = query.filters, {**query.params, "limit": limit}
    if after is not None:
        filters |= {"after"}
        params |= {"after_at": after[0], "after_id": after[1]}
    try:
        return await fetch_all(conn, load_with(query.package, query.name, filters), params)
    except psycopg.DataError as error:  # the one text that PostgreSQL reads itself is the cursor's time
        raise Problem("invalid_parameter", "after is not a cursor of this list.") from error


async def list_rows(
    conn: Connection, query: Query, *, table: BoundTable, after: str | None, limit: int
) -> Page[msgspec.Raw]:
    """One page. Raises Problem("invalid_parameter")."""
    found = await find_places(conn, query, after=read_cursor(after, tuple[str, UUID]), limit=limit + 1)
    page = page_of(found, limit=limit, place=lambda place: place)
    rows = await read_rows(conn, table, [row_id for _, row_id in page.items])
    # A row deleted between the two statements is not there any more; the page is one shorter.
    return Page([rows[row_id] for _, row_id in page.items if row_id in rows], page.next)
