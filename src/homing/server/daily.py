"""The daily round: what a tenant's server does without being asked.

Old removals, history, telemetry, orphaned uploads, enrolment tokens and dead jobs go; partitions are made ahead and
events added up. It is a job like any other (``tasks.DAILY``), and ``homing collect`` is one round by hand; several at
once do no harm.
"""

from __future__ import annotations

from datetime import timedelta

import msgspec

from homing.accounts import device_events, enrolment, rates
from homing.engine import collect
from homing.jobs import listing
from homing.media.sweep import sweep
from homing.notify import inbox
from homing.notify.deliver import go_on
from homing.server.tenant import Tenant
from homing.telemetry import retention, rollups

TELEMETRY_KEPT = timedelta(days=400)
"""As long as the history: what a device measured is looked at beside what it did."""

DEAD_JOBS_KEPT = timedelta(days=90)


class Collected(msgspec.Struct, kw_only=True):
    """What one round removed, by kind, and the floor of tokens if it rose. ``enrolments_expired``: tokens found expired
    and never used, reported in the log. ``usage_rows``: what events amounted to, added up."""

    departures: int
    history_partitions: list[str]
    scope_sets: int
    floor: int | None
    telemetry_partitions: int
    telemetry_rows: int
    uploads: int
    usage_rows: int
    enrolments_expired: int
    enrolments_deleted: int
    dead_jobs: int
    rate_counts: int
    device_events: int
    notifications: int


async def daily_round(tenant: Tenant) -> Collected:
    """One round. Raises Problem("unavailable"), having done what it did."""
    now = tenant.clock()
    done = await collect.collect(tenant.engine, now=now)
    await retention.make_ahead(tenant.engine.owner, now=now)
    usage_rows = await rollups.add_up(tenant.engine.owner, now=now)
    dropped = await retention.drop_older(tenant.engine.owner, before=now - TELEMETRY_KEPT)
    swept = await sweep(tenant.database, tenant.store, now=now)
    enrolments = await enrolment.clean(tenant.database, now=now)
    dead = await listing.forget(tenant.engine.owner, before=now - DEAD_JOBS_KEPT)
    kept = timedelta(days=tenant.settings.limits.notifications_days)
    notifications = await inbox.forget(tenant.engine.owner, before=now - kept)
    await go_on(tenant.engine.owner, now=now)  # should the job of what waits have died
    return Collected(
        departures=done.departures,
        history_partitions=list(done.partitions),
        scope_sets=done.scope_sets,
        floor=done.floor,
        telemetry_partitions=dropped.partitions,
        telemetry_rows=dropped.rows,
        uploads=swept.uploads,
        usage_rows=usage_rows,
        enrolments_expired=enrolments.expired,
        enrolments_deleted=enrolments.deleted,
        dead_jobs=dead,
        rate_counts=await rates.forget(tenant.database),
        device_events=await device_events.forget(tenant.database),
        notifications=notifications,
    )
