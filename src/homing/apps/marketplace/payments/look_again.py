"""The event that never came: payments that are still open at the gateway are asked after.

A webhook that is not set up, or was down for longer than the gateway tries, must not leave somebody unpaid.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Final

from homing.apps.marketplace.payments.choose import gateway_of
from homing.apps.marketplace.payments.intents import note
from homing.apps.marketplace.payments.payment import read_payment
from homing.apps.marketplace.payments.refunds import look_at
from homing.apps.marketplace.payments.sandbox import Sandbox
from homing.jobs import Job, Task
from homing.postgres.sql import fetch_all, load
from homing.protocol.errors import Problem
from homing.server.tenant import Tenant

log = logging.getLogger("homing.payments")

TASK: Final = "marketplace.payments"
EVERY: Final = timedelta(hours=1)
YOUNG: Final = timedelta(minutes=15)
"""So long an event may take; somebody may still be typing the card's number."""
OLD: Final = timedelta(days=7)
"""What was not paid in this time was given up, and is asked after when its client comes back."""
LOOKS_MAX: Final = 200
"""Payments of one round, the newest first: Stripe takes a hundred calls a second, and we make one at a time."""


async def look_again(tenant: Tenant, _: Job) -> None:
    """Raises Problem("unavailable"): the job is tried again."""
    try:
        gateway = gateway_of(tenant)
    except Problem as problem:
        if problem.code.code == "state_conflict":
            return  # no payments here
        raise
    if isinstance(gateway, Sandbox):
        return  # it keeps nothing that we do not know
    now = tenant.clock()
    params = {"gateway": gateway.name, "before": now - YOUNG, "since": now - OLD, "limit": LOOKS_MAX}
    async with tenant.engine.owner.connection() as conn:
        found = await fetch_all(conn, load(__package__, "find_open"), params)
    for payment, proposal, gateway_id in found:
        try:
            intent = await gateway.find(gateway_id)
        except Problem as problem:
            if problem.code.code != "payment_refused":
                raise
            log.warning("payment %s: the gateway does not know it: %s", payment, problem.detail)
            continue
        async with tenant.engine.owner.transaction(actor=gateway.name) as conn:
            further = await note(conn, payment, proposal, intent, now=tenant.clock())
        if further:
            log.info("payment %s is %s, of which no event told", payment, intent.status)
    async with tenant.engine.owner.connection() as conn:
        refunding = [
            await read_payment(conn, payment, user=None)
            for (payment,) in await fetch_all(conn, load(__package__, "find_open_refunds"), params)
        ]
    for each in refunding:
        if await look_at(tenant, gateway, each):
            log.info("refunds of payment %s went on, of which no event told", each.id)


LOOK_AGAIN = Task(name=TASK, run=look_again, every=EVERY, seconds=1800, tries=5)
