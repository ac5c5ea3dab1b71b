"""Time that passes when a test says so: at the nodes that count, and in the database they count in."""

from __future__ import annotations

import psycopg

DAY = 86_400

LATER = """
CREATE SCHEMA later;
CREATE TABLE later.ahead (seconds float8 NOT NULL);
INSERT INTO later.ahead VALUES (0);
CREATE FUNCTION later.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
    'SELECT pg_catalog.clock_timestamp() + make_interval(secs => seconds) FROM later.ahead';
GRANT USAGE ON SCHEMA later TO PUBLIC;
GRANT SELECT ON later.ahead TO PUBLIC;
ALTER FUNCTION homing.take_permits(bytea[], integer[], integer[], integer[], bigint[], integer[], integer)
    SET search_path = later, pg_catalog;
"""
"""PostgreSQL's clock, where the rates look at it, goes ahead by as much as the test says."""


class Time:
    """The clock of all nodes and of their database."""

    def __init__(self, database_url: str) -> None:
        self.now = 1000.0
        self._conn = psycopg.connect(database_url, autocommit=True)
        self._conn.execute(LATER)

    def __call__(self) -> float:
        return self.now

    def pass_by(self, *, seconds: float) -> None:
        self.now += seconds
        self._conn.execute("UPDATE later.ahead SET seconds = seconds + %s", [seconds])

    def close(self) -> None:
        self._conn.close()
