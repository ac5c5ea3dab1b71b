"""The daily round: what a node does without being asked.

Old removals, history, telemetry, orphaned uploads and enrolment tokens go; partitions are made ahead. Every node does
it, a while after it started and then once a day, for all its tenants in turn; the database's own locks make it harmless
that several do.
``homing collect`` is one round by hand.
"""

from __future__ import annotations

import asyncio
import logging
import random
from datetime import timedelta

import msgspec
import psycopg

from homing.accounts import enrolment
from homing.engine import collect
from homing.media.sweep import sweep
from homing.protocol.errors import Problem
from homing.server.node import Node
from homing.server.tenant import Tenant
from homing.telemetry import retention
from homing.tenants.entry import DEFAULT

log = logging.getLogger("homing.daily")

TELEMETRY_KEPT = timedelta(days=400)
"""As long as the history: what a device measured is looked at beside what it did."""

ROUND_SECONDS = 86_400
AGAIN_SECONDS = 3600
TENANT_SECONDS = 1800
"""How long the round of one tenant may take: the others come after it."""
FIRST_SECONDS = 60
"""A node that is being restarted again and again does not begin a round each time."""


class Collected(msgspec.Struct, kw_only=True):
    """What one round removed, by kind, and the floor of tokens if it rose. ``enrolments_expired``: tokens found expired
    and never used, reported in the log."""

    departures: int
    history_partitions: list[str]
    scope_sets: int
    floor: int | None
    telemetry_partitions: int
    telemetry_rows: int
    uploads: int
    enrolments_expired: int
    enrolments_deleted: int


async def daily_round(tenant: Tenant) -> Collected:
    """One round. Raises Problem("unavailable"), having done what it did."""
    now = tenant.clock()
    done = await collect.collect(tenant.engine, now=now)
    await retention.make_ahead(tenant.engine.owner, now=now)
    dropped = await retention.drop_older(tenant.engine.owner, before=now - TELEMETRY_KEPT)
    swept = await sweep(tenant.database, tenant.store, now=now)
    enrolments = await enrolment.clean(tenant.database, now=now)
    return Collected(
        departures=done.departures,
        history_partitions=list(done.partitions),
        scope_sets=done.scope_sets,
        floor=done.floor,
        telemetry_partitions=dropped.partitions,
        telemetry_rows=dropped.rows,
        uploads=swept.uploads,
        enrolments_expired=enrolments.expired,
        enrolments_deleted=enrolments.deleted,
    )


async def rounds(node: Node) -> bool:
    """A round for each tenant in turn; whether all of them could be finished. One that fails stops no other."""
    whole = True
    for name in [DEFAULT, *(entry.name for entry in node.directory.entries.values() if entry.status == "active")]:
        try:
            async with asyncio.timeout(TENANT_SECONDS), node.visit(name) as tenant:
                log.info("daily round of tenant %s: %s", name, await daily_round(tenant))
        except (Problem, TimeoutError, psycopg.Error):
            # Whatever the database refused, the next round may find mended; the others get theirs.
            log.exception("daily round of tenant %s put off", name)
            whole = False
    return whole


async def every_day(node: Node) -> None:
    """Rounds until cancelled. A round that could not be finished is begun again within the hour."""
    wait = FIRST_SECONDS * (1 + random.random())  # noqa: S311 - only so that nodes started together do not go together
    while True:
        await asyncio.sleep(wait)
        wait = ROUND_SECONDS if await rounds(node) else AGAIN_SECONDS
