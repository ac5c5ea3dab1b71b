"""A tenant: everything that belongs to one database, opened once and passed on. The composition root."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from importlib import import_module
from math import inf
from time import monotonic
from types import ModuleType

from homing import jobs
from homing.accounts.keys import Keys, load_keys
from homing.accounts.rates import RATES, Rates
from homing.accounts.renewal import renew
from homing.accounts.users import OWNER, WORKER
from homing.declare import ANYONE, App
from homing.engine.engine import ALONG_INDEXES, Engine, open_engine
from homing.media import Store, open_store
from homing.notify.carriers import Carriers
from homing.postgres.database import IDLE_SECONDS, ConnectionLimit, Database
from homing.postgres.embedded import embedded
from homing.postgres.migrations import MigrationError, Migrations, migrate, status
from homing.postgres.roles import AS_API
from homing.postgres.sql import fetch_one, load
from homing.protocol.errors import Problem
from homing.protocol.rates import Rate, settle
from homing.server.live import Live
from homing.settings import Settings, SettingsError
from homing.tenants.entry import DEFAULT, UNLIMITED, Quotas
from homing.tenants.quotas import Pushes, Rows, keep

TENANT = DEFAULT
"""The tenant that is always there; a server that was given no others has only this one."""

CORE = Migrations("core", "homing.postgres")


BEHIND_SECONDS = 30
"""When a client asks again for a tenant whose schema is behind: thousands are migrated one after another."""
MANY_SECONDS = 30.0
"""After this an unused connection of one tenant of many is closed: open tenants are many, connections are not."""
KEYS_SECONDS = 3.0
"""How often tokens of unknown keys make a tenant's keys be read again: made-up ones cost a query in this time."""


def now_utc() -> datetime:
    return datetime.now(UTC)


class Tenant:
    """``modules`` are the applications' packages, by name: their routes and what else they offer the server.

    Not a dataclass, because handlers take it as an argument, and Litestar converts dataclasses field by field.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        database: Database,
        engine: Engine,
        keys: Keys,
        store: Store,
        apps: Sequence[App],
        modules: Mapping[str, ModuleType],
        rates: Mapping[str, Rate | None],
        clock: Callable[[], datetime] = now_utc,
        name: str = TENANT,
        quotas: Quotas = UNLIMITED,
        carriers: Carriers | None = None,
    ) -> None:
        self.settings = settings
        self.database = database
        self.engine = engine
        self.keys = keys
        self.store = store
        self.apps = apps
        self.modules = modules
        self.clock = clock
        self.name = name
        self.quotas = quotas
        self.carriers = carriers or Carriers(settings)
        """The carriers, which all tenants of a node share."""
        self.rates = Rates(database, rates, secret=keys.recognising)
        self.pushes = Pushes(quotas.pushes_per_minute)
        self.rows = Rows(quotas.rows, self.tables)
        room = None if quotas.rows is None else self.rows.keep  # who has no quota does not even count
        self.engine = replace(engine, room=room, renew_keys=self.renew_keys)
        self.keys_seconds = KEYS_SECONDS
        self._keys_read = -inf
        self.leaving = asyncio.Event()
        """Set when the node lets go of the tenant: what stays connected to it must say goodbye now."""
        self.live = Live(self.engine, presence_seconds=settings.presence_grace_seconds, leaving=self.leaving)
        self.engine.listeners.append(self.live)

    async def renew_keys(self) -> bool:
        """Read the signing keys again, every few seconds at most, for a token that names one that is not known;
        whether they changed. Raises Problem("unavailable")."""
        if monotonic() - self._keys_read < self.keys_seconds:
            return False
        self._keys_read = monotonic()
        return await renew(self.engine.owner, self.keys)

    @property
    def tables(self) -> list[str]:
        """The synced tables, as SQL names them."""
        return [table.qualified.as_string(None) for table in self.engine.bound.tables]

    @property
    def schemas(self) -> list[str]:
        """The database's schemas that are Homing's or its applications'."""
        return sorted({"homing", *(app.schema for app in self.apps)})

    @property
    def roles(self) -> Collection[str]:
        """The office, the field, and whatever else an application gives rights to."""
        declared = {role for app in self.apps for table in app.tables for role in table.write}
        return ({OWNER, WORKER} | declared) - {ANYONE}


@asynccontextmanager
async def open_tenant(
    settings: Settings,
    *,
    name: str = TENANT,
    quotas: Quotas = UNLIMITED,
    migrating: bool = True,
    clock: Callable[[], datetime] = now_utc,
    carriers: Carriers | None = None,
    limit: ConnectionLimit | None = None,
) -> AsyncIterator[Tenant]:
    """Open the database (starting the embedded one where the settings name none), migrate it, and bind the engine.
    ``carriers``: the carriers, where somebody else opened them and will close them. ``limit``: how many
    connections it and other tenants may have together.

    Raises SettingsError, MigrationError, DeclarationError, Problem: unavailable; being_migrated for a tenant that is
    behind, unless ``migrating``.
    """
    async with AsyncExitStack() as stack:
        if carriers is None:
            carriers = Carriers(settings)
            stack.push_async_callback(carriers.close)
        url = await stack.enter_async_context(server_url(settings))
        alone = name == TENANT
        owner = await _open(stack, url, settings.pool_size if alone else 1, alone=alone, limit=limit)
        database = await _open(stack, url, settings.pool_size, AS_API, alone=alone, limit=limit)
        along = {**AS_API, **ALONG_INDEXES}
        indexed = await _open(stack, url, settings.pool_size, along, alone=alone, limit=limit)
        modules = {name: find_module(name) for name in settings.apps}
        store = open_store(settings.media_url, data_dir=settings.data_dir, bytes_max=settings.limits.media_bytes_max)
        apps = [module.declare(store) for module in modules.values()]
        sets, rates = sets_of(apps), rates_of(apps, settings)
        if migrating:
            await migrate(owner, sets)
            await jobs.install(owner)
        else:
            await _refuse_if_behind(owner, sets, alone=alone)
        if name != TENANT:
            await keep(owner, quotas)
        keys = await load_keys(owner)
        engine = await open_engine(
            owner=owner,
            database=database,
            indexed=indexed,
            apps=apps,
            token_keys=keys.token,
            limits=settings.limits,
            trust_threshold=settings.trust_threshold,
            install=migrating,
            clock=clock,
        )
        tenant = Tenant(
            settings=settings,
            database=database,
            engine=engine,
            keys=keys,
            store=store,
            apps=apps,
            modules=modules,
            rates=rates,
            clock=clock,
            name=name,
            quotas=quotas,
            carriers=carriers,
        )
        stack.push_async_callback(tenant.rates.close)
        stack.push_async_callback(tenant.live.close)
        yield tenant


async def _refuse_if_behind(owner: Database, sets: Sequence[Migrations], *, alone: bool) -> None:
    """A tenant of many must be up to date. With the default one an older schema is the operator's decision (a node may
    be newer than the database for a while), but there must be one.

    Raises Problem("being_migrated"), MigrationError.
    """
    if not alone:
        if any(each.state == "pending" for each in await status(owner, sets)):
            raise Problem("being_migrated", "The tenant's schema is not up to date yet.", retry_after=BEHIND_SECONDS)
        return
    async with owner.connection() as conn:
        # Not by the list of migrations: the role that serves need not be allowed to read it.
        if await fetch_one(conn, load(__package__, "is_begun")) != (True,):
            raise MigrationError("The database was never migrated: run `homing migrate`.")


@asynccontextmanager
async def server_url(settings: Settings) -> AsyncIterator[str]:
    """The address of the settings' database; that of the embedded server, started, where they name none."""
    if settings.database_url is not None:
        yield settings.database_url
        return
    server = embedded(settings.data_dir)
    url = await asyncio.to_thread(server.__enter__)
    try:
        yield url
    finally:
        server.__exit__(None, None, None)


def sets_of(apps: Sequence[App]) -> list[Migrations]:
    """The migrations of a tenant's database: the core's, and those of its applications."""
    return [CORE, *(Migrations(app.name, app.migrations) for app in apps if app.migrations is not None)]


def rates_of(apps: Sequence[App], settings: Settings) -> dict[str, Rate | None]:
    """The server's own rates and those of its applications (``<app>-<name>``), as the settings have them; None for one
    that is off. Raises SettingsError for settings of rates that nobody declares."""
    declared = {f"{app.name}-{name}": rate for app in apps for name, rate in app.rates.items()}
    try:
        return settle({**RATES, **declared}, settings.rates)
    except ValueError as error:
        raise SettingsError(f"HOMING_RATES: {error}") from None


async def _open(
    stack: AsyncExitStack,
    url: str,
    pool_size: int,
    options: Mapping[str, str] | None = None,
    *,
    alone: bool,
    limit: ConnectionLimit | None,
) -> Database:
    """A pool. ``alone``: of a tenant that need not leave connections to many others soon after it was used."""
    idle_seconds = IDLE_SECONDS if alone else MANY_SECONDS
    database = Database(url, pool_size=pool_size, options=options, idle_seconds=idle_seconds, limit=limit)
    await database.open()
    stack.push_async_callback(database.close)
    return database


def find_module(name: str) -> ModuleType:
    """An application that ships with Homing, otherwise anybody's module of this name. Raises SettingsError."""
    for path in (f"homing.apps.{name}", name):
        try:
            return import_module(path)
        except ModuleNotFoundError as error:
            if not f"{path}.".startswith(f"{error.name}."):
                raise
    raise SettingsError(f"HOMING_APPS: there is no application called {name!r}, and no module of that name")
