"""Every query file of the server is a statement that PostgreSQL understands, against the schema as shipped.

The client's query files are SQLite's and have a test of their own. Files that begin with ``-- template:`` hold
placeholders for identifiers and are tested where they are filled in.
"""

import re
from pathlib import Path

import psycopg
import pytest
from psycopg.pq import ExecStatus

import homing
from homing import jobs
from homing.postgres.database import Database
from homing.postgres.migrations import migrate
from homing.postgres.sql import execute, fetch_all, fetch_one, load
from tests.fixtures.cluster import Cluster, shipped_migrations

SOURCE = Path(homing.__file__).parent
FILES = sorted(path for path in SOURCE.rglob("queries/**/*.sql") if path.relative_to(SOURCE).parts[0] != "client")
STATEMENTS = [
    path
    for path in FILES
    if not path.name.startswith("_") and not path.read_text(encoding="utf-8").startswith("-- template:")
]
PARAMETER = re.compile(r"%(?:%|\((\w+)\)[sbt])")
SESSION_STATE = re.compile(
    r"\A(SET\s+(?!LOCAL)|LISTEN|CREATE\s+TEMP|DISCARD)|pg_(try_)?advisory_lock|set_config\([^()]*,\s*false\s*\)", re.I
)


def name_of(path: Path) -> str:
    return str(path.relative_to(SOURCE))


def statement(path: Path) -> str:
    package, name = path.relative_to(SOURCE).as_posix().removesuffix(".sql").split("/queries/")
    return load(f"homing.{package.replace('/', '.')}", name)


def numbered(query: str) -> str:
    """The statement with $1, $2 in place of %(name)s: what psycopg sends."""
    numbers: dict[str, int] = {}

    def number(match: re.Match[str]) -> str:
        return f"${numbers.setdefault(match[1], len(numbers) + 1)}" if match[1] else "%"

    return PARAMETER.sub(number, query)


def refused(url: str) -> dict[str, str]:
    """What PostgreSQL says to each query file that it does not take."""
    sentences = {}
    with psycopg.connect(url, options="-c search_path=pg_catalog,public") as conn:
        for path in STATEMENTS:
            # By the protocol's own Parse message: no second statement fits into it, unlike into PREPARE.
            answer = conn.pgconn.prepare(b"", numbered(statement(path)).encode())
            if answer.status != ExecStatus.COMMAND_OK:
                sentences[name_of(path)] = answer.error_message.decode()
            conn.rollback()
    return sentences


def test_every_query_file_can_be_prepared(database_url: str) -> None:
    assert refused(database_url) == {}
    assert len(STATEMENTS) > 30


@pytest.mark.postgres15
async def test_every_query_file_can_be_prepared_on_postgresql_15(postgres15: Cluster) -> None:
    url = postgres15.create_database()
    db = Database(url, pool_size=1)
    await db.open()
    await migrate(db, shipped_migrations())
    await jobs.install(db)
    await db.close()
    assert refused(url) == {}
    postgres15.drop_database(url)


def test_every_query_file_says_what_and_why_in_its_first_line() -> None:
    assert [name_of(path) for path in FILES if not path.read_text(encoding="utf-8").startswith("-- ")] == []


def test_no_query_file_leaves_state_in_a_session() -> None:
    assert [name_of(path) for path in FILES if SESSION_STATE.search(statement(path))] == []
    for wrong in ("SET jit = on", "LISTEN a", "SELECT pg_advisory_lock(1)", "SELECT set_config('a', $1, false)"):
        assert SESSION_STATE.search(wrong)
    for right in ("SET LOCAL jit = on", "UPDATE a\nSET b = 1", "SELECT pg_advisory_xact_lock(1)"):
        assert not SESSION_STATE.search(right)


async def test_queries_are_loaded_without_comments_and_run(db: Database) -> None:
    query = load("homing.postgres", "read_migrations")
    assert query.startswith("SELECT m.set, m.version")
    async with db.connection() as conn:
        rows = await fetch_all(conn, query)
        assert ("core", 1, "core") in [row[:3] for row in rows]
        assert await fetch_one(conn, load("homing.postgres", "migrations_exist")) == (True,)
        gone = await execute(conn, load("homing.postgres", "delete_migration"), {"set": "core", "version": 1})
        again = await execute(conn, load("homing.postgres", "delete_migration"), {"set": "core", "version": 1})
    assert (gone, again) == (1, 0)
