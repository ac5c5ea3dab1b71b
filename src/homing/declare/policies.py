"""Merge policies: what happens to a field that both the device and the server changed since the device's base.

Fields that only one side changed merge by themselves; equal values are no conflict. A policy is asked for the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["manual", "server_wins", "client_wins", "last_write_wins", "union", "counter", "furthest", "function"]
MergeFunction = Callable[[Any, Any, Any], Any]


@dataclass(frozen=True, slots=True)
class Policy:
    """One field's policy. ``states`` orders the values of ``furthest``; ``function`` gets (base, server, client)."""

    kind: Kind
    states: tuple[Any, ...] = ()
    function: MergeFunction | None = None


manual = Policy("manual")
"""A conflict for the office. The default."""
server_wins = Policy("server_wins")
client_wins = Policy("client_wins")
last_write_wins = Policy("last_write_wins")
"""The later edit, by time of edit corrected for the device's measured clock offset, and clamped."""
union = Policy("union")
"""Lists as sets: what either side added is in, what either side removed is out."""
counter = Policy("counter")
"""Numbers: the device's difference to its base is added to the server's value."""


def furthest(*states: Any) -> Policy:
    """Ordered states: whichever side is further along wins."""
    return Policy("furthest", states=states)


def merged_by(function: MergeFunction) -> Policy:
    """A pure function of (base, server, client) values, as they travel on the wire. ``base`` is None when unknown."""
    return Policy("function", function=function)


@dataclass(frozen=True, slots=True)
class FieldPolicies:
    """A default and the exceptions to it. ``whole``: nothing is merged, see ``by_version``."""

    default: Policy = manual
    fields: Mapping[str, Policy] = field(default_factory=dict)
    whole: bool = False

    def of(self, column: str) -> Policy:
        return self.fields.get(column, self.default)


def by_field(default: Policy = manual, /, **fields: Policy) -> FieldPolicies:
    """Merge field by field: ``default`` for all but the named ones."""
    return FieldPolicies(default, fields)


def by_version() -> FieldPolicies:
    """Optimistic locking: an update is applied only on top of the version it was made on. Where somebody else changed
    the row since, whichever fields, it is a conflict."""
    return FieldPolicies(whole=True)
