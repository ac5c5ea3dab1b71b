"""Fields of a form made from a table's columns, and what was typed into them as a row's wire values.

A form says of each field also what it showed (``was.<name>``), so that only what somebody changed is written, whatever
happened to the row meanwhile; columns are ``c.<name>``, apart from the form's own fields. What cannot be read here as
the column's type is sent as text: the engine refuses it in its own words, which stand beside the field.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from homing.console.formats import words
from homing.console.forms import Form
from homing.declare.rights import Columns
from homing.engine.tables import BoundTable, Column

_LONG = frozenset(
    {"notes", "description", "content", "body", "bio", "address", "comment", "comments", "text", "message"}
)
_HINTS = {
    "timestamp": "A time in UTC, as 2025-12-22T12:34:56.",
    "local_timestamp": "A time without a zone, as 2025-12-22T12:34:56.",
    "json": "JSON.",
    "array": "A JSON array.",
    "point": 'JSON: {"lat": 52.1, "lon": 5.2}.',
    "bytes": "Base64.",
    "decimal": "A decimal number.",
}
_INPUTS = {"integer": "number", "date": "date", "time": "text", "number": "number"}


@dataclass(frozen=True, slots=True)
class Field:
    """A field as ``ui.field`` shows it. ``was``: what it shows before anybody types."""

    name: str
    label: str
    kind: str
    value: str
    was: str
    required: bool
    options: Sequence[tuple[str, str]] = ()
    hint: str | None = None
    mono: bool = False
    whole: bool = False


def writable(table: BoundTable, columns: Columns | None, *, creating: bool) -> list[Column]:
    """The columns that somebody with these rights gives. A key that makes itself is not asked for."""
    if columns is None:
        return []
    return [
        column
        for column in table.columns.values()
        if column.name in columns
        and not column.generated
        and (column.name != table.key.name or (creating and table.key_type != "uuid" and table.key_default is None))
        and column.name != table.declared.soft_delete
    ]


def fields_of(
    table: BoundTable,
    columns: Sequence[Column],
    values: Mapping[str, Any],
    *,
    choices: Mapping[str, Sequence[tuple[str, str]]],
    typed: Form | None = None,
) -> list[Field]:
    """A field for each column. ``typed``: what somebody typed already, and is to find again."""
    return [
        _field(table, column, text_of(column, values.get(column.name)), choices.get(column.name), typed)
        for column in columns
    ]


def _field(
    table: BoundTable, column: Column, text: str, choices: Sequence[tuple[str, str]] | None, typed: Form | None
) -> Field:
    kind = column.wire.kind
    given = None if typed is None else typed.raw(f"c.{column.name}")
    required = (
        not column.nullable
        and column.default is None
        and column.name not in table.declared.fill
        and kind not in ("boolean", "text")
    )
    shown: dict[str, Any] = {"hint": _HINTS.get(kind)}
    if column.labels:
        shown |= {"kind": "select", "options": [(each, each) for each in column.labels], "hint": None}
    elif kind == "boolean":
        shown |= {"kind": "select", "options": [("true", "yes"), ("false", "no")]}
    elif choices is not None:
        shown |= {"kind": "select", "options": choices}
    elif kind in ("json", "array", "point", "bytes"):
        shown |= {"kind": "textarea", "mono": True, "whole": True}
    elif kind == "text" and (column.name in _LONG or "\n" in text or len(text) > 80):
        shown |= {"kind": "textarea", "whole": True}
    else:
        shown |= {"kind": _INPUTS.get(kind, "text"), "mono": kind in ("uuid", "timestamp", "local_timestamp", "time")}
        if kind == "uuid" and column.name in table.references:
            shown["hint"] = f"The id of a row of {table.references[column.name].table}."
    return Field(
        name=f"c.{column.name}",
        label=words(column.name),
        value=text if given is None else given,
        was=text if typed is None else typed.raw(f"was.{column.name}") or "",
        required=required,
        **shown,
    )


def text_of(column: Column, value: Any) -> str:
    """A wire value as a form's text."""
    if value is None:
        return ""
    if value is True or value is False:
        return "true" if value else "false"
    if column.wire.kind in ("json", "array", "point"):
        return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    return str(value)


def changes(columns: Sequence[Column], form: Form, *, creating: bool) -> dict[str, msgspec.Raw]:
    """Column → JSON, of the fields that somebody changed."""
    found = {}
    for column in columns:
        text, was = form.raw(f"c.{column.name}"), form.raw(f"was.{column.name}") or ""
        if text is None or text == was:
            continue
        if creating and text == "":
            continue
        found[column.name] = _json(column, text)
    return found


def _json(column: Column, text: str) -> msgspec.Raw:
    kind = column.wire.kind
    if text == "" and (column.nullable or kind != "text" or column.labels):
        return msgspec.Raw(b"null")
    stripped = text.strip()
    if kind == "boolean" and stripped in ("true", "false"):
        return msgspec.Raw(stripped.encode())
    if kind in ("integer", "number"):
        try:
            number = msgspec.json.decode(stripped, type=int | float)
        except (msgspec.DecodeError, UnicodeEncodeError):
            return _text(text)
        return msgspec.Raw(stripped.encode()) if isinstance(number, int | float) else _text(text)
    if kind in ("json", "array", "point"):
        try:
            msgspec.json.decode(stripped)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            return _text(text)
        return msgspec.Raw(stripped.encode())
    if (
        kind == "timestamp"
        and len(stripped) >= 16
        and stripped[-1] != "Z"
        and "+" not in stripped[10:]
        and "-" not in stripped[10:]
    ):
        stripped += "Z"
    return _text(text if kind == "text" else stripped)


def _text(text: str) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(text))
