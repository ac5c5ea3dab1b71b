"""Values of an item: reading them strictly, comparing them as the wire means them.

A payload stays raw JSON wherever it can: what goes into PostgreSQL is the client's own text, so a decimal never passes
through a float. Each table gets one msgspec struct an action and role: decoding a payload with it is the whole
validation of types, in C.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

import msgspec

from homing.declare import Refusal
from homing.engine.tables import CHANGED, BoundTable, Column
from homing.postgres.codec import sentence

_NUL = re.compile(rb"\\u0000")
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encode = msgspec.json.Encoder(order="deterministic").encode


@dataclass(slots=True)
class Values:
    """A payload taken apart: ``raw`` JSON by column, ``typed`` values by column, ``extra`` members that are no columns."""

    raw: dict[str, bytes]
    typed: dict[str, Any]
    extra: dict[str, Any]


def members(payload: bytes) -> dict[str, msgspec.Raw] | Refusal:
    """The members of a payload, raw."""
    try:
        return _fields.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return Refusal("invalid_value", f"the payload must be a JSON object: {error}", "/")


def read(table: BoundTable, action: str, given: dict[str, msgspec.Raw], writable: Any) -> Values | Refusal:
    """Check names and types of what an item gives. ``writable`` contains the columns the role may set."""
    columns = table.columns
    raw: dict[str, bytes] = {}
    extra_raw: dict[str, msgspec.Raw] = {}
    for name, value in given.items():
        if name in columns:
            if columns[name].generated or name not in writable:
                return Refusal("read_only_column", f"{name} cannot be written", f"/{name}")
            raw[name] = bytes(value)
        elif name in table.extra:
            if name not in writable:
                return Refusal("read_only_column", f"{name} cannot be given", f"/{name}")
            extra_raw[name] = value
        elif name in (table.version, CHANGED):
            return Refusal("read_only_column", f"{name} is kept by the server", f"/{name}")
        else:
            return Refusal("unknown_column", f"{table.resource_type} has no {name[:63]}", f"/{name[:63]}")
    decoder = _decoder(table)
    typed: dict[str, Any] = {}
    for name, text in raw.items():
        column = columns[name]
        try:
            value = decoder[name].decode(text)
        except msgspec.ValidationError as error:
            words, path = sentence(error)
            return Refusal("invalid_value", f"{name}: {words}", f"/{name}{path or ''}")
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return Refusal("invalid_value", f"{name}: not a value that can be kept", f"/{name}")
        if column.wire.check is not None and (wrong := column.wire.check(text, value)) is not None:
            return Refusal("invalid_value", f"{name}: {wrong}", f"/{name}")
        if _NUL.search(text) and "\x00" in str(value):
            return Refusal("invalid_value", f"{name}: NUL cannot be stored", f"/{name}")
        typed[name] = value
    extra: dict[str, Any] = {}
    for name, member in extra_raw.items():
        try:
            extra[name] = msgspec.json.decode(member, type=table.extra[name])
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            words, path = sentence(error)
            return Refusal("invalid_value", f"{name}: {words}", f"/{name}{path or ''}")
    return Values(raw, typed, extra)


def _decoder(table: BoundTable) -> dict[str, msgspec.json.Decoder[Any]]:
    """One decoder a column. NOT NULL columns refuse null."""
    found = cast("dict[str, msgspec.json.Decoder[Any]]", table.readers)
    if not found:
        for column in table.columns.values():
            kind = column.wire.python | None if column.nullable else column.wire.python
            found[column.name] = msgspec.json.Decoder(kind)
    return found


def wire(column: Column, typed: Any) -> Any:
    """A typed value as the wire says it: what a pull would send for it."""
    kind = column.wire.kind
    if typed is None:
        return None
    if isinstance(typed, UUID):
        return str(typed)
    if isinstance(typed, datetime):
        if kind == "timestamp":
            return typed.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")
        return typed.strftime("%Y-%m-%dT%H:%M:%S.%f").rjust(26, "0")
    if isinstance(typed, date | time):
        return typed.isoformat()
    if kind == "decimal":
        return format(typed if isinstance(typed, Decimal) else Decimal(typed), "f")
    if kind in ("point", "array"):
        return msgspec.to_builtins(typed)
    return typed


def same(column: Column, one: Any, other: Any) -> bool:
    """Whether two wire values of a column are the same value."""
    if one is None or other is None:
        return one is other
    match column.wire.kind:
        case "decimal":
            return bool(Decimal(one) == Decimal(other))
        case "number":
            return float(one) == float(other)
        case "bigint":
            return int(one) == int(other)
        case _:
            return bool(_encode(one) == _encode(other))
