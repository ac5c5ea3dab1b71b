"""Composed statements that run often.

Pull and push compose their SQL once per shape, from the catalogue. A ``Statement`` keeps the text with PostgreSQL's own
placeholders, so that running it again parses nothing on our side and finds its plan prepared on theirs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, LiteralString, cast

from psycopg import AsyncRawCursor, sql
from psycopg.rows import TupleRow

from homing.postgres.sql import Connection

_PARAMETER = re.compile(r"%\((\w+)\)s|%%")


class Statement:
    """SQL with named parameters ``%(name)s``, compiled to ``$1`` placeholders."""

    __slots__ = ("names", "text")

    def __init__(self, composed: sql.Composable) -> None:
        names: list[str] = []

        def number(match: re.Match[str]) -> str:
            name = match.group(1)
            if name is None:
                return "%"
            if name not in names:
                names.append(name)
            return f"${names.index(name) + 1}"

        self.text = cast("LiteralString", _PARAMETER.sub(number, composed.as_string(None)))  # type: ignore[redundant-cast]
        self.names = tuple(names)

    async def run(self, conn: Connection, params: Mapping[str, Any]) -> AsyncRawCursor[TupleRow]:
        """Execute; every named parameter must be in ``params``."""
        cursor = AsyncRawCursor(conn)
        await cursor.execute(self.text, [params[name] for name in self.names])
        return cursor
