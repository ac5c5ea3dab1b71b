"""The daily round: what a node does without being asked.

Old removals, history, telemetry and orphaned uploads go; partitions are made ahead. Every node does it, a while after
it started and then once a day; the database's own locks make it harmless that several do. ``homing collect`` is one
round by hand.
"""

from __future__ import annotations

import asyncio
import logging
import random
from datetime import timedelta

import msgspec
import psycopg

from homing.engine import collect
from homing.media.sweep import sweep
from homing.protocol.errors import Problem
from homing.server.tenant import Tenant
from homing.telemetry import retention

log = logging.getLogger("homing.daily")

TELEMETRY_KEPT = timedelta(days=400)
"""As long as the history: what a device measured is looked at beside what it did."""

ROUND_SECONDS = 86_400
FIRST_SECONDS = 60
"""A node that is being restarted again and again does not begin a round each time."""


class Collected(msgspec.Struct, kw_only=True):
    """What one round removed, by kind, and the floor of tokens if it rose."""

    departures: int
    history_partitions: list[str]
    scope_sets: int
    floor: int | None
    telemetry_partitions: int
    telemetry_rows: int
    uploads: int


async def daily_round(tenant: Tenant) -> Collected:
    """One round. Raises Problem("unavailable"), having done what it did."""
    now = tenant.clock()
    done = await collect.collect(tenant.engine, now=now)
    await retention.make_ahead(tenant.engine.owner, now=now)
    dropped = await retention.drop_older(tenant.engine.owner, before=now - TELEMETRY_KEPT)
    swept = await sweep(tenant.database, tenant.store, now=now)
    return Collected(
        departures=done.departures,
        history_partitions=list(done.partitions),
        scope_sets=done.scope_sets,
        floor=done.floor,
        telemetry_partitions=dropped.partitions,
        telemetry_rows=dropped.rows,
        uploads=swept.uploads,
    )


async def every_day(tenant: Tenant) -> None:
    """Rounds until cancelled. A round that could not be finished is begun again within the hour."""
    wait = FIRST_SECONDS * (1 + random.random())  # noqa: S311 - only so that nodes started together do not go together
    while True:
        await asyncio.sleep(wait)
        try:
            log.info("daily round: %s", await daily_round(tenant))
            wait = ROUND_SECONDS
        except (Problem, psycopg.Error):
            # Whatever the database refused, the next round may find mended; the loop itself must not end.
            log.exception("daily round put off for an hour")
            wait = 3600
