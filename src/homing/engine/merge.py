"""Merging: how an edit made on an old row meets what happened to the row since. Pure.

Three rows are known: the *base* (what the device had before), the *server's* row now, and the fields the *client*
sends, which are only those it changed. Field by field:

* the server's value is the client's already (and no counter), or only the client changed it: nothing to decide;
* the client sends what it saw, as one does that sends whole rows: it changed nothing, and the server's value stays;
* both changed it: the field *overlaps*, and its policy decides.

One overlapping field with the policy ``manual`` makes the whole item a conflict: the fields of one edit were made
together, and half an edit is nobody's intention. What a policy decides is kept in the open too, as a resolved conflict
that holds the losing value.

A device's own earlier edits are never "the server's change": before this module is asked, they are left out of
``theirs`` and laid over the base, so a chain of edits of one device never conflicts with itself, and each of its links
counts for what it changed, however the chain is cut into batches.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, assert_never

from homing.declare.policies import FieldPolicies, Policy
from homing.engine.tables import Column
from homing.engine.values import same

ACCUMULATING = frozenset({"counter", "union"})
"""Policies under which both sides' changes count: an edit of such a field says a difference, not a value."""


@dataclass(frozen=True, slots=True)
class Theirs:
    """A field that somebody else changed since the base, and the latest corrected time at which it was edited."""

    edited_at: datetime


@dataclass(frozen=True, slots=True)
class Apply:
    """Write ``values``. ``decided``: overlapping field → the policy that decided it."""

    values: dict[str, Any]
    merged: bool
    decided: dict[str, str]


@dataclass(frozen=True, slots=True)
class Overlap:
    """A person has to decide these fields."""

    fields: tuple[str, ...]


def merge(
    columns: Mapping[str, Column],
    policies: FieldPolicies,
    *,
    base: Mapping[str, Any] | None,
    server: Mapping[str, Any],
    client: Mapping[str, Any],
    theirs: Mapping[str, Theirs],
    edited_at: datetime,
) -> Apply | Overlap:
    """Decide an edit. ``base`` is None where history no longer reaches back to it: then every differing field counts
    as changed by both sides. ``client``: wire values of the fields the client sends; ``edited_at`` its corrected and
    clamped time of edit."""
    values: dict[str, Any] = {}
    decided: dict[str, str] = {}
    manual: list[str] = []
    for field, ours in client.items():
        column = columns[field]
        policy = policies.of(field)
        before = None if base is None else base.get(field)
        # Of a difference, also where the device has not seen yet what became of its own last one.
        both = field in theirs or (policy.kind in ACCUMULATING and not _unchanged(column, before, server.get(field)))
        # Two devices that both count from 10 to 11 counted two.
        counted = policy.kind == "counter" and base is not None and both
        if same(column, ours, server.get(field)) and not counted:
            continue
        if base is not None and not both:
            values[field] = ours
            continue
        if base is not None and _unchanged(column, ours, before):
            continue
        outcome = _decide(policy, base is not None, before, server.get(field), ours, theirs.get(field), edited_at)
        if isinstance(outcome, _Manual):
            manual.append(field)
            continue
        decided[field] = policy.kind
        if not same(column, outcome, server.get(field)):
            values[field] = outcome
    if manual:
        return Overlap(tuple(manual))
    return Apply(values, merged=bool(theirs), decided=decided)


def added(policies: FieldPolicies, values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of ``values`` that stand for a difference. What a device edits after a conflict says these against what it
    had then: they are still counted when the conflict is decided for it."""
    return {field: value for field, value in values.items() if policies.of(field).kind in ACCUMULATING}


def accept(
    policies: FieldPolicies, *, base: Mapping[str, Any], server: Mapping[str, Any], client: Mapping[str, Any]
) -> dict[str, Any]:
    """Of an edit that won its conflict, the fields in which it does not replace the server's value: both count."""
    found = {}
    for field, ours in added(policies, client).items():
        if field in base:
            both = (_union if policies.of(field).kind == "union" else _count)(base[field], server.get(field), ours)
            if not isinstance(both, _Manual):
                found[field] = both
    return found


class _Manual:
    """The policy leaves it to a person."""


_MANUAL = _Manual()


def _decide(
    policy: Policy, base_known: bool, base: Any, server: Any, client: Any, theirs: Theirs | None, edited_at: datetime
) -> Any | _Manual:
    match policy.kind:
        case "manual":
            return _MANUAL
        case "server_wins":
            return server
        case "client_wins":
            return client
        case "last_write_wins":
            if theirs is None:
                return _MANUAL
            # Spec 4: only the more recent of the two replaces what is there.
            return client if edited_at > theirs.edited_at else server
        case "union":
            return _union(base if base_known else None, server, client)
        case "counter":
            return _count(base, server, client) if base_known else _MANUAL
        case "furthest":
            return _furthest(policy, server, client)
        case "function":
            assert policy.function is not None
            return policy.function(base if base_known else None, server, client)
        case _ as never:
            assert_never(never)


def _unchanged(column: Column, ours: Any, before: Any) -> bool:
    try:
        return same(column, ours, before)
    except (TypeError, ValueError, ArithmeticError):
        return False  # the device's idea of the row holds something the column never did


def _union(base: Any, server: Any, client: Any) -> Any:
    """Lists as sets, order kept: the server's, less what the client removed, and what the client added."""
    if not isinstance(server, list) or not isinstance(client, list):
        return _MANUAL
    before = base if isinstance(base, list) else []
    kept = [member for member in server if member in client or member not in before]
    return kept + [member for member in client if member not in before and member not in kept]


def _count(base: Any, server: Any, client: Any) -> Any:
    """The server's number plus the client's difference to its base. A missing number counts as zero."""
    numbers = [0 if value is None else value for value in (base, server, client)]
    if any(isinstance(number, str) for number in numbers):
        before, now, wanted = (Decimal(number) for number in numbers)
        return format(now + wanted - before, "f")
    return numbers[1] + numbers[2] - numbers[0]


def _furthest(policy: Policy, server: Any, client: Any) -> Any:
    order = {state: index for index, state in enumerate(policy.states)}
    if client not in order or server not in order:
        return _MANUAL
    return client if order[client] > order[server] else server
