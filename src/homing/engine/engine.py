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

ALONG_INDEXES: Mapping[str, str] = {
    # The plans of push and pull are decided by their shape: along indexes, in order, stopping at a limit. The planner
    # must not prefer to read a table whole because it was small, or empty, when the plan was made: plans are kept, and
    # tables grow. Nor may it read and sort everything, not knowing that a page stops early.
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
}
"""Session settings of the pool that serves push and pull."""


@dataclass(frozen=True)
class Engine:
    """One tenant's engine. ``indexed`` is a second pool to the same database, with ``ALONG_INDEXES``."""

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
    seen: dict[str, float] = field(default_factory=dict)
    """Device → when its last_seen was last written: a pull writes it once a minute, not every time."""


async def open_engine(
    *,
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

    Both pools must be open. Raises DeclarationError with every mistake found.
    """
    catalogue = Catalogue.of(apps)
    async with database.connection() as conn:
        bound = await bind(conn, catalogue, install=install)
        await epoch.settle(conn, bound)
    return Engine(
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
