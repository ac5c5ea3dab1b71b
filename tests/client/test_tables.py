"""Tables made from the server's schema: every value survives, whatever it is, and names never clash."""

from __future__ import annotations

import datetime
import decimal
import sqlite3
import uuid

import pytest

from homing.client.tables import Column, Schema, SyncedTable, Table, encode_value, name_tables, stamp


def table(*columns: Column, name: str = "things", key: str = "id") -> SyncedTable:
    wire = Table(name=name, resource_type="thing", columns=[Column("id", "uuid"), *columns], key=key)
    return SyncedTable(wire, name)


def stored(made: SyncedTable, payload: str, *, row_id: str = "a") -> tuple[object, ...]:
    connection = sqlite3.connect(":memory:")
    connection.execute(made.create_sql())
    connection.execute(made.upsert_sql(), made.bind(row_id, payload, 7))
    (row,) = connection.execute(f'SELECT * FROM "{made.name}"').fetchall()
    connection.close()
    return tuple(row)


EVERY_TYPE = table(
    Column("text", "text"),
    Column("integer", "integer"),
    Column("bigint", "bigint"),
    Column("number", "number"),
    Column("decimal", "decimal"),
    Column("boolean", "boolean"),
    Column("timestamp", "timestamp"),
    Column("json", "json"),
    Column("bytes", "bytes"),
    Column("point", "point"),
    Column("array", "array"),
    Column("shape", "polygon of a later server"),
)


def test_every_type_is_stored_as_sqlite_can_use_it() -> None:
    payload = (
        '{"id": "a", "text": "naïve 🐧", "integer": -5, "bigint": "9007199254740993", "number": 0.1, '
        '"decimal": "1.50", "boolean": true, "timestamp": "2026-01-01T00:00:00Z", "json": {"a": [1,  2]}, '
        '"bytes": "AAE=", "point": {"lat": 1, "lon": 2}, "array": ["x"], "shape": [[1,2]]}'
    )
    assert stored(EVERY_TYPE, payload) == (
        "a", "naïve 🐧", -5, 9007199254740993, 0.1, "1.50", 1, "2026-01-01T00:00:00Z", '{"a": [1,  2]}', "AAE=",
        '{"lat": 1, "lon": 2}', '["x"]', "[[1,2]]", 7,
    )  # fmt: skip


def test_absent_and_null_are_null() -> None:
    assert stored(EVERY_TYPE, '{"text": null, "json": null}') == ("a", *[None] * 12, 7)


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ('{"number": "NaN"}', "NaN"),
        ('{"number": 1e400}', float("inf")),
        ('{"number": {"a": 1}}', '{"a": 1}'),
    ],
)
def test_a_value_of_another_type_does_not_stop_the_table(payload: str, expected: object) -> None:
    assert stored(table(Column("number", "number")), payload) == ("a", expected, 7)


def test_an_integer_beyond_sqlite_is_kept_as_far_as_it_can_be() -> None:
    assert stored(table(Column("n", "integer"), Column("t", "text")), '{"n": 99999999999999999999, "t": 5}') == (
        "a", 1e20, "5", 7,
    )  # fmt: skip


def test_an_integer_key_takes_temp_ids_and_numbers() -> None:
    made = SyncedTable(Table(name="t", resource_type="t", columns=[Column("id", "integer")]), "t")
    assert stored(made, "{}", row_id="tmp-1")[0] == "tmp-1"
    assert stored(made, "{}", row_id="12")[0] == 12
    assert [made.wire_id(row_id) for row_id in ("12", "tmp-1", "9007199254740993")] == [12, "tmp-1", "9007199254740993"]


def test_columns_that_differ_only_by_case_both_exist() -> None:
    made = table(Column("Id", "text"), Column("_version", "text"))
    assert stored(made, '{"Id": "other", "_version": "theirs"}') == ("a", "other", "theirs", 7)


def test_tables_of_two_apps_with_one_name_are_told_apart() -> None:
    jobs = [Table(name="jobs", resource_type=f"{app}.job", app=app, columns=[]) for app in ("crm", "market")]
    assert name_tables(Schema(jobs), {}) == {"crm.job": "crm_jobs", "market.job": "market_jobs"}


def test_names_once_given_stay() -> None:
    old = Schema([Table(name="jobs", resource_type="job", app="crm", columns=[])])
    names = name_tables(old, {})
    new = Schema([*old.tables, Table(name="Jobs", resource_type="market.job", app="market", columns=[])])
    assert names == {"job": "jobs"}
    assert name_tables(new, names) == {"job": "jobs", "market.job": "market_Jobs"}


def test_the_replicas_own_tables_cannot_be_named() -> None:
    schema = Schema([Table(name="_outbox", resource_type="x", app="evil", columns=[])])
    assert name_tables(schema, {}) == {"x": "evil__outbox"}


def test_names_with_quotes_are_names() -> None:
    made = table(Column('a"; DROP TABLE x; --', "text"), name='t"')
    connection = sqlite3.connect(":memory:")
    connection.execute(made.create_sql())
    connection.execute(made.upsert_sql(), made.bind("a", '{"a\\"; DROP TABLE x; --": "v"}', 1))
    assert connection.execute('SELECT * FROM "t"""').fetchall() == [("a", "v", 1)]
    connection.close()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (2**53, 2**53),
        (2**53 + 1, "9007199254740993"),
        (True, True),
        (decimal.Decimal("1.50"), "1.50"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (b"\x00\x01", "AAE="),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        ({"n": [2**60, decimal.Decimal(1)]}, {"n": ["1152921504606846976", "1"]}),
    ],
)
def test_python_values_travel_as_the_wire_has_them(value: object, expected: object) -> None:
    assert encode_value(value, None) == expected


def test_times_travel_in_utc() -> None:
    zone = datetime.timezone(datetime.timedelta(hours=2))
    assert stamp(datetime.datetime(2026, 1, 1, 1, tzinfo=zone)) == "2025-12-31T23:00:00Z"
    with pytest.raises(ValueError, match="no time zone"):
        stamp(datetime.datetime(2026, 1, 1))  # noqa: DTZ001 - the point
