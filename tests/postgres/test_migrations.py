"""Migrations: every file can be applied, undone and applied again, once, whoever starts first."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest

from homing.postgres.database import Database
from homing.postgres.migrations import MigrationError, Migrations, MigrationStatus, migrate, rollback, status
from tests.fixtures.cluster import Cluster, shipped_migrations

MakeDatabase = Callable[..., str]
MakeSet = Callable[..., Migrations]

CATALOGUE = """
    WITH extension AS (SELECT objid AS oid FROM pg_depend WHERE deptype = 'e'),
    ours AS (SELECT oid, nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema')
    SELECT 'column', format('%I.%I.%I', n.nspname, c.relname, a.attname),
           format('%s %s %s', format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid))
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN ours n ON n.oid = c.relnamespace
    LEFT JOIN pg_attrdef d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum)
    WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v') AND c.oid NOT IN (TABLE extension)
    UNION ALL
    SELECT 'index', c.oid::regclass::text, pg_get_indexdef(i.indexrelid)
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN ours n ON n.oid = c.relnamespace
    WHERE i.indrelid NOT IN (TABLE extension)
    UNION ALL
    SELECT 'constraint', c.conname, pg_get_constraintdef(c.oid)
    FROM pg_constraint c JOIN ours n ON n.oid = c.connamespace WHERE c.conrelid NOT IN (TABLE extension)
    UNION ALL
    SELECT 'trigger', tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL
    SELECT 'function', p.oid::regprocedure::text, pg_get_functiondef(p.oid)
    FROM pg_proc p JOIN ours n ON n.oid = p.pronamespace WHERE p.prokind = 'f' AND p.oid NOT IN (TABLE extension)
    UNION ALL
    SELECT 'type', t.oid::regtype::text, t.typtype::text
    FROM pg_type t JOIN ours n ON n.oid = t.typnamespace
    WHERE t.typcategory <> 'A' AND t.oid NOT IN (TABLE extension) AND t.typrelid NOT IN (TABLE extension)
    UNION ALL
    SELECT 'schema', nspname, '' FROM ours
    ORDER BY 1, 2, 3
"""


def catalogue(url: str) -> list[tuple[str, str, str | None]]:
    """Everything that was defined in a database, as text; what an extension brought is the extension's."""
    with psycopg.connect(url) as conn:
        conn.execute("SET search_path = pg_catalog")
        return conn.execute(CATALOGUE).fetchall()


def tables(url: str) -> set[str]:
    with psycopg.connect(url) as conn:
        return {
            row[0]
            for row in conn.execute(
                "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
            )
        }


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    database = Database(url, pool_size=2)
    await database.open()
    try:
        yield database
    finally:
        await database.close()


@pytest.fixture
def make_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeSet:
    """Writes a set of migrations into a package of its own; called again for the same name, changes its files."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(name: str, files: Mapping[str, str]) -> Migrations:
        package = f"written_{name}"
        folder = tmp_path / package / "schema"
        folder.mkdir(parents=True, exist_ok=True)
        (tmp_path / package / "__init__.py").touch()
        for old in folder.iterdir():
            old.unlink()
        for file, text in files.items():
            (folder / file).write_text(text)
        sys.modules.pop(package, None)
        return Migrations(name, package)

    return make


ONE = {"0001_one.sql": "CREATE TABLE public.one (n int);", "0001_one.down.sql": "DROP TABLE public.one;"}
TWO = {"0002_two.sql": "CREATE TABLE public.two (n int);", "0002_two.down.sql": "DROP TABLE public.two;"}


async def check_up_down_up(url: str) -> None:
    """Apply all shipped sets, undo each file, apply again: nothing is left over and nothing comes back different."""
    sets = shipped_migrations()
    async with opened(url) as db:
        files = [each.label for each in await status(db, sets)]
        assert await migrate(db, sets) == files
        full = catalogue(url)
        assert await migrate(db, sets) == []
        for label in reversed(files):
            name, version, _ = label.split(" ")
            assert await rollback(db, sets, set_name=name, to_version=int(version) - 1) == [label]
        left = [row for row in catalogue(url) if "homing_migrations" not in row[1]]
        assert left == [("schema", "public", "")]
        assert await migrate(db, sets) == files
    assert catalogue(url) == full
    assert len(full) > 300


async def test_every_shipped_migration_goes_up_down_and_up_again(new_database: MakeDatabase) -> None:
    await check_up_down_up(new_database())


@pytest.mark.postgres15
async def test_every_shipped_migration_goes_up_down_and_up_again_on_postgresql_15(postgres15: Cluster) -> None:
    url = postgres15.create_database()
    try:
        await check_up_down_up(url)
    finally:
        postgres15.drop_database(url)


async def test_status_tells_applied_pending_changed_and_unknown(new_database: MakeDatabase, make_set: MakeSet) -> None:
    url = new_database()
    async with opened(url) as db:
        both = make_set("both", ONE | TWO)
        before = catalogue(url)
        assert await status(db, [both]) == [
            MigrationStatus("both", 1, "one", "pending", None),
            MigrationStatus("both", 2, "two", "pending", None),
        ]
        assert catalogue(url) == before  # asking writes nothing
        assert await migrate(db, [both]) == ["both 0001 one", "both 0002 two"]
        found = await status(db, [both])
        assert [(each.label, each.state) for each in found] == [
            ("both 0001 one", "applied"),
            ("both 0002 two", "applied"),
        ]
        assert all(each.applied_at is not None and each.applied_at.tzinfo is not None for each in found)
        changed = make_set(
            "both", {"0001_one.sql": "CREATE TABLE public.one (n bigint);", "0003_three.sql": "SELECT 1;"}
        )
        assert [(each.label, each.state) for each in await status(db, [changed])] == [
            ("both 0001 one", "changed"),
            ("both 0003 three", "pending"),
            ("both 0002 two", "unknown"),
        ]


async def test_an_applied_file_that_was_changed_is_refused(new_database: MakeDatabase, make_set: MakeSet) -> None:
    url = new_database()
    async with opened(url) as db:
        await migrate(db, [make_set("one", ONE)])
        changed = {"0001_one.sql": "CREATE TABLE public.one (n bigint);"}
        with pytest.raises(MigrationError, match="one 0001 one was changed after it was applied"):
            await migrate(db, [make_set("one", changed | TWO)])
    assert tables(url) == {"homing_migrations", "one"}


async def test_line_ends_of_the_checkout_do_not_count_as_a_change(
    new_database: MakeDatabase, make_set: MakeSet
) -> None:
    async with opened(new_database()) as db:
        assert await migrate(db, [make_set("one", {"0001_one.sql": "SELECT 1;\nSELECT 2;\n"})]) == ["one 0001 one"]
        assert await migrate(db, [make_set("one", {"0001_one.sql": "SELECT 1;\r\nSELECT 2;\r\n"})]) == []


async def test_an_older_homing_refuses_a_newer_database_but_not_other_applications(
    new_database: MakeDatabase, make_set: MakeSet
) -> None:
    async with opened(new_database()) as db:
        newer, other = make_set("app", ONE | TWO), make_set("other", {"0001_x.sql": "SELECT 1;"})
        await migrate(db, [newer, other])
        with pytest.raises(MigrationError, match="app 0002 two was applied to this database, but this version has no"):
            await migrate(db, [make_set("app", ONE)])
        assert await migrate(db, [make_set("app", ONE | TWO)]) == []


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("CREATE TABLE public.bad (n int);\nINSERT INTO public.bad VALUES ('x');", r"line 2: invalid input syntax"),
        ("CREATE TABLE public.bad (n int);\n\nSELEC 1;", r'line 3: syntax error at or near "SELEC"'),
        ("CREATE TABLE public.bad (n int); SELECT 1 / 0;", "division by zero"),
    ],
)
async def test_a_migration_that_fails_leaves_nothing_and_keeps_those_before_it(
    new_database: MakeDatabase, make_set: MakeSet, text: str, sentence: str
) -> None:
    url = new_database()
    async with opened(url) as db:
        broken = make_set("app", ONE | {"0002_bad.sql": text, "0003_later.sql": "CREATE TABLE public.later (n int)"})
        with pytest.raises(MigrationError, match=f"app 0002 bad: {sentence}"):
            await migrate(db, [broken])
        assert tables(url) == {"homing_migrations", "one"}
        assert await migrate(db, [make_set("app", ONE | TWO)]) == ["app 0002 two"]


async def test_percent_signs_and_many_statements_are_sent_as_written(
    new_database: MakeDatabase, make_set: MakeSet
) -> None:
    text = "CREATE TABLE public.t AS SELECT 10 % 3 AS n; -- 5 % of %(nothing)s\nUPDATE public.t SET n = n + 1;"
    url = new_database()
    async with opened(url) as db:
        await migrate(db, [make_set("app", {"0001_percent.sql": text})])
        async with db.connection() as conn:
            assert await (await conn.execute("SELECT n FROM public.t")).fetchall() == [(2,)]


async def test_nodes_that_start_at_once_apply_each_file_once(new_database: MakeDatabase, make_set: MakeSet) -> None:
    files = {f"{number:04}_step.sql": f"CREATE TABLE public.t{number} (n int);" for number in range(1, 6)}
    sets, url = [make_set("app", files)], new_database()
    async with opened(url) as one, opened(url) as two, opened(url) as three:
        # A fourth node holds the lock until all three stand in line for it; then they run against each other.
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as first:
            await first.execute("BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('homing migrations', 0))")
            nodes = [asyncio.create_task(migrate(db, sets)) for db in (one, two, three)]
            waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            while await (await first.execute(waiting)).fetchone() != (3,):
                pass
            await first.execute("COMMIT")
        done = await asyncio.gather(*nodes)
    assert sorted(label for each in done for label in each) == [f"app {number:04} step" for number in range(1, 6)]
    assert tables(url) == {"homing_migrations", *(f"t{number}" for number in range(1, 6))}


async def test_rollback_goes_newest_first_to_the_asked_version(new_database: MakeDatabase, make_set: MakeSet) -> None:
    url = new_database()
    three = {"0003_view.sql": "CREATE VIEW public.v AS TABLE public.two;", "0003_view.down.sql": "DROP VIEW public.v;"}
    sets = [make_set("app", ONE | TWO | three)]
    async with opened(url) as db:
        await migrate(db, sets)
        assert await rollback(db, sets, set_name="app", to_version=1) == ["app 0003 view", "app 0002 two"]
        assert tables(url) == {"homing_migrations", "one"}
        assert await rollback(db, sets, set_name="app", to_version=1) == []
        with pytest.raises(MigrationError, match="there is no set of migrations called 'nap'"):
            await rollback(db, sets, set_name="nap", to_version=0)


async def test_rollback_undoes_nothing_when_a_down_file_is_missing_or_fails(
    new_database: MakeDatabase, make_set: MakeSet
) -> None:
    url = new_database()
    one_way = {"0001_one.sql": ONE["0001_one.sql"]}
    async with opened(url) as db:
        sets = [make_set("app", one_way | TWO)]
        await migrate(db, sets)
        with pytest.raises(MigrationError, match="app 0001 one has no down file here"):
            await rollback(db, sets, set_name="app", to_version=0)
        broken = [make_set("app", ONE | TWO | {"0002_two.down.sql": "DROP TABLE public.two; DROP TABLE public.three;"})]
        with pytest.raises(MigrationError, match='app 0002 two: table "three" does not exist'):
            await rollback(db, broken, set_name="app", to_version=0)
    assert tables(url) == {"homing_migrations", "one", "two"}


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"1_one.sql": ""}, "1_one.sql is not named NNNN_name.sql"),
        ({"0001_One.sql": ""}, "0001_One.sql is not named"),
        ({"0001_a.sql": "", "0001_b.sql": ""}, "two files have the number 0001"),
        ({"0001_a.sql": "", "0002_b.down.sql": ""}, "0002_b.down.sql undoes nothing"),
        ({"0001_a.sql": "", "0001_b.down.sql": ""}, "0001_b.down.sql undoes nothing"),
    ],
)
async def test_misnamed_files_stop_before_anything_is_applied(
    new_database: MakeDatabase, make_set: MakeSet, files: dict[str, str], sentence: str
) -> None:
    url = new_database()
    async with opened(url) as db:
        with pytest.raises(MigrationError, match=sentence):
            await migrate(db, [make_set("good", ONE), make_set("app", files)])
    assert tables(url) == set()
