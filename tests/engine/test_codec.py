"""One law for every column type: what push accepts comes back equal on another device; everything else is refused,
with the path of the value; and no value that came through another door stops a pull or an edit of its row."""

import base64
import datetime as dt
import json
import re
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from homing.declare import ALL, App
from homing.engine.caller import Claims
from tests.engine.world import World, opened

COLUMNS = {
    "a_uuid": "uuid",
    "a_int2": "smallint",
    "a_int4": "integer",
    "a_int8": "bigint",
    "a_float4": "real",
    "a_float8": "double precision",
    "a_bool": "boolean",
    "a_text": "text",
    "a_varchar": "varchar",
    "a_varchar5": "varchar(5)",
    "a_char3": "char(3)",
    "a_citext": "public.citext",
    "a_date": "date",
    "a_timestamptz": "timestamptz",
    "a_timestamptz0": "timestamptz(0)",
    "a_timestamp": "timestamp",
    "a_timestamp3": "timestamp(3)",
    "a_time": "time",
    "a_time0": "time(0)",
    "a_json": "json",
    "a_jsonb": "jsonb",
    "a_bytea": "bytea",
    "a_point": "point",
    "a_numeric": "numeric",
    "a_numeric82": "numeric(8,2)",
    "a_numeric35": "numeric(3,5)",
    "a_hundreds": "numeric(4,-2)",
    "a_mood": "codec.mood",
    "some_text": "text[]",
    "some_varchar": "varchar(4)[]",
    "some_uuid": "uuid[]",
    "some_int2": "smallint[]",
    "some_int4": "integer[]",
    "some_bool": "boolean[]",
    "some_float8": "double precision[]",
    "some_date": "date[]",
}

SCHEMA = f"""
CREATE EXTENSION IF NOT EXISTS citext SCHEMA public;
CREATE SCHEMA codec;
CREATE TYPE codec.mood AS ENUM ('sad', 'so so', 'happy');
CREATE TABLE codec.rows (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), label text,
    {", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())});
"""


def codec() -> App:
    app = App("codec")
    app.scope("everybody", held_by="SELECT 'all' FROM homing.users WHERE id = %(user)s")
    app.table("rows", in_scopes={"everybody": "'all'"}, write={"WORKER": ALL})
    return app


@pytest.fixture
async def values(demo_url: str) -> AsyncIterator[World]:
    async with opened(demo_url, []) as bare:
        await bare.execute(SCHEMA)
    async with opened(demo_url, [codec()]) as world:
        yield world


# ---------------------------------------------------------------------------------------------- what equal means


def load(raw: str | bytes) -> Any:
    return json.loads(raw, parse_float=Decimal)


def moment(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def point(value: dict[str, Any]) -> tuple[float, float]:
    return float(value["lat"]), float(value["lon"])


def free(value: Any) -> Any:
    """JSON as JavaScript reads it: every number is a float."""
    match value:
        case dict():
            return {name: free(member) for name, member in value.items()}
        case list():
            return [free(member) for member in value]
        case bool() | None | str():
            return (type(value), value)
        case _:
            return float(value)


def exactly(kind: type) -> Callable[[Any], Any]:
    def same(value: Any) -> Any:
        assert type(value) is kind, value
        return value

    return same


CANONICAL: dict[str, Callable[[Any], Any]] = {
    "uuid": UUID,
    "int": exactly(int),
    "int8": int,
    "float": float,
    "numeric": lambda value: Decimal(value) + 0,
    "hundreds": lambda value: Decimal(value) + 0,
    "bool": exactly(bool),
    "date": dt.date.fromisoformat,
    "timestamp": moment,
    "time": dt.time.fromisoformat,
    "json": free,
    "point": point,
}


def canonical(column: str, value: Any) -> Any:
    """``value`` (parsed JSON) as what it means for ``column``."""
    if value is None:
        return None
    array, _, kind = column.partition("_")
    kind = kind.rstrip("0123456789") if kind != "int8" else kind
    kind = {"timestamptz": "timestamp", "jsonb": "json"}.get(kind, kind)
    mean = CANONICAL.get(kind, exactly(str))
    return [mean(member) for member in value] if array == "some" else mean(value)


# ------------------------------------------------------------------------------------------------- what is sent


def texts(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[str]:
    """Each value as JSON text, also with everything escaped that can be."""
    return st.tuples(strategy, st.booleans()).map(lambda pair: json.dumps(pair[0], ensure_ascii=pair[1]))


digits = st.from_regex(r"\A-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?\Z")
whole = st.one_of(
    *(st.integers(-(2**bits) - 2, 2**bits + 2) for bits in (15, 31, 53, 63)),
    st.sampled_from([sign * 2**bits + near for bits in (15, 31, 53, 63) for near in (-1, 0, 1) for sign in (1, -1)]),
)
offsets = st.sampled_from(["Z", "z", "", "+00:00", "-00:00", "+05:45", "-23:59", "+16:00", "+15:59", "-11:00"])
fractions = st.sampled_from(["", ".5", ".123", ".123456", ".999999", ".1234567", ".0000000001"])
moments = st.builds(
    lambda at, sep, fraction, offset: at.isoformat(sep=sep, timespec="seconds") + fraction + offset,
    st.datetimes(),
    st.sampled_from(["T", "T", "T", "t", " "]),
    fractions,
    offsets,
)
trees = st.recursive(
    st.none() | st.booleans() | whole | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=8), children, max_size=4),
    max_leaves=12,
)
floats = st.floats(allow_nan=False, allow_infinity=False).map(repr) | st.floats(
    width=32, allow_nan=False, allow_infinity=False
).map(repr)
degrees = st.sampled_from(["0", "-0.0", "90", "-180", "180.00000001", "47.123456789012345", "1e-300"]) | digits
garbage = st.sampled_from(
    [
        "null", "true", "0", "-0", "1.5", "1e400", "1e-400", '""', '" "', '"x"', '"\\u0000"', '"a\\u0000b"', "[]", "{}",
        '["\\u0000"]', "[null]", "[[]]", '"infinity"', '"-infinity"', '"NaN"', '"now"',
        '"tomorrow"', '"epoch"', '"0000-00-00"', '"2024-02-30"', '"10000-01-01"', '"0044-03-15 BC"', '"5"', '"1_0"',
        '" 1"', '"+1"', '"0x10"', '"1e3"', "9007199254740993", '"9223372036854775808"', '"23:59:60"',
        '"24:00:00"', '"2024-12-31T23:59:60Z"', '"sad "', '"Happy"', '"="', '"QQ"', '"QQ=="', '"QR=="',
        '"ab "', '"   "',
        '"{00000000-0000-0000-0000-000000000000}"', '"00000000000000000000000000000000"',
        '"A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"', '{"lat":91,"lon":0}', '{"lat":1}', '{"lat":1,"lon":2,"z":3}',
    ]
)  # fmt: skip

PLAUSIBLE: dict[str, st.SearchStrategy[str]] = {
    "uuid": st.uuids().map(lambda u: f'"{u}"'),
    "int": whole.map(str),
    "int8": whole.map(str) | whole.map(lambda n: f'"{n}"'),
    "float": floats | digits,
    "numeric": digits | digits.map(lambda d: f'"{d}"'),
    "hundreds": digits | st.integers(-(10**7), 10**7).map(str),
    "bool": st.sampled_from(["true", "false"]),
    "varchar": texts(st.text(max_size=6)),
    "char": texts(st.text(min_size=3, max_size=3)) | texts(st.from_regex(r"\A[a ]{3}\Z")),
    "date": texts(st.dates().map(str)),
    "timestamp": texts(moments),
    "time": texts(st.builds(lambda t, f: t.isoformat(timespec="seconds") + f, st.times(), fractions)),
    "json": texts(trees),
    "bytea": texts(st.binary(max_size=200).map(lambda b: base64.b64encode(b).decode())),
    "point": st.builds('{{"lat":{},"lon":{}}}'.format, degrees, degrees),
    "mood": st.sampled_from(['"sad"', '"so so"', '"happy"']),
}


def plausible(column: str) -> st.SearchStrategy[str]:
    array, _, kind = column.partition("_")
    kind = kind.rstrip("0123456789") if kind != "int8" else kind
    kind = {"timestamptz": "timestamp", "jsonb": "json"}.get(kind, kind)
    one = PLAUSIBLE.get(kind, texts(st.text(max_size=12)))
    return st.lists(one, max_size=4).map(lambda members: f"[{','.join(members)}]") if array == "some" else one


def create(column: str, raw: str) -> bytes:
    return f'{{"resource_type":"row","action":"create","client_version":1,"payload":{{"{column}":{raw}}}}}'.encode()


class Change(msgspec.Struct):
    id: str
    payload: dict[str, msgspec.Raw]


class Changes(msgspec.Struct):
    changes: list[Change]


async def payloads(world: World, device: Claims) -> dict[str, dict[str, str]]:
    """Every row as a fresh device gets it: id → column → the value's own JSON text."""
    body = (await world.answer(device, limit=5000)).body()
    json.loads(body, parse_constant=pytest.fail)  # NaN and Infinity are no JSON
    page = msgspec.json.decode(body, type=Changes)
    return {change.id: {name: bytes(raw).decode() for name, raw in change.payload.items()} for change in page.changes}


UNDERFLOW = re.compile(r"[eE]-[0-9]{3}")
"""Numbers smaller than the smallest float read as zero; PostgreSQL refuses them, and knows no path."""

anything = st.one_of([st.tuples(st.just(column), plausible(column) | garbage) for column in COLUMNS])


@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@settings(max_examples=80, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(sent=st.lists(anything, min_size=20, max_size=80))
async def test_what_is_accepted_comes_back_and_the_rest_is_refused_with_its_path(
    values: World, sent: list[tuple[str, str]]
) -> None:
    await values.execute("TRUNCATE codec.rows")
    writer, reader = await values.person(), await values.person()
    results = await values.push(writer, *(create(column, raw) for column, raw in sent))
    accepted = {}
    for (column, raw), result in zip(sent, results, strict=True):
        if result["status"] == "ok":
            accepted[result["server_id"]] = (column, raw)
        else:
            assert (result["status"], result["code"]) == ("error", "invalid_value"), (column, raw, result)
            if not UNDERFLOW.search(raw):
                assert result.get("path", "").split("/")[:2] == ["", column], (column, raw, result)
    found = await payloads(values, reader)
    assert set(found) == set(accepted)
    for row_id, (column, raw) in accepted.items():
        assert canonical(column, load(found[row_id][column])) == canonical(column, load(raw)), (column, raw)
    # What the server says is a value it takes, and says again in the same words.
    again = [(column, found[row_id][column]) for row_id, (column, _) in accepted.items()]
    results = await values.push(writer, *(create(column, raw) for column, raw in again))
    assert [case for case, result in zip(again, results, strict=True) if result["status"] != "ok"] == []
    found = await payloads(values, reader)
    repeated = [(column, found[r["server_id"]][column]) for (column, _), r in zip(again, results, strict=True)]
    assert repeated == again


ACCEPTED = {
    "a_int2": ['-32768'],
    "a_int4": ['2147483647', '-0'],
    "a_int8": ['9007199254740992', '"-9223372036854775808"'],
    "a_float4": ['0.1', '3.4028235e38'],
    "a_float8": ['0.1', '5e-324', '1e308'],
    "a_bool": ['false'],
    "a_text": ['""', '"=cmd|\' /C calc\'!A0"', '"<script>"', '"\\ud83d\\ude00 e\\u0301"'],
    "a_varchar5": ['"\\ud83d\\ude001234"', '"a    "'],
    "a_char3": ['"abc"'],
    "a_citext": ['"Ab"'],
    "a_date": ['"0001-01-01"', '"9999-12-31"'],
    "a_timestamptz": ['"2024-02-29T23:59:59.999999+05:45"', '"0001-01-01T00:00:00Z"', '"9999-12-31T23:59:59.999999Z"'],
    "a_timestamptz0": ['"2024-01-01T00:00:00Z"'],
    "a_timestamp": ['"2024-06-01T12:00:00"'],
    "a_timestamp3": ['"2024-06-01T12:00:00.123"'],
    "a_time": ['"23:59:59.5"'],
    "a_time0": ['"23:59:59"'],
    "a_json": ['{"b":[1,2.50,{"a":null}],"a":"x"}'],
    "a_jsonb": ['{"b":[1,2.5,{"a":null}]}', '1e300'],
    "a_bytea": ['"AAEC/w=="', '""'],
    "a_point": ['{"lat":-90,"lon":180}'],
    "a_numeric": ['"123456789012345678901234567890.000000001"', '1e20'],
    "a_numeric82": ['999999.99', '"-0.10"', '1.5000'],
    "a_numeric35": ['0.00123'],
    "a_hundreds": ['123400'],
    "a_mood": ['"so so"'],
    "some_text": ['["a","","\\"{}, NULL"]'],
    "some_varchar": ['["abcd"]'],
    "some_uuid": ['[]'],
    "some_int2": ['[1,-32768]'],
    "some_int4": ['[2147483647]'],
    "some_bool": ['[true,false]'],
    "some_float8": ['[0.1,-1e-300]'],
    "some_date": ['["2024-02-29"]'],
    "a_uuid": ['"a0eebc999c0b4ef8bb6d6bb9bd380a11"'],
}  # fmt: skip

REFUSED = {
    "a_int2": ['32768'],
    "a_int4": ['2147483648', '"5"', 'true', '1.5', '5.0', '1e3'],
    "a_int8": ['1.5', '9007199254740993', '"9223372036854775808"', '"007"', '""'],
    "a_float4": ['1e39', '0.123456789'],
    "a_float8": ['1e400', '"NaN"', '"Infinity"', '12345678901234567890'],
    "a_bool": ['0', '"true"'],
    "a_text": ['5', '"a\\u0000"'],
    "a_varchar5": ['"123456"', '"12345 "'],
    "a_char3": ['"ab"', '"ab "', '"abcd"'],
    "a_date": [
        '"2024-02-30"', '"tomorrow"', '"infinity"', '"2024-01-01T00:00:00Z"', '"10000-01-01"', '"0044-03-15 BC"',
    ],
    "a_timestamptz": [
        '"infinity"', '"now"', '"tomorrow"', '"epoch"', '"0000-00-00"', '"2024-02-30T00:00:00Z"',
        '"10000-01-01T00:00:00Z"', '"0044-03-15T00:00:00Z BC"', '"2024-12-31T23:59:60Z"',
        '"2024-01-01T00:00:00+16:00"', '"2024-01-01T00:00:00"', '"2024-01-01T00:00:00.0123456789Z"',
        '"2024-01-01 00:00:00Z"', '"0001-01-01T00:00:00+01:00"', '"24:00"', '1700000000',
    ],
    "a_timestamptz0": ['"2024-01-01T00:00:00.6Z"'],
    "a_timestamp": ['"2024-06-01T12:00:00Z"'],
    "a_timestamp3": ['"2024-06-01T12:00:00.1234"'],
    "a_time": ['"24:00:00"', '"10:00:00Z"'],
    "a_time0": ['"23:59:59.9"'],
    "a_json": ['{"a":"\\u0000"}', '[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]'],
    "a_jsonb": ['{"\\u0000":1}', '9007199254740993', '1e400'],
    "a_bytea": ['"?"', '"QR=="'],
    "a_point": ['{"lat":90.1,"lon":0}', '[1,2]', '{"lat":1,"lon":"2"}'],
    "a_numeric": ['"NaN"', '"Infinity"', '1e131073', 'true'],
    "a_numeric82": ['1.005', '1000000'],
    "a_numeric35": ['0.01'],
    "a_hundreds": ['1234'],
    "a_mood": ['"SAD"', '"sad "'],
    "some_text": ['["a\\u0000"]', '[null]', '"{a}"'],
    "some_varchar": ['["abcd "]', '["abcde"]'],
    "some_int2": ['[32768]'],
    "some_int4": ['[[1]]'],
    "some_float8": ['[1e400]'],
    "some_date": ['["infinity"]'],
    "some_uuid": ['["x"]'],
    "a_uuid": ['"{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}"', '"urn:uuid:a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"', '""'],
}  # fmt: skip


def cases(named: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [(column, raw) for column, raws in named.items() for raw in raws]


async def test_named_values_are_accepted(values: World) -> None:
    writer = await values.person()
    sent = [*cases(ACCEPTED), *((column, "null") for column in COLUMNS)]
    results = await values.push(writer, *(create(column, raw) for column, raw in sent))
    assert [case for case, result in zip(sent, results, strict=True) if result["status"] != "ok"] == []
    found = await payloads(values, writer)
    for (column, raw), result in zip(sent, results, strict=True):
        came = found[result["server_id"]][column]
        assert canonical(column, load(came)) == canonical(column, load(raw)), (column, raw)
    assert {column for column, _ in sent} == set(COLUMNS)


async def test_named_values_are_refused(values: World) -> None:
    writer = await values.person()
    sent = cases(REFUSED)
    results = await values.push(writer, *(create(column, raw) for column, raw in sent))
    verdicts = [
        (*case, result.get("code"), "/".join(result.get("path", "").split("/")[:2]))
        for case, result in zip(sent, results, strict=True)
    ]
    assert verdicts == [(column, raw, "invalid_value", f"/{column}") for column, raw in sent]
    assert await payloads(values, writer) == {}
    assert {column for column, _ in sent} >= set(COLUMNS) - {"a_citext", "a_varchar", "some_bool"}


async def test_text_that_is_no_json_costs_only_its_item(values: World) -> None:
    writer = await values.person()
    broken = ['"\\ud800"', '["\\udfff"]', '"\x01"', "NaN", "1.", "{", '"a" "b"', ""]
    results = await values.push(writer, *(create("a_text", raw) for raw in broken), create("a_text", '"good"'))
    assert [(r["status"], r.get("code")) for r in results] == [("error", "invalid_value")] * len(broken) + [
        ("ok", None)
    ]
    assert [row["a_text"] for row in (await payloads(values, writer)).values()] == ['"good"']


SIDE_DOOR = {
    "a_timestamptz": ["'infinity'", "'-infinity'", "'0044-03-15 12:00 BC'", "'20000-01-01'"],
    "a_timestamptz0": ["'infinity'"],
    "a_timestamp": ["'infinity'", "'20000-01-01'"],
    "a_timestamp3": ["'0044-03-15 BC'"],
    "a_date": ["'infinity'", "'0044-03-15 BC'", "'20000-01-01'"],
    "a_time": ["'24:00:00'"],
    "a_float4": ["'NaN'"],
    "a_float8": ["'Infinity'", "'-Infinity'"],
    "a_numeric": ["'NaN'", "'Infinity'", "'1e400'"],
    "a_numeric82": ["'NaN'"],
    "a_int8": ['9223372036854775807'],
    "a_text": ["E'\\x01\\x1f\\x7f\\\\'"],
    "a_char3": ["'a'"],
    "a_bytea": ["decode(repeat('00ff', 500), 'hex')"],
    "a_point": ["point('Infinity', 'NaN')"],
    "a_json": ['\'{"a": 1, "a": 1e400}\''],
    "a_jsonb": ["'[1e400, 123456789012345678901234567890]'", "(repeat('[', 200) || repeat(']', 200))::jsonb"],
    "some_text": ["ARRAY['a', NULL]", "ARRAY[ARRAY['a'], ARRAY['b']]"],
    "some_int4": ["'[2:3]={1,2}'"],
    "some_float8": ["ARRAY['NaN', 'Infinity']::float8[]"],
    "some_date": ["ARRAY['infinity'::date]"],
}  # fmt: skip


async def test_what_comes_through_another_door_stops_neither_a_pull_nor_an_edit_of_its_row(values: World) -> None:
    writer = await values.person()
    good = (await values.push(writer, create("a_int4", "7")))[0]["server_id"]
    ids = []
    for column, expression in cases(SIDE_DOOR):
        rows = await values.execute(
            f"INSERT INTO codec.rows (label, {column}) VALUES ('odd', {expression}) RETURNING id::text"
        )
        ids.append(rows[0][0])
    found = await payloads(values, writer)
    assert found[good]["a_int4"] == "7"
    assert set(found) == {good, *ids}
    assert all(found[row_id][column] != "null" for row_id, (column, _) in zip(ids, cases(SIDE_DOOR), strict=True))

    def relabel(row_id: str, label: str) -> dict[str, Any]:
        payload = {"id": row_id, "label": label}
        return {"resource_type": "row", "action": "update", "client_version": 1, "payload": payload}

    other = await values.person()
    results = await values.push(writer, *(relabel(row_id, "edited") for row_id in ids))
    assert [result["status"] for result in results] == ["ok"] * len(ids)
    # Edited on the same base by somebody else: the whole base row is made again from history, and compared.
    results = await values.push(other, *(relabel(row_id, "mine") for row_id in ids))
    assert [(result["status"], result["code"]) for result in results] == [("conflict", "version_conflict")] * len(ids)
    found = await payloads(values, writer)
    assert {found[row_id]["label"] for row_id in ids} == {'"edited"'}
