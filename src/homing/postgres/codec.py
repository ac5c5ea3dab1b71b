"""The value codec: how each column type travels, and which values are accepted.

One law: what is accepted on push comes back unchanged on pull, and what could not come back unchanged is refused.
PostgreSQL alone does not keep it: it stores ``infinity`` that drivers cannot read, rounds 1.005 into numeric(10,2),
turns 1.5 into 2 for a bigint, reads ``tomorrow`` as a date and cuts trailing blanks. So each type has a strict reader
here (a msgspec type that runs in C, and for some types a check of what msgspec cannot see), an SQL expression from JSON
into the column and one from the column into JSON. Values that came through another door and cannot be said in JSON
(``infinity``, NaN) are sent as PostgreSQL's own text, so that one such value never stops a pull.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import math
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec

Check = Callable[[Any], str | None]
"""Decoded value → a sentence saying what is wrong, or None."""

SAFE_INTEGER = 2**53
"""Beyond it JavaScript's numbers lose digits, so such integers travel as strings."""
DEPTH_MAX = 32


@dataclass(frozen=True, slots=True)
class WireType:
    """``kind`` is the wire's name of the type; ``python`` what msgspec decodes to; ``declared`` the SQL type the value
    is read as from JSON; ``write`` and ``read`` are SQL templates around ``{}``; ``check`` sees what msgspec cannot."""

    kind: str
    python: Any
    declared: str
    write: str = "{}"
    read: str = "{}"
    check: Check | None = None


_YEAR_RANGE = "{0} >= timestamptz '0001-01-01 00:00:00+00' AND {0} < timestamptz '10000-01-01 00:00:00+00'"
_READ_TIMESTAMPTZ = (
    f"CASE WHEN {_YEAR_RANGE} "
    """THEN to_char({0} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') ELSE {0}::text END"""
)
_READ_TIMESTAMP = (
    "CASE WHEN {0} >= timestamp '0001-01-01' AND {0} < timestamp '10000-01-01' "
    """THEN to_char({0}, 'YYYY-MM-DD"T"HH24:MI:SS.US') ELSE {0}::text END"""
)


# Times are decoded as text: a datetime would already have rounded a seventh digit away.
_TIMESTAMPTZ = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-](0\d|1[0-5]):[0-5]\d)$"
_TIMESTAMP = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?$"
_SECOND = re.compile(r"\.(\d+)")
_OF_SECONDS = ("timestamp", "local_timestamp", "time")
_TIME = r"^\d\d:\d\d:\d\d(\.\d{1,6})?$"


def _check_timestamp(value: Any) -> str | None:
    if value is None:
        return None
    try:
        moment = datetime.datetime.fromisoformat(value)
        if not value.endswith("Z") and moment.tzinfo is not None:
            moment.astimezone(datetime.UTC)
    except (ValueError, OverflowError):
        return "no such moment between the years 0001 and 9999"
    return None


def _check_time(value: Any) -> str | None:
    if value is None:
        return None
    try:
        datetime.time.fromisoformat(value)
    except ValueError:
        return "no such time of day"
    return None


def _check_float4(value: Any) -> str | None:
    if value is None:
        return None
    try:
        (single,) = struct.unpack("f", struct.pack("f", value))
    except OverflowError:
        return "the number is out of range of a 4-byte float"
    for digits in range(6, 10):
        text = f"{single:.{digits}g}"
        if struct.pack("f", float(text)) == struct.pack("f", single):
            return None if float(text) == value else "a 4-byte float cannot hold this number exactly"
    return "a 4-byte float cannot hold this number exactly"


def _check_float8(value: Any) -> str | None:
    """Integers are decoded as such, so that one with more digits than a float holds is noticed."""
    if value is None:
        return None
    if isinstance(value, int):
        return None if abs(value) <= SAFE_INTEGER or float(value) == value else "more digits than a float holds"
    return None if math.isfinite(value) else "the number must be finite"


def _to_precision(check: Check, digits: int) -> Check:
    """Of a column that keeps ``digits`` of a second: PostgreSQL would round the others, upwards into another day."""

    def checked(value: Any) -> str | None:
        if value is not None and (found := _SECOND.search(value)) and found[1][digits:].strip("0"):
            return f"at most {digits} digits of a second are kept"
        return check(value)

    return checked


def _decimal_check(precision: int | None, scale: int) -> Check:
    def check(value: Any) -> str | None:
        if value is None:
            return None
        number = Decimal(value) if isinstance(value, int) else value
        if not number.is_finite():
            return "the number must be finite"
        _sign, digits, exponent = number.as_tuple()
        assert isinstance(exponent, int)
        after = max(0, -exponent)
        before = max(0, len(digits) + exponent)
        if precision is None:
            if after > 1000 or before > 1000:
                return "the number has more than 1000 digits"
            return None
        zeros = len(digits) - len(bytes(digits).rstrip(b"\0"))
        if number != 0 and exponent + zeros < -scale:
            return f"at most {scale} digits after the point are kept"
        if number != 0 and number.adjusted() + 1 > precision - scale:
            return f"at most {precision - scale} digits before the point are kept"
        return None

    return check


def _bigint_check(value: Any) -> str | None:
    if isinstance(value, str):
        if not re.fullmatch(r"-?(0|[1-9]\d{0,18})", value) or value == "-0":
            return "expected an integer"
        value = int(value)
        if not -(2**63) <= value < 2**63:
            return "the integer is out of range"
    elif value is not None and not -SAFE_INTEGER <= value <= SAFE_INTEGER:
        return "integers beyond 2^53 travel as strings"
    return None


def _check_bytes(value: Any) -> str | None:
    if value is None:
        return None
    try:
        decoded = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return "expected base64"
    return None if base64.b64encode(decoded).decode() == value else "expected canonical base64"


def _check_char(length: int) -> Check:
    def check(value: Any) -> str | None:
        if value is not None and len(value) != length:
            return f"expected exactly {length} characters"
        if value is not None and value.endswith(" "):
            return "blanks at the end are not kept"
        return None

    return check


def json_problem(value: Any, depth: int = 0) -> str | None:
    """Why a JSON value could not be kept unchanged, or None."""
    if isinstance(value, str):
        return "NUL cannot be stored" if "\x00" in value else None
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int):
        fits = -SAFE_INTEGER <= value <= SAFE_INTEGER or _is_a_float(value)
        return None if fits else "integers beyond 2^53 travel as strings"
    if isinstance(value, dict | list):
        if depth >= DEPTH_MAX:
            return f"nested deeper than {DEPTH_MAX} levels"
        members: Any = value if isinstance(value, list) else [*value.keys(), *value.values()]
        for member in members:
            if found := json_problem(member, depth + 1):
                return found
    return None


def _is_a_float(value: int) -> bool:
    """Whether it is how PostgreSQL writes a float: 1e23, sent as a number, comes back with all its zeros."""
    try:
        return Decimal(repr(float(value))) == value
    except OverflowError:
        return False


def _check_json(value: Any) -> str | None:
    return json_problem(value)


def _check_point(value: Any) -> str | None:
    if value is None:
        return None
    if not (-90 <= value.lat <= 90 and -180 <= value.lon <= 180):
        return "lat must be -90 to 90 and lon -180 to 180"
    return None


class Point(msgspec.Struct, forbid_unknown_fields=True):
    """A place on the globe, degrees WGS 84."""

    lat: float
    lon: float


def _integer(bits: int) -> Any:
    return Annotated[int, msgspec.Meta(ge=-(2 ** (bits - 1)), le=2 ** (bits - 1) - 1)]


_PLAIN: dict[str, WireType] = {
    "uuid": WireType("uuid", UUID, "uuid"),
    "int2": WireType("integer", _integer(16), "smallint"),
    "int4": WireType("integer", _integer(32), "integer"),
    "int8": WireType(
        "bigint",
        int | str,
        "bigint",
        read=f"CASE WHEN {{0}} BETWEEN -{SAFE_INTEGER} AND {SAFE_INTEGER}"
        " THEN to_json({0}) ELSE to_json({0}::text) END",
        check=_bigint_check,
    ),
    "float4": WireType("number", float, "real", check=_check_float4),
    "float8": WireType("number", int | float, "double precision", check=_check_float8),
    "bool": WireType("boolean", bool, "boolean"),
    "text": WireType("text", str, "text"),
    "citext": WireType("text", str, "text"),
    "date": WireType("date", datetime.date, "date"),
    "timestamptz": WireType(
        "timestamp",
        Annotated[str, msgspec.Meta(pattern=_TIMESTAMPTZ)],
        "timestamptz",
        read=_READ_TIMESTAMPTZ,
        check=_check_timestamp,
    ),
    "timestamp": WireType(
        "local_timestamp",
        Annotated[str, msgspec.Meta(pattern=_TIMESTAMP)],
        "timestamp",
        read=_READ_TIMESTAMP,
        check=_check_timestamp,
    ),
    "time": WireType("time", Annotated[str, msgspec.Meta(pattern=_TIME)], "time", check=_check_time),
    "json": WireType("json", Any, "json", check=_check_json),
    "jsonb": WireType("json", Any, "jsonb", check=_check_json),
    "bytea": WireType(
        "bytes",
        str,
        "text",
        write="decode({}, 'base64')",
        read="translate(encode({}, 'base64'), E'\\n', '')",
        check=_check_bytes,
    ),
    "point": WireType(
        "point",
        Point,
        "json",
        write="point(({0} ->> 'lon')::float8, ({0} ->> 'lat')::float8)",
        read="CASE WHEN {0} IS NOT NULL THEN json_build_object('lat', {0}[1], 'lon', {0}[0]) END",
        check=_check_point,
    ),
}
_ARRAY_ELEMENTS = {"text", "varchar", "uuid", "int2", "int4", "bool", "float8", "date"}


def wire_type(
    type_name: str,
    *,
    typmod: int,
    sql_type: str,
    labels: tuple[str, ...] = (),
    element: str | None = None,
    schema: str = "pg_catalog",
) -> WireType | None:
    """The wire type of a column, or None where the type is not supported.

    ``type_name`` is pg_type.typname, ``sql_type`` what format_type says, ``labels`` an enum's values in order,
    ``element`` the typname of an array's elements. ``typmod`` is pg_attribute.atttypmod, ``schema`` where the type is.
    """
    if labels:
        return WireType("text", Literal[labels], sql_type, read="{}::text")
    if type_name in ("varchar", "bpchar") and typmod > 0:
        length = typmod - 4
        if type_name == "bpchar":
            return WireType("text", str, "text", read="{}::text", check=_check_char(length))
        return WireType("text", Annotated[str, msgspec.Meta(max_length=length)], "text")
    if type_name == "varchar":
        return _PLAIN["text"]
    if type_name == "numeric":
        # The scale is a signed number of 11 bits: numeric(4, -2) keeps hundreds.
        scale = (((typmod - 4) & 0x7FF) ^ 1024) - 1024
        precision, scale = (None, 0) if typmod < 0 else (((typmod - 4) >> 16) & 0xFFFF, scale)
        return WireType("decimal", Decimal | int, "numeric", read="{}::text", check=_decimal_check(precision, scale))
    if element is not None:
        # An array's typmod is that of its elements.
        inner = wire_type(element, typmod=typmod, sql_type=element) if element in _ARRAY_ELEMENTS else None
        return None if inner is None else WireType("array", list[inner.python], sql_type)  # type: ignore[name-defined]
    if type_name == "geography":
        return _geography(schema)
    plain = _PLAIN.get(type_name)
    if plain is not None and plain.check is not None and plain.kind in _OF_SECONDS and typmod >= 0:
        return replace(plain, check=_to_precision(plain.check, typmod))
    return plain


def _geography(schema: str) -> WireType:
    """A point of PostGIS, all of which is in the schema of its types: ``public``, ``extensions``, anything."""
    # PostgreSQL lets no quotes into such a name; but templates are filled by format, and statements with %s.
    name = "".join(2 * sign if sign in "{}%" else sign for sign in schema)
    return WireType(
        "point",
        Point,
        "json",
        write=f""""{name}".st_point(({{0}} ->> 'lon')::float8, ({{0}} ->> 'lat')::float8)::"{name}".geography""",
        read=f"""CASE WHEN {{0}} IS NOT NULL THEN json_build_object('lat', "{name}".st_y({{0}}::"{name}".geometry),"""
        f""" 'lon', "{name}".st_x({{0}}::"{name}".geometry)) END""",
        check=_check_point,
    )


def sentence(error: msgspec.ValidationError | msgspec.DecodeError | ValueError) -> tuple[str, str | None]:
    """msgspec's error as (sentence, path). ``Expected `int`, got `str` - at `$.reading``` → path ``/reading``."""
    text, _, where = str(error).partition(" - at ")
    path = None
    if where:
        path = re.sub(r"\[(\d+|\.\.\.)\]", r"/\1", where.strip("`").removeprefix("$").replace(".", "/"))
    return text[:1].lower() + text[1:].replace("`", ""), path
