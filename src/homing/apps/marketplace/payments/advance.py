"""A payment goes forward, and what happens with it."""

from __future__ import annotations

import logging
from datetime import datetime
from uuid import UUID

from homing.apps.marketplace.payments.gateway import Status
from homing.notify import Kind, notify
from homing.postgres.sql import Connection, execute, fetch_one, load

log = logging.getLogger("homing.payments")

PAYMENT_RECEIVED = Kind(
    name="payment_received",
    title="You were paid",
    body="The payment for one of your jobs has arrived.",
    preference="paymentAlerts",
    ids=("payment_id",),
)
PAYMENT_FAILED = Kind(
    name="payment_failed",
    title="A payment did not go through",
    body="Your payment for a job was declined. You can try again.",
    preference="paymentAlerts",
    ids=("payment_id",),
)


async def advance(
    conn: Connection,
    payment: UUID,
    status: Status,
    *,
    now: datetime,
    gateway_id: str | None = None,
    error: str | None = None,
) -> bool:
    """Take a status that is further than the payment's; False where it is not. In ``conn``'s transaction, which holds
    the proposal's lock: what a freelancer earned, and whom to tell."""
    params = {"payment": payment, "status": status, "gateway_id": gateway_id, "error": error, "now": now}
    row = await fetch_one(conn, load(__package__, "advance_payment"), params)
    if row is None:
        return False
    client, freelancer, amount, currency = row
    if status == "succeeded":
        earned = {"freelancer": freelancer, "amount": amount, "currency": currency}
        if not await execute(conn, load(__package__, "add_earnings"), earned):
            log.warning("payment %s is in no total: the freelancer's profile is in another currency", payment)
        await notify(conn, PAYMENT_RECEIVED, user_ids=[freelancer], data={"payment_id": payment}, collapse=payment)
    elif status == "failed":
        await notify(conn, PAYMENT_FAILED, user_ids=[client], data={"payment_id": payment}, collapse=payment)
    return True
