"""Lists: a page at a time, newest first, each row as it also travels in a pull.

Two statements a page. The first finds the places (when made, id) of the page's rows along an index; the second has
PostgreSQL make the JSON of exactly those rows, by the engine's own column list: so a row looks the same here and on a
phone, and columns that never travel are in neither.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec
import psycopg
from psycopg import sql

from homing.apps.fieldwork.lines import load_with
from homing.engine.tables import BoundTable
from homing.postgres.sql import Connection, fetch_all
from homing.protocol.errors import Problem

PAGE_DEFAULT = 50
PAGE_MAX = 500
"""Rows a page of a list may have: each may hold a form's data."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page begins: after the row made ``at`` (PostgreSQL's text form of a time) with ``id``."""

    at: str
    id: UUID

    def cursor(self) -> str:
        """Opaque to clients."""
        return base64.urlsafe_b64encode(f"{self.id}{self.at}".encode()).decode().rstrip("=")

    @classmethod
    def read(cls, cursor: str) -> Place:
        """Raises Problem("invalid_parameter"): only cursors that were given out are understood."""
        try:
            text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
            place = cls(text[36:], UUID(text[:36]))
        except (binascii.Error, ValueError) as error:
            raise Problem("invalid_parameter", "after: not a cursor of this list") from error
        if place.cursor() != cursor:
            raise Problem("invalid_parameter", "after: not a cursor of this list")
        return place


@dataclass(frozen=True, slots=True)
class Query:
    """A list's statement, which of its filters are on, and their parameters."""

    name: str
    filters: frozenset[str]
    params: Mapping[str, Any]


class Listing(msgspec.Struct, kw_only=True):
    """``next`` is the cursor of the next page, null on the last one."""

    items: list[msgspec.Raw]
    next: str | None


async def find_places(conn: Connection, query: Query, *, after: Place | None, limit: int) -> list[Place]:
    """The places of the next ``limit`` rows. Raises Problem("invalid_parameter")."""
    filters, params = query.filters, {**query.params, "limit": limit}
    if after is not None:
        filters |= {"after"}
        params |= {"after_at": after.at, "after_id": after.id}
    try:
        rows = await fetch_all(conn, load_with(__package__, query.name, filters), params)
    except psycopg.DataError as error:  # the one text that PostgreSQL reads itself is the cursor's time
        raise Problem("invalid_parameter", "after: not a cursor of this list") from error
    return [Place(at, row_id) for at, row_id in rows]


async def list_rows(
    conn: Connection, query: Query, *, table: BoundTable, after: str | None, limit: int | None
) -> Listing:
    """One page. Raises Problem("invalid_parameter")."""
    size = page_size(limit)
    start = Place.read(after) if after is not None else None
    # One more than asked for tells whether there is a next page without counting anything.
    places = await find_places(conn, query, after=start, limit=size + 1)
    shown = places[:size]
    rows = await read_rows(conn, table, [place.id for place in shown])
    return Listing(
        # A row deleted between the two statements is not there any more; the page is one shorter.
        items=[rows[place.id] for place in shown if place.id in rows],
        next=shown[-1].cursor() if len(places) > size else None,
    )


def page_size(limit: int | None) -> int:
    """Raises Problem("invalid_parameter")."""
    if limit is None:
        return PAGE_DEFAULT
    if not 1 <= limit <= PAGE_MAX:
        raise Problem("invalid_parameter", f"limit: a number from 1 to {PAGE_MAX}")
    return limit


async def read_rows(conn: Connection, table: BoundTable, ids: Sequence[UUID]) -> dict[UUID, msgspec.Raw]:
    """Rows by id: the columns that travel, in wire form, and ``server_version``."""
    query = sql.SQL(
        "SELECT t.{key}, t.{version}, {payload}::text FROM {table} AS t WHERE t.{key} = ANY (%(ids)s)"
    ).format(
        key=sql.Identifier(table.key.name),
        version=sql.Identifier("version"),
        payload=table.payload_sql(),
        table=table.qualified,
    )
    rows = await (await conn.execute(query, {"ids": list(ids)})).fetchall()
    return {key: with_member(payload, "server_version", version) for key, version, payload in rows}


def with_member(json_object: str, name: str, value: Any) -> msgspec.Raw:
    """A JSON object with one more member, without reading it."""
    member = f"{msgspec.json.encode(name).decode()}:{msgspec.json.encode(value).decode()}"
    inside = json_object.strip()[1:-1].strip()
    return msgspec.Raw("{" + (f"{inside},{member}" if inside else member) + "}")
