"""Attaching tables that somebody else made: what is theirs stays theirs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from homing.declare import ALL, App, DeclarationError
from tests.engine.world import opened


def library() -> App:
    app = App("library", schema="public")
    app.scope("all", held_by="SELECT 'all' FROM homing.users WHERE id = %(user)s")
    app.table("books", in_scopes={"all": "'all'"}, write={"OWNER": ALL})
    return app


def sql(url: str, *statements: str) -> list[Any]:
    """The rows of the last of ``statements``."""
    with psycopg.connect(url, autocommit=True) as conn:
        cursors = [conn.execute(statement) for statement in statements]  # type: ignore[call-overload]
        return cursors[-1].fetchall() if cursors[-1].description else []


@pytest.fixture
def url(new_database: Callable[..., str], template: str) -> str:
    return new_database(template)


async def test_a_version_of_the_table_s_own_stays_its_own(url: str) -> None:
    sql(
        url,
        "CREATE TABLE books (id int PRIMARY KEY, version integer NOT NULL DEFAULT 7)",
        "INSERT INTO books VALUES (1)",
    )
    for _ in range(2):  # the second time the stamps are there
        async with opened(url, [library()]) as world:
            assert list(world.engine.bound.tables[0].columns) == ["id", "version"]
    found = sql(
        url,
        "INSERT INTO books VALUES (2)",
        "UPDATE books SET version = version + 1 WHERE id = 1",
        "SELECT id, version, row_version FROM books ORDER BY id",
    )
    assert found == [(1, 8, 2), (2, 7, 1)]


async def test_a_changed_of_the_table_s_own_is_a_mistake_and_says_so(url: str) -> None:
    sql(url, "CREATE TABLE books (id int PRIMARY KEY, changed timestamptz)")
    with pytest.raises(DeclarationError, match="it has a column 'changed' of its own, where the stamp goes; rename it"):
        async with opened(url, [library()]):
            raise AssertionError("it started")


async def test_a_table_that_was_made_anew_gets_stamps_anew_and_devices_start_again(url: str) -> None:
    make = "CREATE TABLE books (id int PRIMARY KEY, title text)"
    sql(url, make)
    async with opened(url, [library()]):
        ((epoch, reason),) = sql(url, "SELECT epoch, reason FROM homing.epoch")
    assert reason == "created"
    sql(url, "DROP TABLE books", make)
    async with opened(url, [library()]):
        ((another, reason),) = sql(url, "SELECT epoch, reason FROM homing.epoch")
    assert another != epoch
    assert reason == "public.books was made anew"
    assert sql(url, "INSERT INTO books VALUES (1, 'one')", "SELECT version FROM books") == [(1,)]
    async with opened(url, [library()]):
        assert sql(url, "SELECT epoch FROM homing.epoch") == [(another,)]
