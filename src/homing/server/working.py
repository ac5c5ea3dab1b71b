"""The node's workers: one for the default tenant, always; for every other tenant one when there is something to do.

The default tenant's is woken by PostgreSQL. The others are looked at: those that requests use every few seconds, the
idle ones when something is due as far as this node knows, and every one within the hour, because another node may have
enqueued something and died. A look is one connection and one query, and opens no tenant: an idle one costs that.
"""

from __future__ import annotations

import asyncio
import logging
import random
from datetime import timedelta
from functools import partial
from time import monotonic

import psycopg

from homing.jobs.worker import Outcome, Outlook, Worker, look_ahead
from homing.protocol.errors import Problem
from homing.server import vitals
from homing.server.metrics import Metrics
from homing.server.node import Node
from homing.server.tasks import tasks_of
from homing.server.tenant import Tenant
from homing.telemetry.tallies import keep
from homing.telemetry.usage import Span, read_usage
from homing.tenants import databases
from homing.tenants.entry import DEFAULT, Entry

log = logging.getLogger("homing.jobs")

ROUND_SECONDS = 5.0
"""How often to see which tenants are to be looked at."""
LOOK_SECONDS_MAX = 3600.0
VITALS_SECONDS = 60.0
"""How often the database's key figures are read for the metrics."""
USAGE_SECONDS = 300.0
"""How often the events of the last day are counted for the metrics: they are many."""
TALLIES_SECONDS = 60.0
"""How often what this node measured of requests is added to the tables."""
LAST_SECONDS = 3.0
"""How long adding the last of it may take when the node stops."""
TENANTS_AT_ONCE = 2
TENANT_SECONDS = 3600.0
"""How long the jobs of one tenant may take at a stretch: others come after it."""

_TROUBLE = (Problem, psycopg.Error, TimeoutError, OSError)


class Working:
    """Works on the jobs of all tenants of a node, until cancelled."""

    def __init__(self, node: Node, metrics: Metrics) -> None:
        self._node = node
        self._metrics = metrics
        self._tasks = tasks_of(node.settings, node.modules)
        self._next: dict[str, float] = {}
        """Tenant → when to look at it again, by the monotonic clock."""
        self._uses: dict[str, int] = {}
        """Tenant → how often it had been used when it was looked at."""
        self._visits: dict[str, asyncio.Task[None]] = {}
        self._vitals_at = 0.0
        self._usage_at = 0.0
        self._places = asyncio.Semaphore(TENANTS_AT_ONCE)

    async def run(self) -> None:
        """Until cancelled; running jobs get a moment to finish then, or are put back."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.worker(self._node.default).work())
            group.create_task(self._go_round())
            group.create_task(self._keep_tallies())

    def worker(self, tenant: Tenant) -> Worker[Tenant]:
        return Worker(
            owner=tenant.engine.owner,
            tasks=self._tasks,
            context=tenant,
            clock=self._node.clock,
            note=partial(self._note, tenant),
        )

    def _note(self, tenant: Tenant, task: str, outcome: Outcome, seconds: float) -> None:
        self._metrics.count_job(task, outcome, seconds)
        tenant.live.written()  # as after a request: what the job wrote is news

    async def visit(self, entry: Entry) -> Outlook:
        """Do what is due at a tenant; what is left to do. Raises as ``Node.visit``."""
        outlook = await self._look(entry)
        if outlook.seconds <= 0:
            async with self._node.visit(entry.name) as tenant:
                await self.worker(tenant).drain()
            outlook = await self._look(entry)
        return outlook

    async def keep_tallies(self) -> None:
        """Add to each tenant's tallies what this node counted since the last time."""
        for name, tallies in self._metrics.take_tallies().items():
            try:
                async with self._node.visit(name) as tenant:
                    await keep(tenant.engine.owner, tallies, now=self._node.clock())
            except _TROUBLE as error:
                if name == DEFAULT or name in self._node.directory.entries:  # otherwise it is gone for good
                    self._metrics.give_back(name, tallies)
                log.warning("the tallies of tenant %s wait: %s: %s", name, type(error).__name__, error)

    async def _keep_tallies(self) -> None:
        try:
            while True:
                await asyncio.sleep(TALLIES_SECONDS)
                await self.keep_tallies()
        finally:
            async with asyncio.timeout(LAST_SECONDS):
                await self.keep_tallies()

    async def _go_round(self) -> None:
        try:
            while True:
                await asyncio.sleep(ROUND_SECONDS)
                await self._look_at_default()
                entries = {e.name: e for e in self._node.directory.entries.values() if e.status == "active"}
                for gone in self._next.keys() - entries.keys():
                    del self._next[gone]
                    self._metrics.forget_jobs(gone)
                for entry in entries.values():
                    if entry.name not in self._visits and self._is_due(entry.name):
                        task = asyncio.create_task(self._visit(entry), name=f"jobs of tenant {entry.name}")
                        self._visits[entry.name] = task
        finally:
            visits = list(self._visits.values())
            for task in visits:
                task.cancel()
            await asyncio.gather(*visits, return_exceptions=True)

    def _is_due(self, name: str) -> bool:
        now = monotonic()
        # Not all of them at once when the node starts.
        at = self._next.setdefault(name, now + random.uniform(0, LOOK_SECONDS_MAX) / 12)  # noqa: S311
        return now >= at or self._node.uses[name] != self._uses.get(name, 0)

    async def _visit(self, entry: Entry) -> None:
        try:
            async with self._places, asyncio.timeout(TENANT_SECONDS):
                self._uses[entry.name] = self._node.uses[entry.name]
                outlook = await self.visit(entry)
            self._metrics.note_jobs(entry.name, outlook)
            seconds = min(max(outlook.seconds, ROUND_SECONDS), LOOK_SECONDS_MAX)
        except _TROUBLE as error:
            log.warning("the jobs of tenant %s wait: %s: %s", entry.name, type(error).__name__, error)
            seconds = random.uniform(30, 90)  # noqa: S311
        finally:
            del self._visits[entry.name]
        self._next[entry.name] = monotonic() + seconds

    async def _look(self, entry: Entry) -> Outlook:
        assert self._node.settings.database_url is not None
        async with databases.connected(entry.url(self._node.settings.database_url)) as conn:
            return await look_ahead(conn, self._tasks, now=self._node.clock())

    async def _look_at_default(self) -> None:
        try:
            async with self._node.default.engine.owner.connection() as conn:
                self._metrics.note_jobs(DEFAULT, await look_ahead(conn, self._tasks, now=self._node.clock()))
                if monotonic() >= self._vitals_at:
                    self._metrics.note_vitals(await vitals.read(conn, schemas=self._node.default.schemas))
                    self._vitals_at = monotonic() + VITALS_SECONDS
            if monotonic() >= self._usage_at:
                self._usage_at = monotonic() + USAGE_SECONDS
                now = self._node.clock()
                settings = self._node.settings
                usage = await read_usage(
                    self._node.default.engine.owner,
                    Span(now - timedelta(days=1), now),
                    conversions=settings.analytics_conversions,
                )
                self._metrics.note_usage(usage)
        except _TROUBLE as error:
            log.warning("no look at the queue: %s: %s", type(error).__name__, error)
