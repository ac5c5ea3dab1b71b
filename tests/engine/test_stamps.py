"""Every write leaves its mark, whoever writes and however: version, transaction, departures, history."""

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import errors

from homing.declare import ALL, App
from tests.engine import yard
from tests.engine.world import World, opened
from tests.fixtures.engine import both_servers

ACTOR, DEVICE = uuid4(), uuid4()
AS_SOMEBODY = "SELECT set_config('homing.actor', %s::text, true), set_config('homing.device', %s::text, true)"
HISTORY = """
SELECT row_id, version, action::text, actor, device_id, changes FROM homing.history ORDER BY row_id, at
"""


class Outside:
    """A connection of somebody who has never heard of Homing."""

    def __init__(self, url: str) -> None:
        self.conn = psycopg.connect(url, autocommit=True)

    def rows(self, query: str, params: list[Any] | None = None) -> list[Any]:
        cursor = self.conn.execute(query, params)
        return cursor.fetchall() if cursor.description else []

    def one(self, query: str, params: list[Any] | None = None) -> Any:
        (row,) = self.rows(query, params)
        return row[0] if len(row) == 1 else row

    def stamp(self, box: int) -> tuple[int, bool]:
        """A box's version, and whether its transaction is one that has just ended."""
        version, changed = self.one("SELECT version, changed FROM yard.boxes WHERE id = %s", [box])
        latest = self.one("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
        return version, int(changed) == latest - 1

    def departures(self) -> set[tuple[str, str]]:
        return set(self.rows("SELECT row_id, scope FROM homing.departures"))


@pytest.fixture
async def a_yard(demo_url: str) -> Any:
    async with yard.open_yard(demo_url) as world:
        yield world


@pytest.fixture
def outside(a_yard: World) -> Any:
    found = Outside(a_yard.url)
    yield found
    found.conn.close()


@both_servers
async def test_rows_are_stamped_however_they_are_written(outside: Outside) -> None:
    conn = outside.conn
    outside.rows("INSERT INTO yard.boxes (id, team) VALUES (1, 1)")
    assert outside.stamp(1) == (1, True)
    outside.rows("INSERT INTO yard.boxes (id, team, version, changed) VALUES (2, 1, 77, '3'), (3, 1, 1, '9999999999')")
    assert [outside.stamp(2), outside.stamp(3)] == [(1, True), (1, True)]
    with conn.transaction(), conn.cursor().copy("COPY yard.boxes (id, team, version, changed) FROM STDIN") as copy:
        copy.write("4\t1\t-5\t3\n5\t2\t1\t888888888\n6\t2\t1000000\t0\n")
    assert [outside.stamp(box) for box in (4, 5, 6)] == [(1, True)] * 3
    outside.rows("UPDATE yard.boxes SET note = 'a', version = 500, changed = '3' WHERE id = 1")
    assert outside.stamp(1) == (2, True)
    outside.rows(
        "INSERT INTO yard.boxes (id, note) VALUES (1, 'b') ON CONFLICT (id) DO UPDATE SET note = excluded.note"
    )
    assert outside.stamp(1) == (3, True)
    outside.rows(
        "MERGE INTO yard.boxes b USING (VALUES (1), (7)) v(id) ON b.id = v.id"
        " WHEN MATCHED THEN UPDATE SET note = 'c' WHEN NOT MATCHED THEN INSERT (id) VALUES (v.id)"
    )
    assert [outside.stamp(1), outside.stamp(7)] == [(4, True), (1, True)]
    outside.rows("WITH w AS (UPDATE yard.boxes SET note = 'd' WHERE id = 1 RETURNING id) SELECT FROM w")
    assert outside.stamp(1) == (5, True)
    with conn.transaction():
        outside.rows("UPDATE yard.boxes SET note = 'e' WHERE id = 1")
        with pytest.raises(ZeroDivisionError), conn.transaction():
            outside.rows("UPDATE yard.boxes SET note = 'f' WHERE id = 1")
            raise ZeroDivisionError
        with conn.transaction():
            outside.rows("UPDATE yard.boxes SET note = 'g' WHERE id = 1")
        whole = outside.one("SELECT pg_current_xact_id()")
    # The transaction, not the savepoint in which it happened.
    assert outside.rows("SELECT version, changed FROM yard.boxes WHERE id = 1") == [(7, whole)]
    with pytest.raises(ZeroDivisionError), conn.transaction():
        outside.rows("UPDATE yard.boxes SET note = 'h' WHERE id = 1")
        raise ZeroDivisionError
    assert outside.stamp(1)[0] == 7
    assert outside.one("SELECT note FROM yard.boxes WHERE id = 1") == "g"


def as_replica(outside: Outside) -> None:
    outside.rows("SET session_replication_role = replica")


def as_anybody(outside: Outside) -> None:
    pass


@both_servers
@pytest.mark.parametrize("role", [as_anybody, as_replica])
async def test_what_leaves_a_scope_is_written_down(outside: Outside, role: Callable[[Outside], None]) -> None:
    role(outside)
    outside.rows(
        "INSERT INTO yard.boxes (id, team, other, hot, weight) VALUES"
        " (1, 1, 2, true, 5), (2, 3, 3, false, 0), (3, NULL, NULL, false, 0), (4, 1, NULL, true, 6)"
    )
    assert outside.departures() == set()
    outside.rows("UPDATE yard.boxes SET note = 'stays', team = team, weight = weight WHERE true")
    outside.rows("UPDATE yard.boxes SET weight = 9 WHERE id = 1")  # of the same size
    outside.rows("UPDATE yard.boxes SET team = 2, other = 1 WHERE id = 1")  # in the same teams
    outside.rows("UPDATE yard.boxes SET other = NULL WHERE id = 2")  # still in 3
    assert outside.departures() == set()
    outside.rows("UPDATE yard.boxes SET team = 5 WHERE id IN (1, 2, 3)")
    assert outside.departures() == {("1", "yard.team:2"), ("2", "yard.team:3")}
    outside.rows("UPDATE yard.boxes SET hot = false, weight = -1 WHERE id = 1")
    gone = {("1", "yard.team:2"), ("2", "yard.team:3"), ("1", "yard.hot:hot"), ("1", "yard.size:1")}
    assert outside.departures() == gone
    outside.rows("DELETE FROM yard.boxes WHERE id = 4")
    gone |= {("4", "yard.office:all"), ("4", "yard.team:1"), ("4", "yard.hot:hot"), ("4", "yard.size:2")}
    assert outside.departures() == gone
    before = outside.one("SELECT xid FROM homing.departures WHERE row_id = '1' AND scope = 'yard.team:2'")
    outside.rows("UPDATE yard.boxes SET team = 2 WHERE id = 1")
    outside.rows("UPDATE yard.boxes SET team = NULL WHERE id = 1")
    assert outside.departures() == gone | {("1", "yard.team:5")}
    after = outside.one("SELECT xid FROM homing.departures WHERE row_id = '1' AND scope = 'yard.team:2'")
    assert int(after) > int(before)
    outside.rows("INSERT INTO yard.books (id, shelf) VALUES ('x', 'a:b\u2028''\"')")
    outside.rows("DELETE FROM yard.books")
    assert outside.departures() >= {("x", "yard.shelf:a:b\u2028'\""), ("x", "yard.office:all")}


@both_servers
@pytest.mark.parametrize("role", [as_anybody, as_replica])
async def test_history_says_who_changed_what(outside: Outside, role: Callable[[Outside], None]) -> None:
    role(outside)
    outside.rows("INSERT INTO yard.boxes (id, team, note) VALUES (1, 1, 'a'), (2, 1, 'a')")
    with outside.conn.transaction():
        outside.rows(AS_SOMEBODY, [ACTOR, DEVICE])
        outside.rows("UPDATE yard.boxes SET note = 'b', weight = 3 WHERE id IN (1, 2)")
    outside.rows("UPDATE yard.boxes SET note = NULL WHERE id = 1")
    outside.rows("DELETE FROM yard.boxes WHERE id = 2")
    found = outside.rows(HISTORY)
    both = {"note": ["a", "b"], "weight": [0, 3]}
    last = {"id": [2], "team": [1], "other": [None], "hot": [False], "weight": [3], "note": ["b"]}
    assert found == [
        ("1", 1, "create", "outside", None, None),
        ("1", 2, "update", str(ACTOR), DEVICE, both),
        ("1", 3, "update", "outside", None, {"note": ["b", None]}),
        ("2", 1, "create", "outside", None, None),
        ("2", 2, "update", str(ACTOR), DEVICE, both),
        ("2", 2, "delete", "outside", None, last),
    ]
    xids = outside.rows("SELECT DISTINCT h.xid FROM homing.history h WHERE row_id = '1' AND version = 3")
    assert xids == outside.rows("SELECT changed FROM yard.boxes WHERE id = 1")


async def test_the_key_of_a_row_never_changes(outside: Outside) -> None:
    outside.rows("INSERT INTO yard.boxes (id, note) VALUES (1, 'a')")
    for statement in (
        "UPDATE yard.boxes SET id = 2 WHERE id = 1",
        "INSERT INTO yard.boxes (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET id = 3",
    ):
        with pytest.raises(errors.IntegrityConstraintViolation, match="key of a synced row"):
            outside.rows(statement)
    assert outside.rows("SELECT id, version FROM yard.boxes") == [(1, 1)]


async def test_a_device_gets_what_anybody_writes(a_yard: World, outside: Outside) -> None:
    claims = await a_yard.person("OWNER")
    replica = await a_yard.sync(claims)
    as_replica(outside)
    for statement in (
        "INSERT INTO yard.boxes (id, team) SELECT n, 1 FROM generate_series(1, 5) n",
        "COPY yard.signs (note) FROM PROGRAM 'echo copied'",
        "UPDATE yard.boxes SET note = 'x' WHERE id > 2",
        "DELETE FROM yard.boxes WHERE id = 4",
        "DO $$ BEGIN UPDATE yard.boxes SET note = 'y' WHERE id = 5; EXCEPTION WHEN others THEN RAISE; END $$",
    ):
        token = replica.token
        outside.rows(statement)
        await a_yard.sync(claims, replica)
        assert replica.token != token
        assert replica.rows == await yard.now(a_yard, claims.user_id)
    assert len(replica.rows) == 5


# ------------------------------------------------------------------------------------------------- attaching tables


def library(scope: str = "owner_id", **declared: Any) -> App:
    app = App("library")
    app.scope("own", held_by="SELECT id FROM homing.users WHERE id = %(user)s")
    app.table("books", in_scopes={"own": scope}, write={"WORKER": ALL}, **declared)
    return app


LIBRARY = """
CREATE SCHEMA library;
CREATE TABLE library.books (id bigint PRIMARY KEY, owner_id uuid, lender_id uuid, title text);
CREATE INDEX ON library.books (title);
"""
FILE = "SELECT pg_relation_filepath('library.books')"


@both_servers
async def test_a_table_that_has_rows_is_attached_without_writing_them_again(demo_url: str) -> None:
    async with opened(demo_url, []) as bare:
        await bare.execute(LIBRARY)
        claims = await bare.person()
        await bare.execute(
            "INSERT INTO library.books SELECT n, %s, NULL, 'title ' || n FROM generate_series(1, 100) n",
            [claims.user_id],
        )
        before = await bare.execute(FILE)
    async with opened(demo_url, [library()]) as world:
        assert await world.execute(FILE) == before
        replica = await world.sync(claims)
        assert len(replica.rows) == 100
        assert {version for version, _ in replica.rows.values()} == {1}
        await world.execute("UPDATE library.books SET title = 'other' WHERE id = 7")
        page = await world.page(claims, replica.token)
        assert [(change["id"], change["server_version"]) for change in page["changes"]] == [("7", 2)]
        epoch = await world.execute("SELECT epoch FROM homing.epoch")
    async with opened(demo_url, [library()]) as world:  # once more: nothing is done again
        assert await world.execute("SELECT epoch FROM homing.epoch") == epoch
        assert (await world.page(claims, page["next_token"]))["changes"] == []


async def test_triggers_follow_the_declaration(demo_url: str) -> None:
    one, two = uuid4(), uuid4()
    async with opened(demo_url, []) as bare:
        await bare.execute(LIBRARY)
    for scope, column in (
        ("owner_id", "owner_id"),
        ("lender_id", "lender_id"),
        ("coalesce(lender_id, owner_id)", "lender_id"),
    ):
        async with opened(demo_url, [library(scope)]) as world:
            await world.execute("TRUNCATE homing.departures")
            await world.execute("DELETE FROM library.books")
            await world.execute("INSERT INTO library.books (id, owner_id, lender_id) VALUES (1, %s, %s)", [one, one])
            await world.execute("TRUNCATE homing.departures")
            await world.execute(f"UPDATE library.books SET {column} = %s", [two])
            assert await world.execute("SELECT scope FROM homing.departures") == [(f"library.own:{one}",)]


async def test_a_table_with_a_version_of_its_own_keeps_it(demo_url: str) -> None:
    async with opened(demo_url, []) as bare:
        await bare.execute(LIBRARY)
        await bare.execute("ALTER TABLE library.books ADD COLUMN version text")
    async with opened(demo_url, [library()]) as world:
        claims = await world.person()
        await world.execute(
            "INSERT INTO library.books (id, owner_id, version) VALUES (1, %s, 'second edition')", [claims.user_id]
        )
        await world.execute("UPDATE library.books SET title = 'x'")
        replica = await world.sync(claims)
        (version, payload), *_ = replica.rows.values()
        assert (version, payload["version"]) == (2, "second edition")


async def test_uuids_of_people_are_compared_as_such(demo_url: str) -> None:
    """A scope key is told as text, in one spelling."""
    user = UUID("A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11")
    async with opened(demo_url, []) as bare:
        await bare.execute(LIBRARY)
    async with opened(demo_url, [library()]) as world:
        await world.execute("INSERT INTO library.books (id, owner_id) VALUES (1, %s)", [user])
        await world.execute("DELETE FROM library.books")
        assert await world.execute("SELECT scope FROM homing.departures") == [(f"library.own:{str(user).lower()}",)]
