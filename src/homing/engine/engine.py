"""The engine of one database: what push, pull and the rest need, bound once at start."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from psycopg import errors, sql

from homing.declare import App, Catalogue, DeclarationError, Mistake
from homing.engine import epoch
from homing.engine.base import Readers
from homing.engine.bind import Bound, bind
from homing.engine.feeds import Feeds
from homing.engine.scopes import ScopeSets
from homing.engine.write import Writers
from homing.postgres.database import Database
from homing.postgres.roles import let_api_in
from homing.postgres.sql import Answer, Call, Connection
from homing.protocol.limits import DEFAULT_LIMITS, Limits

ALONG_INDEXES: Mapping[str, str] = {
    # The plans of push and pull are decided by their shape: along indexes, in order, stopping at a limit. The planner
    # must not prefer to read a table whole because it was small, or empty, when the plan was made: plans are kept, and
    # tables grow. Nor may it read and sort everything, not knowing that a page stops early.
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
}
"""Session settings of the pool that serves push and pull."""


class Along(NamedTuple):
    """Statements that a push takes along, to be run right behind its COMMIT in the same round trip. ``done`` gets their
    answers, before the push is answered; fewer, if one of them failed."""

    calls: Sequence[Call]
    done: Callable[[Sequence[Answer]], None]


class Listener(Protocol):
    """Whoever wants to know of pushes, as soon as they are committed."""

    def along(self, items: int, made: Sequence[str], user: UUID) -> Along:
        """A batch of so many items of ``user`` is about to be sent. ``made``: which rows it creates, where that is
        known: the table's id, a colon, and the key."""


@dataclass(frozen=True)
class Engine:
    """One tenant's engine, with three pools to its database: ``database`` and ``indexed`` (with ``ALONG_INDEXES``) act
    for clients, in the role of the API; ``owner`` is for what the office and the server itself do (postgres/roles.py).
    """

    owner: Database
    database: Database
    indexed: Database
    bound: Bound
    feeds: Feeds
    scope_sets: ScopeSets
    token_keys: Mapping[str, bytes]
    readers: Readers
    writers: Writers
    limits: Limits = DEFAULT_LIMITS
    trust_threshold: float = 0.5
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    states: dict[str, str] = field(default_factory=dict)
    """Device → the state of its sync as this node last wrote it, unless that is idle (status.py)."""
    renew_keys: Callable[[], Awaitable[bool]] | None = None
    """Reads ``token_keys`` again, seldom; whether they changed. For tokens that another node signed with a new one."""
    room: Callable[[Connection, int], Awaitable[None]] | None = None
    """Asked by a push that creates more rows than it deletes, with the difference: raises Problem where there is none.
    """
    devices: dict[str, UUID] = field(default_factory=dict)
    """Device → its id, of those whose pushes this node applied: what the next push of theirs is expected to find."""
    seen: dict[str, float] = field(default_factory=dict)
    """Device → when its last_seen was last written: a pull writes it once a minute, not every time."""
    listeners: list[Listener] = field(default_factory=list)


async def open_engine(
    *,
    owner: Database,
    database: Database,
    indexed: Database,
    apps: Sequence[App],
    token_keys: Mapping[str, bytes],
    limits: Limits = DEFAULT_LIMITS,
    trust_threshold: float = 0.5,
    install: bool = True,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Engine:
    """Check the declarations of ``apps`` against the database, install what is missing, settle the epoch.

    The pools must be open. Raises DeclarationError with every mistake found.
    """
    catalogue = Catalogue.of(apps)
    async with owner.connection() as conn:
        bound = await bind(conn, catalogue, install=install)
        await epoch.settle(conn, bound)
    if install:
        await let_api_in(owner, {app.schema for app in apps} | {table.declared.schema for table in bound.tables})
    await _check_rights(database, bound)
    return Engine(
        owner=owner,
        database=database,
        indexed=indexed,
        bound=bound,
        feeds=Feeds(bound),
        scope_sets=ScopeSets(),
        token_keys=token_keys,
        readers=Readers(bound),
        writers=Writers(bound),
        limits=limits,
        trust_threshold=trust_threshold,
        clock=clock,
    )


async def _check_rights(database: Database, bound: Bound) -> None:
    """Whether the API's role may run what decides who holds what: it may read tables that nobody declared."""
    mistakes = []
    async with database.connection() as conn:
        for scope in bound.catalogue.scopes.values():
            try:
                query = sql.SQL("SELECT FROM ({}) AS held LIMIT 0").format(sql.SQL(scope.held_by))
                await conn.execute(query, {"user": UUID(int=0)})
            except errors.InsufficientPrivilege as error:
                said = error.diag.message_primary
                mistakes.append(Mistake(scope.place, f"scope {scope.name!r}: {said}: GRANT SELECT on it TO homing_api"))
    if mistakes:
        raise DeclarationError(mistakes)
