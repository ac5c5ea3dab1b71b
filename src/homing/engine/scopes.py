"""Scopes: which parts of the data a user holds, as sets with a name.

The held scopes are computed again on every pull, by the declared ``held_by`` queries, in the pull's own snapshot. A set
of scopes is known by the SHA-256 of its sorted members; each set is stored once, and a token names sets by digest.
Sets never change, so a node may keep them.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from psycopg import sql

from homing.postgres.sql import Connection, Statement, load
from homing.protocol.errors import Problem

DIGEST_SQL = (
    "sha256(convert_to(coalesce(string_agg(octet_length(scope) || ':' || scope, '' ORDER BY scope"
    """ COLLATE "C"), ''), 'UTF8'))"""
)
"""The digest of a set, in SQL over rows with a column ``scope``. Each scope with its length: keys are texts that people
choose, and no choice must make one set look like another."""


@dataclass(frozen=True)
class ScopeSet:
    """Scopes as text ``app.scope:key``, sorted."""

    scopes: tuple[str, ...]

    @classmethod
    def of(cls, scopes: Iterable[str]) -> ScopeSet:
        return cls(tuple(sorted(set(scopes), key=str.encode)))

    @cached_property
    def digest(self) -> bytes:
        return hashlib.sha256(
            b"".join(b"%d:%b" % (len(scope), scope) for scope in map(str.encode, self.scopes))
        ).digest()

    @cached_property
    def members(self) -> frozenset[str]:
        return frozenset(self.scopes)

    @cached_property
    def keys(self) -> Mapping[str, list[str]]:
        """Scope name → its keys, sorted."""
        found: dict[str, list[str]] = {}
        for scope in self.scopes:
            name, _, key = scope.partition(":")
            found.setdefault(name, []).append(key)
        return found

    def __or__(self, other: ScopeSet) -> ScopeSet:
        return self if other is self or other.members <= self.members else ScopeSet.of(self.members | other.members)

    def __sub__(self, other: ScopeSet) -> ScopeSet:
        return NOTHING if other is self or self.members <= other.members else ScopeSet.of(self.members - other.members)

    def __and__(self, other: ScopeSet) -> ScopeSet:
        return self if other is self or self.members <= other.members else ScopeSet.of(self.members & other.members)


NOTHING = ScopeSet(())


TOUCH_SECONDS = 86_400
"""How exactly the database knows that a set is in use; it is collected after months."""


class ScopeSets:
    """The stored sets, with the recently used ones in memory. ``total_max`` bounds the scopes kept, not the sets."""

    def __init__(self, *, total_max: int = 200_000) -> None:
        self._kept: OrderedDict[bytes, ScopeSet] = OrderedDict({NOTHING.digest: NOTHING})
        self._total = 0
        self._total_max = total_max
        self._touched: dict[bytes, float] = {}
        """When a set was last said to be in use, by the monotonic clock: collecting goes by that (collect.py)."""

    def recall(self, digest: bytes) -> ScopeSet | None:
        found = self._kept.get(digest)
        if found is not None:
            self._kept.move_to_end(digest)
        return found

    async def get(self, conn: Connection, digest: bytes) -> ScopeSet:
        """The set of this digest. A set that was collected is an old token: Problem("resync_required")."""
        if (found := self.recall(digest)) is not None:
            return found
        row = await (await conn.execute(load(__package__, "read_scope_set"), {"digest": digest})).fetchone()
        if row is None:
            raise Problem("resync_required", "The token is older than what the server remembers of scopes.")
        return self._keep(ScopeSet(tuple(row[0])))

    async def put(self, conn: Connection, scopes: ScopeSet) -> bytes:
        """Make sure the set is stored; its digest."""
        now = time.monotonic()
        if (
            self.recall(scopes.digest) is None
            or now - self._touched.get(scopes.digest, -TOUCH_SECONDS) >= TOUCH_SECONDS
        ):
            await conn.execute(
                load(__package__, "keep_scope_set"), {"digest": scopes.digest, "scopes": list(scopes.scopes)}
            )
            self._touched[scopes.digest] = now
            if self.recall(scopes.digest) is None:
                self._keep(scopes)
        return scopes.digest

    def _keep(self, scopes: ScopeSet) -> ScopeSet:
        self._kept[scopes.digest] = scopes
        self._total += len(scopes.scopes)
        while self._total > self._total_max and len(self._kept) > 1:
            forgotten, dropped = self._kept.popitem(last=False)
            self._touched.pop(forgotten, None)
            self._total -= len(dropped.scopes)
        return scopes


def held_sql(scope_names: Mapping[str, str]) -> sql.Composable:
    """A query giving the scopes that ``%(user)s`` holds, one text column, no doubles."""
    if not scope_names:
        return sql.SQL("SELECT NULL::text WHERE false")
    return sql.SQL(" UNION ").join(
        sql.SQL("SELECT {} || (h.key::text) FROM ({}) AS h(key) WHERE h.key IS NOT NULL").format(
            sql.Literal(f"{name}:"),
            sql.SQL(held_by),
        )
        for name, held_by in sorted(scope_names.items())
    )


def held_statement(scope_names: Mapping[str, str]) -> Statement:
    """All scopes a user holds, for tools."""
    return Statement(sql.SQL('SELECT s FROM ({}) AS held(s) ORDER BY s COLLATE "C"').format(held_sql(scope_names)))
