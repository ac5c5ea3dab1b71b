"""The page of coverage says what is in the database and among the routes: every fact on it is looked up."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

import psycopg
import pytest

from homing.server.app import create_app
from homing.server.node import Node
from homing.server.routing import routes_of
from tests.docs.pages import ROOT

PAGE = ROOT / "docs" / "reference" / "coverage.md"
FACT = re.compile(r"`(column|key|unique|index|gist|enum|reference|route) ([^`]+)`")
SPECIFICATIONS = {
    "mobile_devices": 13,
    "sync_batches": 9,
    "sync_items": 12,
    "submissions": 10,
    "submission_media": 10,
    "conflicts": 11,
    "telemetry": 4,
    "mobile_forms": 10,
}
"""Columns that specification 1 lists of each of its tables."""


@dataclass(frozen=True)
class Catalogue:
    """What the database has, in the words of the page."""

    columns: frozenset[str]
    keys: frozenset[str]
    uniques: frozenset[str]
    indexes: frozenset[str]
    gists: frozenset[str]
    enums: frozenset[str]
    references: frozenset[str]


COLUMNS = """
SELECT a.attrelid::regclass || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
    || CASE WHEN a.attnotnull THEN '' ELSE ' null' END
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname IN ('homing', 'fieldwork') AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
"""
INDEXES = """
SELECT i.indrelid::regclass::text, i.indisprimary, i.indisunique, am.amname,
    ARRAY(SELECT pg_get_indexdef(i.indexrelid, n, true) FROM generate_series(1, i.indnkeyatts) n)
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am am ON am.oid = c.relam
JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname IN ('homing', 'fieldwork') AND i.indpred IS NULL
"""
ENUMS = """
SELECT e.enumtypid::regtype || ' (' || string_agg(e.enumlabel, ', ' ORDER BY e.enumsortorder) || ')'
FROM pg_enum e GROUP BY e.enumtypid
"""
REFERENCES = """
SELECT c.conrelid::regclass || '.' || a.attname || ' ' || c.confrelid::regclass || '.' || b.attname
FROM pg_constraint c
JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
JOIN pg_attribute b ON b.attrelid = c.confrelid AND b.attnum = c.confkey[1]
WHERE c.contype = 'f' AND cardinality(c.conkey) = 1
"""


@pytest.fixture
def catalogue(database_url: str) -> Catalogue:
    with psycopg.connect(database_url) as conn:
        conn.execute("SET search_path = pg_catalog")
        indexes = conn.execute(INDEXES).fetchall()

        def texts(query: str) -> frozenset[str]:
            return frozenset(row[0] for row in conn.execute(query))  # type: ignore[call-overload]

        columns = texts(COLUMNS)
        enums, references = texts(ENUMS), texts(REFERENCES)
    place = re.compile(r"(?<=gps )(point|.*geography\(Point,4326\))(?= null)")
    return Catalogue(
        columns=frozenset(place.sub("point-or-geography", column) for column in columns),
        keys=frozenset(f"{table} ({', '.join(parts)})" for table, primary, _, _, parts in indexes if primary),
        uniques=frozenset(f"{table} ({', '.join(parts)})" for table, _, unique, _, parts in indexes if unique),
        indexes=frozenset(f"{table} ({', '.join(parts)})" for table, _, _, _, parts in indexes),
        gists=frozenset(f"{table} ({', '.join(parts)})" for table, _, _, kind, parts in indexes if kind == "gist"),
        enums=enums,
        references=references,
    )


def facts() -> list[tuple[str, str]]:
    return FACT.findall(PAGE.read_text(encoding="utf-8"))


def test_the_page_has_every_column_of_specification_1() -> None:
    """Without this, a page with nothing on it would pass."""
    columns = {text.split(" ")[0] for kind, text in facts() if kind == "column"}
    found = Counter(column.split(".")[1] for column in columns)
    # Beyond the specification: conflicts.resolved_payload, of specification 2's audit.
    assert {table: found[table] for table in SPECIFICATIONS} == SPECIFICATIONS | {"conflicts": 12}


def test_every_fact_about_the_database_is_true(catalogue: Catalogue) -> None:
    there = {
        "column": catalogue.columns,
        "key": catalogue.keys,
        "unique": catalogue.uniques,
        "index": catalogue.indexes,
        "gist": catalogue.gists,
        "enum": catalogue.enums,
        "reference": catalogue.references,
    }
    assert [f"{kind} {text}" for kind, text in facts() if kind != "route" and text not in there[kind]] == []


async def test_every_route_on_the_page_is_served(node: Node) -> None:
    served = {f"{route.method} {route.path}".replace(":uuid", "") for route in routes_of(create_app(node))}
    routes = [text for kind, text in facts() if kind == "route"]
    assert len(routes) >= 8
    assert [route for route in routes if route not in served] == []
