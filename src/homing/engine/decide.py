"""Deciding an edit: what one item means for the row as it stands. Pure.

The outcome is a value: ``Create``, ``Update``, ``Delete`` (write it), ``Nothing`` (it is so already), ``Conflict`` (a
person decides), ``Refused``. Whoever asks does the writing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from homing.declare import Edit, Refusal, Rights
from homing.engine.base import Since, Standing, Wanted
from homing.engine.items import EARLIEST, Work, base_version, is_patch
from homing.engine.merge import Overlap, Theirs, merge
from homing.engine.tables import BoundTable
from homing.engine.values import same
from homing.protocol.messages import Item
from homing.protocol.token import Snapshot


@dataclass(frozen=True, slots=True)
class Create:
    """``revives``: a row of this key was deleted, and it is meant to come back."""

    values: dict[str, Any]
    revives: bool = False


@dataclass(frozen=True, slots=True)
class Update:
    """``decided``: overlapping field → policy. ``base`` and ``server`` are kept with such a decision."""

    values: dict[str, Any]
    merged: bool = False
    decided: dict[str, str] = field(default_factory=dict)
    base: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    pass


@dataclass(frozen=True, slots=True)
class Nothing:
    """The row is as the item wants it already. ``merged``: that, or more, is others' doing, which the device has not
    seen: it must not take the row's version for the base of its next edit."""

    merged: bool = False
    decided: dict[str, str] = field(default_factory=dict)
    base: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Conflict:
    code: str
    fields: tuple[str, ...]
    base: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Refused:
    code: str
    message: str
    path: str | None = None


Outcome = Create | Update | Delete | Nothing | Conflict | Refused


def wanted(item: Item, standing: Standing, row_id: str, seen: Snapshot | None) -> Wanted | None:
    """Which history the decision needs, None where it needs none."""
    if standing.values is None or is_patch(item.base, item.action, item.client_version):
        return None
    if item.base is not None and item.base.row is not None:
        return None
    if seen is not None:
        return Wanted(row_id, 0, seen)
    version = _stands_on(item, standing)
    return Wanted(row_id, version) if version is not None and version < standing.stored_version else None


def _stands_on(item: Item, standing: Standing) -> int | None:
    """The version that an edit was made on. A device may count one for each of its edits in a chain, without having
    seen it: a number that comes out so is taken for that, and the edit stands on what the chain does. ``base.version``
    is always one that the device has seen."""
    version, floor = base_version(item), standing.base_floor
    if item.base is None and floor is not None and version == floor + standing.links:
        return floor
    return version


def decide(
    work: Work,
    edit: Edit,
    standing: Standing,
    *,
    rights: Rights,
    device: UUID | None,
    seen: Snapshot | None,
    history: Mapping[Wanted, Since],
) -> Outcome:
    """What ``work`` means for ``standing``. ``edit.values`` are the client's wire values, prepared; ``seen`` the
    snapshot of the token it was based on, if it was."""
    table, item = work.table, work.item
    assert table is not None
    assert item is not None
    if item.action == "create":
        return _decide_create(item, edit, standing, rights)
    to_be_absent = item.action == "delete" and item.base is not None and item.base.absent
    if standing.values is None:
        if to_be_absent or (standing.left and item.action == "delete"):
            return Nothing()
        if standing.left:
            return Conflict("deleted", tuple(edit.values), None)
        return Refused("not_found", "there is no such row")
    if (rights.update if item.action == "update" else rights.delete or None) is None:
        return Refused("forbidden", f"this role may not {item.action} a {table.resource_type}")
    if to_be_absent:
        return Refused("already_exists", "there is such a row")
    return _decide_change(work, edit, standing, table, item, device=device, seen=seen, history=history)


def _decide_create(item: Item, edit: Edit, standing: Standing, rights: Rights) -> Outcome:
    if rights.create is None:
        return Refused("forbidden", "this role may not create such rows")
    if standing.values is not None:
        return Conflict("exists", (), None)
    based_on_nothing = item.base is not None and item.base.none
    if standing.left and not based_on_nothing:
        return Conflict("deleted", tuple(edit.values), None)
    return Create(edit.values, revives=standing.left)


def _decide_change(
    work: Work,
    edit: Edit,
    standing: Standing,
    table: BoundTable,
    item: Item,
    *,
    device: UUID | None,
    seen: Snapshot | None,
    history: Mapping[Wanted, Since],
) -> Outcome:
    assert standing.values is not None
    server = standing.values
    version = base_version(item)
    # A device counts a version for each of its edits in a chain; the server counts those that changed something.
    foretold = standing.base_floor + standing.links if standing.base_floor is not None else 0
    if version is not None and version > max(standing.version, foretold):
        return Conflict("stale_epoch", tuple(edit.values), None)
    base: Mapping[str, Any] | None
    theirs: dict[str, Theirs] = {}
    others = False
    own = standing.own
    if is_patch(item.base, item.action, item.client_version):
        base, own = server, {}  # it says what the row is to be, whatever was before
    elif item.base is not None and item.base.row is not None:
        given = item.base.row
        base = {**server, **given}
        # When that was, a row does not say: by time, the device's edit is the later one.
        theirs = {
            name: Theirs(EARLIEST)
            for name, column in table.columns.items()
            if name in given and not _alike(column, given[name], server.get(name))
        }
        others = bool(theirs)
    else:
        need = wanted(item, standing, edit.row_id or "", seen)
        found = history.get(need) if need is not None else None
        base = server if found is None else found.base
        if found is not None and need is not None:
            for answered, values in found.lost:
                if work.edited_at is not None and work.edited_at <= answered:
                    own = {**values, **own}
            for entry in found.entries:
                if entry.device is None or entry.device != device:
                    others = True
                    for name in entry.fields or ():
                        # The latest of all: who overwrote a value knowingly did so after it, whatever their clock says.
                        before = theirs.get(name)
                        if before is None or before.edited_at < entry.edited_at:
                            theirs[name] = Theirs(entry.edited_at)
            complete = len(found.entries) == standing.stored_version - need.base if need.seen is None else True
            if not complete:
                base, others = None, True
        elif need is not None:
            base, others = None, True
    assert work.edited_at is not None
    if base is not None:
        base = {**base, **own}
    if item.action == "delete":
        kind = table.declared.merge.default.kind
        if others and kind not in ("client_wins", "last_write_wins"):
            return Conflict("version_conflict", tuple(sorted(theirs)), base)
        if kind == "last_write_wins" and any(work.edited_at <= each.edited_at for each in theirs.values()):
            return Nothing(merged=True, base=base)  # somebody edited the row later: it stays
        return Delete()
    if table.declared.merge.whole and others:
        differing = tuple(n for n, v in edit.values.items() if not _alike(table.columns[n], v, server.get(n)))
        return Conflict("version_conflict", differing, base) if differing else Nothing(merged=True, base=base)
    outcome = merge(
        table.columns,
        table.declared.merge,
        base=base,
        server=server,
        client=edit.values,
        theirs=theirs,
        edited_at=work.edited_at,
    )
    if isinstance(outcome, Overlap):
        return Conflict("version_conflict", outcome.fields, base)
    merged = others or bool(outcome.decided)
    if not outcome.values:
        return Nothing(merged=merged, decided=outcome.decided, base=base)
    return Update(outcome.values, merged=merged, decided=outcome.decided, base=base)


def _alike(column: Any, one: Any, other: Any) -> bool:
    try:
        return same(column, one, other)
    except (TypeError, ValueError, ArithmeticError):
        return False  # the device's idea of the row holds something the column never did


def check(edit: Edit, table: BoundTable) -> Refusal | None:
    """The application's own rules, in order; the first refusal counts."""
    for rule in table.declared.checks:
        if (refusal := rule(edit)) is not None:
            return refusal
    return None
