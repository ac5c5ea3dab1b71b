"""The sides of a conflict field by field: what it was, what the server has, what the device sent, and who did that.

A field that holds a JSON object on both sides is taken apart into its members, because that is where forms keep their
answers: two people who corrected two answers of one form did not contradict each other, and whoever decides wants to
see that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import msgspec

from homing.engine.conflicts import ConflictDetail, FieldChanges
from homing.engine.tables import BoundTable

Mark = Literal["both", "client", "server", "same"]
"""Who changed a field: both sides, and not to the same; one of them; nobody, or both to the same."""
Pick = Literal["server", "client", "base", "typed"]

_NOTHING: Mapping[str, Any] = {}
_WITH_EVERY_WRITE = "updated_at"
"""Spec 3's column: that it changed says only that something did."""


@dataclass(frozen=True, slots=True)
class Side:
    """A field on one side. ``there`` false: it has no such field, or nobody knows any more. ``changed``: against the
    base; then ``by``, ``device`` and ``at`` say who, as far as it is known."""

    value: Any = None
    there: bool = False
    changed: bool = False
    by: str | None = None
    device: str | None = None
    at: datetime | None = None

    def same_as(self, other: Side) -> bool:
        return self.there == other.there and _same(self.value, other.value)


@dataclass(frozen=True, slots=True)
class Line:
    """One field, or one member of a field: ``path``. ``kind``: the wire's name of its type (``postgres/codec.py``)."""

    path: tuple[str, ...]
    kind: str
    labels: tuple[str, ...]
    mark: Mark
    base: Side
    server: Side
    client: Side
    decided: Side

    @property
    def key(self) -> str:
        """The line's name in forms."""
        return "/".join(self.path)

    @property
    def usual(self) -> Pick | None:
        """What a merge takes where nobody says: the side that alone changed it. None: somebody has to."""
        return None if self.mark == "both" else "client" if self.mark == "client" else "server"


@dataclass(frozen=True, slots=True)
class Sides:
    """``deleted``: which side deleted the row, if one did; then there is nothing to merge."""

    lines: list[Line]
    deleted: Literal["server", "client"] | None
    table: BoundTable | None = field(repr=False, default=None)

    def marked(self, *marks: Mark) -> list[Line]:
        """The lines with these marks, in the marks' order."""
        return [line for mark in marks for line in self.lines if line.mark == mark]


def sides_of(conflict: ConflictDetail, table: BoundTable | None) -> Sides:
    """``table``: None where it is no longer synced; then nothing is known of its columns."""
    base = _object(conflict.base_payload)
    server = _object(conflict.server_payload)
    client = _object(conflict.client_payload) or {}
    decided = _object(conflict.resolved_payload)
    key = table.key.name if table is not None else "id"
    order = list(table.columns) if table is not None else []
    names = [*order, *sorted(({*(server or {}), *client} | set(base or {})) - set(order))]
    lines: list[Line] = []
    for name in names:
        if name in (key, "id") or not any(name in each for each in (base or {}, server or {}, client)):
            continue
        column = table.columns.get(name) if table is not None else None
        who = _last_change(conflict.changes, name)
        lines += _lines(
            (name,),
            kind=column.wire.kind if column is not None else "json",
            labels=column.labels if column is not None else (),
            values=(_get(base, name), _get(server, name), _get(client, name), _get(decided, name)),
            who=who,
            conflict=conflict,
            contested=name in conflict.fields,
        )
    deleted: Literal["server", "client"] | None = None
    if conflict.action == "delete":
        deleted = "client"
    elif server is None:
        deleted = "server"
    return Sides(lines, deleted, table)


def _lines(
    path: tuple[str, ...],
    *,
    kind: str,
    labels: tuple[str, ...],
    values: Sequence[Any],
    who: FieldChanges | None,
    conflict: ConflictDetail,
    contested: bool,
) -> Iterator[Line]:
    base, server, client, _ = values
    if len(path) == 1 and isinstance(server, dict) and isinstance(client, dict):
        members = [part if isinstance(part, dict) else _NOTHING for part in values]
        for member in dict.fromkeys([*members[1], *members[2], *members[0]]):
            inside = [_get(part, member) for part in members]
            kinds = "text" if any(isinstance(value, str) for value in inside) else "json"
            # A base that nobody knows any more says nothing: then every difference may be both sides' doing.
            differ = not _same(inside[1], inside[2])
            moved = [not _same(inside[0], inside[side]) for side in (1, 2)]
            yield from _lines(
                (*path, member),
                kind=kinds,
                labels=(),
                values=inside,
                who=who,
                conflict=conflict,
                contested=differ and (all(moved) or not isinstance(base, dict)),
            )
        return
    sent = client is not msgspec.UNSET or len(path) > 1
    by_server = who is not None and not _same(base, server)
    by_client = sent and not _same(base, client)
    mark: Mark = "same"
    if contested:
        mark = "both"
    elif by_client and not _same(client, server):
        mark = "client"
    elif by_server and not by_client and path != (_WITH_EVERY_WRITE,):
        mark = "server"
    yield Line(
        path,
        kind,
        labels,
        mark,
        base=_side(base),
        server=Side(
            value=_value(server),
            there=server is not msgspec.UNSET,
            changed=by_server,
            by=(who.by or who.actor) if who is not None and by_server else None,
            device=who.device if who is not None and by_server else None,
            at=who.at if who is not None and by_server else None,
        ),
        client=Side(
            value=_value(client if sent else base),
            there=client is not msgspec.UNSET if sent else base is not msgspec.UNSET,
            changed=by_client,
            by=conflict.user if by_client else None,
            device=conflict.device_id if by_client else None,
            at=(conflict.edited_at or conflict.detected_at) if by_client else None,
        ),
        decided=_side(values[3]),
    )


def merge(sides: Sides, picks: Mapping[str, Pick], typed: Mapping[str, Any]) -> dict[str, Any]:
    """The payload of a merge: what each contested field becomes, and every other that is not to stay the server's.

    ``typed``: the values of the lines picked ``typed``. Raises KeyError for a line that needs a pick and has none.
    """
    payload: dict[str, Any] = {}
    whole = {line.path[0]: line for line in sides.lines if len(line.path) == 1}
    for line in sides.lines:
        pick = picks.get(line.key) or line.usual
        if pick is None:
            raise KeyError(line.key)
        value = typed[line.key] if pick == "typed" else _picked(line, pick)
        if line.path[0] in whole:
            if line.mark == "both" or not _same(value, _value_of(line.server)):
                payload[line.path[0]] = None if value is msgspec.UNSET else value
            continue
        inside = payload.setdefault(line.path[0], {})
        if value is not msgspec.UNSET:
            inside[line.path[1]] = value
    return {name: value for name, value in payload.items() if name in whole or _was_changed(sides, name, value)}


def _was_changed(sides: Sides, name: str, value: Any) -> bool:
    """Whether a field that was taken apart is to be written: somebody had to decide in it, or it became another."""
    parts = [line for line in sides.lines if line.path[0] == name]
    now = {line.path[1]: line.server.value for line in parts if line.server.there}
    return any(line.mark == "both" for line in parts) or not _same(now, value)


def _picked(line: Line, pick: Pick) -> Any:
    return _value_of({"server": line.server, "client": line.client, "base": line.base}[pick])


def _value_of(side: Side) -> Any:
    return side.value if side.there else msgspec.UNSET


def _object(raw: msgspec.Raw | None) -> dict[str, Any] | None:
    found = None if raw is None else msgspec.json.decode(raw)
    return found if isinstance(found, dict) else None


def _get(row: Mapping[str, Any] | None, name: str) -> Any:
    return msgspec.UNSET if row is None else row.get(name, msgspec.UNSET)


def _value(found: Any) -> Any:
    return None if found is msgspec.UNSET else found


def _side(found: Any) -> Side:
    return Side(value=_value(found), there=found is not msgspec.UNSET)


def _same(one: Any, other: Any) -> bool:
    if one is msgspec.UNSET or other is msgspec.UNSET:
        return one is other
    encode = msgspec.json.Encoder(order="deterministic").encode
    return encode(one) == encode(other)


def _last_change(changes: Sequence[FieldChanges], name: str) -> FieldChanges | None:
    """The last write since the base that changed the field."""
    return next((change for change in reversed(changes) if name in msgspec.json.decode(change.fields)), None)


def changed_lines(conflict: ConflictDetail, after: msgspec.Raw | None) -> list[tuple[str, Any, Any]]:
    """(field, server's value, value afterwards) of what a decision changes, and of the contested fields. Of a field
    taken apart, the members that both sides had, or that change."""
    before, now = _object(conflict.server_payload) or {}, _object(after) or {}
    client = _object(conflict.client_payload) or {}
    found: list[tuple[str, Any, Any]] = []
    for name in {**before, **now}:
        old, new = before.get(name), now.get(name)
        if name == _WITH_EVERY_WRITE or (_same(old, new) and name not in conflict.fields):
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            sent = client.get(name) if isinstance(client.get(name), dict) else {}
            found += [
                (f"{name} › {member}", old.get(member), new.get(member))
                for member in {**old, **new}
                if not _same(_get(old, member), _get(new, member)) or not _same(_get(old, member), _get(sent, member))
            ]
        else:
            found.append((name, old, new))
    return found
