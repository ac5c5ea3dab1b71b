"""Whom a round concerns: subscribers by scope set, found by scope. Pure.

Subscribers with the same scopes (and the same narrowing to tables) are one *group*: what a round means to them is
worked out once, and differs only in their tokens.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from homing.engine.live import Round
from homing.engine.scopes import ScopeSet

Member = TypeVar("Member", bound=Hashable)


@dataclass(eq=False, slots=True)
class Group(Generic[Member]):
    """``tables``: ids of the tables its members asked for; None: all."""

    scopes: ScopeSet
    tables: tuple[int, ...] | None
    members: dict[Member, None] = field(default_factory=dict)


class Audience(Generic[Member]):
    def __init__(self) -> None:
        self._groups: dict[tuple[bytes, tuple[int, ...] | None], Group[Member]] = {}
        self._by_scope: dict[str, dict[Group[Member], None]] = {}

    def __len__(self) -> int:
        return sum(len(group.members) for group in self._groups.values())

    def members(self) -> Iterator[Member]:
        for group in self._groups.values():
            yield from group.members

    def join(self, member: Member, scopes: ScopeSet, tables: tuple[int, ...] | None) -> Group[Member]:
        key = (scopes.digest, tables)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(scopes, tables)
            for scope in scopes.scopes:
                self._by_scope.setdefault(scope, {})[group] = None
        group.members[member] = None
        return group

    def leave(self, member: Member, group: Group[Member]) -> None:
        del group.members[member]
        if group.members:
            return
        del self._groups[group.scopes.digest, group.tables]
        for scope in group.scopes.scopes:
            found = self._by_scope[scope]
            del found[group]
            if not found:
                del self._by_scope[scope]

    def route(self, found: Round) -> dict[Group[Member], list[bytes]]:
        """The cores of what each group has to be sent, in order."""
        due: dict[Group[Member], list[bytes]] = {}
        for row in found.rows:
            for group in self._holding(row.scopes):
                if group.tables is None or row.key[0] in group.tables:
                    due.setdefault(group, []).append(row.core)
        by_key = {row.key: row for row in found.rows}
        gone: dict[tuple[Group[Member], tuple[int, str]], None] = {}
        for departure in found.departures:
            now = by_key.get(departure.key)
            for group in self._by_scope.get(departure.scope, ()):
                if (group.tables is not None and departure.key[0] not in group.tables) or (
                    now is not None and not now.scopes.isdisjoint(group.scopes.members)
                ):
                    continue
                if (group, departure.key) not in gone:  # it may have left several scopes: it is removed once
                    gone[group, departure.key] = None
                    due.setdefault(group, []).append(departure.core)
        return due

    def due(self, found: Round, group: Group[Member]) -> list[bytes]:
        """What one group has to be sent of a round that was routed before the group was there."""
        alone: Audience[Member] = Audience()
        key = (group.scopes.digest, group.tables)
        alone._groups[key] = group
        alone._by_scope = {scope: {group: None} for scope in group.scopes.scopes}
        return alone.route(found).get(group, [])

    def _holding(self, scopes: frozenset[str]) -> Sequence[Group[Member]]:
        by_scope = self._by_scope
        if len(scopes) == 1:
            (scope,) = scopes
            return list(by_scope.get(scope, ()))
        found: dict[Group[Member], None] = {}
        for scope in scopes:
            found |= by_scope.get(scope, {})
        return list(found)
