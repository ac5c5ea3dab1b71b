"""Values of an item: reading them strictly, comparing them as the wire means them.

A payload stays raw JSON wherever it can: what goes into PostgreSQL is the client's own text, so a decimal never passes
through a float. Each table gets one msgspec struct: decoding a payload with it is nearly all of its validation, in C.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

import msgspec

from homing.declare import Refusal
from homing.declare.rights import Columns
from homing.engine.tables import CHANGED, BoundTable, Column
from homing.postgres.codec import Check, json_problem, sentence

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encode = msgspec.json.Encoder(order="deterministic").encode

_FORMS = {
    "timestamp": "expected a time like 2025-12-22T12:34:56Z, with an offset and at most 6 digits of a second",
    "local_timestamp": "expected a time like 2025-12-22T12:34:56, without an offset, with at most 6 digits of a second",
    "time": "expected a time of day like 12:34:56, with at most 6 digits of a second",
}
"""What a text should have looked like, for the types whose form is a pattern."""


@dataclass(slots=True)
class Values:
    """A payload taken apart: ``raw`` JSON by column, ``typed`` values by column, ``extra`` other members."""

    raw: dict[str, bytes | msgspec.Raw]
    typed: dict[str, Any]
    extra: dict[str, Any]

    def wire(self, table: BoundTable) -> dict[str, Any]:
        """Wire values by column."""
        return {name: wire(table.columns[name], typed) for name, typed in self.typed.items()}


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads payloads of one table: ``decoder`` takes the columns and extra members in one pass, in C; ``checks`` see
    what it cannot; ``one`` reads a single column."""

    names: tuple[str, ...]
    decoder: msgspec.json.Decoder[Any]
    checks: tuple[tuple[str, int, Check], ...]
    one: Mapping[str, msgspec.json.Decoder[Any]]
    accepted: dict[tuple[tuple[str, ...], Columns], tuple[str, ...] | None]
    """Members and writable columns → the columns sorted, None where a member may not be given."""


ACCEPTED_MAX = 1000
"""Combinations of members remembered a table: clients that vary them must not fill memory."""


def reader(table: BoundTable) -> Reader:
    """The reader of a table. NOT NULL columns refuse null."""
    if table.reader:
        return cast("Reader", table.reader[0])
    kinds = {
        column.name: column.wire.python | None if column.nullable else column.wire.python
        for column in table.columns.values()
    }
    kinds |= table.extra
    names = tuple(kinds)
    # Fields get names of our own: a column may be called anything.
    fields = [(f"f{n}", kinds[name] | msgspec.UnsetType, msgspec.UNSET) for n, name in enumerate(names)]
    struct = msgspec.defstruct("Payload", fields, rename={f"f{n}": name for n, name in enumerate(names)})
    made = Reader(
        names,
        msgspec.json.Decoder(struct),
        tuple((c.name, names.index(c.name), c.wire.check) for c in table.columns.values() if c.wire.check is not None),
        {name: msgspec.json.Decoder(kind) for name, kind in kinds.items()},
        {},
    )
    table.reader.append(made)
    return made


def members(payload: bytes) -> dict[str, msgspec.Raw] | Refusal:
    """The members of a payload, raw."""
    try:
        return _fields.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return Refusal("invalid_value", f"the payload must be a JSON object: {error}", "/")


def read(
    table: BoundTable, given: dict[str, msgspec.Raw], writable: Columns, *, payload: bytes | None = None
) -> Values | Refusal:
    """Check names and types of what an item gives. ``writable``: the columns the role may set. ``payload``: the text
    that ``given`` was read from, if it still is: then one decoding reads it all, and only what that refuses is looked
    at member by member."""
    if payload is not None and b"\\u0000" not in payload and (found := _read_whole(table, given, writable, payload)):
        return found
    return _read_each(table, given, writable)


def accept(
    table: BoundTable, given: dict[str, msgspec.Raw], writable: Columns, payload: bytes
) -> tuple[str, ...] | None:
    """Whether ``payload``, whose members are ``given``, may be written as it is: its columns, sorted. None where it has
    to be read thoroughly, to find out why not."""
    if b"\\u0000" in payload:
        return None
    tool = reader(table)
    signature = (tuple(given), writable)
    if signature not in tool.accepted:
        if len(tool.accepted) >= ACCEPTED_MAX:
            tool.accepted.clear()
        sound = all(name in table.columns and name in writable and not table.columns[name].generated for name in given)
        tool.accepted[signature] = tuple(sorted(given)) if sound else None
    columns = tool.accepted[signature]
    if columns is None:
        return None
    try:
        values = msgspec.structs.astuple(tool.decoder.decode(payload))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    for _, position, check in tool.checks:
        value = values[position]
        if value is not msgspec.UNSET and check(value) is not None:
            return None
    return columns


def _read_whole(table: BoundTable, given: dict[str, msgspec.Raw], writable: Columns, payload: bytes) -> Values | None:
    tool = reader(table)
    try:
        decoded = tool.decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    columns = table.columns
    typed: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for name, value in zip(tool.names, msgspec.structs.astuple(decoded), strict=True):
        if value is msgspec.UNSET or name not in given:
            continue
        if name not in writable:
            return None
        if name not in columns:
            extra[name] = value
        elif columns[name].generated:
            return None
        else:
            typed[name] = value
    if len(typed) + len(extra) != len(given):
        return None
    for name, _, check in tool.checks:
        if name in typed and check(typed[name]) is not None:
            return None
    return Values({name: given[name] for name in typed}, typed, extra)


def _read_each(table: BoundTable, given: dict[str, msgspec.Raw], writable: Columns) -> Values | Refusal:
    columns = table.columns
    decoders = reader(table).one
    found = Values({}, {}, {})
    for name, raw in given.items():
        shown = name[:63]
        if name not in columns and name not in table.extra:
            if name in (table.version, CHANGED):
                return Refusal("read_only_column", f"{name} is kept by the server", f"/{name}")
            return Refusal("unknown_column", f"{table.resource_type} has no {shown}", f"/{shown}")
        if name not in writable or (name in columns and columns[name].generated):
            return Refusal("read_only_column", f"{name} cannot be written", f"/{name}")
        try:
            value = decoders[name].decode(raw)
        except msgspec.ValidationError as error:
            words, path = sentence(error)
            if "matching regex" in words:
                words = _FORMS[columns[name].wire.kind]
            return Refusal("invalid_value", f"{name}: {words}", f"/{name}{path or ''}")
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return Refusal("invalid_value", f"{name}: not a value that can be kept", f"/{name}")
        if name not in columns:
            found.extra[name] = value
            continue
        check = columns[name].wire.check
        if check is not None and (wrong := check(value)) is not None:
            return Refusal("invalid_value", f"{name}: {wrong}", f"/{name}")
        if b"\\u0000" in bytes(raw) and json_problem(msgspec.json.decode(raw)) is not None:
            return Refusal("invalid_value", f"{name}: NUL cannot be stored", f"/{name}")
        found.raw[name] = raw
        found.typed[name] = value
    return found


def readable(table: BoundTable, given: Mapping[str, msgspec.Raw]) -> dict[str, Any]:
    """Wire values of a kept payload's columns. What cannot be read stood for something else (a temp id, a code) and is
    left out."""
    found: dict[str, Any] = {}
    for name in given.keys() & table.columns.keys():
        value = _read_each(table, {name: given[name]}, frozenset({name}))
        if isinstance(value, Values):
            found |= value.wire(table)
    return found


def read_row(text: str) -> Any:
    """A row's wire values, as PostgreSQL said them. In JSON that was written past us may stand a number that no float
    holds: it is infinite to us, and no reason to refuse an edit of its row."""
    try:
        return msgspec.json.decode(text)
    except msgspec.ValidationError:
        return json.loads(text, parse_int=lambda digits: int(digits) if len(digits) < 19 else float(digits))


def wire(column: Column, typed: Any) -> Any:
    """A typed value as the wire says it: what a pull would send for it."""
    kind = column.wire.kind
    if typed is None:
        return None
    if isinstance(typed, UUID):
        return str(typed)
    if kind == "timestamp":
        return _utc(typed)
    if kind == "local_timestamp":
        return datetime.fromisoformat(typed).isoformat(timespec="microseconds")
    if kind == "time":
        return time.fromisoformat(typed).isoformat()
    if isinstance(typed, date):
        return typed.isoformat()
    if kind == "decimal":
        return format(typed if isinstance(typed, Decimal) else Decimal(typed), "f")
    if kind in ("point", "array"):
        return msgspec.to_builtins(typed)
    return typed


def _utc(text: str) -> str:
    """An RFC 3339 time as the server spells it: UTC, microseconds, Z."""
    return datetime.fromisoformat(text).astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


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
