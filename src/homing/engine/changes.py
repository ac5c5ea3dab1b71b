"""Changes as the history keeps them, in PostgreSQL's own JSON, turned into what the wire says."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from psycopg import sql

from homing.engine.tables import BoundTable
from homing.postgres.sql import Connection, Statement

# The record function gives the values their types back, and the table's own reading makes wire values of them. Columns
# that do not travel, or are no more, fall out.
_TO_WIRE = """
SELECT (SELECT jsonb_object_agg(c.key, CASE jsonb_array_length(c.value) WHEN 1 THEN jsonb_build_array(old.row -> c.key)
                                       ELSE jsonb_build_array(old.row -> c.key, new.row -> c.key) END)
        FROM jsonb_each(given.changes) AS c WHERE old.row ? c.key)::text
FROM jsonb_array_elements(%(changes)s::text::jsonb) WITH ORDINALITY AS given(changes, n)
CROSS JOIN LATERAL (SELECT coalesce(jsonb_object_agg(c.key, c.value -> 0), '{{}}') AS olds,
                           coalesce(jsonb_object_agg(c.key, c.value -> 1), '{{}}') AS news
                    FROM jsonb_each(given.changes) AS c) AS sides
CROSS JOIN LATERAL jsonb_populate_record(NULL::{table}, sides.olds) AS o
CROSS JOIN LATERAL jsonb_populate_record(NULL::{table}, sides.news) AS w
CROSS JOIN LATERAL (SELECT {old}::jsonb AS row) AS old
CROSS JOIN LATERAL (SELECT {new}::jsonb AS row) AS new
ORDER BY given.n
"""


async def to_wire(conn: Connection, table: BoundTable, changes: Sequence[bytes]) -> list[msgspec.Raw]:
    """Of each ``{field: [old, new]}`` (on delete ``{field: [old]}``) the same in wire values."""
    statement = Statement(
        sql.SQL(_TO_WIRE).format(table=table.qualified, old=table.payload_sql("o"), new=table.payload_sql("w"))
    )
    answer = await statement.run(conn, {"changes": (b"[" + b",".join(changes) + b"]").decode()})
    return [msgspec.Raw((found or "{}").encode()) for (found,) in answer.rows]
