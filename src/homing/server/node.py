"""A node: one server process and the tenants it has open.

The default tenant is open for as long as the node is, and its database holds the control tables; every other tenant is
opened when it is first used. What keeps them from harming each other:

*Bounded.* At most ``tenants_open_max`` are open; when another is needed, the least recently used idle one is closed.
One that is in use never is: a request holds a lease from before its handler until its answer is sent. Each has small
pools of its own, so a tenant whose statements hang has all of its connections taken and none of anybody else's; and all
together have ``tenant_connections_max``, so that a request to each of a thousand leaves PostgreSQL places for others.

*Opened once, and not for ever.* However many requests arrive for a tenant that is not open, one opening serves them
all; it belongs to none of them, so no cancelled request ends it; and it is given up after ``OPEN_SECONDS``.

*Failures are remembered.* A database that is missing, locked or behind costs its own requests one attempt every few
seconds, in between they are refused at once, and everybody else nothing: a tenant takes a place only once it is open.

*Changes arrive.* The directory is read again every few seconds. A tenant that was suspended, moved, migrated or given
other quotas is retired: new requests open it anew or are refused, running ones finish within ``LEAVE_SECONDS``.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from types import ModuleType
from typing import Literal
from urllib.parse import urlsplit

import msgspec
import psycopg

from homing.declare import DeclarationError
from homing.postgres.database import ConnectionLimit, Database
from homing.postgres.migrations import MigrationError, migrate
from homing.protocol.errors import Problem
from homing.server.tenant import Tenant, now_utc, open_tenant, server_url
from homing.settings import Settings, SettingsError
from homing.tenants import CONTROL
from homing.tenants.choose import Contradiction, audience_of, choose
from homing.tenants.control import read as read_entry
from homing.tenants.control import read_version
from homing.tenants.directory import Directory
from homing.tenants.entry import DEFAULT, Entry

log = logging.getLogger("homing.tenants")

OPEN_SECONDS = 20.0
"""How long an opening may take. Binding takes a fraction of a second; a lock in the way is waited for half as long."""
FAILED_SECONDS = (2.0, 30.0)
"""How long a failed opening is remembered: the first time, doubled each time up to the second."""
LEAVE_SECONDS = 35.0
"""How long requests on a retired tenant may take: as long as the process waits for them when it ends."""
DIRECTORY_SECONDS = 3.0
"""How often the node asks whether the directory changed: how long a suspended tenant may still be served."""
LEASE_ATTEMPTS = 5
"""How often a tenant may be closed for want of room between its opening and its first use."""

BACK_SOON = 10
"""Seconds after which a client asks again for a tenant that is being moved or migrated."""

_REFUSED = (psycopg.Error, SettingsError, MigrationError, DeclarationError, OSError)


@dataclass
class _Open:
    """An open tenant. ``leases``: requests that are using it."""

    tenant: Tenant
    entry: Entry
    stack: AsyncExitStack
    leases: int = 0
    retired: bool = False
    idle: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class _Failure:
    """Until when not to try again, and what to say meanwhile."""

    until: float
    seconds: float
    problem: Problem


class TenantState(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant as this node sees it. ``at_node``: whether it is open here; ``problem``: why it could not be opened."""

    name: str
    status: str
    at_node: Literal["open", "opening", "failed", "closed"]
    leases: int
    problem: str | None


class Node:
    """Everything of one process. ``settings.database_url`` is the control database's."""

    def __init__(
        self,
        *,
        settings: Settings,
        default: Tenant,
        directory: Directory,
        control: Database,
        clock: Callable[[], datetime] = now_utc,
    ) -> None:
        self.settings = settings
        self.default = default
        self.directory = directory
        self.control = control
        self.clock = clock
        self.opened = self.failed = self.closed = 0
        """How often, since the start: for the metrics."""
        self.uses: Counter[str] = Counter()
        """Tenant → how many leases of it began and ended: who looks after tenants in use compares."""
        self._open: OrderedDict[str, _Open] = OrderedDict()
        """The least recently used first."""
        self._opening: dict[str, asyncio.Task[None]] = {}
        self._failures: dict[str, _Failure] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._connections = ConnectionLimit(settings.tenant_connections_max)

    @property
    def open_now(self) -> int:
        """Tenants open at this moment, besides the default one."""
        return len(self._open)

    @property
    def modules(self) -> Mapping[str, ModuleType]:
        """The applications' packages by name: every tenant has the same ones."""
        return self.default.modules

    @asynccontextmanager
    async def lease(self, name: str) -> AsyncIterator[Tenant]:
        """A tenant, open for as long as the block lasts.

        Raises Problem: not_found for one that is not there; tenant_suspended, being_migrated, unavailable.
        """
        if name == DEFAULT:
            yield self.default
            return
        held = await self._take(name)
        self.uses[name] += 1
        try:
            yield held.tenant
        finally:
            self.uses[name] += 1
            held.leases -= 1
            if held.leases == 0:
                held.idle.set()

    @asynccontextmanager
    async def visit(self, name: str) -> AsyncIterator[Tenant]:
        """As ``lease``, for what goes through all tenants in turn: one that is not open is opened for this alone, and
        takes the place of none that is."""
        if name == DEFAULT or name in self._open:
            async with self.lease(name) as tenant:
                yield tenant
            return
        entry = await self._entry(name)
        async with self._fresh(entry) as tenant:
            yield tenant

    @asynccontextmanager
    async def tenant_of(self, place: str | None, authorization: bytes | None) -> AsyncIterator[Tenant]:
        """``lease`` for somebody who shows an access token only after connecting (a WebSocket): the tenant that the
        token names, which must agree with the place that was connected to. Raises as ``lease`` does, and
        Problem("unauthenticated") where the two disagree or there is no such tenant."""
        chosen = choose(place, audience_of(authorization))
        if isinstance(chosen, Contradiction) or not await self.knows(chosen):
            raise Problem("unauthenticated")
        async with self.lease(chosen) as tenant:
            yield tenant

    async def knows(self, name: str) -> bool:
        """Whether there is such a tenant, perhaps one that was created just now."""
        if name == DEFAULT or name in self.directory.entries:
            return True
        try:
            if await self.directory.refresh_for_unknown():
                self._retire_changed()
        except Problem:
            return False  # the control database is away: only who was there before is known
        return name in self.directory.entries

    def states(self) -> list[TenantState]:
        """Every tenant but the default one, by name."""
        return [self._state(entry) for _, entry in sorted(self.directory.entries.items())]

    def _state(self, entry: Entry) -> TenantState:
        held, failure = self._open.get(entry.name), self._failures.get(entry.name)
        at_node: Literal["open", "opening", "failed", "closed"] = "closed"
        if held is not None:
            at_node = "open"
        elif entry.name in self._opening:
            at_node = "opening"
        elif failure is not None:
            at_node = "failed"
        return TenantState(
            name=entry.name,
            status=entry.status,
            at_node=at_node,
            leases=0 if held is None else held.leases,
            problem=None if failure is None else failure.problem.detail,
        )

    async def _take(self, name: str) -> _Open:
        for _ in range(LEASE_ATTEMPTS):
            held = self._open.get(name)
            if held is not None:
                # Nothing is awaited between finding it and holding it: it cannot be closed in between.
                self._open.move_to_end(name)
                held.leases += 1
                held.idle.clear()
                return held
            await self._await_opening(await self._entry(name))
        raise Problem("unavailable", "Too many tenants are in use at this node.")

    async def _entry(self, name: str) -> Entry:
        """Raises Problem: not_found, tenant_suspended, being_migrated."""
        if not await self.knows(name):
            raise Problem("not_found")
        entry = self.directory.entries[name]
        if entry.status == "suspended":
            raise Problem("tenant_suspended")
        if entry.status == "moving":
            raise Problem("being_migrated", "The tenant's database is being moved.", retry_after=BACK_SOON)
        return entry

    async def _await_opening(self, entry: Entry) -> None:
        failure = self._failures.get(entry.name)
        if failure is not None and monotonic() < failure.until:
            raise _again(failure.problem)
        opening = self._opening.get(entry.name)
        if opening is None:
            if len(self._open) >= self.settings.tenants_open_max and self._find_idle() is None:
                raise Problem("unavailable", "Too many tenants are in use at this node.")
            opening = asyncio.create_task(self._open_one(entry), name=f"open tenant {entry.name}")
            self._opening[entry.name] = opening
        # Whoever waits may be cancelled; the opening goes on for the others.
        await asyncio.shield(opening)

    async def _open_one(self, entry: Entry) -> None:
        stack = AsyncExitStack()
        try:
            tenant = await stack.enter_async_context(self._fresh(entry))
            if self.directory.entries.get(entry.name) != entry:
                raise Problem("being_migrated", "The tenant changed while it was being opened.", retry_after=1)
            if len(self._open) >= self.settings.tenants_open_max and not self._close_idle():
                raise Problem("unavailable", "Too many tenants are in use at this node.")
        except BaseException as error:
            await stack.aclose()
            del self._opening[entry.name]
            if isinstance(error, Exception):
                self._remember(entry, error)
            raise
        del self._opening[entry.name]
        self._failures.pop(entry.name, None)
        self.opened += 1
        held = _Open(tenant, entry, stack)
        held.idle.set()
        self._open[entry.name] = held

    @asynccontextmanager
    async def _fresh(self, entry: Entry) -> AsyncIterator[Tenant]:
        """The tenant opened, and closed after the block. Raises Problem: being_migrated, unavailable."""
        assert self.settings.database_url is not None
        opening = open_tenant(
            settings_of(self.settings, entry),
            name=entry.name,
            quotas=entry.quotas,
            migrating=self.settings.migrate_tenants,
            clock=self.clock,
            carriers=self.default.carriers,
            limit=self._connections,
        )
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(OPEN_SECONDS):
                    tenant = await stack.enter_async_context(opening)
            except TimeoutError as error:
                raise Problem(
                    "unavailable", f"The tenant's database did not answer in {OPEN_SECONDS:.0f} s."
                ) from error
            except _REFUSED as error:
                raise Problem("unavailable") from error
            yield tenant

    def _remember(self, entry: Entry, error: Exception) -> None:
        first, most = FAILED_SECONDS
        before = self._failures.get(entry.name)
        seconds = first if before is None else min(before.seconds * 2, most)
        problem = error if isinstance(error, Problem) else Problem("unavailable")
        self._failures[entry.name] = _Failure(monotonic() + seconds, seconds, problem)
        self.failed += 1
        log.warning("tenant %s cannot be opened, next attempt in %d s: %s", entry.name, seconds, _reason(error))

    def _find_idle(self) -> str | None:
        return next((name for name, held in self._open.items() if held.leases == 0), None)

    def _close_idle(self) -> bool:
        """Close the least recently used tenant that nobody is using. False: all are in use."""
        name = self._find_idle()
        if name is None:
            return False
        self._retire(name)
        return True

    def _retire(self, name: str) -> None:
        """Out of the table at once, closed when the last one who uses it is done."""
        held = self._open.pop(name)
        held.retired = True
        held.tenant.leaving.set()
        self.closed += 1
        task = asyncio.create_task(self._leave(held), name=f"close tenant {name}")
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def _leave(self, held: _Open) -> None:
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                await held.idle.wait()
        except TimeoutError:
            log.warning("tenant %s is closed although %d requests use it", held.entry.name, held.leases)
        await held.stack.aclose()

    def _retire_changed(self) -> None:
        for name, held in list(self._open.items()):
            entry = self.directory.entries.get(name)
            if entry is None or _essence(entry) != _essence(held.entry):
                self._retire(name)
        self._failures.clear()  # whatever was wrong may be what was changed

    async def refresh(self) -> None:
        """Read the directory again if it changed, and retire what changed in it. Raises Problem("unavailable")."""
        if await self.directory.refresh():
            self._retire_changed()

    async def follow(self) -> None:
        """Keep the directory up to date, until cancelled."""
        while True:
            await asyncio.sleep(DIRECTORY_SECONDS)
            try:
                await self.refresh()
            except (Problem, psycopg.Error) as error:
                log.warning("the directory of tenants was not read again: %s", _reason(error))

    async def close(self) -> None:
        """Close every tenant but the default one."""
        for task in self._opening.values():
            task.cancel()
        await asyncio.gather(*self._opening.values(), return_exceptions=True)
        for name in list(self._open):
            self._retire(name)
        await asyncio.gather(*self._leaving)


def _essence(entry: Entry) -> Entry:
    """What an open tenant depends on."""
    return msgspec.structs.replace(
        entry, hosts=(), reason=None, last_error=None, migrated_at=None, updated_at=entry.created_at
    )


def _again(problem: Problem) -> Problem:
    """The same refusal for another request: an exception is raised once."""
    return Problem(problem.code.code, problem.detail, retry_after=problem.retry_after, **problem.extra)


def _reason(error: Exception) -> str:
    """For the log, with what lies beneath. Neither psycopg's errors nor ours hold passwords."""
    cause = f" ({error.__cause__})" if error.__cause__ is not None else ""
    return f"{type(error).__name__}: {error}{cause}".replace("\n", " ")


def settings_of(settings: Settings, entry: Entry) -> Settings:
    """A tenant's own settings: its database, its small pools, its own place for files."""
    assert settings.database_url is not None
    media_url = settings.media_url
    if media_url is not None:
        parts = urlsplit(media_url)
        media_url = parts._replace(path=f"{parts.path.rstrip('/')}/tenants/{entry.name}").geturl()
    return msgspec.structs.replace(
        settings,
        database_url=entry.url(settings.database_url),
        pool_size=settings.tenant_pool_size,
        media_url=media_url,
        data_dir=settings.data_dir / "tenants" / entry.name,
    )


@asynccontextmanager
async def open_node(
    settings: Settings, *, migrating: bool = True, clock: Callable[[], datetime] = now_utc
) -> AsyncIterator[Node]:
    """Open the control database and the default tenant in it (starting the embedded server where the settings name
    none), and follow the directory of the others.

    Raises SettingsError, MigrationError, DeclarationError, Problem("unavailable").
    """
    async with AsyncExitStack() as stack:
        settings = msgspec.structs.replace(settings, database_url=await stack.enter_async_context(server_url(settings)))
        control = await stack.enter_async_context(open_control(settings, migrating=migrating))
        default = await stack.enter_async_context(open_tenant(settings, migrating=migrating, clock=clock))
        directory = Directory(control)
        node = Node(settings=settings, default=default, directory=directory, control=control, clock=clock)
        await node.refresh()
        stack.push_async_callback(node.close)
        following = asyncio.create_task(node.follow(), name="follow the directory")
        stack.callback(following.cancel)
        yield node


@asynccontextmanager
async def open_control(settings: Settings, *, migrating: bool = True) -> AsyncIterator[Database]:
    """The control database, through a pool of its own: a flood on the default tenant does not keep the node from
    reading where the others are."""
    assert settings.database_url is not None
    control = Database(settings.database_url, pool_size=1)
    await control.open()
    try:
        if migrating:
            await migrate(control, [CONTROL])
        yield control
    finally:
        await control.close()


@asynccontextmanager
async def open_one(settings: Settings, name: str | None, *, migrating: bool = True) -> AsyncIterator[Tenant]:
    """One tenant without a server around it: for commands. Raises as ``open_tenant``, and Problem("not_found")."""
    async with AsyncExitStack() as stack:
        settings = msgspec.structs.replace(settings, database_url=await stack.enter_async_context(server_url(settings)))
        if name is None or name == DEFAULT:
            async with open_control(settings, migrating=migrating):
                opening = open_tenant(settings, migrating=migrating)
        else:
            entry = await find_entry(settings, name)
            opening = open_tenant(settings_of(settings, entry), name=name, quotas=entry.quotas, migrating=migrating)
        yield await stack.enter_async_context(opening)


async def find_entry(settings: Settings, name: str) -> Entry:
    """A tenant's entry in the control database. Raises Problem: not_found, unavailable."""
    async with open_control(settings, migrating=False) as control:
        async with control.connection() as conn:
            if await read_version(conn) == 0:
                raise Problem("not_found", f"There is no tenant called {name!r}.")
        return await read_entry(control, name)
