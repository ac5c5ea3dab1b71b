"""The jobs of every tenant: what the server does by itself, and what its applications add (``JOBS``)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta
from types import ModuleType

from homing.jobs import HopelessError, Job, Task
from homing.media.variants import TASK, Bounds, make_variants
from homing.notify.deliver import RECEIPTS_TASK, Done, deliver
from homing.notify.notify import TASK as NOTIFY_TASK
from homing.notify.receipts import ask_receipts
from homing.server import upkeep
from homing.server.daily import daily_round
from homing.server.tenant import Tenant
from homing.settings import Settings

log = logging.getLogger("homing.jobs")


async def _daily(tenant: Tenant, _: Job) -> None:
    log.info("daily round of tenant %s: %s", tenant.name, await daily_round(tenant))


async def _images(tenant: Tenant, job: Job) -> None:
    limits = tenant.settings.limits
    bounds = Bounds(pixels_max=limits.media_pixels_max, bytes_max=limits.media_image_bytes_max)
    await make_variants(tenant.engine.owner, tenant.store, key=job.args["key"], bounds=bounds, now=tenant.clock())


async def _vacuum(tenant: Tenant, _: Job) -> None:
    await upkeep.vacuum(tenant.engine.owner)


async def _reindex(tenant: Tenant, _: Job) -> None:
    for done in await upkeep.reindex(tenant.engine.owner, schemas=tenant.schemas):
        log.info("rebuilt index %s of tenant %s: %d bytes, before %d", done.index, tenant.name, done.after, done.before)


async def _notify(tenant: Tenant, _: Job) -> None:
    done = await deliver(tenant.engine.owner, tenant.carriers, now=tenant.clock())
    _tell(tenant, done)


async def _ask_receipts(tenant: Tenant, _: Job) -> None:
    _tell(tenant, await ask_receipts(tenant.engine.owner, tenant.carriers, now=tenant.clock()))


def _tell(tenant: Tenant, done: Done) -> None:
    """Raises HopelessError where deliveries were given up: each of them is written down, but a person finds out by a
    job that is dead. Trying it again does what is due then."""
    if done.became:
        log.info("notifications of tenant %s: %s", tenant.name, dict(done.became))
    if done.failures:
        reason, count = done.failures.most_common(1)[0]
        total = done.failures.total()
        raise HopelessError(f"{total} notifications were given up, {count} of them because: {reason}")


NOTIFY = Task(name=NOTIFY_TASK, run=_notify)
RECEIPTS = Task(name=RECEIPTS_TASK, run=_ask_receipts)
DAILY = Task(name="homing.daily", run=_daily, every=timedelta(days=1), seconds=1800, tries=20)
IMAGES = Task(name=TASK, run=_images, seconds=600, tries=12)
VACUUM = Task(name="homing.vacuum", run=_vacuum, every=timedelta(days=7), seconds=4 * 3600, tries=3)
REINDEX = Task(name="homing.reindex", run=_reindex, every=timedelta(days=30), seconds=8 * 3600, tries=3)


def tasks_of(settings: Settings, modules: Mapping[str, ModuleType]) -> list[Task[Tenant]]:
    """Every kind of job there is for a tenant with these applications."""
    found: list[Task[Tenant]] = [DAILY, IMAGES, NOTIFY, RECEIPTS]
    if settings.maintenance:
        found += [VACUUM, REINDEX]
    for module in modules.values():
        found += getattr(module, "JOBS", ())
    return found
