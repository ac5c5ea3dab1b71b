"""The engine of one database: what push, pull and the rest need, bound once at start."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from homing.declare import App, Catalogue
from homing.engine import epoch
from homing.engine.base import Readers
from homing.engine.bind import Bound, bind
from homing.engine.feeds import Feeds
from homing.engine.scopes import ScopeSets
from homing.engine.write import Writers
from homing.postgres.database import Database
from homing.protocol.limits import DEFAULT_LIMITS, Limits

PULL_OPTIONS: Mapping[str, str] = {
    # A page's plan is decided by its shape (feeds.py): along indexes, in order, stopping at the limit. The planner,
    # which does not know that a page stops early, must not prefer to read and sort everything instead.
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
}
"""Session settings of the pool that serves pulls."""


@dataclass(frozen=True)
class Engine:
    """One tenant's engine. ``pulls`` is a second pool to the same database, with ``PULL_OPTIONS``."""

    database: Database
    pulls: Database
    bound: Bound
    feeds: Feeds
    scope_sets: ScopeSets
    token_keys: Mapping[str, bytes]
    readers: Readers
    writers: Writers
    limits: Limits = DEFAULT_LIMITS
    trust_threshold: float = 0.5
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    seen: dict[str, float] = field(default_factory=dict)
    """Device → when its last_seen was last written: a pull writes it once a minute, not every time."""


async def open_engine(
    *,
    database: Database,
    pulls: Database,
    apps: Sequence[App],
    token_keys: Mapping[str, bytes],
    limits: Limits = DEFAULT_LIMITS,
    trust_threshold: float = 0.5,
    install: bool = True,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Engine:
    """Check the declarations of ``apps`` against the database, install what is missing, settle the epoch.

    Both pools must be open. Raises DeclarationError with every mistake found.
    """
    catalogue = Catalogue.of(apps)
    async with database.connection() as conn:
        bound = await bind(conn, catalogue, install=install)
        await epoch.settle(conn, bound)
    return Engine(
        database=database,
        pulls=pulls,
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
