"""A conflict taken apart into lines, and put together again as a merge."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest

from homing.console.sides import changed_lines, merge, sides_of
from homing.console.typed import read_typed, write_typed
from homing.engine.conflicts import ConflictDetail, FieldChanges

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def conflict(base: Any, server: Any, client: Any, *, fields: list[str], action: str = "update") -> ConflictDetail:
    moved = {name: [None, None] for name in (server or {}) if (base or {}).get(name) != server[name]}
    return ConflictDetail(
        id=UUID(int=1), resource_type="note", resource_id="1", code="version_conflict", action=action,
        resolution="pending", resolution_action=None, fields=fields, server_version=2, client_version=1,
        detected_at=NOW, resolved_at=None, resolved_by=None, device_id="phone", user="ana", policy=None,
        base_payload=None if base is None else raw(base), server_payload=raw(server), client_payload=raw(client),
        notes=None, resolved_payload=None, resolved_version=None, batch_id=None, edited_at=None,
        changes=[FieldChanges(2, "x", "olga", None, NOW, raw(moved))] if moved else [],
    )  # fmt: skip


def test_fields_are_marked_by_who_changed_them() -> None:
    found = sides_of(
        conflict(
            {"id": "1", "a": 1, "b": 1, "c": 1, "d": 1},
            {"id": "1", "a": 2, "b": 1, "c": 2, "d": 1},
            {"id": "1", "a": 3, "b": 3},
            fields=["a"],
        ),
        None,
    )
    assert {line.key: line.mark for line in found.lines} == {"a": "both", "b": "client", "c": "server", "d": "same"}
    assert {line.key: line.usual for line in found.lines} == {"a": None, "b": "client", "c": "server", "d": "server"}
    (a,) = found.marked("both")
    assert (a.server.by, a.client.by, a.client.device) == ("olga", "ana", "phone")


def test_a_merge_writes_what_was_contested_and_what_differs_from_the_server() -> None:
    found = sides_of(conflict({"a": 1, "b": 1, "c": 1}, {"a": 2, "b": 1, "c": 2}, {"a": 3, "b": 3}, fields=["a"]), None)
    with pytest.raises(KeyError, match="a"):
        merge(found, {}, {})
    assert merge(found, {"a": "server"}, {}) == {"a": 2, "b": 3}
    assert merge(found, {"a": "typed", "b": "base"}, {"a": 9}) == {"a": 9}
    assert merge(found, {"a": "client", "c": "base"}, {}) == {"a": 3, "b": 3, "c": 1}


def test_objects_are_merged_member_by_member() -> None:
    found = sides_of(
        conflict(
            {"data": {"kept": 0, "mass": 1, "gone": 1}},
            {"data": {"kept": 0, "mass": 2, "gone": 1, "seen": "by the office"}},
            {"data": {"kept": 0, "mass": 3, "sex": "F"}},
            fields=["data"],
        ),
        None,
    )
    marks = {line.key: line.mark for line in found.lines}
    assert marks == {
        "data/kept": "same", "data/mass": "both", "data/gone": "client", "data/seen": "server", "data/sex": "client"
    }  # fmt: skip
    assert merge(found, {"data/mass": "typed"}, {"data/mass": 2.5}) == {
        "data": {"kept": 0, "mass": 2.5, "seen": "by the office", "sex": "F"}
    }
    assert merge(found, {"data/mass": "server", "data/gone": "server", "data/sex": "server"}, {}) == {
        "data": {"kept": 0, "mass": 2, "gone": 1, "seen": "by the office"}
    }


def test_without_a_base_every_difference_is_contested() -> None:
    found = sides_of(conflict(None, {"data": {"a": 1, "b": 1}}, {"data": {"a": 2, "b": 1}}, fields=["data"]), None)
    assert {line.key: line.mark for line in found.lines} == {"data/a": "both", "data/b": "same"}


def test_deleted_rows_have_nothing_to_merge() -> None:
    assert sides_of(conflict({"a": 1}, None, {"a": 2}, fields=["a"]), None).deleted == "server"
    assert sides_of(conflict({"a": 1}, {"a": 2}, {}, fields=[], action="delete"), None).deleted == "client"


def test_what_a_decision_changes() -> None:
    each = conflict({"a": 1, "b": 1}, {"a": 2, "b": 1, "updated_at": 1}, {"a": 3, "b": 3}, fields=["a"])
    assert changed_lines(each, raw({"a": 2, "b": 3, "updated_at": 2})) == [("a", 2, 2), ("b", 1, 3)]


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("", "text", ""), (" a ", "text", " a "), ("", "integer", None), (" 7 ", "integer", 7),
        ("1.50", "decimal", "1.50"),
        ("true", "boolean", True), ('{"a": [1]}', "json", {"a": [1]}), ("2026-01-01", "date", "2026-01-01"),
    ],
)  # fmt: skip
def test_what_is_typed_is_read_as_the_columns_type(text: str, kind: str, value: Any) -> None:
    assert read_typed(text, kind=kind) == value
    assert read_typed(write_typed(value, kind=kind), kind=kind) == value


@pytest.mark.parametrize(("text", "kind"), [("seven", "integer"), ("{", "json"), ("NaN", "number"), ("\ud800", "json")])
def test_what_cannot_be_read_is_told(text: str, kind: str) -> None:
    with pytest.raises(ValueError, match=r"This is no"):
        read_typed(text, kind=kind)
